#!/usr/bin/env python3
"""Write the tables of docs/kernels.md: what each kernel says of the log fixtures, and of the transforms' fixtures,
before and after.

    matrix.py [--kernels 5.10,6.1,6.12,host] [--logs] [TRANSFORM…]

Each program is loaded by itself, in the way of `ebpffix --verify --kernels`; those of a file with the line
`// load: cap-bpf`, and the network programs of `padded-init` once more, with CAP_BPF and CAP_NET_ADMIN alone. --logs
writes the logs of the log fixtures' rejections beside them, and no table. With transforms, only the rows of their
fixtures are printed.

Needs root, clang, libbpf, qemu, the images (`ebpffix --fetch-kernels 5.10,6.1,6.12`), and ebpffix with its test extra.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import platformdirs
from support import Case, cases

from ebpffix.fix import BCC
from ebpffix.kernel import btf, btf_c
from ebpffix.verify.compile import Clang, CompileError, Object, compile_libbpf, find_clang
from ebpffix.verify.guest import images
from ebpffix.verify.guest.machine import Guest, emulator
from ebpffix.verify.load import Place, ProgramResult, kernel_release, load
from ebpffix.verify.logs import read

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "kernels.md"
LEAST = "CAP_BPF alone"
UNCOMPILABLE = "uncompilable"
SECONDS = 30.0  # for one program; the one of a million instructions takes ten times as long under emulation
# Program sections that CAP_BPF and CAP_NET_ADMIN can load; tracing wants CAP_PERFMON too.
NETWORK = (b'SEC("xdp', b'SEC("tc', b'SEC("classifier', b'SEC("socket')


@dataclass(frozen=True)
class Kernels:
    """By the name of a column, the place to load in, where None is the kernel that runs."""

    places: dict[str, Place | None]

    @property
    def releases(self) -> str:
        """All of them, without what is said of the machine."""
        names = (place.kernel if place else kernel_release() for place in self.places.values())
        return ", ".join(re.match(r"[\d.]+(?:-\d+)?", name)[0] for name in names)  # type: ignore[index]

    def load(self, made: Object | CompileError, *, cap_bpf: bool) -> dict[str, list[ProgramResult]]:
        """What each kernel says; nothing of what does not compile."""
        if isinstance(made, CompileError):
            return {}

        def one(place: Place | None) -> list[ProgramResult]:
            return load(made, cap_bpf=cap_bpf, place=place, timeout=SECONDS)

        with ThreadPoolExecutor(len(self.places)) as pool:
            return dict(zip(self.places, pool.map(one, self.places.values()), strict=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernels", default="5.10,6.1,6.12,host", metavar="V,…")
    arguments.add_argument("--logs", action="store_true")
    arguments.add_argument("transforms", nargs="*", metavar="TRANSFORM")
    options = arguments.parse_args()
    clang = find_clang()
    with contextlib.ExitStack() as stack:
        kernels = boot(options.kernels.split(","), stack)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        args = ["-I", str(vmlinux(work))]
        if options.transforms:
            chosen = [case for name in options.transforms for case in libbpf(name)]
            print("\n".join(of_fixtures(chosen, kernels, clang, args, work, print)))
            return
        logs = sorted((ROOT / "fixtures" / "logs").glob("*/*.bpf.c"))
        table = list(of_logs(logs, kernels, clang, args, write=options.logs))
        if options.logs:
            return
        lines: list[str] = []
        fixtures = list(of_fixtures(libbpf("*"), kernels, clang, args, work, lines.append))
    page = replaced(replaced(PAGE.read_text(encoding="utf-8"), table), fixtures)
    PAGE.write_text(re.sub(r"(?<=fixtures \(releases ).*?(?=;)", kernels.releases, page), encoding="utf-8")
    print("\n".join(lines))


def boot(names: Sequence[str], stack: contextlib.ExitStack) -> Kernels:
    """The kernels of these names, each running."""
    cache = platformdirs.user_cache_path("ebpffix")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ebpffix-")))
    found = images.find(names, [], cache)
    places: dict[str, Place | None] = {}
    shared = emulator(found[0], folder, cache) if found else None
    for image in found:
        assert shared
        guest = Guest(image, shared, folder)
        stack.callback(guest.close)
        guest.boot()
        places[".".join(map(str, image.version))] = guest
    if images.HOST in names:
        places[".".join(kernel_release().split(".")[:2])] = None
    return Kernels(places)


def vmlinux(work: Path) -> Path:
    """A folder with the running kernel's vmlinux.h."""
    with open(work / "vmlinux.h", "w", encoding="utf-8") as stream:
        btf_c.write_header(btf.load(Path("/sys/kernel/btf/vmlinux")), stream)
    return work


