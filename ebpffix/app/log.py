"""`--log`: a verifier log from anywhere in plain words; with kernels, what these say of the objects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ebpffix.app.flags import STDIN, Flags
from ebpffix.app.prepare import Tell, cache_folder, kernel_images, verifier_of
from ebpffix.report import kernels, rejection
from ebpffix.run.engine import Report
from ebpffix.sources.discover import discover
from ebpffix.sources.reader import read_file
from ebpffix.sources.source import Source
from ebpffix.verify import lineinfo, objects

Say = Callable[[str], object]


def explain(name: str, flags: Flags, say: Say, tell: Tell) -> int:
    """Explain the log, refusal by refusal as it is read; then load the objects in the kernels that were asked for. 1 if
    anything is refused. ValueError is one line for the user."""
    found = {path: _object(path) for path in flags.paths if path.endswith(".o")}
    sources = _sources(tuple(path for path in flags.paths if path not in found))
    asked = flags.kernels or flags.kernel
    if asked and not found:
        raise ValueError("--log with --kernels loads objects (.o): name one, compiled with `clang -g -target bpf`")
    images = kernel_images(flags, tell)
    try:
        if name == STDIN:
            code = rejection.explain(sys.stdin.buffer, sources, list(found.values()), say)
        else:
            with open(name, "rb") as stream:
                code = rejection.explain(stream, sources, list(found.values()), say)
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}; check the path") from None
    except rejection.NoLog as error:
        what = "standard input" if name == STDIN else name
        raise ValueError(f"{what}: {error}; give what libbpf, bpftool or BCC printed when the load failed") from None
    if asked:
        verifier = verifier_of(flags, cache_folder(tell), images)
        report = Report([], {source.path: source.data for source in sources}, {}, [], [], [], [])
        report.loads = [verifier.loads_of(Path(path), data) for path, data in found.items()]
        for line in (*kernels.lines(report), *verifier.problems):
            say(line)
        code |= kernels.any_refused(report)
    return code


def _object(path: str) -> bytes:
    """A compiled program with a line table."""
    try:
        data = read_file(path)
        lineinfo.check(data)
        objects.programs(data)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; check the path") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}; compile it with `clang -g -target bpf`") from None
    return data


def _sources(paths: tuple[str, ...]) -> list[Source]:
    """The programs and headers that a log's lines may come from: in the paths, else in the current folder."""
    found = discover(paths or ["."])
    for line in found.errors:
        raise ValueError(line)
    named = [Source.read(path) for path in found.skipped]
    files = dict.fromkeys([*(p.file for p in found.programs), *(h.path for h in found.headers)])
    return [*named, *map(Source.read, files)]
