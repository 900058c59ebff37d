"""Read kernel memory by probe reads, not directly.

What it does: in libbpf programs a chain of members through a raw kernel pointer becomes one `BPF_CORE_READ`:
`task->mm->owner->tgid` becomes `BPF_CORE_READ(task, mm, owner, tgid)`. Half-wrapped chains are completed:
`BPF_CORE_READ(task, real_parent)->tgid`, `BPF_CORE_READ(task->mm, owner)`, and the `task->mm` that hides in
`bpf_probe_read_kernel(&x, sizeof(x), &task->mm->owner)`, which becomes `BPF_CORE_READ_INTO(&x, task, mm, owner)`.
A bit-field is read by `BPF_CORE_READ_BITFIELD_PROBED`, a register of `struct pt_regs` by `PT_REGS_PARM1_CORE`, an
element behind a pointer (`fdt->fd[n]`) by a probe read into a local. A program without CO-RE (no vmlinux.h) gets
`BPF_PROBE_READ`. In BCC, whose own rewriter handles most chains, only those whose first pointer it does not know (one
that was an integer, or was filled in by an explicit read) become `bpf_probe_read_kernel`.

Why: kernel memory that the verifier has no type for may be gone; the verifier refuses to load from it
("R1 invalid mem access 'scalar'", on older kernels 'inv'). A probe read gives zero instead of a crash, and CO-RE moves
the offsets to those of the kernel that runs.

Safe where the pointer is certainly such a one: bpf_get_current_task(), arguments of kprobes and raw tracepoints,
PT_REGS_PARM1(ctx), what was read by probe reads, pointers to kernel structures in maps, and what is reached from these.
Suggested where a link of the pointer's way is only likely, where a function gets such a pointer from some callers and
one that the verifier knows from others, and in a header that user space includes too.
Advice for writes, which no rewriting can make possible, for accesses in a macro's body, and where a local would be
needed and can be put nowhere.

Left alone: tp_btf, fentry, fexit, iterators, LSM, struct_ops and bpf_get_current_task_btf(), whose pointers may be read
directly; context, packets, map values, ring buffer, stack; `&p->member`, sizeof, typeof, `bpf_core_field_exists(…)`;
the argument of a macro that reads by its address (`READ(p->m)`); code that no program reaches. Where only the
process's cgroup has to be told from others, `bpf_get_current_cgroup_id()` needs no chain at all.

Limits: a pointer that a caller or a writer brings who cannot be judged is left alone; so is a BTF pointer that was
cast to another type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from ebpffix.analysis.provenance import HOSTS, Proof, is_load, is_reached, is_written, pointer, prove_place
from ebpffix.editing.c import one_line
from ebpffix.editing.chain import ACCESS
from ebpffix.editing.kernel_read import CORE, KernelRead, is_bitfield, with_header
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety, Span
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="unsafe-deref",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(rb"->", rb"PT_REGS_\w+\s*\("),
    neighbours=HOSTS,
    user_space=True,
    summary="kernel memory read directly, which the verifier refuses",
    imperative="read kernel memory with CO-RE reads",
    shape="a kernel pointer is dereferenced directly",
    safe="libbpf, certainly an untrusted kernel pointer",
    suggested="likely one",
    advice="writes",
    cures=(Cure("scalar-deref"),),
)

# Macros whose body holds the access, and the one that reads it by a probe read.
_PROBED = (
    (re.compile(r"(PT_REGS_\w+?)(?:_CORE)?(_SYSCALL)?\Z(?<!_CORE)"), r"\1_CORE\2"),
    (re.compile(r"(BPF_CORE_READ_BITFIELD)\Z"), r"\1_PROBED"),
)


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        if not is_reached(unit, function):
            continue
        done: set[tuple[Path, int, int]] = set()
        names: set[bytes] = set()
        for node in _accesses(unit, function):
            if any(p == node.path and a <= node.start and node.end <= b for p, a, b in done):
                continue
            fix = _Access(unit, node, prove_place(unit, node), names).fix()
            if fix is not None:
                done |= {(fix.at.path, fix.at.start, fix.at.end), (node.path, node.start, node.end)}
                yield fix


def _accesses(unit: Unit, function: Node) -> Iterator[Node]:
    """The accesses of a function that the verifier refuses. What a macro takes the address of is read by that address,
    however often its argument stands in typeof and sizeof; in BCC a macro's argument belongs to split-byteorder."""
    nodes = [n for n in function.find(*ACCESS) if n.path in unit.sources and pointer(n) is not None]
    taken = {(n.path, n.start, n.end) for n in nodes if n.outer is not None and n.outer.operator == "&"}
    for node in nodes:
        in_macro = bool(unit.macros_around(node.path, node.start, node.end))
        if in_macro and (unit.dialect == BCC or (node.path, node.start, node.end) in taken):
            continue
        if (is_load(node) or is_written(node)) and _is_refused(unit, node):
            yield node


