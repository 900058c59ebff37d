"""The proofs of one run: the targets that its fixes go into, and what stops all proof, told once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ebpffix.fix import BCC
from ebpffix.rewriting.found import Found, apply_all
from ebpffix.sources.discover import Program as String
from ebpffix.verify import CannotVerify
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, find_clang
from ebpffix.verify.proof import Proof, Target, prove
from ebpffix.verify.targets import BccTarget, LibbpfTarget, StringTarget


@dataclass(frozen=True)
class Program:
    """What is compiled: an absolute path, the dialect, and the arguments for a real compiler; C in a host program comes
    out of `string`."""

    path: Path
    dialect: str
    args: tuple[str, ...]
    string: String | None = None

    @property
    def file(self) -> Path:
        """The file that holds it."""
        return self.string.file if self.string else self.path


class Verifier:
    """Proves the fixes of a run. BCC is started once, when the first program wants it, and ends with `close`.

    `problems` says what could not be had (a compiler, BCC, a privilege), each once, with what to do; the fixes that
    wanted it have no proof.
    """

    def __init__(self, *, clang: str | None = None, cap_bpf: bool = False, cache: Path | None = None) -> None:
        self._clang_wanted = clang
        self._cap_bpf = cap_bpf
        self._cache = cache
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
        programs: Sequence[Program],
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
        try:
            return list(prove(fixes, targets, build, lambda fix: _goes_into(fix, programs)))
        except CannotVerify as error:
            self._tell(error)
            return [None] * len(fixes)

    def target(self, program: Program) -> Target | None:
        """The way to compile and load one program; None, and a problem, where that cannot be had."""
        target = self._target(program)
        return StringTarget(program.string, target) if program.string and target else target

    def _target(self, program: Program) -> Target | None:
        path = Path(os.path.realpath(program.path))
        if program.dialect == BCC:
            bcc = self._tool(BCC, self._start_bcc)
            return BccTarget(path, bcc, program.args, self._cap_bpf) if isinstance(bcc, Bcc) else None
        clang = self._tool("clang", lambda: find_clang(self._clang_wanted))
        return LibbpfTarget(path, clang, program.args, self._cap_bpf) if isinstance(clang, Clang) else None

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


def _goes_into(fix: Found, programs: Sequence[Program]) -> set[Path]:
    """The real paths of the files that a fix edits; of a host program, those of the C in its strings."""
    found: set[Path] = set()
    for edit in fix.fix.edits:
        strings = (p.string for p in programs if p.string and p.string.file == edit.path)
        found |= {
            Path(os.path.realpath(string.path)) for string in strings if string.island and string.island.holds(edit)
        } or {Path(os.path.realpath(edit.path))}
    return found
