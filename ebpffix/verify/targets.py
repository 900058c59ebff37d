"""The program files that a proof is about: how one is compiled and loaded, for each dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ebpffix.sources.program import Program
from ebpffix.sources.reach import Reach
from ebpffix.sources.reader import read_file
from ebpffix.verify.bcc import Bcc
from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf
from ebpffix.verify.load import Place, ProgramResult, kernel_release, load_in
from ebpffix.verify.map_faults import Map
from ebpffix.verify.objects import NotAnObject, parts
from ebpffix.verify.proof import Compiled, Target
from ebpffix.verify.stated_maps import new_maps, old_maps

_NO_STRUCTURE = "incomplete type 'struct bpf_map_def'"
_STRUCTURE = b"struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };\n"
LEAST = " with CAP_BPF alone"  # what such a load adds to the program's name


@dataclass(frozen=True)
class LibbpfTarget:
    """A libbpf program: `path` is real and absolute, `args` its include folders and macros, `places` the kernels that
    it is loaded in, where None is the one that runs."""

    path: Path
    clang: Clang
    args: Sequence[str] = ()
    cap_bpf: bool = False
    reach: Reach | None = None
    places: Sequence[Place | None] = (None,)

    @property
    def compiler(self) -> str:
        return str(self.clang)

    @property
    def kernel(self) -> str:
        return ", ".join(place.kernel if place else kernel_release() for place in self.places)

    def compile(self, overlay: Mapping[Path, bytes]) -> Compiled | CompileError:
        made = self._compiled(overlay)
        if isinstance(made, CompileError):
            return replace(made, maps=self._stated(overlay)) if _NO_STRUCTURE in str(made) else made
        try:
            stated = old_maps(made.data), new_maps(made.data)
            return Compiled(parts(made.data), made.inputs, lambda: self._load(made), *stated, object=made.data)
        except NotAnObject as error:
            return CompileError((f"{self.path}: error: {error}",))

    def _compiled(self, overlay: Mapping[Path, bytes]) -> Object | CompileError:
        return compile_libbpf(self.path, clang=self.clang, args=self.args, overlay=overlay, reach=self.reach)

    def _stated(self, overlay: Mapping[Path, bytes]) -> Mapping[str, Map]:
        """The maps in the old form of a program whose headers, those of libbpf 1.0, have its structure no more."""
        text = overlay.get(self.path)
        text = read_file(self.path) if text is None else text
        made = self._compiled({**overlay, self.path: _STRUCTURE + text})
        return {} if isinstance(made, CompileError) else old_maps(made.data)

    def _load(self, made: Object) -> list[ProgramResult]:
        least = _least(load_in(made, self.places, cap_bpf=True)) if self.cap_bpf else []
        return load_in(made, self.places) + least


@dataclass(frozen=True)
class BccTarget:
    """A BCC program. Of the files that it includes, only itself is known to go in."""

    path: Path
    bcc: Bcc
    flags: Sequence[str] = ()
    cap_bpf: bool = False
    reach: Reach | None = None

    @property
    def compiler(self) -> str:
        return f"BCC {self.bcc.version}"

    @property
    def kernel(self) -> str:
        return kernel_release()

    def compile(self, overlay: Mapping[Path, bytes]) -> Compiled | CompileError:
        text = overlay.get(self.path)
        text = read_file(self.path) if text is None else text
        made = self.bcc.check(self.path, text, flags=self.flags, reach=self.reach)
        if isinstance(made, CompileError):
            return made
        return Compiled(made.parts, frozenset({self.path}), lambda: [*made.programs, *self._least(text)])

    def _least(self, text: bytes) -> list[ProgramResult]:
        if not self.cap_bpf:
            return []
        made = self.bcc.check(self.path, text, flags=self.flags, reach=self.reach, cap_bpf=True)
        return [] if isinstance(made, CompileError) else _least(made.programs)


@dataclass(frozen=True)
class PartTarget:
    """A program that is a part of its file: compiled under the path that it has alone, for what the file holds."""

    program: Program
    inner: Target

    @property
    def path(self) -> Path:
        return self.inner.path

    @property
    def compiler(self) -> str:
        return self.inner.compiler

    @property
    def kernel(self) -> str:
        return self.inner.kernel

    def compile(self, overlay: Mapping[Path, bytes]) -> Compiled | CompileError:
        file = self.program.file
        data = overlay.get(file)
        program = self.program.read(read_file(file) if data is None else data)
        if waits := program.unknown:
            line, name = waits
            return CompileError((f"{file}:{line}: {name} stands for text that the host program puts in",))
        made = self.inner.compile({**overlay, self.inner.path: program.source.data})
        return CompileError(tuple(map(program.placed_message, made.lines))) if isinstance(made, CompileError) else made


def _least(results: Sequence[ProgramResult]) -> list[ProgramResult]:
    return [replace(r, name=r.name + LEAST) for r in results]