def _is_refused(unit: Unit, node: Node) -> bool:
    """Whether an access reaches kernel memory on every way, and on some of them such as the verifier refuses."""
    proof = prove_place(unit, node)
    return proof.is_refused and not any(way.tracked for way in proof.ways)


@dataclass(frozen=True)
class _Access:
    """A refused access; `proof` says whose memory it reaches."""

    unit: Unit
    node: Node
    proof: Proof
    names: set[bytes]  # of the locals put in so far

    @cached_property
    def _what(self) -> str:
        return one_line(self.node.text)

    @cached_property
    def _doubt(self) -> str:
        if any(way.trusted for way in self.proof.ways):
            return "on some ways that lead here the verifier knows the pointer's type, and lets it be read directly"
        return "" if self.proof.is_certain else f"it is not certain: {self.proof.doubt}"

    def fix(self) -> Fix | None:
        around = self.unit.macros_around(self.node.path, self.node.start, self.node.end)
        hiding = next((m for m in around if not _in_argument(m, self.node)), None)
        if hiding is not None:
            return self._hidden(hiding)
        if is_written(self.node):
            message = f"`{self._what}` writes kernel memory, which no program may: the verifier refuses it"
            return self._advice(self.node, message, "only helpers and kfuncs of the kernel change its memory")
        message = f"`{self._what}` reads kernel memory directly, which the verifier refuses"
        try:
            how, edits = KernelRead(self.unit, self.node, partial(_is_refused, self.unit), self.names).made
        except NoEdit as reason:
            if is_bitfield(self.node) and self.unit.dialect == BCC:
                cure, why = "read the word that holds it", "no address can be taken of a bit-field"
            else:
                cure, why = "read it link by link into locals", str(reason)
            return self._advice(self.node, f"{message}: {cure}", why)
        return self._found(self.node, f"{message}: {how}", edits)

    def _hidden(self, macro: Macro) -> Fix | None:
        """An access in a macro's body."""
        at, name = Span(macro.path, macro.start, macro.end), macro.name
        better = next((p.sub(to, name) for p, to in _PROBED if p.match(name)), None)
        if better:
            edits = with_header(self.unit, [Edit(at.path, at.start, at.start + len(name), better.encode())])
            return self._found(at, f"`{name}` reads kernel memory directly: take `{better}`", edits)
        if CORE.match(name):
            return None
        message = f"`{name}` reads kernel memory in its body, which the verifier refuses"
        return self._advice(at, message, "the macro's definition serves other places too")

    def _found(self, at: Node | Span, message: str, edits: list[Edit]) -> Fix:
        safety = Safety.SUGGESTED if self._doubt else Safety.SAFE
        return Fix(at, message, safety, edits, self._doubt, self.proof.chains)

    def _advice(self, at: Node | Span, message: str, reason: str) -> Fix:
        return Fix(at, message, Safety.ADVICE, reason=reason, origin=self.proof.chains)


def _in_argument(macro: Macro, node: Node) -> bool:
    return node.start < node.end and any(a <= node.start and node.end <= b for a, b in macro.args)
