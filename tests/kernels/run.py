#!/usr/bin/env python3
"""Load eBPF programs on several kernels and bring back the verdicts and the verifier's logs.

    run.py [--kernel host|5.10|6.1|6.12]… [--markdown] [--logs FOLDER] [--cap-bpf] [-I FOLDER]… FILE.o|FILE.c…

Each program is loaded by itself, as root; those of a C file with a line `// load: cap-bpf`, and all with
--cap-bpf, with CAP_BPF and CAP_NET_ADMIN alone. Nothing is attached. `host` is the running kernel; the others are
Debian's, fetched once by apt (nothing is installed) and booted in qemu without KVM, with the loader as process 1 of an
initramfs.

Needs: gcc, libbpf-dev and clang; for other kernels than the host's apt, dpkg-deb and qemu-system-x86.
Prints a JSON list of {kernel, object, program, verdict: accepted|rejected|untried, errno, log}, or a table.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ebpffix" / "kernels"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Kernel, the Debian suites that have it, and the qemu processor that it boots on.
KERNELS = {
    "5.10": (("bullseye main", "bullseye-security main"), "qemu64"),
    "6.1": (("bookworm main", "bookworm-security main"), "qemu64"),
    "6.12": (("bookworm-backports main",), "Nehalem"),
}
BOOT_SECONDS = 180
# Under emulation on a busy machine the timer's self-test fails by chance, and the boot with it.
KERNEL_LINE = "console=ttyS0 panic=-1 quiet no_timer_check"


class BootError(Exception):
    """A kernel that did not load everything that it was given."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel", action="append", choices=["host", *KERNELS], help="default: host")
    arguments.add_argument("--markdown", action="store_true", help="a table, one column for each kernel")
    arguments.add_argument("--logs", type=Path, help="write FOLDER/CLASS/CASE.KERNEL.log for each rejection")
    arguments.add_argument("--cap-bpf", action="store_true")
    arguments.add_argument("-I", dest="include", action="append", default=[], metavar="FOLDER", help="for the compiler")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as work:
        privileged, unprivileged = compile_all(options.files, Path(work), options.include, options.cap_bpf)
        results: dict[str, list[dict[str, object]]] = {}
        for kernel in options.kernel or ["host"]:
            load = load_here if kernel == "host" else load_in_qemu
            try:
                results[kernel] = load(kernel, privileged, unprivileged, Path(work))
            except BootError as error:
                print(error, file=sys.stderr)
    if options.logs:
        write_logs(options.logs, options.files, results)
    if options.markdown:
        print("\n".join(table(results)))
    else:
        json.dump([r for all_of_one in results.values() for r in all_of_one], sys.stdout, indent=1)
        print()
    sys.exit(len(results) < len(set(options.kernel or ["host"])))


def object_name(path: Path) -> str:
    """`folder/case.bpf.c` is `folder.case.o`, so that equal names of different folders stay apart."""
    if path.suffix == ".o":
        return path.name
    return f"{path.parent.resolve().name}.{path.name.removesuffix('.c').removesuffix('.bpf')}.o"


def compile_all(
    files: Iterable[Path], work: Path, include: Iterable[str] = (), cap_bpf: bool = False
) -> tuple[list[Path], list[Path]]:
    """The objects to load with all privileges, and those for CAP_BPF alone."""
    clang = os.environ.get("CLANG") or next(filter(None, map(shutil.which, ("clang", "clang-19", "clang-14"))), "clang")
    both: tuple[list[Path], list[Path]] = ([], [])
    for file in files:
        target = work / object_name(file)
        if file.suffix == ".o":
            shutil.copy(file, target)
        else:
            folders = [*include, f"/usr/include/{os.uname().machine}-linux-gnu", str(vmlinux_folder())]
            flags = ["-O2", "-g", "-target", "bpf", "-D__TARGET_ARCH_x86", *(f"-I{f}" for f in folders)]
            run([clang, *flags, "-c", str(file), "-o", str(target)])
        alone = cap_bpf or (file.suffix == ".c" and "\n// load: cap-bpf\n" in file.read_text(encoding="utf-8"))
        both[alone].append(target)
    return both


