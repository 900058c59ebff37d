"""What a name means that a program uses without a header that has it, where everybody means the same by it.

    declaration("uint32_t")   b"typedef unsigned int uint32_t;"
    declaration("SEC")        libbpf's macro, with those that it is made of

The texts are the bundled headers': `known/names.txt`, the numbers of errors, and libbpf's for the helpers and macros
that a program has from a header which is not there.
"""

from __future__ import annotations

import re
from functools import cache

from ebpffix.frontend.environment import BUNDLED

_LIBBPF = ("bpf_helper_defs.h", "bpf_helpers.h", "bpf_endian.h", "bpf_core_read.h", "bpf_tracing.h")
_WHOLE = ("bpf_core_read.h", "bpf_tracing.h")
# A macro with all its lines, a typedef, or a struct.
_DECLARED = re.compile(
    rb"^#[ \t]*define[ \t]+(\w+)(?:\\\n|[^\n])*|^typedef [^;{]*(?:\{[^}]*\} )?\b(\w+);|^(struct \w+) \{[^}]*\};",
    re.MULTILINE,
)
_HELPER = re.compile(rb"^EBPFFIX_HELPER\(\d+, ([^,]+), (\w+), ([^()]*)\)$", re.MULTILINE)
_STRUCT = re.compile(rb"struct \w+")
_WORD = re.compile(rb"(?<!struct )\b[A-Za-z_]\w*")


@cache
def _texts() -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    errors = BUNDLED / "system" / "linux" / "errno.h"
    for path in (BUNDLED / "known" / "names.txt", errors, *(BUNDLED / "libbpf" / "bpf" / name for name in _LIBBPF)):
        text = path.read_bytes()
        for match in _DECLARED.finditer(text):
            # What these two have is different for each machine, and made of each other.
            whole = b"#include <bpf/%s>" % path.name.encode() if path.name in _WHOLE else match[0]
            found.setdefault(match[match.lastindex or 0], whole)
        for result, name, arguments in _HELPER.findall(text):
            # A struct that is first named among parameters is another one in each list of them.
            structs = b"".join(b"%s;\n" % tag for tag in _STRUCT.findall(arguments))
            text = b"%sstatic %s (*bpf_%s)(%s) __attribute__((unused));" % (structs, result, name, arguments)
            found[b"bpf_" + name] = text
    return found


def is_macro(name: str) -> bool:
    """Whether a known name is one of a macro."""
    return _texts().get(name.encode(), b"").startswith(b"#")


def declaration(name: str) -> bytes | None:
    """The C that declares a name, and before it what that needs; None for a name that is not known."""
    texts = _texts()
    if name.encode() not in texts:
        return None
    parts: dict[bytes, bytes] = {}
    _collect(name.encode(), texts, parts)
    return b"\n".join(parts.values())


def _collect(name: bytes, texts: dict[bytes, bytes], parts: dict[bytes, bytes]) -> None:
    parts[name] = b""  # a macro may name itself
    for word in _WORD.findall(texts[name]):
        if word in texts and word not in parts:
            _collect(word, texts, parts)
    text = texts[name]
    del parts[name]
    parts[name] = b"#ifndef %s\n%s\n#endif" % (name, text) if text.startswith(b"#") else text
