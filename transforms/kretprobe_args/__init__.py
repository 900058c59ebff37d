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

Advice where the rewrite would be a guess, or would not work alone: BTF does not tell which parameter is meant; user
space attaches the return probe (`attach_kretprobe(fn_name=…)`, SEC("kretprobe") without a function, .multi), so that
it must attach the new one too (a BCC function that reads PT_REGS_RC and arguments is taken for one); the wrapper of a
system call; a helper that several return probes share; a read in a macro's body.

Left alone: PT_REGS_RC, _SP, _IP and _FP; entry probes, and helpers that they call too; Go's binaries, whose functions
take other registers and whose goroutines change threads; what a comment beside it says is on purpose.

Limits: calls that nest on one thread (recursion) share one entry of the map: the inner call's arguments win.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ebpffix.analysis.programs import By, Kind, Program
from ebpffix.editing.c import declared
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import add_include, has_comment
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Transform

from . import returns, signature
from .returns import Read
from .signature import Parameter, Use
from .stash import Argument, Existing, Stash, before_function, body_of, fresh, head, open_body

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
    summary="arguments read from registers when a function returns",
    imperative="store the arguments on entry for the return probe",
    shape="a return probe reads arguments, which are gone by then",
    suggested="an entry probe that stores them",
    advice="it cannot be rewritten",
)


def find(unit: Unit) -> Iterator[Fix]:
    taken: set[bytes] = set()
    told: set[int] = set()
    programs = list(returns.return_probes(unit))
    returning = {program.function.decl for program in programs}
    for program in programs:
        yield from _Pair(unit, program, taken).fixes()
        yield from _shared_helpers(unit, program, returning, told)


@dataclass
class _Group:
    """The reads of one argument; `parameter` is what BTF says of it."""

    index: int
    reads: list[Read]
    parameter: Parameter | None
    uses: list[Use]


