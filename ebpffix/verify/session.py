"""The proofs of one run: the targets that its fixes go into, and what stops all proof, told once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ebpffix.fix import BCC
from ebpffix.rewriting.found import Found, apply_all
from ebpffix.sources.program import Program
from ebpffix.sources.reach import Reach
from ebpffix.verify import CannotVerify
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, find_clang
from ebpffix.verify.process import used
from ebpffix.verify.proof import SPENT, Proof, Target, prove
from ebpffix.verify.targets import BccTarget, LibbpfTarget, PartTarget

_SECONDS = 900  # of CPU, for the proofs of a run: slow programs come in any number


@dataclass(frozen=True)
class Loadable:
    """A program with the arguments for a real compiler."""

    program: Program
    args: tuple[str, ...]
    reach: Reach


class Verifier:
    """Proves the fixes of a run. BCC is started once, when the first program wants it, and ends with `close`.

    `problems` says what could not be had (a compiler, BCC, a privilege), each once, with what to do; the fixes that
    wanted it have no proof. What one call of `prove` compiles and loads has `seconds` of CPU time.
    """

    def __init__(
        self, *, clang: str | None = None, cap_bpf: bool = False, cache: Path | None = None, seconds: float = _SECONDS
    ) -> None:
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
        targets = [target for program in programs if (target := self.target(program))]
        if not targets:
            return [None] * len(fixes)
        end = used() + self._seconds
        try:
            found = prove(fixes, targets, build, lambda fix: _goes_into(fix, programs), lambda: used() >= end)
            if any(proof.reason == SPENT for proof in found):
                took = f"the proofs of this run took {self._seconds:g} s of CPU time, which is the limit"
                self._tell(CannotVerify(took, "those that are missing need a run over fewer files"))
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
        return LibbpfTarget(path, clang, args, self._cap_bpf, reach) if isinstance(clang, Clang) else None

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
