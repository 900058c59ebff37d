"""Key by thread what an entry probe leaves for the return probe, not by process.

What it does: where entry and return probe keep something under the process id alone
(`bpf_get_current_pid_tgid() >> 32`), the key becomes the thread's: its id where the key has 32 bits
(`(__u32)bpf_get_current_pid_tgid()`), so that the map's type stays, the whole `bpf_get_current_pid_tgid()` where it has
64. A variable that is nothing but the key changes and gets a fitting name; one that the program uses otherwise too
stays, and the key becomes a variable of its own behind it.

Why: threads of one process share its id. While one of them is in the call, another one enters, overwrites the entry,
and the first that returns deletes it: times are those of another call, arguments those of another thread, and the last
one that returns finds nothing. A thread can be in a call only once, so its id tells them apart (`pid` is the thread's
id in the kernel's words, `tgid` the process's).

Suggested, always: user space may look entries up by process.
Advice where the key is no variable of the function that has it, or is computed in another way.

Left alone: maps that anything but entry and return probes uses (an exit of the process that clears them, a list that
user space fills), pinned and shared ones, keys of several members, Go's functions (`goroutine-key`), calls that end or
replace a process (exit, exec), programs that look at the main thread alone (they compare both ids).

Limits: as those of `stash-leak`, which finds the pairs in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.accesses import Access
from ebpffix.analysis.pairs import Stash, stashes
from ebpffix.analysis.probes import Probes
from ebpffix.analysis.values import values
from ebpffix.editing.c import declared
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import after, local_name
from ebpffix.fix import BCC, LIBBPF, Edit, Fix
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.program_types import is_go
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="stash-key",
    pattern=8,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_get_current_pid_tgid\s*\(",),
    summary="what an entry probe leaves for the return probe is keyed by process: threads overwrite each other's",
    imperative="key what waits for the return probe by thread",
    shape="what an entry probe leaves for the return probe is keyed by process",
    suggested="key by thread",
    advice="the key comes from elsewhere",
)

_ENDS = re.compile(r"exit|exec")


def find(unit: Unit) -> Iterator[Fix]:
    probes = Probes(unit)
    for stash in stashes(unit, probes):
        if all(_is_process(probes, a) and not _left_alone(probes, a) for a in stash.all):
            yield _finding(unit, stash)


def _is_process(probes: Probes, access: Access) -> bool:
    return probes.is_thread(access.key) and not probes.is_thread(access.key, process=False)


def _left_alone(probes: Probes, access: Access) -> bool:
    """Whether a program is one of Go, of a call after which the thread has another id, or of the main thread alone."""
    target = access.program.target if access.program is not None else ""
    if is_go(target) or _ENDS.search(target.removeprefix("sys_exit_")):
        return True
    compared = (
        node.children
        for function, _ in access.chain
        for node in function.find("BINARY_OPERATOR")
        if node.operator in ("==", "!=")
    )
    return any(all(probes.is_thread_id(side) for side in sides) for sides in compared)


def _finding(unit: Unit, stash: Stash) -> Fix:
    return settle(
        stash.stores[0].call.call,
        f"`{stash.name}` is keyed by process: threads of one that are in the call together overwrite and delete each "
        "other's entry",
        lambda: Made(
            _edits(unit, stash),
            "; the fix keys by thread",
            f"if user space looks entries of `{stash.name}` up by process, it has to change too",
        ),
        "; key by thread, with the whole bpf_get_current_pid_tgid()",
    )


def _edits(unit: Unit, stash: Stash) -> list[Edit]:
    keys: dict[int, list[Node]] = {}
    for access in stash.all:
        name = access.key.address_of if access.key is not None else None
        if name is None or name.function is None or not name.text:
            raise NoEdit("a key is no variable, or a macro's body has it")
        keys.setdefault(name.decl, []).append(name)
    return [edit for names in keys.values() for edit in _Key.of(names).edits(unit)]


@dataclass(frozen=True)
class _Key:
    """A variable that serves as key: where it is declared, the one value that it gets, and where it is given as key."""

    function: Node
    variable: Node
    value: Node
    names: list[Node]

    @classmethod
    def of(cls, names: list[Node]) -> _Key:
        function = names[0].function
        assert function is not None
        decl = names[0].decl
        variable = next((v for v in function.find("VAR_DECL") if v.decl == decl), None)
        given = list(values(function, decl))
        if variable is None:
            raise NoEdit("the function that has the key gets it as a parameter")
        if len(given) != 1 or given[0].uncast.operator != ">>" or b"\n" in given[0].text or not given[0].text:
            raise NoEdit("the key is computed in more than one place, or in another way than by a shift")
        return cls(function, variable, given[0], names)

    def edits(self, unit: Unit) -> list[Edit]:
        mentions = [n for n in self.function.find("DECL_REF_EXPR") if n.decl == self.variable.decl]
        ours = {(n.path, n.start) for n in self.names}
        set_to = [n for n in mentions if n.outer is not None and n.outer.assignment and n.outer.assignment[0] is n]
        is_key_alone = all((n.path, n.start) in ours for n in mentions if n not in set_to)
        name = local_name(unit, self.function, b"id" if self._is_whole else b"tid", ())
        places = [(n.path, n.start) for n in (*self.names, *(set_to if is_key_alone else ()))]
        if is_key_alone:
            places.append((self.variable.path, self._name_at(unit)))
        changed = [Edit(*place, place[1] + len(self.variable.name), name) for place in dict.fromkeys(places)]
        if any(not unit.editable(e.path, e.start, e.end) for e in changed):
            raise NoEdit("a macro's body is in the way")
        if is_key_alone:
            return [*changed, unit.edit(self.value, self._text())]
        line = declared(self._spelled, name) + b" = " + self._text() + b";"
        return [*changed, *after(unit, self.value.statement, [line])]

    def _name_at(self, unit: Unit) -> int:
        """The offset of the variable's name in its declaration."""
        name, value = self.variable.name.encode(), self.variable.initialiser
        end = value.start if value is not None else self.variable.end
        found = list(re.finditer(rb"\b%s\b" % name, unit.source_of(self.variable).code[self.variable.start : end]))
        if not found:
            raise NoEdit("a macro's body declares the key")
        return self.variable.start + found[-1].start()

    @property
    def _spelled(self) -> bytes:
        return self.variable.type.spelling.removeprefix("const ").encode()

    @property
    def _is_whole(self) -> bool:
        return self.variable.type.size == 8

    def _text(self) -> bytes:
        """The thread's id, out of what is shifted to give the process's."""
        source = self.value.uncast.children[0].text
        return source if self._is_whole else b"(" + self._spelled + b")" + source
