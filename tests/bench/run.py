#!/usr/bin/env python3
"""Measures `ebpffix --diff` over bcc's libbpf-tools against clang, Coccinelle and ast-grep, all in one run.

    tests/bench/run.py TREE [--runs N] [--json]

TREE is a checkout's `libbpf-tools`; it is copied, never changed. The ebpffix that is measured is the one of the Python
that runs this file. Every round runs all commands in a new order, and ratios are taken inside a round: what else the
machine does meanwhile hits both sides. `docs/speed.md` says what is measured and why.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
RULES = sorted(HERE.glob("*.cocci"))
AST_GREP_RULE = HERE / "memcpy.yml"
_CLANGS = (os.environ.get("CLANG", "clang"), *(f"clang-{n}" for n in range(25, 13, -1)))
_ARCH = {"x86_64": "x86", "aarch64": "arm64", "ppc64le": "powerpc", "riscv64": "riscv", "loongarch64": "loongarch"}
_CURVE = (1, 4, 16)
_CURVE_RUNS = 3


# -- one run of one command


@dataclass(frozen=True)
class Command:
    """What is run: in `cwd`, after `prepare`, which is not timed. `ok` are the exit codes that mean it did its work."""

    argv: Sequence[str]
    cwd: Path
    prepare: Callable[[], object] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    ok: Sequence[int] = (0,)


@dataclass(frozen=True)
class Sample:
    """Seconds: on the clock, and of the processor in the command and all processes that it waited for."""

    wall: float
    cpu: float


def measure(command: Command) -> Sample:
    command.prepare()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(command.stdin.encode())
        stdin.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=os.environ | command.env,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in command.ok:
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip().splitlines() or ["nothing on standard error"]
            stop(f"{Path(command.argv[0]).name} ended with {process.returncode}: {said[0]}")
    return Sample(wall, used.ru_utime + used.ru_stime)


def rounds(commands: Mapping[str, Command], runs: int) -> dict[str, list[Sample]]:
    """The samples of each command, one a round; each round in an order of its own."""
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(runs):
        order = list(commands)
        random.Random(number).shuffle(order)
        for name in order:
            samples[name].append(measure(commands[name]))
            print(f"round {number + 1} of {runs}: {name}, {samples[name][-1].wall:.2f} s", file=sys.stderr)
    return samples


# -- arithmetic


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and the smallest and largest of them."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(median(figures), min(figures), max(figures))

    def __str__(self) -> str:
        return f"{self.median:8.3f} {self.min:8.3f} {self.max:8.3f}"


@dataclass(frozen=True)
class Ratio:
    """One command against another, round by round. `wanted` is the largest that the wall time's median may be."""

    what: str
    against: str
    wall: Spread
    cpu: Spread
    wanted: float | None = None

    @classmethod
    def of(cls, samples: Mapping[str, Sequence[Sample]], what: str, against: str, wanted: float | None) -> Ratio:
        pairs = list(zip(samples[what], samples[against], strict=True))
        wall = Spread.of([a.wall / b.wall for a, b in pairs])
        return cls(what, against, wall, Spread.of([a.cpu / b.cpu for a, b in pairs]), wanted)

    @property
    def verdict(self) -> str:
        if self.wanted is None:
            return ""
        return f"wanted {self.wanted}: {'met' if self.wall.median <= self.wanted else 'missed'}"


# The wanted ones, and those that put them into proportion.
RATIOS: tuple[tuple[str, str, float | None], ...] = (
    ("cold", "clang, 2 at once", 0.1),
    ("headers warm", "clang, 2 at once", 0.03),
    ("headers warm", "spatch", 1.0),
    ("warm", "spatch", 0.5),
    ("one file changed", "spatch", 0.5),
    ("ebpffix --version", "import click", 1.5),
    ("cold", "clang, serially", None),
    ("headers warm", "clang, serially", None),
    ("headers warm", "spatch, 2 jobs", None),
    ("headers warm", "spatch, eBPF C alone", None),
    ("warm", "spatch, eBPF C alone", None),
    ("cold", "ast-grep", None),
    ("headers warm", "ast-grep", None),
    ("warm", "ast-grep", None),
)


# -- the tools


@dataclass(frozen=True)
class Tools:
    ebpffix: tuple[str, ...]
    clang: str
    spatch: str
    ast_grep: str


