"""What the tests of transforms share: fixtures, programs analysed from text, the command, git, edits applied."""

from __future__ import annotations

import atexit
import functools
import io
import os
import re
import string
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ebpffix.app import cli
from ebpffix.fix import LIBBPF, Fix, Safety, apply
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.pch import PrecompiledHeaders
from ebpffix.run import engine
from ebpffix.run.analyse import Job, Result, analyse
from ebpffix.run.engine import Report
from ebpffix.run.jobs import Jobs
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery, _Project, discover
from ebpffix.sources.program import FileProgram
from ebpffix.sources.source import Source
from ebpffix.transform import Registered, load_transforms

FIXTURES = Path(__file__).parent.parent / "fixtures"
CACHE = Path(__file__).parent.parent / ".pytest_cache" / "ebpffix"
SAFE = frozenset((Safety.SAFE,))
UNSAFE = frozenset((Safety.SAFE, Safety.SUGGESTED))


# A program with one safe fix.
PROGRAM = b"""#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
\t__uint(type, BPF_MAP_TYPE_HASH);
\t__uint(max_entries, 64);
\t__type(key, u32);
\t__type(value, u64);
} counts SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
\tu32 key = ctx->ingress_ifindex;
\tu64 *seen = bpf_map_lookup_elem(&counts, &key);

\tif (!seen)
\t\treturn XDP_PASS;
\t*seen += 1;
\tbpf_map_update_elem(&counts, &key, seen, BPF_ANY);
\treturn XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""
UPDATE = b"\tbpf_map_update_elem(&counts, &key, seen, BPF_ANY);\n"
FIXED = PROGRAM.replace(UPDATE, b"")


# -- the command


@dataclass
class Done:
    """How a run of the command ended; its output with each byte as one character."""

    code: int
    out: str
    err: str


def ebpffix(*args: object, cwd: Path, text: bytes = b"", env: dict[str, str] | None = None) -> Done:
    """The command in a process of its own. It is forked: to start Python and import all anew takes most of a run."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(text)
        stdin.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _command(args, cwd, env or {}, (stdin.fileno(), out.fileno(), err.fileno()))
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        done = Done(os.waitstatus_to_exitcode(status), out.read().decode("latin-1"), err.read().decode("latin-1"))
    assert "Traceback" not in done.err, done.err
    return done


