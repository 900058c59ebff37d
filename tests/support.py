"""What the tests of transforms share: fixtures read from disk, programs analysed from text, edits applied."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.fix import LIBBPF, Fix, Safety, apply
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.run.analyse import Job, Result, analyse
from ebpffix.sources.includes import Tree
from ebpffix.sources.source import Source
from ebpffix.transform import Registered, load_transforms

FIXTURES = Path(__file__).parent.parent / "fixtures"
CACHE = Path(__file__).parent.parent / ".pytest_cache" / "ebpffix"
SAFE = frozenset((Safety.SAFE,))
UNSAFE = frozenset((Safety.SAFE, Safety.SUGGESTED))


@functools.cache
def transforms() -> dict[str, Registered]:
    return load_transforms()


@functools.cache
def environment(defines: tuple[str, ...], kernel: tuple[int, int]) -> Environment:
    return Environment(Options(target_kernel=kernel, defines=defines, cache=CACHE))


def analyse_files(
    program: Path,
    files: Mapping[Path, bytes],
    names: tuple[str, ...],
    dialect: str = LIBBPF,
    *,
    defines: tuple[str, ...] = (),
    kernel: tuple[int, int] = (5, 10),
) -> Result:
    """What transforms say of a program, given the texts of its files (which need not be on disk)."""
    env = environment(defines, kernel)
    source = Source(program, files[program])
    others = {path: Source(path, data) for path, data in files.items() if path != program}
    closure = Tree(program.parent, lambda: [str(p) for p in files]).closure(source, sources=others)
    wants = any(i.name.endswith("vmlinux.h") for i in closure.missing)
    setup = env.setup(source, dialect, closure.dirs, closure.vmlinux, wants_vmlinux=wants)
    unresolved = [*closure.missing, *closure.external] if dialect != LIBBPF else closure.missing
    virtual = {str(path): data for path, data in files.items()}
    for include in unresolved:
        if dialect == LIBBPF and include.name.endswith("vmlinux.h"):
            continue
        virtual[str(include.file)] = include.blanked_in(virtual[str(include.file)])
    job = Job(program, dialect, setup, files, virtual, names, kernel, btf=env.btf_path)
    store = PrecompiledHeaders(CACHE / "pch")
    pch = None
    if setup.prefix:
        key = (setup.prefix, setup.prefix_args, setup.digest)
        pch = store.find(*key) or store.build(*key)
    return analyse(job, transforms(), pch)


def findings(text: bytes, *names: str, dialect: str = LIBBPF, kernel: tuple[int, int] = (5, 10)) -> list[Fix]:
    """The fixes of transforms for a program given as text, in order of place."""
    path = Path("/nowhere/program.bpf.c" if dialect == LIBBPF else "/nowhere/program.c")
    result = analyse_files(path, {path: text}, names, dialect, kernel=kernel)
    assert result.status != "failed", result.notes
    return sorted((fix for _, fix in result.findings), key=lambda fix: (fix.at.start, fix.at.end))


def fixed(text: bytes, *names: str, dialect: str = LIBBPF, safeties: frozenset[Safety] = SAFE) -> bytes:
    """The program after one pass of the fixes of these safeties."""
    edits = {e for fix in findings(text, *names, dialect=dialect) if fix.safety in safeties for e in fix.edits}
    return apply(text, sorted(edits))


@dataclass(frozen=True)
class Case:
    """One fixture. `files` and `fixed` map names relative to the case's folder to contents; `fixed` has only what
    changes; `program` is the file that is compiled."""

    transform: str
    name: str
    folder: Path
    program: str
    files: Mapping[str, bytes]
    fixed: Mapping[str, bytes]
    keys: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.transform}/{self.name}"

    @property
    def dialect(self) -> str:
        return self.keys["dialect"]

    @property
    def expect(self) -> list[str]:
        return [] if self.keys["expect"] == "none" else self.keys["expect"].split(",")


_DIRECTIVE = re.compile(rb"\A(?:\xef\xbb\xbf)?(?://|/\*) fixture: ([^\r\n*]*)")
_KEYS = frozenset("dialect expect before after same-object run maps args kernel explain".split())


def cases(transform: str = "*") -> list[Case]:
    """All fixtures of a transform, or of all."""
    found = []
    for path in sorted(FIXTURES.glob(f"{transform}/*")):
        if (
            path.parent.name in ("logs", "headers", "hosts", "__pycache__")
            or ".fixed" in path.name
            or path.suffix in (".md", ".py")
        ):
            continue
        found.append(_case(path))
    return found


def _case(path: Path) -> Case:
    if path.is_dir():
        folder, files = path, {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
        done = path.with_name(path.name + ".fixed")
        fixed_files = {str(p.relative_to(done)): p.read_bytes() for p in sorted(done.rglob("*")) if p.is_file()}
        program = next(name for name in files if name.endswith(".c"))
    else:
        folder, program = path.parent, path.name
        files = {path.name: path.read_bytes()}
        done = path.with_name(path.stem + ".fixed.c")
        fixed_files = {path.name: done.read_bytes()} if done.exists() else {}
    match = _DIRECTIVE.match(files[program])
    assert match, f"{path}: the first line is no '// fixture: …'"
    keys = dict(part.partition("=")[::2] for part in match[1].decode().split())
    assert keys.keys() <= _KEYS, f"{path}: unknown {keys.keys() - _KEYS}"
    assert {"dialect", "expect"} <= keys.keys(), f"{path}: needs dialect= and expect="
    return Case(path.parent.name, path.stem, folder, program, files, fixed_files, keys)
