#!/usr/bin/env python3
"""Measures how long an editor waits for the findings of a changed text, through the real server.

    tests/bench/lsp.py FILE [--changes N]

FILE is opened as an editor does, changed at its end N times, and never written. Printed are milliseconds from a change
to its findings (the least, the middle, the most), and what of the processor a change costs, which another load does not
change; first, the seconds until the file was open.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lsp.editor import Editor, children


def cpu(pid: int) -> float:
    """Seconds of the processor that a process and those that it started have had."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu(child) for child, _ in children(pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--changes", type=int, default=30)
    given = parser.parse_args()
    path = given.file.resolve()
    text = path.read_text()
    editor = Editor(path.parent)
    began = time.monotonic()
    uri = editor.open(path, text)
    editor.diagnostics(uri)
    print(f"open {time.monotonic() - began:.2f} s")
    assert editor.client._server
    server = editor.client._server.pid
    used = cpu(server)
    waits = []
    for number in range(given.changes):
        time.sleep(0.2)
        began = time.monotonic()
        editor.change(uri, f"{text}// {number}\n")
        editor.diagnostics(uri)
        waits.append(1000 * (time.monotonic() - began))
    used = (cpu(server) - used) / given.changes
    editor.close_session()
    print(f"change {min(waits):.0f} / {median(waits):.0f} / {max(waits):.0f} ms, {1000 * used:.0f} ms of the processor")


if __name__ == "__main__":
    main()