def of_logs(
    files: Iterable[Path], kernels: Kernels, clang: Clang, args: Sequence[str], *, write: bool
) -> Iterator[str]:
    """A row for each program of the log fixtures."""
    yield from head("program", kernels)
    for file in files:
        cap_bpf = "\n// load: cap-bpf\n" in file.read_text(encoding="utf-8")
        said = kernels.load(compile_libbpf(file, clang=clang, args=args), cap_bpf=cap_bpf)
        stem = file.name.removesuffix(".bpf.c")
        for number, result in enumerate(next(iter(said.values()), [])):
            cells = " | ".join(results[number].verdict for results in said.values())
            yield f"| {file.parent.name}.{stem}: {result.name} | {cells} |"
        for kernel, results in said.items():
            for result in results:
                if write and result.verdict == "rejected":
                    file.with_name(f"{stem}.{kernel}.log").write_text(result.log, encoding="utf-8")


def libbpf(transform: str) -> list[Case]:
    return [case for case in cases(transform) if case.dialect != BCC]


def of_fixtures(
    chosen: Iterable[Case],
    kernels: Kernels,
    clang: Clang,
    args: Sequence[str],
    work: Path,
    say: Callable[[str], object],
) -> Iterator[str]:
    """A row for each fixture, "before → after" in the cells. `say` is told of each program that is refused in its last
    form, with the reason."""
    yield from head("fixture", kernels)
    for case in chosen:
        objects = [compiled(case, files, clang, args, work / f"{case.transform}.{case.name}.{n}")
                   for n, files in enumerate(states(case))]  # fmt: skip
        for alone in (False, True)[: 1 + wants_least(case)]:
            said = [kernels.load(made, cap_bpf=alone) for made in objects]
            cells = (" → ".join(verdict(results.get(kernel)) for results in said) for kernel in kernels.places)
            yield f"| {title(case, alone)} | {' | '.join(cells)} |"
            for kernel, results in said[-1].items():
                for result in results:
                    if result.verdict == "rejected":
                        why = next((f.message for f in read(io.BytesIO(result.log.encode()))), result.reason)
                        say(f"- {title(case, alone)}, `{result.name}`, {kernel}: {why} [{case.keys['expect']}]")


def head(first: str, kernels: Kernels) -> Iterator[str]:
    yield f"| {first} | {' | '.join(kernels.places)} |"
    yield "|---" * (len(kernels.places) + 1) + "|"


def states(case: Case) -> list[dict[str, bytes]]:
    before = dict(case.files)
    return [before, {**before, **case.fixed}] if case.fixed else [before]


def compiled(
    case: Case, files: dict[str, bytes], clang: Clang, args: Sequence[str], folder: Path
) -> Object | CompileError:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    more = [*args, *filter(None, case.keys.get("args", "").split(","))]
    return compile_libbpf(folder / case.program, clang=clang, args=more)


def wants_least(case: Case) -> bool:
    if not case.fixed or "run" in case.keys:  # what these do to dirty the stack wants more
        return False
    sections = [line for line in case.files[case.program].splitlines() if line.startswith((b'SEC("', b"SEC('"))]
    return case.transform == "padded-init" and bool(sections) and all(s.startswith(NETWORK) for s in sections)


def verdict(results: Sequence[ProgramResult] | None) -> str:
    """One word for all programs of an object: the worst, where "untried" counts only if all are."""
    if results is None:
        return UNCOMPILABLE
    said = {result.verdict for result in results}
    return next((v for v in ("rejected", "accepted") if v in said), "untried")


def title(case: Case, alone: bool) -> str:
    remarks = [f"target {case.keys['kernel']}"] if "kernel" in case.keys else []
    remarks += [LEAST] if alone else []
    return str(case) + (f" ({', '.join(remarks)})" if remarks else "")


def replaced(page: str, table: Sequence[str]) -> str:
    """The page with another table in the place of the one that begins with the same cell."""
    first = table[0].split("|")[1]
    old = re.search(rf"^\|{re.escape(first)}\|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    if old is None:
        raise SystemExit(f"{PAGE}: no table with a column{first}")
    return page[: old.start()] + "\n".join(table) + "\n" + page[old.end() :]


if __name__ == "__main__":
    main()
