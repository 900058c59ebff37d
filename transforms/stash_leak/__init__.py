"""Delete what an entry probe left for the return probe, on every path of the return probe.

What it does: where an entry probe stores something under the thread's id (`bpf_get_current_pid_tgid()`, or the thread
or process id out of it) and the return probe looks it up but can leave without deleting it, puts the delete behind the
last use of the entry, or in front of each return that lacks it.

Why: an entry that nobody deletes stays when its thread has ended. The hash fills up with the threads that ever were,
and when it is full every update fails with -E2BIG: from then on the tool is silent about new threads. Before that, a
return whose entry was filtered out finds what an older call of the same thread left, and reports a wrong time.

Suggested, always: user space may read the entries too, and then they have to stay.
Advice where the delete cannot be put in cleanly: the pointer is kept in another variable, the key may have changed or
is out of scope, the value that is returned needs the entry, a macro's body is in the way. And, at most once a file,
where the probed function is one that stacked file systems enter again for the layer below (`vfs_unlink` and its like):
the inner call overwrites what the outer one stored, unless the depth is part of the key.

Left alone: maps that are no plain hash (an LRU map evicts), pinned and shared ones; counters and other state (stored
or looked up by anything but entry and return probes, incremented, set up only once, added to by the return probe and
never deleted); entries that another return probe deletes; maps that are handed to a function; keys that are structures.

Limits: one lookup in a function; of a call chain only the function with the lookup is edited. Of BCC programs whose
names do not say how they are attached the role is guessed: a return probe asks for the return value, or is named so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import Edge, Effect, Flow, Step, Use
from ebpffix.analysis.probes import Probes
from ebpffix.analysis.programs import program_of
from ebpffix.analysis.values import taker
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.editing.statements import after, before
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.transform import Transform

from .thread_maps import ThreadMap, callers_delete, deleters_of, deletes_in, is_state, thread_maps

TRANSFORM = Transform(
    name="stash-leak",
    pattern=8,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_get_current_pid_tgid\s*\(",),
    summary="what an entry probe stored is not deleted on every path of the return probe",
    shape="what an entry probe stored stays on a path out of the return probe",
    suggested="delete it",
    advice="nested calls overwrite it",
)

# Functions that overlayfs and its like enter again for the file below.
_STACKED = re.compile(
    r"vfs_(?:unlink|rmdir|mkdir|mknod|create|link|symlink|rename|statfs|getattr|fallocate|fsync_range)\Z"
)


def find(unit: Unit) -> Iterator[Fix]:
    probes = Probes(unit)
    nested = False
    for stash in thread_maps(unit, probes):
        for lookup in stash.lookups:
            yield from _Return.check(unit, probes, stash, lookup)
        if not nested and (advice := _nesting(unit, stash)) is not None:
            nested = True
            yield advice


def _nesting(unit: Unit, stash: ThreadMap) -> Fix | None:
    for store in stash.stores:
        function = store.call.function
        if function is None:
            continue
        program = program_of(unit, function)
        symbol = program.target if program is not None and program.target else function.name
        if _STACKED.match(symbol):
            return Fix(
                store.call,
                f"on overlayfs `{symbol}` enters itself for the layer below: the inner call overwrites what the outer "
                f"one stored in `{stash.name}`; count the depth per thread and make it part of the key",
                Safety.ADVICE,
                reason="whether stacked file systems matter here is not known",
            )
    return None


# -- one return probe


@dataclass(frozen=True)
class _Return:
    """The function of a return probe that looks an entry up, and the paths on which the entry stays."""

    unit: Unit
    flow: Flow
    stash: ThreadMap
    lookup: MapCall
    step: Step
    variable: int
    deletes: set[Step]
    absent: list[Edge]

    @classmethod
    def check(cls, unit: Unit, probes: Probes, stash: ThreadMap, lookup: MapCall) -> Iterator[Fix]:
        function = lookup.call.function
        if function is None or sum(other.call.function is function for other in stash.lookups) > 1:
            return
        deleters = deleters_of(probes, stash)
        if function.decl not in deleters and (stash.deletes or is_state(stash)):
            return
        if callers_delete(probes, function, deleters) or _delete_left_out(unit, function):
            return
        flow, variable = Flow(function), _given_to(lookup.call)
        step = flow.step(lookup.call)
        if flow.opaque or step is None or not variable or not _only_from(flow, variable, step):
            return
        deletes = {s for s in flow.steps if s.node is not None and deletes_in(s.node, stash, deleters)}
        found = cls(unit, flow, stash, lookup, step, variable, deletes, _absent(flow, variable))
        if found.uses and found.leaving and not (not stash.deletes and found.adds_up):
            yield found.fix()

    @property
    def uses(self) -> list[Use]:
        """Where the entry is used, tests for NULL aside."""
        mentions = self.flow.uses(self.variable)
        return [u for u in mentions if u.through and not (u.effect is Effect.READ and u.target is u.node)]

    @property
    def adds_up(self) -> bool:
        """Whether the return probe writes to the entry: state that is kept from call to call."""
        return any(u.effect is Effect.WRITE for u in self.uses)

    @property
    def leaving(self) -> list[Step]:
        """The last steps of the paths on which the entry is there and stays, in source order."""
        reached = self.flow.reachable(self.step, self.deletes, self.absent) | {self.step}
        shut = set(map(id, self.absent))
        return [
            step
            for step in self.flow.steps
            if step in reached - self.deletes
            and any(edge.to is self.flow.exit and id(edge) not in shut for edge in step.next)
        ]

    def fix(self) -> Fix:
        name = self.stash.name
        message = f"what the entry probe stored in `{name}` stays there on a path out of the return probe"
        if not self.stash.deletes:
            message = f"nothing deletes what the entry probe stored in `{name}`"
        message += ": entries of threads that end add up until the hash is full"
        doubt = f"if user space reads `{name}` too, the entries have to stay"
        return settle(
            self.lookup.call,
            message,
            lambda: Made(self._edits(), "; the fix deletes it", doubt),
            "; delete it on every path",
        )

    # -- where the delete goes

    def _edits(self) -> list[Edit]:
        if any(u.effect is Effect.ESCAPE or self._may_return(u) for u in self.uses):
            raise NoEdit("the pointer to the entry is kept elsewhere too, where it may be used after the delete")
        line = self._delete()
        return first_of(lambda: self._behind_last_use(line), lambda: self._at_each_exit(line))

    def _may_return(self, use: Use) -> bool:
        """Whether a function of the program gets the entry and can give the pointer back."""
        return use.effect is Effect.PASS and use.call is not None and _is_own_pointer(use.call)

    def _delete(self) -> bytes:
        call, key = self.lookup.call, self.lookup.key
        owner = self.lookup.map.text
        if key is None or not key.text or not owner or b"\n" in key.text:
            raise NoEdit("a macro's body holds the lookup, or its key is written over several lines")
        callee = call.callee
        if callee is not None and callee.kind == "MEMBER_REF_EXPR":
            return owner + b".delete(" + key.text + b");"
        return b"bpf_map_delete_elem(" + call.arguments[0].text + b", " + key.text + b");"

    def _behind_last_use(self, line: bytes) -> list[Edit]:
        """Once, where nothing is deleted yet and all paths go through the last use."""
        flow = self.flow
        used = {s for u in self.uses if (s := flow.step(u.node)) is not None}
        last = [s for s in used if not flow.reachable(s) & used]
        node = last[0].node if len(last) == 1 else None
        if (
            node is None
            or self.deletes & flow.reachable(self.step)
            or flow.exit in flow.reachable(self.step, last, self.absent)
        ):
            raise NoEdit("no place is behind the last use on all paths")
        statement = node.statement
        if statement.kind.endswith("_STMT") and statement.kind != "DECL_STMT":
            raise NoEdit("the last use is a condition, or the return itself")
        while (following := _next(statement)) is not None and following.kind == "DECL_STMT":
            statement = following
        self._check_key(last[0], statement)
        return after(self.unit, statement, [line])

    def _at_each_exit(self, line: bytes) -> list[Edit]:
        edits: list[Edit] = []
        used = {self.flow.step(u.node) for u in self.uses}
        for step in self.leaving:
            node = step.node
            if node is None:
                raise NoEdit("a path leaves the function where no statement stands")
            self._check_key(step, node)
            if step in used and node.kind == "RETURN_STMT":
                raise NoEdit("the value that is returned needs the entry")
            at_return = node.kind == "RETURN_STMT"
            made = _before_return(self.unit, node, line) if at_return else self._at_the_end(line)
            edits += [edit for edit in made if edit not in edits]
        return edits

    def _at_the_end(self, line: bytes) -> list[Edit]:
        body = self.flow.function.body
        if body is None or not body.children:
            raise NoEdit("the function has no statement to put it behind")
        return after(self.unit, body.children[-1], [line])

    def _check_key(self, step: Step, place: Node) -> None:
        if not self._key_holds(step, place):
            raise NoEdit("the key may have changed since the lookup, or is out of scope")

    def _key_holds(self, step: Step, place: Node) -> bool:
        """Whether the key has at a step the value that it had in the lookup, on whatever path, and is in scope."""
        variable = self.lookup.key.address_of if self.lookup.key is not None else None
        if variable is None:
            return False
        decl = variable.decl
        writes = [u for u in self.flow.changes(decl) if not _reads_key(u)]
        declared = next((u.node for u in writes if u.node.kind == "VAR_DECL"), None)
        if declared is not None:
            block = declared.parent.parent if declared.parent is not None else None
            if b"=" not in declared.text:
                writes = [u for u in writes if u.node is not declared]
            if block is None or not block.start <= place.start < block.end:
                return False
        elif all(p.decl != decl for p in self.flow.function.parameters):
            return False
        elif not writes:
            return True
        steps = [self.flow.step(u.node) for u in writes]
        return len(steps) == 1 and steps[0] is not None and self.flow.dominates(steps[0], step)


def _before_return(unit: Unit, node: Node, line: bytes) -> list[Edit]:
    parent = node.parent
    labelled = parent is not None and parent.kind in ("LABEL_STMT", "CASE_STMT", "DEFAULT_STMT")
    if not labelled or parent is None or parent.parent is None or parent.parent.kind != "COMPOUND_STMT":
        return before(unit, node, [line])
    source = unit.source_of(node)
    indent = source.data[source.line_start(node.start) : node.start]
    if indent.strip(b" \t") or not unit.editable(node.path, node.start, node.end):
        raise NoEdit("it stands behind a label on one line, or in a macro's body")
    return [Edit(node.path, node.start, node.start, line + source.newline + indent)]


def _next(statement: Node) -> Node | None:
    siblings = statement.parent.children if statement.parent is not None else []
    at = next((i for i, s in enumerate(siblings) if s is statement), len(siblings))
    return siblings[at + 1] if at + 1 < len(siblings) else None


def _delete_left_out(unit: Unit, function: Node) -> bool:
    """Whether an #if leaves a delete out of the function."""
    body = function.body
    if body is None:
        return True
    matches = re.compile(rb"delete").finditer(unit.source_of(body).code, body.start, body.end)
    return any(unit.inactive(body.path, match.start()) for match in matches)


