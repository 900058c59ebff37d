"""What a project's user space does with its eBPF programs, by the text of its files: whose maps it writes, what it
attaches to which functions; and which maps each eBPF program writes.

Names are compared without case and underscores, for generated code changes both (`socks_by_id`, `SocksById`). All that
may be a write counts as one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ebpffix.sources.attaching import Attachment, attachments
from ebpffix.sources.reader import read_start

_LANGUAGES = (".c", ".cc", ".cpp", ".cxx", ".go", ".py", ".rs", ".lua")
_MOST_BYTES = 1 << 20  # of one file: what is larger was generated
_MOST_FILES = 20_000

# An entry is written; and the maps that a file gets hold of, all of which it may write then.
_WRITES = re.compile(
    rb"map_update_|map__update_|\.\s*(?:Put|Update\w*|BatchUpdate|update\w*|insert|set_?\w*)\s*\(|\]\s*=(?!=)"
)
_HOLDS = re.compile(
    rb"maps(?:\(\))?\s*(?:\.|->)\s*(\w+)|\b[oO]bjs?\w*\.(\w+)"
    rb"|(?:find_map\w{0,40}|GetMap|get_table|get_map|map|map_mut|take_map|Table|Maps)\s*[(\[][^\"')\]\n]{0,60}[\"'](\w+)[\"']"
    rb"|\w\s*\[\s*b?[\"'](\w+)[\"']\s*\]"
)
_ATTACHES = re.compile(
    rb"(?:attach_u(?:ret)?probe|attach_usdt|AttachU(?:ret)?[Pp]robe|\.U(?:ret)?probe(?:Multi)?"
    rb"|U(?:[Rr]et)?Probe(?:Spec|Tmpl|Template|Config|Options)(?:\s{1,40}\w{1,60})?)\w{0,40}\s{0,40}[({]([^;]{0,300})"
)
# What it is called on, and a variable that holds a program.
_ON = re.compile(rb"(\w{1,60})\s{0,40}(?:\.|->)\s{0,40}\w{0,40}\Z")
_PROGRAM = re.compile(
    rb"\b(\w{1,60})\s{0,8}(?:,\s{0,8}\w{1,60}\s{0,8})?:?=[^;\n=]{0,60}[pP]rogram\w{0,40}\([^;\n\"]{0,60}\"(\w{1,60})\""
)
# A program by the name of its file: as it is compiled, loaded, or included.
_FILE = re.compile(rb"(?<![\w-])([\w-]{1,80})(?:\.e?bpf|\.skel)?\.(?:c|o|h)\b")
_WORD = re.compile(rb"[A-Za-z_]\w+")
_BPF_WRITE = re.compile(rb"bpf_map_(?:update|push)_elem\s*\(\s*&\s*(\w+)")


def squeezed(name: str | bytes) -> str:
    text = name if isinstance(name, str) else name.decode("latin-1")
    return text.replace("_", "").lower()


@dataclass(frozen=True)
class UserSpace:
    """`writes` are maps that user space may write, `attaches` words that stand where something is attached to a
    function of user space, `programs` maps that other programs of the project write; all squeezed and sorted.
    `attached` is what the host of this program attaches. `is_whole` says whether all files were looked at."""

    writes: tuple[str, ...] = ()
    attaches: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    attached: tuple[Attachment, ...] = ()
    is_whole: bool = True

    def may_write(self, name: str) -> bool:
        """Whether user space may write a map of this name."""
        return not self.is_whole or squeezed(name) in self.writes

    def may_attach(self, name: str) -> bool:
        """Whether a program of this name may be attached to a function of user space."""
        return squeezed(name) in self.attaches

    def attachments_of(self, name: str) -> list[Attachment]:
        """What the host says of a program of this name."""
        return [one for one in self.attached if squeezed(one.program) == squeezed(name)]


@dataclass
class Project:
    """The user space of one project, its files read once."""

    files: Iterable[str]
    _writes: set[str] = field(default_factory=set)
    _attaches: set[str] = field(default_factory=set)
    _programs: dict[Path, frozenset[str]] = field(default_factory=dict)
    _attached: dict[Path, tuple[Attachment, ...]] = field(default_factory=dict)
    _named: dict[Path, frozenset[str]] = field(default_factory=dict)  # programs by the name of their file
    _is_whole: bool = True
    _is_read: bool = False

    def beside(self, file: Path, sources: Iterable[Path]) -> UserSpace:
        """What is done beside a program in `file` that is made of these sources."""
        if not self._is_read:
            self._read()
        own = set(sources)
        others = frozenset[str]().union(*(names for path, names in self._programs.items() if path not in own))
        return UserSpace(
            tuple(sorted(self._writes)),
            tuple(sorted(self._attaches)),
            tuple(sorted(others)),
            self._attached_by_host(file, own),
            self._is_whole,
        )

    def _attached_by_host(self, file: Path, own: set[Path]) -> tuple[Attachment, ...]:
        """What the host attaches of the programs of a file: the file itself where the programs are strings of it, else
        those that name the file, and without one those in its folder and the one above."""
        if file not in own:
            return self._attached.get(file, ())
        hosts = self._attached.keys() - own
        naming = {host for host in hosts if file.name.partition(".")[0] in self._named[host]}
        near = {host for host in hosts if host.parent in (file.parent, file.parent.parent)}
        return tuple(sorted(one for host in naming or near for one in self._attached[host]))

    def _read(self) -> None:
        self._is_read = True
        wanted = [path for path in self.files if path.endswith((*_LANGUAGES, ".h"))]
        self._is_whole = len(wanted) <= _MOST_FILES
        for path in wanted[:_MOST_FILES]:
            try:
                # What a link leads to is listed itself, or is none of this tree's.
                self._take(path, b"" if os.path.islink(path) else read_start(path, _MOST_BYTES))
            except OSError:
                continue

    def _take(self, path: str, data: bytes) -> None:
        if b"bpf_map_" in data and (found := frozenset(squeezed(name) for name in _BPF_WRITE.findall(data))):
            self._programs[Path(path)] = found
        if path.endswith((".h", ".bpf.c")) or b"SEC(" in data:
            return
        if _WRITES.search(data):
            self._writes.update(squeezed(word) for match in _HOLDS.finditer(data) for word in match.groups() if word)
        held: dict[bytes, list[bytes]] = {}
        attached = list(_ATTACHES.finditer(data))
        for variable, name in _PROGRAM.findall(data) if attached else ():
            held.setdefault(variable, []).append(name)
        for match in attached:
            on = _ON.search(data, max(0, match.start() - 160), match.start())
            words = [*_WORD.findall(match[1]), *(on.groups() if on else ())]
            self._attaches.update(map(squeezed, (*words, *(name for word in words for name in held.get(word, ())))))
        if known := attachments(data):
            file = Path(path)
            self._attached[file] = tuple(replace(one, file=file.name) for one in known)
            self._named[file] = frozenset(name.decode() for name in _FILE.findall(data))