def _command(args: Sequence[object], cwd: Path, env: Mapping[str, str], streams: Sequence[int]) -> NoReturn:
    """What the child does."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), write_through=True)
        atexit._clear()  # what the tests' own process has to do at its end
        os.environ.update({"EBPFFIX_CACHE_DIR": str(CACHE), **env})
        os.chdir(cwd)
        sys.argv = ["ebpffix", *map(str, args)]
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def git(*args: object, cwd: Path) -> str:
    flags = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false")
    return subprocess.run(["git", *flags, *map(str, args)], cwd=cwd, check=True, capture_output=True, text=True).stdout


def fresh_cache(folder: Path) -> Path:
    """A cache without results, with the headers that other tests made: they cost seconds."""
    for shared in ("vmlinux", "pch"):
        (CACHE / shared).mkdir(parents=True, exist_ok=True)
        (folder / shared).symlink_to(CACHE / shared)
    return folder


# -- programs from text


@functools.cache
def transforms() -> dict[str, Registered]:
    return load_transforms()


@functools.cache
def environment(defines: tuple[str, ...], kernel: tuple[int, int]) -> Environment:
    return Environment(Options(target_kernel=kernel, defines=defines, cache=CACHE))


def as_it_is(job: Job) -> Job:
    """What a test may do to a job before it is analysed: to be replaced."""
    return job


def analysed(path: Path, text: bytes, *names: str, dialect: str = LIBBPF, kernel: tuple[int, int] = (5, 10)) -> Result:
    """What transforms say of one program, which need not be on disk and need not look like one; in this process."""
    root = path.parent
    program = FileProgram(Source(path, text), dialect, root)
    discovery = Discovery([program], _projects={root: _Project(root, dialect, ())})
    chosen = {name: transforms()[name] for name in names}
    jobs = Jobs(discovery, Settings(chosen, environment((), kernel), contents={path: text}))
    job = as_it_is(jobs.prepare(program, jobs.before).job)
    store, key = PrecompiledHeaders(CACHE / "pch"), (job.setup.prefix, job.setup.prefix_args, job.setup.digest)
    pch = store.find(*key) or store.build(*key, job.setup.reach) if job.setup.prefix else None
    return analyse(job, transforms(), pch)


def findings(text: bytes, *names: str, dialect: str = LIBBPF, kernel: tuple[int, int] = (5, 10)) -> list[Fix]:
    """The fixes of transforms for a program given as text, in order of place."""
    path = Path("/nowhere/program.bpf.c" if dialect == LIBBPF else "/nowhere/program.c")
    result = analysed(path, text, *names, dialect=dialect, kernel=kernel)
    assert result.status != "failed", result.notes
    return sorted((fix for _, fix in result.findings), key=lambda fix: (fix.at.start, fix.at.end))


def fixed(text: bytes, *names: str, dialect: str = LIBBPF, safeties: frozenset[Safety] = SAFE) -> bytes:
    """The program after one pass of the fixes of these safeties."""
    edits = {e for fix in findings(text, *names, dialect=dialect) if fix.safety in safeties for e in fix.edits}
    return apply(text, sorted(edits))


@dataclass(frozen=True)
class Frame:
    """A program around what a test varies: `text` has `$body` in its place, and may have more of such names, which
    are empty unless `parts` or the test says otherwise."""

    transform: str
    text: str
    dialect: str = LIBBPF
    safeties: frozenset[Safety] = UNSAFE
    parts: Mapping[str, str] = field(default_factory=dict)

    def program(self, body: str = "", **parts: str) -> bytes:
        names = dict.fromkeys(_NAMES.findall(self.text), "")
        return string.Template(self.text).substitute({**names, **self.parts, "body": body, **parts}).encode()

    def found(self, body: str = "", *, kernel: tuple[int, int] = (5, 10), **parts: str) -> list[Fix]:
        return findings(self.program(body, **parts), self.transform, dialect=self.dialect, kernel=kernel)

    def after(self, body: str = "", **parts: str) -> str:
        """What stands in the place of `body` once the fixes are made."""
        text = fixed(self.program(body, **parts), self.transform, dialect=self.dialect, safeties=self.safeties)
        before, after = self.program("\0", **parts).split(b"\0")
        assert text.startswith(before) and text.endswith(after)
        return text[len(before) : len(text) - len(after)].decode()


_NAMES = re.compile(r"\$\{?(\w+)")


# -- fixtures


@dataclass(frozen=True)
class Case:
    """One fixture. `expect` are the safeties of its fixes in order of place. `files` and `fixed` map names relative to
    the case's folder to contents; `fixed` has only what changes; `program` is the file that is compiled."""

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

    @property
    def advice(self) -> list[tuple[str, int, str]]:
        """The advice that is expected: (file, 1-based line, how its message begins), in order of place."""
        found = []
        for name, data in sorted(self.files.items()):
            for number, line in enumerate(data.decode("latin-1").split("\n"), 1):
                found += [(name, number, text.strip()) for text in _EXPECTED.findall(line)]
        return found

    def run(self, files: Mapping[str, bytes], folder: Path, names: Sequence[str] = ()) -> Report:
        """What the engine makes of these files of the case, in an empty folder, as users run it; `names` are the
        transforms, the case's own unless given."""
        tree = folder / "tree"
        (tree / ".git").mkdir(parents=True)
        for name, data in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(data)
        defines = tuple(a.removeprefix("-D") for a in self.keys.get("args", "").split(",") if a)
        major, _, minor = self.keys.get("kernel", "5.10").partition(".")
        settings = Settings(
            {name: transforms()[name] for name in names or (self.transform,)},
            environment(defines, (int(major), int(minor))),
            cache=fresh_cache(folder),
            unsafe=True,
            precompile_from=1,
        )
        return engine.run(discover([tree], dialect=self.dialect), settings)


_EXPECTED = re.compile(r"(?://|/\*) expect: advice ?(.*?)(?= (?://|/\*) expect:| ?\*/|\r?$)")


def advice(report: Report, folder: Path) -> list[tuple[str, int, str]]:
    """The advice in what `Case.run` gave in that folder: (file, 1-based line, message), in order of place."""
    found = []
    for fix in (one.fix for one in report.findings):
        if fix.safety is Safety.ADVICE:
            line = Source(fix.at.path, report.before[fix.at.path]).line(fix.at.start)
            found.append((fix.at.path.relative_to(folder / "tree").as_posix(), line, fix.message))
    return found


_DIRECTIVE = re.compile(rb"\A(?:\xef\xbb\xbf)?(?://|/\*) fixture: ([^\r\n*]*)")
_KEYS = frozenset("dialect expect before after same-object run maps args kernel explain".split())


def cases(transform: str = "*") -> list[Case]:
    """All fixtures of a transform, or of all."""
    found = []
    for path in sorted(FIXTURES.glob(f"{transform}/*")):
        if (
            path.parent.name in ("logs", "headers", "hosts", "repair", "__pycache__")
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
