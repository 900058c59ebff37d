#!/usr/bin/env python3
"""Count how often return probes see a call's true arguments, before and after `kretprobe-args` rewrote them.

    return_values.py [--kernel 5.10|6.1|6.12]…

Boots each kernel in qemu with the programs of return_values.bpf.c, as they stand and as `ebpffix --apply
--unsafe-fixes --select kretprobe-args` makes them, attaches them, and calls the function that they watch a hundred
times with known arguments. Prints a table. Exits with 1 unless the new forms are right in every call, and the old ones
in less than all. Needs what run.py needs, and ebpffix.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import run  # noqa: E402 - it lies beside

CALLS = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel", action="append", choices=[*run.KERNELS], help="default: 6.1")
    options = arguments.parse_args()
    rows: dict[str, dict[tuple[str, str], dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as work:
        before, after = Path(work) / "before.bpf.c", Path(work) / "after.bpf.c"
        shutil.copy(HERE / "return_values.bpf.c", before)
        shutil.copy(before, after)
        rewrite(after)
        objects, _ = run.compile_all([before, after], Path(work))
        entries = [("init", run.loader("return_values").read_bytes())]
        entries += [(f"objects/{name}", o.read_bytes()) for name, o in zip(("before", "after"), objects, strict=True)]
        for kernel in options.kernel or ["6.1"]:
            try:
                said = run.parse(run.boot(kernel, entries, Path(work)))
            except run.BootError as error:
                sys.exit(str(error))
            rows[kernel] = {(str(r["form"]), str(r["object"])): r for r in said}
    print("\n".join(table(rows)))
    sys.exit(not all(is_proof(kernel) for kernel in rows.values()))


def rewrite(program: Path) -> None:
    command = [sys.executable, "-m", "ebpffix", "--apply", "--unsafe-fixes", "--select", "kretprobe-args", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"ebpffix did not rewrite everything: {done.stdout}{done.stderr}")


def is_proof(rows: dict[tuple[str, str], dict[str, object]]) -> bool:
    """Whether a kernel saw all calls in both states, all arguments right in the new one, and not in the old one."""
    if not rows or any(r["calls"] != CALLS for r in rows.values()):
        return False
    right = {key: (r["fd"], r["length"]) for key, r in rows.items()}
    return all((value == (CALLS, CALLS)) == (state == "after") for (_, state), value in right.items())


def table(rows: dict[str, dict[tuple[str, str], dict[str, object]]]) -> list[str]:
    """Markdown: a row for each form, for each kernel the arguments that were right before and after."""
    heads = [f"{kernel} {state}" for kernel in rows for state in ("before", "after")]
    lines = ["| read by | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for form in dict.fromkeys(form for kernel in rows.values() for form, _ in kernel):
        cells = []
        for kernel in rows.values():
            for state in ("before", "after"):
                row = kernel.get((form, state), {})
                cells.append(f"{row.get('fd')} and {row.get('length')} of {row.get('calls')}")
        lines.append(f"| `{form}` | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
