"""Do not key by thread what a goroutine will look up again.

What it says: a uprobe on a Go function keeps something under `bpf_get_current_pid_tgid()` (or the thread's id out of
it), or a uretprobe sits on a Go function.

Why: Go's scheduler moves goroutines between threads, at every blocking call and, since Go 1.14, in the middle of a
function too. The probe at the function's end then runs on another thread and misses the entry, or finds that of another
goroutine which the first thread has run since. {process id, address of the goroutine} tells them apart; the address
alone is that of another goroutine in every other process. With Go's register calling convention (1.17 on) the address
is in r14 on x86-64 (`ctx->r14`) and in x28 on arm64.
A uretprobe overwrites the return address on the stack. Go copies stacks when they grow and walks them in the garbage
collector, finds an address that it does not know, and the program crashes (reported many times): probe the return
instructions of the function instead, each with a uprobe.

Advice, always: where the goroutine's address is found depends on Go's version and the architecture. One finding for the
keys by thread, one for those by goroutine alone, and one for the uretprobes of a file.

Go shows in the section (`uprobe/./server:main.handle`, `net/http.(*Server).Serve`, `runtime.casgstatus`), or in a file
next to the program, or one folder up, that attaches by such a symbol: `Uprobe("main.handle", …)` and `AttachUprobe` of
Go, `attach_uprobe(…, sym="main.handle")` of Python.

Left alone: kernel functions (a call returns on the thread that entered it, whatever language made it), symbols of C,
C++ and Rust (`foo.isra.0` is C's), keys that hold more than the thread (structures with the process's id in them), keys
by process only.

Limits: a host that computes the symbol, or attaches from elsewhere, is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.accesses import accesses
from ebpffix.analysis.probes import Probes
from ebpffix.analysis.programs import By, Kind, Program, Role, programs
from ebpffix.analysis.values import parts, values
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.program_types import is_go
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="goroutine-key",
    pattern=8,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_get_current_pid_tgid\s*\(", rb"BPF_U(?:RET)?PROBE\s*\(", rb"pt_regs\b"),
    summary="probe on a Go function that keys by thread: goroutines change threads",
    neighbours=(".go", ".py"),
    shape="a uprobe on a Go binary keyed by thread: goroutines change threads",
    advice="key by goroutine",
)

_VERSION = "where the goroutine's address is found depends on Go's version: r14 on x86-64, x28 on arm64 from 1.17 on"
# Where hosts name the symbol: a literal, or a constant of the same file.
_HOST = re.compile(
    rb"""\.(U(?:ret)?probe)\(\s*("[^"]*"|`[^`]*`|\w+)"""
    rb"""|\bAttach(U(?:ret)?probe)\(\s*[^,()]+,\s*("[^"]*"|`[^`]*`|\w+)"""
    rb"""|\battach_(u(?:ret)?probe)\([^()]*?\bsym\s*=\s*("[^"]*"|'[^']*'|\w+)"""
)


def find(unit: Unit) -> Iterator[Fix]:
    targets: dict[int, str] = {}
    returning: list[tuple[Node, str]] = []
    for program in programs(unit):
        if _may_be_uprobe(program):
            symbol, is_return = _target(unit, program)
            if symbol:
                targets[program.function.decl] = symbol
                returning += [(program.function, symbol)] if is_return else []
    if targets:
        yield from _keys(unit, targets)
        for function, symbol in returning[:1]:
            yield Fix(
                function,
                f"a uretprobe on `{symbol}` crashes the Go program when its stack grows or is walked; put uprobes on "
                "the function's return instructions instead",
                Safety.ADVICE,
                reason="where the function returns is only known from the binary",
            )


def _keys(unit: Unit, targets: dict[int, str]) -> Iterator[Fix]:
    """One finding for what is keyed by thread, and one for what is keyed by goroutine alone."""
    probes, told = Probes(unit), set[str]()
    for access in accesses(unit):
        symbol, key = targets.get(access.root.decl), access.key
        if symbol is None or key is None:
            continue
        name = access.map.name
        if probes.is_thread(key, process=False):
            what = (
                f"`{name}` is keyed by thread, but the goroutine in `{symbol}` can go on on another one; key by "
                "{process id, address of the goroutine}"
            )
        elif _is_goroutine(key) and not probes.holds_thread(key):
            what = (
                f"`{name}` is keyed by the goroutine's address alone, which other processes have too; key by "
                "{process id, address of the goroutine}"
            )
        else:
            continue
        kind = what.partition(", ")[0].removeprefix(f"`{name}`")
        if kind not in told:
            told.add(kind)
            yield Fix(access.call.call, what, Safety.ADVICE, reason=_VERSION)


def _is_goroutine(key: Node) -> bool:
    """Whether a key is a variable that holds the register with the goroutine's address."""
    variable = key.address_of
    function = variable.function if variable is not None else None
    return variable is not None and function is not None and _from_register(function, variable.decl, set())


def _from_register(function: Node, variable: int, seen: set[int]) -> bool:
    seen.add(variable)
    given = [n for value in (*values(function, variable), *parts(function, variable)) for n in value.walk()]
    if any(n.kind == "MEMBER_REF_EXPR" and n.name == "r14" for n in given):
        return True
    elements = [n.operands for n in given if n.kind == "ARRAY_SUBSCRIPT_EXPR"]
    if any(array.name == "regs" and index.integer == 28 for array, index in elements):
        return True
    names = [n.decl for n in given if n.kind == "DECL_REF_EXPR" and n.is_local]
    return any(name not in seen and _from_register(function, name, seen) for name in names)


# -- what is probed


def _may_be_uprobe(program: Program) -> bool:
    if program.section:
        return program.kind is Kind.USER and program.role is not Role.OTHER
    return program.kind is Kind.FUNCTION and program.by is By.HOST


def _target(unit: Unit, program: Program) -> tuple[str, bool]:
    """The Go function that a program probes ("" if it is none, or not known), and whether where it returns."""
    returns = bool(program.section) and program.role is Role.RETURN
    symbol = program.where.rpartition(":")[2]
    if is_go(symbol) or ":" in program.where:
        return symbol if is_go(symbol) else "", returns
    # Without a path a section is only a label: a host attaches the program.
    for symbol, is_return in _host_symbols(unit, program.function):
        if not program.section or is_return == returns:
            return symbol, is_return
    return "", False


def _host_symbols(unit: Unit, program: Node) -> Iterator[tuple[str, bool]]:
    """The Go functions that files next to the program, which know its name, attach to; whether where they return."""
    name = _plain(program.name.encode())
    for text in unit.neighbours(*TRANSFORM.neighbours):
        if name not in _plain(text):
            continue
        for match in _HOST.finditer(text):
            how, given = next((match[i], match[i + 1]) for i in (1, 3, 5) if match[i])
            if given[:1] not in b"\"'`":
                named = re.search(rb"\b%s\b[^\n=\"'`]*:?=\s*([\"'`][^\"'`\n]*[\"'`])" % given, text)
                given = named[1] if named else b""
            symbol = given[1:-1].decode("utf-8", "replace")
            if is_go(symbol):
                yield symbol, b"ret" in how.lower()


def _plain(name: bytes) -> bytes:
    """A name as all languages have it: HandleEntry is handle_entry."""
    return name.replace(b"_", b"").lower()
