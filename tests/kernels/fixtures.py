#!/usr/bin/env python3
"""Load the transforms' libbpf fixtures, before and after, on several kernels: which forms does an older kernel refuse?

    fixtures.py [--kernel host|5.10|6.1|6.12]… [TRANSFORM…]

Compiles each fixture as the tests do, hands all objects to run.py (one boot a kernel), and prints a Markdown table,
then what each program that is refused in its last form was refused for. The network programs of `padded-init` are
loaded with CAP_BPF and CAP_NET_ADMIN alone too, where padding shows.

Needs what run.py needs, and ebpffix with its test extra.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import run

sys.path.insert(0, str(Path(__file__).parent.parent))
from support import Case, cases

from ebpffix.fix import BCC
from ebpffix.kernel import btf, btf_c
from ebpffix.verify.compile import CompileError, compile_libbpf, find_clang
from ebpffix.verify.logs import read

# Hundreds of programs, and each rejection's log over an emulated serial line.
BOOT_SECONDS = 900
LEAST = "CAP_BPF alone"
UNCOMPILABLE = "uncompilable"
# Program sections that CAP_BPF and CAP_NET_ADMIN can load; tracing wants CAP_PERFMON too.
NETWORK = (b'SEC("xdp', b'SEC("tc', b'SEC("classifier', b'SEC("socket')

Rows = list[dict[str, object]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel", action="append", choices=["host", *run.KERNELS], help="default: all")
    arguments.add_argument("transforms", nargs="*", metavar="TRANSFORM", help="default: all")
    options = arguments.parse_args()
    run.BOOT_SECONDS = BOOT_SECONDS
    chosen = [case for name in options.transforms or ["*"] for case in cases(name) if case.dialect != BCC]
    results: dict[str, dict[str, Rows]] = {}
    with tempfile.TemporaryDirectory() as work:
        everything, least = compile_all(chosen, Path(work))
        for kernel in options.kernel or [*run.KERNELS, "host"]:
            load = run.load_here if kernel == "host" else run.load_in_qemu
            try:
                rows = load(kernel, everything, least, Path(work))
            except run.BootError as error:
                print(error, file=sys.stderr)
                continue
            results[run.short(rows[0])] = by_object(rows)
    print("\n".join(table(chosen, results)))
    print("\n".join(["", *refusals(chosen, results)]))


def compile_all(chosen: Iterable[Case], work: Path) -> tuple[list[Path], list[Path]]:
    """The objects to load with all privileges, and those for CAP_BPF alone. What does not compile has no object."""
    header = work / "vmlinux" / "vmlinux.h"
    header.parent.mkdir()
    with open(header, "w", encoding="utf-8") as stream:
        btf_c.write_header(btf.load(Path("/sys/kernel/btf/vmlinux")), stream)
    everything: list[Path] = []
    least: list[Path] = []
    for case in chosen:
        for state, files in states(case):
            folder = work / object_name(case, state).removesuffix(".o")
            for name, data in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            args = ["-I", str(header.parent), *filter(None, case.keys.get("args", "").split(","))]
            made = compile_libbpf(folder / case.program, clang=find_clang(), args=args)
            if isinstance(made, CompileError):
                continue
            for alone, group in ((False, everything), (True, least)):
                if not alone or wants_least(case):
                    group.append(work / object_name(case, state, alone))
                    group[-1].write_bytes(made.data)
    return everything, least


def states(case: Case) -> Iterator[tuple[str, dict[str, bytes]]]:
    yield "before", dict(case.files)
    if case.fixed:
        yield "after", {**case.files, **case.fixed}


def object_name(case: Case, state: str, alone: bool = False) -> str:
    return f"{case.transform}.{case.name}.{state}{'.least' if alone else ''}.o"


def wants_least(case: Case) -> bool:
    if not case.fixed or "run" in case.keys:  # what these do to dirty the stack wants more
        return False
    sections = [line for line in case.files[case.program].splitlines() if line.startswith((b'SEC("', b"SEC('"))]
    return case.transform == "padded-init" and bool(sections) and all(s.startswith(NETWORK) for s in sections)


def by_object(rows: Rows) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(str(row["object"]), []).append(row)
    return found


def verdict(rows: Rows | None) -> str:
    """One word for all programs of an object: the worst, where "untried" counts only if all are."""
    if rows is None:
        return UNCOMPILABLE
    said = {row["verdict"] for row in rows}
    return next((v for v in ("rejected", "accepted") if v in said), "untried")


def table(chosen: Iterable[Case], results: dict[str, dict[str, Rows]]) -> Iterator[str]:
    """Markdown: a row for each fixture, a column for each kernel, "before → after" in the cells."""
    yield "| fixture | " + " | ".join(results) + " |"
    yield "|---" * (len(results) + 1) + "|"
    for case in chosen:
        for alone in (False, True)[: 1 + wants_least(case)]:
            cells = []
            for objects in results.values():
                names = [object_name(case, state, alone) for state, _ in states(case)]
                cells.append(" → ".join(verdict(objects.get(name)) for name in names))
            yield f"| {title(case, alone)} | " + " | ".join(cells) + " |"


def title(case: Case, alone: bool) -> str:
    remarks = [f"target {case.keys['kernel']}"] if "kernel" in case.keys else []
    remarks += [LEAST] if alone else []
    return str(case) + (f" ({', '.join(remarks)})" if remarks else "")


def refusals(chosen: Iterable[Case], results: dict[str, dict[str, Rows]]) -> Iterator[str]:
    """Each program that a kernel refuses in its last form, with the reason."""
    for case in chosen:
        for alone in (False, True):
            for kernel, objects in results.items():
                for row in objects.get(object_name(case, list(states(case))[-1][0], alone), []):
                    if row["verdict"] == "rejected":
                        log = io.BytesIO(str(row["log"]).encode())
                        why = next((found.message for found in read(log)), "(no reason in the log)")
                        yield f"- {title(case, alone)}, `{row['program']}`, {kernel}: {why} [{case.keys['expect']}]"


if __name__ == "__main__":
    main()
