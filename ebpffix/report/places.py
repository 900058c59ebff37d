"""What several formats say of places: where in a file a change goes, and how columns are counted."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ebpffix.sources.files import root_of

_BOM = "\ufeff"


@cache
def display(path: Path) -> str:
    """A file's name in diffs and reports."""
    try:
        return path.relative_to(root_of(path)).as_posix()
    except ValueError:
        return path.as_posix()


def uri(path: str) -> str:
    """A path of the report as a relative URI reference; bytes that are no UTF-8 are kept as %XX."""
    # Without the "./" a first part such as `a:b` would be read as a scheme.
    encoded = quote(path, safe="/", errors="surrogateescape")
    return encoded if ":" not in path.split("/")[0] else f"./{encoded}"


def encodings(report: dict[str, Any]) -> dict[str, str]:
    """The encoding of every file of the report, by path."""
    return {file["path"]: file["encoding"] for file in report["files"]}


def units(text: str) -> int:
    """The UTF-16 code units of a text: what editors count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def unit_column(line: str, column: int, encoding: str) -> int:
    """A 1-based column in bytes of the file as a 1-based column in UTF-16 code units, without a byte order mark."""
    encoding = "latin-1" if encoding == "latin-1" else "utf-8"
    before = line.encode(encoding, "surrogatepass")[: column - 1].decode(encoding, "replace")
    return units(before.removeprefix(_BOM)) + 1


def without_mark(hunk: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The old and the new lines of a hunk, without the byte order mark that a first line begins with on both sides:
    to editors it is no part of the text."""
    old, new = hunk["old"], hunk["new"]
    if hunk["start_line"] == 1 and old and new and old[0].startswith(_BOM) and new[0].startswith(_BOM):
        return [old[0][1:], *old[1:]], [new[0][1:], *new[1:]]
    return old, new
