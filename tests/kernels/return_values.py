#!/usr/bin/env python3
"""Count how often return probes see a call's true arguments, before and after `kretprobe-args` rewrote them.

    return_values.py [--kernels 5.10,6.1,6.12]

Boots each kernel with the programs of return_values.bpf.c, as they stand and as `ebpffix --apply --unsafe-fixes
--select kretprobe-args` makes them, attaches them, and calls the function that they watch a hundred times with known
arguments. Prints a table. Exits with 1 unless the new forms are right in every call, and the old ones in less than all.
Needs clang, libbpf, qemu and the images (`ebpffix --fetch-kernels 5.10,6.1,6.12`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

from ebpffix.kernel import btf, btf_c
from ebpffix.verify.child import unpack
from ebpffix.verify.compile import CompileError, compile_libbpf, find_clang
from ebpffix.verify.guest import images
from ebpffix.verify.guest.machine import Guest, emulator

HERE = Path(__file__).parent
FORMS = ("PT_REGS_PARMn(ctx)", "ctx->di", "BPF_KPROBE", "ctx->bx")
CALLS = 100
Counts = tuple[int, int, int]  # calls that were seen, and how often each argument was right
Rows = dict[tuple[str, str], Counts]  # by form and state


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernels", default="6.1", metavar="V,…")
    found = images.find(arguments.parse_args().kernels.split(","), [], platformdirs.user_cache_path("ebpffix"))
    rows: dict[str, Rows] = {}
    with tempfile.TemporaryDirectory(prefix="ebpffix-") as name:
        work = Path(name)
        objects = compiled(work)
        init = (HERE / "return_values_guest.py").read_bytes()
        shared = emulator(found[0], work, None, init)
        for image in found:
            guest = Guest(image, shared, work)
            try:
                states = {state: counts(guest, data) for state, data in objects.items()}
            finally:
                guest.close()
            of_kernel = {
                (form, state): c for state, all_of in states.items() for form, c in zip(FORMS, all_of, strict=False)
            }
            rows[".".join(map(str, image.version))] = of_kernel
    print("\n".join(table(rows)))
    sys.exit(not all(is_proof(kernel) for kernel in rows.values()))


def compiled(work: Path) -> dict[str, bytes]:
    """The object before and after the rewrite."""
    with open(work / "vmlinux.h", "w", encoding="utf-8") as stream:
        btf_c.write_header(btf.load(Path("/sys/kernel/btf/vmlinux")), stream)
    found = {}
    for state in ("before", "after"):
        program = work / f"{state}.bpf.c"
        shutil.copy(HERE / "return_values.bpf.c", program)
        if state == "after":
            rewrite(program)
        made = compile_libbpf(program, clang=find_clang(), args=["-I", str(work)])
        if isinstance(made, CompileError):
            sys.exit(str(made))
        found[state] = made.data
    return found


def rewrite(program: Path) -> None:
    command = [sys.executable, "-m", "ebpffix", "--apply", "--unsafe-fixes", "--select", "kretprobe-args", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"ebpffix did not rewrite everything: {done.stdout}{done.stderr}")


def counts(guest: Guest, data: bytes) -> list[Counts]:
    """What was counted for each form, in order; nothing where a program could not be attached."""
    request = {"programs": ["all"], "timeout": 60, "log_size": 0}
    said = next(iter(guest.ask(request, data, 60)), {}).get("log", "")
    return [struct.unpack("<QQQ", unpack(value)) for _, value in json.loads(said or "[]")]


def is_proof(rows: Rows) -> bool:
    """Whether a kernel saw all calls in both states, all arguments right in the new one, and not in the old one."""
    if len(rows) != 2 * len(FORMS) or any(calls != CALLS for calls, _, _ in rows.values()):
        return False
    return all(((fd, length) == (CALLS, CALLS)) == (state == "after") for (_, state), (_, fd, length) in rows.items())


def table(rows: dict[str, Rows]) -> list[str]:
    """Markdown: a row for each form, for each kernel the arguments that were right before and after."""
    heads = [f"{kernel} {state}" for kernel in rows for state in ("before", "after")]
    lines = ["| read by | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for form in FORMS:
        cells = []
        for kernel in rows.values():
            for state in ("before", "after"):
                calls, fd, length = kernel.get((form, state), (0, 0, 0))
                cells.append(f"{fd} and {length} of {calls}")
        lines.append(f"| `{form}` | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
