"""A document that an editor has open, and the file that it is, or would be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ebpffix.lsp.messages import Loaded, Mended, Opened, Seen
from ebpffix.lsp.text import Text
from ebpffix.sources.files import HOSTS, inside

_SUFFIXES = {"c": ".bpf.c", "cpp": ".cc", "python": ".py", "go": ".go", "lua": ".lua"}  # of what has no name yet


@dataclass(eq=False)
class Document:
    """One open document. `generation` is another for each text; `seen` is of the text of its own generation."""

    uri: str
    path: Path
    folder: Path
    version: int
    generation: int
    text: Text
    seen: Seen | None = None
    loaded: Loaded | None = None
    mended: list[Mended] = field(default_factory=list)

    @property
    def is_seen(self) -> bool:
        return self.seen is not None and self.seen.generation == self.generation

    @property
    def opened(self) -> Opened:
        return Opened(self.path, self.text.data, self.generation, self.folder)


def path_of(uri: str, language: str, folders: Sequence[Path]) -> Path | None:
    """The file that a document is, behind all links; for one that was never saved a name that no file has, in the first
    of `folders`. None for what can hold no eBPF C, and for what is no file at all (a side of a diff, a terminal)."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        name = unquote(parts.path, errors="surrogateescape")
        return Path(os.path.realpath(name)) if name.endswith((".c", ".h", *HOSTS)) and "\0" not in name else None
    if parts.scheme != "untitled" or language not in _SUFFIXES:
        return None
    folder = Path(os.path.realpath(folders[0] if folders else os.path.expanduser("~")))
    stem = "".join(c if c.isalnum() else "-" for c in unquote(parts.path)).strip("-")[:60] or "untitled"
    number = 0
    while (path := folder / f"{stem}{f'-{number}' * bool(number)}{_SUFFIXES[language]}").exists():
        number += 1
    return path


def folder_of(path: Path, folders: Sequence[Path]) -> Path:
    """The folder that the user works in which holds a file, the innermost; else the file's own."""
    around = [folder for folder in folders if inside(str(path), os.path.realpath(folder))]
    return max(around, key=lambda folder: len(str(folder)), default=path.parent)