@dataclass
class _Pair:
    """A return probe that reads arguments, and what becomes of it."""

    unit: Unit
    program: Program
    taken: set[bytes]
    edits: list[Edit] = field(default_factory=list)
    deleted: list[Edit] = field(default_factory=list)

    def fixes(self) -> Iterator[Fix]:
        reads = [*returns.parameter_reads(self.program), *self._register_reads()]
        reads = [r for r in reads if not returns.on_purpose(self.unit, r)]
        if not reads:
            return
        try:
            yield self._rewrite(reads)
        except NoEdit as reason:
            yield Fix(reads[0], self._message(reads, ""), Safety.ADVICE, reason=str(reason))

    def _register_reads(self) -> list[Read]:
        found = returns.register_reads(self.unit, self.program.function)
        for _, helper in returns.helper_calls(self.unit, self.program):
            if len(self.unit.mentions(helper)) == 1:
                found += returns.register_reads(self.unit, helper)
        return found

    # -- what it says

    def _message(self, reads: list[Read], what: str) -> str:
        names = list(dict.fromkeys(f"`{r.parameter.name}`" if r.parameter else f"`{r.written}`" for r in reads))
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        function = self.program.target or "the function"
        if self.unit.dialect == BCC and self.program.by is By.HOST:
            return f"{shown} and PT_REGS_RC are read in one program: on entry nothing is returned yet, on return " + (
                "the argument is gone" if len(names) == 1 else "the arguments are gone"
            )
        are = (
            "is read from a register that no longer holds an argument"
            if len(names) == 1
            else ("are read from registers that no longer hold arguments")
        )
        return f"{shown} {are} when {function} returns" + what

    def _modern(self, parameters: list[Parameter] | None) -> str:
        unit, program = self.unit, self.program
        if unit.dialect == BCC or program.kind is Kind.USER or parameters is None or unit.target_kernel < (5, 5):
            return ""
        return f"; or make it one `fexit/{program.target}` program, which gets arguments and return value"

    # -- the rewrite

    def _rewrite(self, reads: list[Read]) -> Fix:
        unit, program = self.unit, self.program
        self._check(reads)
        parameters = signature.of(unit, program.target) if program.kind is not Kind.USER else None
        returned = [r for r in reads if r.parameter and self._is_return_value(r, parameters)]
        groups = self._groups([r for r in reads if r not in returned], parameters)
        entry = returns.entry_of(unit, program)
        if entry is not None and (fix := self._extend(entry, reads, groups, parameters)):
            return fix
        used: set[bytes] = set()
        arguments = [self._argument(group) for group in groups]
        arguments = [replace(a, name=fresh(a.name, used)) for a in arguments]
        extra = self._new_signature(returned)
        if not arguments:
            name = returned[0].parameter.name if returned[0].parameter else ""
            self.edits += open_body(unit, program.function, extra) if extra else []
            message = f"`{name}` gets an argument's register; the return value is meant"
            return self._fix(reads, message, "the parameter's name alone says that the return value is meant")
        stash = self._stash(arguments, groups, parameters)
        lines = stash.definitions()
        if entry is None:
            lines += stash.entry_probe()
            attached = "BCC attaches it by its name" if unit.dialect == BCC else "libbpf attaches it by its section"
            it = "it" if len(arguments) == 1 else "them"
            what = f": a new program `{stash.entry.decode()}` stores {it} on entry, {attached}"
            reason = "it adds a program that runs on every call of the function, and a map"
        else:
            if entry.body is None or entry.body.path != program.function.path:
                raise NoEdit("the entry probe is in another file: store them there, and look them up here")
            self.edits += stash.store_in(entry)
            it = "it" if len(arguments) == 1 else "them"
            what = f": the entry probe `{entry.name.removeprefix('____')}` stores {it}"
            reason = "it adds a map, and the return probe leaves where the entry probe did not run"
        first = min((program.function, entry or program.function), key=lambda f: f.body.start if f.body else 0)
        self.edits += before_function(unit, first, lines)
        is_void = program.function.type.result.is_void
        self.edits += stash.take_out(b"return;" if is_void else b"return 0;", extra, self.deleted, self.edits)
        return self._fix(reads, self._message(reads, what + self._modern(parameters)), reason)

    def _extend(
        self, entry: Node, reads: list[Read], groups: list[_Group], parameters: list[Parameter] | None
    ) -> Fix | None:
        """The fix where the pair has a map of structs already: one member more for each argument."""
        unit, function = self.unit, self.program.function
        if any(r.parameter or r.function is not function for r in reads):
            return None
        existing = Existing.of(unit, entry, function, [r.start for r in reads])
        if existing is None or existing.record.path in unit.shared_with_user_space:
            return None
        edits = []
        for group in groups:
            argument, same = self._typed(group)
            try:
                name, stored = existing.store(argument)
            except NoEdit:
                return None
            edits += stored
            for read in group.reads:
                start = returns.casts_before(unit, read) if same else read.start
                edits.append(Edit(read.path, start, read.end, existing.pointer + b"->" + name))
        self.edits += _joined(edits)
        record = existing.record.name
        what = f": the entry probe `{entry.name.removeprefix('____')}` stores it in `struct {record}` with the rest"
        reason = f"user space may know `struct {record}`, which grows"
        return self._fix(reads, self._message(reads, what + self._modern(parameters)), reason)

    def _fix(self, reads: list[Read], message: str, reason: str) -> Fix:
        unit = self.unit
        if unit.dialect != BCC:
            self.edits += add_include(unit, unit.path, b"bpf/bpf_tracing.h")
        self.edits += self.deleted
        if any(not unit.editable(e.path, e.start, e.end) for e in self.edits if e.end > e.start):
            raise NoEdit("a macro's body or a directive is in the way")
        return Fix(reads[0], message, Safety.SUGGESTED, sorted(set(self.edits)), reason)

    def _check(self, reads: list[Read]) -> None:
        unit, program = self.unit, self.program
        body = body_of(program.function)
        if returns.is_syscall(program):
            raise NoEdit("a system call's wrapper has its arguments behind a pointer: store them in a probe on entry")
        if program.by is By.HOST and unit.dialect == BCC:
            raise NoEdit(
                f"if the host program attaches `{program.name}` to the return, store them in an entry probe "
                "that it attaches too, keyed by bpf_get_current_pid_tgid(); if to the entry, PT_REGS_RC is in vain"
            )
        if program.by is By.HOST:
            raise NoEdit(
                f"user space attaches `{program.name}`: store them in an entry probe that it attaches too, "
                "keyed by bpf_get_current_pid_tgid()"
            )
        if any(r.hidden for r in reads):
            raise NoEdit("a macro's body hides the read: store the argument in an entry probe")
        written = unit.source_of(body).code[head(unit, program.function) : body.start]
        if (program.name.encode() if unit.dialect == BCC else b"SEC") not in written:
            raise NoEdit("an #if is in the function's head: store the argument in an entry probe")

    def _is_return_value(self, read: Read, parameters: list[Parameter] | None) -> bool:
        name = read.parameter.name if read.parameter else ""
        known = {p.name for p in parameters or ()}
        return name in returns.RETURN_NAMES and name not in known

    # -- which argument, and as what

    def _groups(self, reads: list[Read], parameters: list[Parameter] | None) -> list[_Group]:
        unit = self.unit
        groups: dict[int, _Group] = {}
        for read in reads:
            use = returns.use_of(unit, read)
            index: int | None = read.index
            if parameters is not None:
                index = signature.meant(use, read.index, parameters)
            if not index:
                raise NoEdit(self._which(read, parameters))
            parameter = parameters[index - 1] if parameters is not None else None
            group = groups.setdefault(index, _Group(index, [], parameter, []))
            group.reads.append(read)
            group.uses.append(use)
        last = max(groups, default=0)
        if parameters and any(p.by_value for p in parameters[:last]):
            raise NoEdit("a struct passed by value moves the arguments to other registers")
        if last > (6 if self.unit.dialect == BCC else 5):
            raise NoEdit(
                f"argument {last} has no place in BPF_KPROBE: store it in an entry probe by PT_REGS_PARM{last}"
            )
        return [groups[index] for index in sorted(groups)]

    def _which(self, read: Read, parameters: list[Parameter] | None) -> str:
        where = read.written
        if parameters is None:
            return f"{where} holds no argument by the calling convention, and no BTF tells which one is meant"
        have = ", ".join(f"{p.type} {p.name}" for p in parameters) or "none"
        return f"BTF does not tell which argument is meant by {where}: the function's are {have}"

    def _typed(self, group: _Group) -> tuple[Argument, bool]:
        """The argument with the function's name for it, and whether all reads take it for one and the same type."""
        uses = group.uses
        same = len({u.type for u in uses}) == 1 and uses[0].type not in ("", "void *")
        type_ = signature.best_type(self.unit, uses[0] if same else Use(""), group.parameter if same else None).encode()
        name = group.parameter.name.encode() if group.parameter and group.parameter.name else b"arg%d" % group.index
        return Argument(group.index, name, type_, declared(type_, name)), same

    def _argument(self, group: _Group) -> Argument:
        """The argument with its names, and the edits that put it in the place of the reads."""
        unit, read = self.unit, group.reads[0]
        typed, same = self._typed(group)
        wanted, type_ = typed.name, typed.type
        if read.parameter is not None and len(group.reads) == 1:
            name = read.parameter.name.encode()
            return Argument(group.index, name, type_, declared(read.parameter.type.spelling.encode(), name))
        if len(group.reads) == 1 and (taken := self._taken_over(read)):
            return Argument(group.index, taken[0], type_, taken[1])
        used = set(self._words(helpers=True))
        name = wanted if wanted not in used else fresh(wanted + b"_arg", used)
        for read in group.reads:
            start = returns.casts_before(unit, read) if same else read.start
            self.edits.append(Edit(read.path, start, read.end, name))
        for read in {id(r.function): r for r in group.reads}.values():
            self._hand_on(read, name, declared(type_, name))
        return Argument(group.index, wanted, type_, declared(type_, name))

    def _taken_over(self, read: Read) -> tuple[bytes, bytes] | None:
        """The name and the declaration of a variable that the lookup can declare in the place of the read."""
        found, is_helper = returns.declaration_of(self.unit, read), read.function is not self.program.function
        if found is None or (is_helper and found[0] in self._words()):
            return None
        name, text, edit = found
        source = self.unit.sources[read.path]
        if is_helper and source.data[: edit.start].rstrip().endswith(b"{"):
            blank = re.compile(rb"(?:[ \t]*\r?\n)*").match(source.data, edit.end)
            edit = Edit(edit.path, edit.start, blank.end() if blank else edit.end, b"")
        self.deleted.append(edit)
        self._hand_on(read, name, text)
        return name, text

    def _words(self, *, helpers: bool = False) -> list[bytes]:
        """The identifiers in the return probe, and in the helpers that it calls."""
        functions = [self.program.function]
        functions += [h for _, h in returns.helper_calls(self.unit, self.program)] if helpers else []
        bodies = [body_of(f) for f in functions]
        return [w for b in bodies for w in re.findall(rb"[A-Za-z_]\w*", self.unit.source_of(b).code[b.start : b.end])]

    def _hand_on(self, read: Read, name: bytes, declaration: bytes) -> None:
        """Where a helper reads the argument: give it the argument as one more parameter."""
        if read.function is self.program.function:
            return
        call = next(c for c, h in returns.helper_calls(self.unit, self.program) if h is read.function)
        parameters = read.function.parameters
        places = [(parameters[-1].path, parameters[-1].end, declaration), (call.path, call.end - 1, name)]
        for path, at, text in places:
            if not self.unit.editable(path, at, at) or path not in self.unit.sources:
                raise NoEdit("a macro's body is in the way of one more parameter for the helper")
            self.edits.append(Edit(path, at, at, b", " + text))

    # -- text

    def _new_signature(self, returned: list[Read]) -> list[bytes]:
        """Take the parameters out of the return probe's head; gives the statements that stand for the return value."""
        unit, program, macro = self.unit, self.program, self.program.macro
        parameters = program.function.parameters
        if not returns.parameter_reads(program):
            return []
        context, last = parameters[0], parameters[-1]
        texts = [unit.text(r.parameter) for r in returned if r.parameter]
        if macro is None:
            if last.end < context.end:
                raise NoEdit("a macro makes the parameters: store the argument in an entry probe")
            if has_comment(unit, context.path, context.end, last.end):
                raise NoEdit("a comment among the parameters is in the way")
            self.edits.append(Edit(context.path, context.end, last.end, b""))
            return [b"%s = PT_REGS_RC(%s);" % (text, context.name.encode()) for text in texts]
        if macro.name not in ("BPF_KPROBE", "BPF_KRETPROBE", "BPF_UPROBE", "BPF_URETPROBE"):
            raise NoEdit(f"{macro.name} is not for return probes: use BPF_KRETPROBE and store the arguments on entry")
        if has_comment(unit, macro.path, macro.start, macro.end):
            raise NoEdit("a comment among the parameters is in the way")
        data = unit.sources[macro.path].data
        if "RETPROBE" in macro.name:
            texts = [t for t in (data[a:b] for a, b in macro.args[1:]) if returns.is_return_value(t)]
            if not texts and len(macro.args) > 2:
                raise NoEdit("which of the parameters is the return value cannot be told")
        name = macro.name if "RETPROBE" in macro.name else macro.name.replace("PROBE", "RETPROBE")
        head_ = b", ".join([data[slice(*macro.args[0])], *texts[:1]])
        self.edits.append(Edit(macro.path, macro.start, macro.end, b"%s(%s)" % (name.encode(), head_)))
        return []

    def _stash(self, arguments: list[Argument], groups: list[_Group], parameters: list[Parameter] | None) -> Stash:
        unit, program = self.unit, self.program
        by_index = {a.index: a for a in arguments}
        entry_signature = []
        used = {a.name for a in arguments}
        for index in range(1, max(by_index) + 1):
            if index in by_index:
                entry_signature.append((by_index[index].type, by_index[index].name))
                continue
            known = parameters[index - 1] if parameters is not None else None
            type_ = known.type if known and signature.writable(unit, known.type) else "void *"
            name = known.name.encode() if known and known.name else b"arg%d" % index
            entry_signature.append((type_.encode(), fresh(name, used)))
        macro = b"BPF_UPROBE" if program.macro is not None and "URETPROBE" in program.macro.name else b"BPF_KPROBE"
        return Stash(
            unit,
            program.function,
            program.target.encode("latin-1"),
            program.name.encode(),
            arguments,
            entry_signature,
            self.taken,
            section=returns.entry_section(program).encode("latin-1"),
            macro=macro,
        )


def _joined(edits: list[Edit]) -> list[Edit]:
    """The edits, with insertions at one place made one, in their order."""
    texts: dict[tuple[Path, int, int], bytes] = {}
    for edit in edits:
        key = edit.path, edit.start, edit.end
        texts[key] = texts.get(key, b"") + edit.text
    return [Edit(*key, text) for key, text in texts.items()]


def _shared_helpers(unit: Unit, program: Program, returning: set[int], told: set[int]) -> Iterator[Fix]:
    """Helpers that read arguments and that several return probes, and nothing else, call."""
    for _, helper in returns.helper_calls(unit, program):
        mentions = unit.mentions(helper)
        reads = [r for r in returns.register_reads(unit, helper) if not returns.on_purpose(unit, r)]
        if helper.decl in told or len(mentions) == 1 or not reads:
            continue
        told.add(helper.decl)
        owners = [m.function for m in mentions]
        if all(o is not None and o.decl in returning for o in owners):
            message = f"`{reads[0].written}`, read in `{helper.name}` when functions return, holds no argument then"
            reason = "several return probes call it: store the arguments in entry probes, and hand them to it"
            yield Fix(reads[0], message, Safety.ADVICE, reason=reason)
