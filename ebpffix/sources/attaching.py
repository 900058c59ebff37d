"""What a host program attaches to which function, by the calls in its text.

    attachments(text) -> list[Attachment]

Known are BCC (Python, Lua, C++), libbpf (C), cilium/ebpf and libbpfgo (Go). A name that is computed is not known, and a
call whose program is not named is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from ebpffix.kernel.program_types import Role


@dataclass(frozen=True, order=True)
class Attachment:
    """`program` is the eBPF program by name, as the host calls it, `role` a `Role`'s value (that of OTHER where it is
    computed), `target` the function that is probed, "" where it is computed; `is_user` says that it is one of user
    space. `call` is the call up to the parenthesis, `file` the file's name."""

    program: str
    role: str
    target: str
    is_user: bool
    call: str
    file: str = ""


# Between parentheses, two levels deep; bounded, for the text may be anything.
_NESTED = rb"((?:[^(){}]|[({](?:[^(){}]|[({][^(){}]{0,200}[)}]){0,400}[)}]){0,800})"
_CALL = re.compile(
    rb"\b(?:(attach_([ku])(ret)?probe)|(bpf_program__attach_([ku])probe)"
    rb"|((?:\w+\.)?(?<=\.)([KU])(ret)?probe)|((\w+)\.Attach([KU])(ret)?[Pp]robe))\s*[({]" + _NESTED + rb"[)}]"
)
_COMMENTED = re.compile(rb"^[ \t]*(?:#|//|--)[^\n]*", re.MULTILINE)
# The variable that is set to a program by its name.
_BY_NAME = re.compile(
    rb"\b(\w+)\s*(?:,\s*\w+\s*)?:?=\s*[\w.&>-]{0,80}(?:GetProgram|find_program_by_name)\s*\((?:[^()\"]{0,80},)?\s*\"(\w+)\""
)
_ARGUMENT = re.compile(rb"(?:[^,\"'(){}\[\]]|\"[^\"]*\"|'[^']*'|[({\[][^(){}\[\]]*[)}\]])+")
_TEXT = re.compile(rb"b?[\"'`](.*)[\"'`]\Z", re.DOTALL)
_REMARK = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TRUE = re.compile(rb"(?:true|True|1|BPF_PROBE_RETURN)\Z")
_MEMBER = re.compile(rb"(?:\.|->|\[\")(\w+)(?:\"\])?\Z")


def attachments(text: bytes) -> list[Attachment]:
    """All that a text attaches to the entry or the return of functions, in order; each once."""
    text = _COMMENTED.sub(b"", text)
    variables = _Variables(text)
    return list(dict.fromkeys(found for match in _CALL.finditer(text) if (found := _of(match, variables))))


def _of(match: re.Match[bytes], variables: _Variables) -> Attachment | None:
    words = _REMARK.sub(b"", match[match.lastindex or 0])
    given = [argument.strip() for argument in _ARGUMENT.findall(words)]
    if match[1]:
        return _bcc(given, match[1], match[2] == b"u", match[3] is not None)
    if match[4]:
        return _libbpf(given, variables.before(match.start()), match[4], match[5] == b"u")
    if match[6]:
        symbol, program, *_ = [*given, b"", b""]
        return _made(_member(program), match[8] is not None, symbol, match[7] == b"U", match[6])
    held = variables.before(match.start())(match[10])
    return _made(held, match[12] is not None, given[0] if given else b"", match[11] == b"U", match[9])


def _bcc(given: list[bytes], call: bytes, is_user: bool, is_return: bool) -> Attachment | None:
    """`attach_kprobe(event=…, fn_name=…)`, or by position: the event (the binary, its symbol), the function."""
    named = {}
    for argument in given:
        if pair := re.match(rb"(\w+)\s*=(?!=)\s*(.*)\Z", argument, re.DOTALL):
            named[pair[1]] = pair[2]
    placed = [argument for argument in given if not re.match(rb"\w+\s*=(?!=)", argument)]
    first = 1 if is_user else 0
    symbol = named.get(b"sym" if is_user else b"event", placed[first] if len(placed) > first else b"")
    program = named.get(b"fn_name", placed[first + 1] if len(placed) > first + 1 else b"")
    is_return = is_return or b"BPF_PROBE_RETURN" in placed or bool(_TRUE.match(named.get(b"retprobe", b"")))
    return _made(_text(program), is_return, symbol, is_user, call)


def _libbpf(given: list[bytes], named: Callable[[bytes], str], call: bytes, is_user: bool) -> Attachment | None:
    """`bpf_program__attach_kprobe(prog, retprobe, symbol)`; of a uprobe the symbol is an offset."""
    if len(given) < 3:
        return None
    program = _member(given[0]) or named(given[0])
    is_return = True if _TRUE.match(given[1]) else False if given[1] in (b"false", b"0") else None
    return _made(program, is_return, b"" if is_user else given[2], is_user, call)


def _made(program: str, is_return: bool | None, symbol: bytes, is_user: bool, call: bytes) -> Attachment | None:
    role = Role.OTHER if is_return is None else Role.RETURN if is_return else Role.ENTRY
    return Attachment(program, role.value, _text(symbol), is_user, call.decode("latin-1")) if program else None


def _text(argument: bytes) -> str:
    """What a literal says; "" for an expression."""
    literal = _TEXT.match(argument)
    return literal[1].decode("latin-1") if literal else ""


def _member(expression: bytes) -> str:
    """The program of `skel->progs.name`, `objs.Name`, `coll.Programs["name"]`."""
    match = _MEMBER.search(expression)
    return match[1].decode("latin-1") if match else ""


class _Variables:
    """The variables of a text that are set to a program by its name."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    @cached_property
    def _set(self) -> dict[bytes, list[tuple[int, str]]]:
        found: dict[bytes, list[tuple[int, str]]] = {}
        for match in _BY_NAME.finditer(self._text):
            found.setdefault(match[1], []).append((match.start(), match[2].decode("latin-1")))
        return found

    def before(self, place: int) -> Callable[[bytes], str]:
        """What says which program a variable holds at a place; "" for none."""
        return partial(self._named, place)

    def _named(self, place: int, variable: bytes) -> str:
        found = self._set.get(variable, [])
        index = bisect_left(found, (place, "")) - 1
        return found[index][1] if index >= 0 else ""