def tools() -> Tools:
    """The tools to run; those that are missing end the run."""
    found = {name: shutil.which(name, path=search_path()) for name in ("spatch", "ast-grep", "git", "xargs")}
    found["clang"] = next(filter(None, (shutil.which(name) for name in _CLANGS)), None)
    probe = subprocess.run([sys.executable, "-c", "import ebpffix, click"], capture_output=True, check=False)
    missing = [name for name, path in found.items() if not path] + ["ebpffix"] * (probe.returncode != 0)
    if missing:
        stop(f"not found: {', '.join(missing)}; install (Coccinelle brings spatch, PyPI's ast-grep-cli ast-grep)")
    script = Path(sys.executable).parent / "ebpffix"
    ebpffix = (str(script),) if script.exists() else (sys.executable, "-m", "ebpffix")
    return Tools(ebpffix, found["clang"] or "", found["spatch"] or "", found["ast-grep"] or "")


def search_path() -> str:
    """PATH, and before it the folder of this Python, where PyPI's tools are."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def versions(found: Tools) -> dict[str, str]:
    commands = {"ebpffix": found.ebpffix, "clang": (found.clang,), "spatch": (found.spatch,)}
    commands["ast-grep"] = (found.ast_grep,)
    said = {
        name: subprocess.run([*argv, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
        for name, argv in commands.items()
    }
    return said | {"Python": platform.python_version(), "kernel": platform.release()}


def stop(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr)
    raise SystemExit(2)


# -- the trees


def copy_of(tree: Path, to: Path, keep: Callable[[Path], bool] = lambda path: True) -> Path:
    """A copy of the tree as a git tree of its own, as a checkout is. `keep` chooses among its files."""

    def leave(folder: str, names: list[str]) -> list[str]:
        return [n for n in names if n == ".git" or not ((p := Path(folder, n)).is_dir() or keep(p))]

    shutil.copytree(tree, to, symlinks=True, ignore=leave)
    return tracked(to)


def tracked(folder: Path) -> Path:
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
    return folder


def is_ebpf_or_header(path: Path) -> bool:
    return path.suffix != ".c" or path.name.endswith(".bpf.c")


def triggered(found: Tools, tree: Path, cache: Path) -> list[Path]:
    """The programs in which a transform has something to look for: those that the report does not call skipped."""
    env = os.environ | {"EBPFFIX_CACHE_DIR": str(cache)}
    argv = [*found.ebpffix, "--output-format", "json", "."]
    report = subprocess.run(argv, cwd=tree, env=env, capture_output=True, text=True, check=False)
    if report.returncode not in (0, 1):
        stop(f"ebpffix ended with {report.returncode}: {report.stderr.strip()[:200]}")
    files = json.loads(report.stdout)["files"]
    return [tree / f["path"] for f in files if f["status"] != "skipped" and f["path"].endswith(".c")]


def grown(tree: Path, to: Path, parts: Mapping[str, tuple[Sequence[Path], int]]) -> Path:
    """A tree of copies of files of another, in folders side by side; `parts` are (files, times) by the folders' names.
    The kernel's types are there once, in the folder of their architecture, as the project has them."""
    types = tree / arch()
    shutil.copytree(types, to / types.name, symlinks=True)
    headers = [*tree.glob("*.h")]
    for part, (files, times) in parts.items():
        for number in range(times):
            folder = to / f"{part}{number:02}"
            folder.mkdir()
            for file in (*files, *headers):
                shutil.copy(file, folder)
    return tracked(to)


def arch() -> str:
    return _ARCH.get(platform.machine(), platform.machine())


# -- what is compared


class EbpffixRuns:
    """The states in which `ebpffix --diff` is measured over one tree, each with a cache of its own."""

    def __init__(self, found: Tools, tree: Path, caches: Path) -> None:
        self._argv = (*found.ebpffix, "--diff", ".")
        self._tree = tree
        self._caches = caches

    def cold(self) -> Command:
        return self._command("cold", lambda cache: shutil.rmtree(cache, ignore_errors=True))

    def headers_warm(self) -> Command:
        return self._primed("headers", lambda cache: shutil.rmtree(cache / "results"))

    def warm(self) -> Command:
        return self._primed("warm", lambda cache: None)

    def one_file_changed(self, file: Path) -> Command:
        """Each time the file has another comment at its end; for the other commands it is longer by a line."""
        text = file.read_bytes()
        count = iter(range(1_000_000))
        return self._primed("changed", lambda cache: file.write_bytes(text + b"// change %d\n" % next(count)))

    def _primed(self, name: str, prepare: Callable[[Path], object]) -> Command:
        command = self._command(name, prepare)
        measure(self._command(name, lambda cache: None))
        return command

    def _command(self, name: str, prepare: Callable[[Path], object]) -> Command:
        cache = self._caches / name
        return Command(self._argv, self._tree, lambda: prepare(cache), {"EBPFFIX_CACHE_DIR": str(cache)}, ok=(0, 1))