def vmlinux_folder() -> Path:
    """A folder with the vmlinux.h of the running kernel, for programs that include one."""
    folder = CACHE / f"vmlinux-{os.uname().release}"
    if not (folder / "vmlinux.h").exists() and shutil.which("bpftool"):
        dump = run(["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vmlinux.h").write_bytes(dump)
    return folder


def loader(name: str = "load") -> Path:
    """A static program for process 1, such as the loader, built again when its source is newer."""
    source, binary = HERE / f"{name}.c", CACHE / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        run(["gcc", "-O2", "-static", "-w", str(source), "-o", str(binary), "-lbpf", "-lelf", "-lz"])
    return binary


def load_here(_kernel: str, privileged: list[Path], unprivileged: list[Path], _work: Path) -> list[dict[str, object]]:
    output = b""
    for flag, objects in (([], privileged), (["--cap-bpf"], unprivileged)):
        if objects:
            output += run([str(loader()), *flag, *map(str, objects)])
    return parse(output)


def load_in_qemu(kernel: str, privileged: list[Path], unprivileged: list[Path], work: Path) -> list[dict[str, object]]:
    """Boot `kernel` with the objects."""
    entries = [("init", loader().read_bytes())]
    entries += [(f"objects/{o.name}", o.read_bytes()) for o in privileged]
    entries += [(f"objects/cap-bpf/{o.name}", o.read_bytes()) for o in unprivileged]
    return parse(boot(kernel, entries, work))


def boot(kernel: str, entries: Iterable[tuple[str, bytes]], work: Path) -> bytes:
    """Boot `kernel` with an initramfs of these files, `init` among them; what it says on the second serial port before
    "end". The console is on the first."""
    if not shutil.which("qemu-system-x86_64"):
        sys.exit("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
    vmlinuz = fetch(kernel)
    initramfs, results, console = work / "initramfs", work / "results", work / "console"
    initramfs.write_bytes(gzip.compress(b"".join(cpio(entries)), 1))
    command = ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-cpu", KERNELS[kernel][1], "-m", "768", "-no-reboot"]
    command += ["-kernel", str(vmlinuz), "-initrd", str(initramfs), "-append", KERNEL_LINE]
    command += ["-display", "none", "-net", "none", "-serial", f"file:{console}", "-serial", f"file:{results}"]
    with contextlib.suppress(subprocess.TimeoutExpired):  # the missing end is told below
        subprocess.run(command, timeout=BOOT_SECONDS, check=True, stdin=subprocess.DEVNULL)
    output = results.read_bytes()
    if not output.endswith(b"end\n"):
        tail = console.read_text(errors="replace")[-2000:]
        raise BootError(f"linux {kernel} did not end in {BOOT_SECONDS} seconds; its console ends:\n{tail}")
    return output.removesuffix(b"end\n")


def fetch(kernel: str) -> Path:
    """The kernel's image, from Debian's archive by apt with a sources list of its own."""
    folder = CACHE / kernel
    image = folder / "vmlinuz"
    if image.exists():
        return image
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text("".join(debian_source(suite) for suite in KERNELS[kernel][0]))
    apt = ["-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"]
    apt += ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-qq"]
    run(["apt-get", *apt, "update"])
    pattern = rf"^linux-image-{kernel}\.[0-9].*[0-9a-z]-amd64$"
    names = run(["apt-cache", *apt, "search", "--names-only", pattern]).decode()
    newest = max((n.split()[0] for n in names.splitlines() if "-rt-" not in n and "-cloud-" not in n), key=version)
    run(["apt-get", *apt, "download", newest], cwd=folder)
    package = next(folder.glob(f"{newest}_*.deb"))
    run(["dpkg-deb", "-x", str(package), str(folder / "package")])
    shutil.copy(next((folder / "package" / "boot").glob("vmlinuz-*")), image)
    shutil.rmtree(folder / "package")
    package.unlink()
    return image


def debian_source(suite: str) -> str:
    archive = "debian-security" if "-security" in suite else "debian"
    return f"deb [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite}\n"


def version(name: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", name)]


def cpio(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """An archive in the "newc" form that the kernel unpacks: executable files, with the folders that they need."""
    files = list(files)
    folders = sorted({str(p) for name, _ in files for p in Path(name).parents} | {"dev", "proc", "sys"})
    entries = [(f, 0o040755, b"") for f in folders if f != "."] + [(n, 0o100755, d) for n, d in files]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        yield header + b"\0" * (-len(header) % 4)
        yield data + b"\0" * (-len(data) % 4)


def parse(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def write_logs(folder: Path, files: Iterable[Path], results: dict[str, list[dict[str, object]]]) -> None:
    """The rejections' logs beside their programs' names. Map addresses are left as they are: nothing reads them."""
    places = {object_name(f): folder / f.parent.name / f.name.removesuffix(".c").removesuffix(".bpf") for f in files}
    for all_of_one in results.values():
        for result in all_of_one:
            if result["verdict"] == "rejected":
                place = places[str(result["object"])]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.with_name(f"{place.name}.{short(result)}.log").write_text(str(result["log"]), encoding="utf-8")


def short(result: dict[str, object]) -> str:
    """The kernel's release without what its builder added: "6.12"."""
    return ".".join(re.findall(r"\d+", str(result["kernel"]))[:2])


def table(results: dict[str, list[dict[str, object]]]) -> Iterator[str]:
    """Markdown: a row for each program, a column for each kernel."""
    columns = {short(rows[0]): {(r["object"], r["program"]): r for r in rows} for rows in results.values() if rows}
    keys = sorted({key for rows in columns.values() for key in rows}, key=str)
    yield "| program | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for key in keys:
        cells = (str(rows[key]["verdict"]) if key in rows else "" for rows in columns.values())
        yield f"| {str(key[0]).removesuffix('.o')}: {key[1]} | " + " | ".join(cells) + " |"


def run(command: list[str], cwd: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=600)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
