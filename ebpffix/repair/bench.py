"""The bench of a libbpf program: its compiler, with the includes precompiled, and the kernel."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ebpffix.frontend import Unit
from ebpffix.repair.locate import name_in_log
from ebpffix.repair.search import Built, Files
from ebpffix.sources.source import Source
from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf, precompile
from ebpffix.verify.load import Place, load_in
from ebpffix.verify.proof import Target

LOG = 4 << 20  # bytes of a log that are kept: the path's end is in them
_SECONDS = 10.0  # for one load: a program that is too large takes the verifier so long
_LINE = re.compile(rb"[^\n]*(?:\n|\Z)")
_INCLUDE = re.compile(rb"[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]")


class ClangBench:
    """Compiles and loads the states of one program file; `unit` parses one, `places` are the kernels, where None is the
    one that runs. Used as a context manager."""

    def __init__(
        self,
        path: Path,
        clang: Clang,
        args: Sequence[str],
        unit: Callable[[Files], Unit],
        *,
        cap_bpf: bool = False,
        places: Sequence[Place | None] = (None,),
    ) -> None:
        self.path = path
        self.clang = clang
        self.args = tuple(args)
        self.unit = unit
        self.cap_bpf = cap_bpf
        self.places = places
        self.place = places[-1]  # the newest, or the one that runs
        self._folder = tempfile.TemporaryDirectory(prefix="ebpffix-", ignore_cleanup_errors=True)
        self._prefix: tuple[str, ...] | None = None

    def __enter__(self) -> ClangBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def build(self, files: Files) -> Built:
        if self._prefix is None:
            text = _first_includes(files[self.path], {path.name for path in files})
            here = ("-iquote", str(self.path.parent))
            folder = Path(self._folder.name)
            args = (*self.args, *here)
            self._prefix = precompile(text, folder, clang=self.clang, args=args) if text else ()
        made = compile_libbpf(self.path, clang=self.clang, args=(*self._prefix, *self.args), overlay=files)
        if isinstance(made, CompileError):
            return Built(error=str(made))
        programs = load_in(made, self.places, cap_bpf=self.cap_bpf, timeout=_SECONDS, log_size=LOG)
        return Built(tuple(programs), "", made.data)

    def walk(self, built: Built) -> dict[str, str]:
        options = {"timeout": _SECONDS, "log_size": LOG, "log_level": 2}
        programs = load_in(Object(built.data, frozenset()), [self.place], **options)
        return {p.name: p.log for p in programs if len(p.log) < LOG // 2}  # of a longer one the beginning is lost


_PLACE = re.compile(r"^; ?(.*) @ main\.c:(\d+)$", re.MULTILINE)


def _own_lines(log: str, path: Path, data: bytes) -> str:
    """A log of BCC, which calls every program main.c and puts lines of its own in front, with the file's name and
    lines: the shift is the one that most lines agree on whose text BCC left as it was."""
    lines: dict[str, list[int]] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        lines.setdefault(line.strip(), []).append(number)
    shifts = Counter(int(m[2]) - n for m in _PLACE.finditer(log) for n in lines.get(m[1].strip(), ()))
    if not shifts:
        return log
    (shift, _), *_ = shifts.most_common(1)
    return _PLACE.sub(lambda m: f"; {m[1]} @ {name_in_log(path)}:{int(m[2]) - shift}", log)


def _first_includes(data: bytes, own: set[str]) -> bytes:
    """The includes that a file begins with, with nothing but comments between them; up to the first of a file that may
    be edited. Nothing where macros that they may ask for come first."""
    found = []
    for line in _LINE.findall(Source(Path(), data).uncommented):
        if match := _INCLUDE.match(line):
            if match[2].decode(errors="replace").rpartition("/")[2] in own:
                break
            found.append(line)
        elif line.strip():
            break
    return b"".join(found)


class TargetBench:
    """The bench of any other program, such as BCC's: compiled and loaded by its target alone."""

    def __init__(self, target: Target, unit: Callable[[Files], Unit]) -> None:
        self.target = target
        self.unit = unit
        self.place = None

    def build(self, files: Files) -> Built:
        made = self.target.compile(files)
        if isinstance(made, CompileError):
            return Built(error=str(made))
        path, data = next(iter(files.items()))
        return Built(tuple(replace(p, log=_own_lines(p.log, path, data)) for p in made.load()))

    def walk(self, built: Built) -> dict[str, str]:
        return {}