def clang_flags(tree: Path) -> list[str]:
    """Those of the project's Makefile for its eBPF objects; the `-mcpu` that one program has more is no syntax.

    The headers of libbpf come from the project's `.output`, as it was built. Where it was not, ebpffix's take their
    place, for a system's may be too old; the other folder is for Debian, which keeps <asm/errno.h> there.
    """
    words = "-g -O2 -Wall -Werror=undef -target bpf -I.output -I../src/cc/libbpf/include/uapi -fsyntax-only".split()
    words += [f"-D__TARGET_ARCH_{arch()}", f"-I{arch()}/", "-idirafter", f"/usr/include/{platform.machine()}-linux-gnu"]
    built = (tree / ".output" / "bpf" / "bpf_helpers.h").exists()
    return words if built else [*words, f"-I{HERE.parent.parent / 'ebpffix' / 'headers' / 'libbpf'}"]


def comparison(found: Tools, tree: Path, ebpf_alone: Path, changed: Path, work: Path) -> dict[str, Command]:
    """All commands of the main table. `changed` gets another text each time; it lies in a copy of the tree of its own,
    so that no other command sees that."""
    rules = work / "rules.cocci"
    rules.write_text("\n".join(rule.read_text() for rule in RULES))
    programs = "\n".join(sorted(p.name for p in tree.glob("*.bpf.c")))
    spatch = (found.spatch, "--very-quiet", "--sp-file", str(rules), "--dir", ".")
    clang = (found.clang, *clang_flags(tree))
    runs = EbpffixRuns(found, tree, work / "caches")
    return {
        "cold": runs.cold(),
        "headers warm": runs.headers_warm(),
        "warm": runs.warm(),
        "one file changed": EbpffixRuns(found, changed.parent, work / "caches").one_file_changed(changed),
        "clang, 2 at once": Command(("xargs", "-P2", "-n1", *clang), tree, stdin=programs),
        "clang, serially": Command(("xargs", "-n1", *clang), tree, stdin=programs),
        "spatch": Command(spatch, tree),
        "spatch, 2 jobs": Command((*spatch, "-j", "2"), tree),
        "spatch, eBPF C alone": Command(spatch, ebpf_alone),
        "ast-grep": Command((found.ast_grep, "scan", "--rule", str(AST_GREP_RULE), "."), tree),
        "ebpffix --version": Command((*found.ebpffix, "--version"), tree),
        "import click": Command((sys.executable, "-c", "import click"), tree),
    }


@dataclass(frozen=True)
class Point:
    """A tree of the curve: how many files it has with triggers and without, and the times over it."""

    state: str
    grows: str
    times: int
    with_triggers: int
    without: int
    wall: Spread
    cpu: Spread


def curve(found: Tools, tree: Path, programs: Sequence[Path], runs: int, work: Path) -> list[Point]:
    others = [p for p in sorted(tree.glob("*.c")) if p not in programs]
    commands: dict[str, Command] = {}
    shape: dict[str, tuple[str, str, int, int, int]] = {}
    for grows in ("with triggers", "without"):
        for times in _CURVE:
            many, rest = (times, 1) if grows == "with triggers" else (1, times)
            name = f"{grows} {times}"
            parts = {"programs": (programs, many), "others": (others, rest)}
            made = grown(tree, work / "curve" / name.replace(" ", "-"), parts)
            states = EbpffixRuns(found, made, work / "curve-caches" / name.replace(" ", "-"))
            for state, command in (("headers warm", states.headers_warm()), ("warm", states.warm())):
                commands[f"{state}, {name}"] = command
                shape[f"{state}, {name}"] = (state, grows, times, many * len(programs), rest * len(others))
    samples = rounds(commands, runs)
    return [
        Point(*shape[name], Spread.of([s.wall for s in taken]), Spread.of([s.cpu for s in taken]))
        for name, taken in samples.items()
    ]


