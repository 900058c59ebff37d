"""C text from templates, in the style of the file that it goes into.

    statements(source, '''
        if ({size} > {room})
        \\t{size} = {room};
    ''', size=b"len", room=b"sizeof(buf)")
    declared(b"struct sock *", b"sk")        b"struct sock *sk"
    one_line(node.text)                      code as a message quotes it

What `before` and `after` of `ebpffix.editing.statements` take are the lines that `statements` gives.
"""

from __future__ import annotations

import re
from textwrap import dedent

from ebpffix.editing.statements import indent_step
from ebpffix.sources.source import Source

_PART = re.compile(r"\{(\w+)\}")


def statements(source: Source, template: str, **parts: bytes) -> list[bytes]:
    """The lines of a template, `{name}` replaced by the part of that name; a tab in front of a line is one level of the
    file's own indentation. KeyError for a part that is not given."""
    text = dedent(template).strip("\n")
    step, found = indent_step(source), []
    for line in text.rstrip().split("\n"):
        bare = line.lstrip("\t")
        pieces = _PART.split(bare)
        filled = [parts[piece] if odd % 2 else piece.encode() for odd, piece in enumerate(pieces)]
        found.append(step * (len(line) - len(bare)) + b"".join(filled))
    return found


def declared(type_: bytes, name: bytes) -> bytes:
    """A declaration from the spelling of a type, without its semicolon: `struct sock *sk`, `int (*done)(void *)`,
    `char comm[16]`."""
    if b"(*)" in type_:
        return type_.replace(b"(*)", b"(*%s)" % name, 1)
    base, bracket, size = type_.partition(b"[")
    blank = b"" if base.endswith(b"*") else b" "
    return base.rstrip() + blank + name + bracket + size


def one_line(code: bytes) -> str:
    """Code as it stands in a message: on one line, with single blanks."""
    return b" ".join(code.split()).decode("utf-8", "replace")