# -- the pointer


def _given_to(call: Node) -> int:
    """The variable that gets what a call returns; 0 if it goes elsewhere."""
    target = taker(call)
    return target.decl if target is not None and target.kind in ("VAR_DECL", "DECL_REF_EXPR") else 0


def _only_from(flow: Flow, variable: int, step: Step) -> bool:
    """Whether a pointer has no other value than from a step, NULL aside."""
    for change in flow.changes(variable):
        if change.effect is not Effect.WRITE:
            return False
        other = flow.step(change.node)
        if other is step or (change.node.kind == "VAR_DECL" and b"=" not in change.node.text):
            continue
        given = flow.given(other, variable) if other is not None else None
        if given is None or given.integer != 0:
            return False
    return True


def _absent(flow: Flow, variable: int) -> list[Edge]:
    """The edges that are taken only where the pointer is NULL: the other sides of those where it is not."""
    there = {id(edge) for edge in flow.non_null(variable)}
    found = []
    for step in flow.steps:
        for edge in step.next:
            if id(edge) not in there and edge.condition is not None:
                found += [edge for e in step.next if id(e) in there and e.condition is edge.condition]
    return found


def _is_own_pointer(call: Node) -> bool:
    target = call.declaration
    if target is None or call.name.startswith(("bpf_", "__builtin_")):
        return False
    return call.type.is_pointer


def _reads_key(use: Use) -> bool:
    """Whether a use hands the key's address to a map operation, which reads it."""
    call = use.call
    if call is None:
        return False
    callee = call.callee
    method = callee is not None and callee.kind == "MEMBER_REF_EXPR" and callee.name in ("lookup", "delete", "update")
    return use.effect is Effect.PASS and (method or call.name.startswith("bpf_map_"))
