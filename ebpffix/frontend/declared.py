"""Which names a program's own headers have, for what a fix may call.

What is parsed has more: headers that are precompiled for all, and what was made up. And a project with a
bpf_helpers.h of its own may lack a helper that every libbpf has.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ebpffix.frontend.environment import BUNDLED
from ebpffix.sources.includes import is_vmlinux, parse_includes
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source

_LIBBPF = BUNDLED / "libbpf"


class Declared:
    """`read` are the names of the files that libclang read for a program, `sources` those of the run among them."""

    def __init__(self, sources: Iterable[Source], read: Iterable[str]) -> None:
        self._texts = {str(source.path): source for source in sources}
        for name in dict.fromkeys(read):
            if name not in self._texts and not name.startswith(str(BUNDLED)) and not is_vmlinux(name):
                with contextlib.suppress(OSError):
                    self._texts[name] = Source(Path(name), read_file(name))
        own = {os.path.basename(name) for name in self._texts}
        named = (i.name for source in self._texts.values() for i in parse_includes(source))
        included = [name for name in named if os.path.basename(name) not in own]
        self._bundled = dict.fromkeys(path for name in included for path in _bundled(name))
        self._has_libbpf = any(name.startswith("bpf/bpf_") for name in included)

    def has(self, name: str, *, with_text: bytes = b"") -> bool:
        """Whether some header has a name; `with_text` is code with more includes, which may come from where the
        program has libbpf's others from."""
        word = re.compile(rb"\b%s\b" % name.encode())
        if any(name.encode() in source.data and word.search(source.data) for source in self._texts.values()):
            return True
        bundled = [*self._bundled]
        if self._has_libbpf:
            added = parse_includes(Source(Path(), with_text))
            bundled += [path for include in added for path in _bundled(include.name)]
        return any(name in _names(path) for path in bundled)


def _bundled(name: str) -> Iterator[Path]:
    """The bundled header that an include means, and those that it includes."""
    for path in (_LIBBPF / name, _LIBBPF / "bpf" / name):
        if path.is_file():
            yield path
            for include in parse_includes(Source.read(path)):
                yield from _bundled(include.name)
            return


@cache
def _names(path: Path) -> frozenset[str]:
    text = path.read_bytes()
    helpers = re.findall(rb"^EBPFFIX_HELPER\(\d+, [^,]+, (\w+)", text, re.MULTILINE)
    return frozenset(w.decode() for w in (*re.findall(rb"\w+", text), *(b"bpf_" + name for name in helpers)))