def slopes(points: Sequence[Point]) -> Iterator[tuple[str, str, float, float]]:
    """For each part of the curve: (state, what grows, and the CPU ms of a file more, first and last step)."""
    for state, grows in dict.fromkeys((p.state, p.grows) for p in points):
        line = sorted((p for p in points if (p.state, p.grows) == (state, grows)), key=lambda p: p.times)
        steps = [
            1000 * (b.cpu.median - a.cpu.median) / ((b.with_triggers + b.without) - (a.with_triggers + a.without))
            for a, b in pairwise(line)
        ]
        yield state, grows, steps[0], steps[-1]


# -- the report


@dataclass
class Report:
    date: str
    cores: int
    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    runs: int
    versions: dict[str, str]
    programs: int
    with_triggers: int
    samples: dict[str, list[Sample]]
    ratios: list[Ratio]
    curve: list[Point]


def as_text(report: Report) -> Iterator[str]:
    yield f"{report.date}, {report.cores} cores, {report.runs} rounds"
    yield f"load average {_loads(report.load_before)} before, {_loads(report.load_after)} after"
    yield "; ".join(report.versions.values())
    yield f"{report.programs} eBPF programs, {report.with_triggers} of them with triggers"
    yield f"\n{'seconds':24}    wall (median, min, max)        CPU (median, min, max)"
    for name, taken in report.samples.items():
        yield f"{name:24} {Spread.of([s.wall for s in taken])}  {Spread.of([s.cpu for s in taken])}"
    yield f"\n{'ratios':40}    wall (median, min, max)        CPU (median, min, max)"
    for ratio in report.ratios:
        yield f"{ratio.what + ' / ' + ratio.against:40} {ratio.wall}  {ratio.cpu}  {ratio.verdict}".rstrip()
    yield f"\n{'curve: seconds':40}    wall (median, min, max)        CPU (median, min, max)   wall ms a file"
    for point in report.curve:
        files = point.with_triggers + point.without
        name = f"{point.state}, {point.with_triggers} with, {point.without} without"
        yield f"{name:40} {point.wall}  {point.cpu}  {1000 * point.wall.median / files:8.2f}"
    for state, grows, first, last in slopes(report.curve):
        yield f"{state}: a file more {grows}: {first:.2f} ms of CPU at first, {last:.2f} ms in the end"


def _loads(loads: Sequence[float]) -> str:
    return " ".join(f"{load:.1f}" for load in loads)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tree", type=Path, metavar="TREE", help="bcc's libbpf-tools; it is copied, never changed")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds; 5 unless set")
    parser.add_argument("--json", action="store_true", help="print all samples as JSON")
    flags = parser.parse_args(arguments)
    if not (flags.tree / arch() / "vmlinux.h").exists():
        stop(f"{flags.tree}: no {arch()}/vmlinux.h there; give the folder libbpf-tools of a checkout of iovisor/bcc")
    if flags.runs < 1:
        stop("--runs: give 1 or more")
    found = tools()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies are removed then too
    with tempfile.TemporaryDirectory(prefix="ebpffix-bench-") as scratch:
        report = run(found, flags.tree.resolve(), flags.runs, Path(os.path.realpath(scratch)))
    print(json.dumps(asdict(report), indent=1) if flags.json else "\n".join(as_text(report)))


def run(found: Tools, original: Path, runs: int, work: Path) -> Report:
    before = os.getloadavg()
    tree = copy_of(original, work / "tree")
    ebpf_alone = copy_of(original, work / "ebpf-alone", is_ebpf_or_header)
    changing = copy_of(original, work / "changing")
    programs = triggered(found, tree, work / "caches" / "first")
    largest = max(programs, key=lambda path: path.stat().st_size)
    samples = rounds(comparison(found, tree, ebpf_alone, changing / largest.name, work), runs)
    return Report(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        len(os.sched_getaffinity(0)),
        before,
        os.getloadavg(),
        runs,
        versions(found),
        len(list(tree.glob("*.bpf.c"))),
        len(programs),
        samples,
        [Ratio.of(samples, *row) for row in RATIOS],
        curve(found, tree, programs, min(runs, _CURVE_RUNS), work),
    )


if __name__ == "__main__":
    main()
