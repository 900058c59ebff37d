"""Hand a function's arguments to its return probe through a map, not through registers.

What it does: where a kretprobe or uretprobe reads arguments (`ctx->bx`, `ctx->di`, `PT_REGS_PARM1(ctx)`, parameters of
its own behind the context), an entry probe now stores them in a hash keyed by `bpf_get_current_pid_tgid()`. The return
probe looks them up, leaves if there are none (the call began before the probes were there), copies out what it needs,
and deletes the entry before it does anything else, so that no path can leave it behind. Several arguments become one
struct. An entry probe that is there already is extended, and where the pair shares a map of structs already, the struct
gets a member for the argument instead.

Why: when a function returns, the registers that held its arguments hold whatever it computed last. The program loads
on every kernel, and reads garbage: 0 of 100 calls right on 6.1, against 100 of 100 with the stash. `ctx->bx` is no
argument at all by the calling convention: it is the register of the caller, which now and then holds there what it
passed.

Suggested, always: it adds a program and a map. libbpf attaches the new program by its section, as skeletons do, and
BCC by its name `kprobe__…`. Which argument a register means follows from the calling convention (di, si, dx, cx, r8, r9
are 1 to 6). For bx and for numbers that the function does not have, the type and the name of what is read decide, where
BTF knows the function and exactly one parameter fits. Kernels from 5.5 on with BTF can do without a stash: a `fexit`
program gets the arguments and the return value together, and the message says so.

Where user space attaches the return probe, its calls say to which function: `attach_kretprobe(event=…, fn_name=…)` in
the same file or in one that names the program, libbpf's in C, cilium/ebpf's and libbpfgo's in Go. The entry probe that
it attaches to the same function is extended; Python's BCC attaches a new one by its name.
Advice where the rewrite would be a guess, or would not work alone: BTF does not tell which parameter is meant; user
space attaches the return probe and would have to attach the new one too, or does not say where (a BCC function that
reads PT_REGS_RC and arguments is taken for a return probe); the wrapper of a system call; a helper that several return
probes share; a read in a macro's body; PT_REGS_RC in a program that the host attaches to the entry.

Left alone: PT_REGS_RC, _SP, _IP and _FP; entry probes, and helpers that they call too; Go's binaries, whose functions
take other registers and whose goroutines change threads; what a comment beside it says is on purpose.

Limits: calls that nest on one thread (recursion) share one entry of the map: the inner call's arguments win.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ebpffix.analysis.programs import By, Kind
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.editing.statements import add_include
from ebpffix.fix import BCC, LIBBPF, Fix
from ebpffix.frontend import Unit
from ebpffix.transform import Transform

from .arguments import Pair, groups, pair_of
from .existing import extended
from .heads import new_head
from .opening import open_body
from .probes import return_probes
from .refusals import refusal
from .results import results_on_entry
from .shared import shared_helpers
from .stash import Names
from .stored import stored

TRANSFORM = Transform(
    name="kretprobe-args",
    pattern=5,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"PT_REGS_PARM\d",
        rb"BPF_(?:CORE|PROBE)_READ\s*\(\s*\w+\s*,\s*(?:r?[ds]i|r?[bcd]x|r8|r9)\s*\)",
        rb"->\s*(?:r?[ds]i|r?[bcd]x|r8|r9|r1[2-5])\b",
        rb"BPF_[KU](?:RET)?PROBE\s*\(\s*\w+\s*,",
        rb"struct\s+pt_regs\s*\*\s*\w+\s*,",
    ),
    user_space=True,
    summary="arguments read from registers when a function returns",
    imperative="store the arguments on entry for the return probe",
    shape="a return probe reads arguments, which are gone by then",
    suggested="an entry probe that stores them",
    advice="it cannot be rewritten",
)


def find(unit: Unit) -> Iterator[Fix]:
    taken = frozenset[bytes]()
    probes = list(return_probes(unit))
    for probe in probes:
        pair = pair_of(unit, probe)
        if pair is not None:
            names = Names.of(pair, taken)
            taken |= names.all
            yield _finding(pair, names)
    yield from shared_helpers(unit, [probe.program for probe in probes])
    yield from results_on_entry(unit)


def _finding(pair: Pair, names: Names) -> Fix:
    refused = refusal(pair)
    if not pair.asked and not refused:
        return settle(pair.reads[0], _about_result(pair), partial(_result_named, pair))
    return settle(pair.reads[0], _about(pair), partial(_rewritten, pair, names, refused))


def _about(pair: Pair) -> str:
    names = list(dict.fromkeys(f"`{r.parameter.name}`" if r.parameter else f"`{r.written}`" for r in pair.reads))
    shown, is_one = ", ".join(names[:3]) + (" …" if len(names) > 3 else ""), len(names) == 1
    if pair.is_bcc and pair.program.by is By.HOST and pair.probe.attached is None:
        gone = "the argument is gone" if is_one else "the arguments are gone"
        return f"{shown} and PT_REGS_RC are read in one program: on entry nothing is returned yet, on return {gone}"
    one, many = (
        "is read from a register that no longer holds an argument",
        "are read from registers that no longer hold arguments",
    )
    return f"{shown} {one if is_one else many} when {pair.program.target or 'the function'} returns"


def _about_result(pair: Pair) -> str:
    named = pair.reads[0].parameter
    return f"`{named.name if named is not None else ''}` gets an argument's register; the return value is meant"


def _result_named(pair: Pair) -> Made:
    edits, lines = new_head(pair)
    edits += open_body(pair.unit, pair.program.function, lines) if lines else []
    return _checked(pair, Made(edits, doubt="the parameter's name alone says that the return value is meant"))


def _rewritten(pair: Pair, names: Names, refused: str) -> Made:
    if refused:
        raise NoEdit(refused)
    read = groups(pair)
    return _checked(pair, first_of(partial(extended, pair, read), partial(stored, pair, read, names)))


def _checked(pair: Pair, made: Made) -> Made:
    unit = pair.unit
    edits = made.edits + (add_include(unit, unit.path, b"bpf/bpf_tracing.h") if not pair.is_bcc else [])
    if any(not unit.editable(e.path, e.start, e.end) for e in edits if e.end > e.start):
        raise NoEdit("a macro's body or a directive is in the way")
    return Made(sorted(set(edits)), made.how + (_modern(pair) if pair.asked else ""), made.doubt)


def _modern(pair: Pair) -> str:
    is_kernel = pair.program.kind is not Kind.USER and pair.parameters is not None
    if pair.is_bcc or not is_kernel or pair.unit.target_kernel < (5, 5):
        return ""
    return f"; or make it one `fexit/{pair.program.target}` program, which gets arguments and return value"
