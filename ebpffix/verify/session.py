"""The proofs of one run: the targets that its fixes go into, and what stops all proof, told once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpffix.fix import BCC
from ebpffix.rewriting.found import Found, apply_all
from ebpffix.sources.program import Program
from ebpffix.sources.reach import Reach
from ebpffix.verify import CannotVerify
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, CompileError, Object, find_clang
from ebpffix.verify.load import Place, ProgramResult, load_in
from ebpffix.verify.process import end_all, private_folder, used
from ebpffix.verify.proof import SPENT, Proof, Target, prove
from ebpffix.verify.targets import BccTarget, LibbpfTarget, PartTarget

if TYPE_CHECKING:
    from ebpffix.verify.guest.images import Image
    from ebpffix.verify.guest.machine import Guest

_SECONDS = 900  # of CPU, for the proofs of a run: slow programs come in any number


@dataclass(frozen=True)
class Loadable:
    """A program with the arguments for a real compiler."""

    program: Program
    args: tuple[str, ...]
    reach: Reach


@dataclass(frozen=True)
class Loads:
    """The program file `path` as it is, in each kernel of the run; `error` is the first line of a compiler that refused
    it. `object` is what was loaded."""

    path: Path
    results: tuple[ProgramResult, ...] = ()
    object: bytes = b""
    error: str = ""


class Verifier:
    """Proves the fixes of a run. BCC is started once, when the first program wants it, and ends with `close`.

    `problems` says what could not be had (a compiler, BCC, a privilege), each once, with what to do; the fixes that
    wanted it have no proof. What one call of `prove` compiles and loads has `seconds` of CPU time.

    `images` are other kernels, each booted once, that libbpf's programs are loaded in, and with `here` in the running
    one too; `tells_kernels` says that each program is to be tried, not only what fixes change. BCC compiles for the
    kernel that runs, so its programs are tried in that alone.
    """

    def __init__(
        self,
        *,
        clang: str | None = None,
        cap_bpf: bool = False,
        cache: Path | None = None,
        seconds: float = _SECONDS,
        images: Sequence[Image] = (),
        here: bool = True,
        tells_kernels: bool = False,
    ) -> None:
        self.tells_kernels = tells_kernels
        self._images = images
        self._here = here
        self._guests: list[Guest] | None = None
        self._clang_wanted = clang
        self._cap_bpf = cap_bpf
        self._cache = cache
        self._seconds = seconds
        self._open = ExitStack()
        self._tools: dict[str, Clang | Bcc | None] = {}
        self.problems: list[str] = []

    def close(self) -> None:
        """End what was started."""
        self._open.close()

    def start(self, *, wait: bool = False) -> None:
        """Boot the other kernels, which takes seconds; with `wait`, until they are there, for who forks."""
        if self._guests is None:
            self._guests = self._boot()
        for guest in self._guests if wait else ():
            try:
                guest.wait()
            except CannotVerify as error:
                self._tell(error)

    def _boot(self) -> list[Guest]:
        if not self._images:
            return []
        from ebpffix.verify.guest.machine import Guest, emulator

        folder = self._open.enter_context(private_folder())
        try:
            shared = emulator(self._images[0], folder, self._cache)
        except CannotVerify as error:
            self._tell(error)
            return []
        guests = [Guest(image, shared, folder) for image in self._images]
        for guest in guests:
            self._open.callback(guest.close)
            guest.boot()  # all at once; who asks the first waits
        return guests

    def loads(self, programs: Sequence[Loadable]) -> list[Loads]:
        """What each kernel says of the programs as they are; as far as it comes in `seconds` of CPU time."""
        self.start()
        targets = [(program, target) for program in programs if (target := self.target(program))]
        end = used() + self._seconds

        def one(program: Loadable, target: Target) -> Loads:
            if used() < end:
                return self._loads(program, target)
            self._tell_spent("loads")
            return Loads(program.program.file)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                return list(pool.map(lambda both: one(*both), targets))
            except (KeyboardInterrupt, SystemExit):
                end_all()
                raise

    def loads_of(self, path: Path, data: bytes) -> Loads:
        """The same for an object of libbpf's, which lies at `path`."""
        self.start()
        if not (places := self._places()):
            return Loads(path)
        try:
            return Loads(path, tuple(load_in(Object(data, frozenset()), places)), data)
        except CannotVerify as error:
            self._tell(error)
            return Loads(path)

    def _places(self) -> list[Place | None]:
        return [*(self._guests or ()), *([None] if self._here else [])]

    def _loads(self, loadable: Loadable, target: Target) -> Loads:
        made = target.compile({})
        if isinstance(made, CompileError):
            return Loads(loadable.program.file, error=made.lines[0])
        try:
            return Loads(loadable.program.file, tuple(made.load()), made.object)
        except CannotVerify as error:
            self._tell(error)
            return Loads(loadable.program.file)

    def prove(
        self,
        fixes: Sequence[Found],
        before: Mapping[Path, bytes],
        programs: Sequence[Loadable],
        made: Sequence[Found] = (),
    ) -> list[Proof | None]:
        """A proof for each fix, in order; None for one that nothing here could try. `before` are the files without
        any fix, which all edits count bytes of; `made` are fixes that are made already, and stay."""

        def build(chosen: Sequence[Found]) -> Mapping[Path, bytes]:
            files = {path: data for path, data in before.items() if path in edited}
            return apply_all(files, [*made, *chosen])

        edited = {edit.path for fix in (*made, *fixes) for edit in fix.fix.edits}
        self.start()
        targets = [target for program in programs if (target := self.target(program))]
        if not targets:
            return [None] * len(fixes)
        end = used() + self._seconds
        try:
            found = prove(fixes, targets, build, lambda fix: _goes_into(fix, programs), lambda: used() >= end)
            if any(proof.reason == SPENT for proof in found):
                self._tell_spent("proofs")
            return list(found)
        except CannotVerify as error:
            self._tell(error)
            return [None] * len(fixes)

    def target(self, loadable: Loadable) -> Target | None:
        """The way to compile and load one program; None, and a problem, where that cannot be had."""
        target = self.inner(loadable)
        return target if target is None or loadable.program.on_disk else PartTarget(loadable.program, target)

    def inner(self, loadable: Loadable) -> Target | None:
        """The same for the C alone, whatever file it is part of."""
        program, args, reach = loadable.program, loadable.args, loadable.reach
        path = _real(program.path)
        if program.dialect == BCC:
            bcc = self._tool(BCC, self._start_bcc)
            return BccTarget(path, bcc, args, self._cap_bpf, reach) if isinstance(bcc, Bcc) else None
        clang = self._tool("clang", lambda: find_clang(self._clang_wanted))
        if not isinstance(clang, Clang):
            return None
        places = self._places()
        return LibbpfTarget(path, clang, args, self._cap_bpf, reach, places) if places else None

    def _start_bcc(self) -> Bcc:
        if self._cache is None:
            import tempfile

            folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="ebpffix-")))
        else:
            folder = self._cache / "kernel-headers"
        return self._open.enter_context(Bcc(folder))

    def _tool(self, name: str, get: Callable[[], Clang | Bcc]) -> Clang | Bcc | None:
        if name not in self._tools:
            try:
                self._tools[name] = get()
            except CannotVerify as error:
                self._tell(error)
                self._tools[name] = None
        return self._tools[name]

    def _tell_spent(self, what: str) -> None:
        took = f"the {what} of this run took {self._seconds:g} s of CPU time, which is the limit"
        self._tell(CannotVerify(took, "those that are missing need a run over fewer files"))

    def _tell(self, error: CannotVerify) -> None:
        if str(error) not in self.problems:
            self.problems.append(str(error))


def _goes_into(fix: Found, programs: Sequence[Loadable]) -> set[Path]:
    """The real paths of the files that a fix edits; of one with several programs in it, those of the programs."""
    found: set[Path] = set()
    for edit in fix.fix.edits:
        found |= {_real(one.program.path) for one in programs if one.program.holds(edit)} or {_real(edit.path)}
    return found


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
