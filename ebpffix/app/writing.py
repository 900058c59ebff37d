"""What `--apply` writes: all files of a fix or none, and over nothing that somebody changed in the meantime."""

from __future__ import annotations

import signal
from pathlib import Path

from ebpffix.report import text
from ebpffix.rewriting.found import apply_all
from ebpffix.run.engine import Report
from ebpffix.sources.reader import read_file
from ebpffix.write import replace_content


def write_all(report: Report) -> dict[Path, str]:
    """Write the files that change; why not, for each that was not written, as a line.

    A fix is made in all of its files or in none: where one cannot be written, the fixes in it are counted among those
    that remain. A signal that ends the run does so afterwards.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        return _written(report)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _written(report: Report) -> dict[Path, str]:
    failed = {path: why for path in report.changed if (why := _is_other(report, path))}
    on_disk = dict(report.before)
    while True:
        lost = [one for one in report.applied if not failed.keys().isdisjoint(e.path for e in one.fix.edits)]
        report.applied = [one for one in report.applied if one not in lost]
        report.remaining = [*report.remaining, *lost]
        wanted = apply_all(report.before, report.applied)
        report.changed = {path: data for path, data in wanted.items() if data != report.before[path]}
        failures = len(failed)
        for path, data in sorted(wanted.items()):
            if data != on_disk[path] and path not in failed:
                try:
                    replace_content(path, data)
                    on_disk[path] = data
                except OSError as error:
                    failed[path] = unwritten(path, error)
        if len(failed) == failures:
            return failed


def _is_other(report: Report, path: Path) -> str:
    """Why a file is not to be written over: it is no longer what was analysed, and somebody's work would be lost."""
    try:
        now = read_file(path)
    except OSError as error:
        return f"ebpffix: {text.name(path)}: cannot be read any more: {error.strerror}; it is as it was"
    if now == report.before[path]:
        return ""
    return f"ebpffix: {text.name(path)}: it changed while it was analysed, and is left as it is; run ebpffix again"


def unwritten(path: Path, error: OSError) -> str:
    """The line for a file that could not be written."""
    return f"ebpffix: {text.name(path)}: cannot be written: {error.strerror}; it is as it was"
