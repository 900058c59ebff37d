"""Does KVM work here? That /dev/kvm can be opened does not say so: within a virtual machine qemu may end, or a kernel
hang before its first line. So a kernel is started, and does nothing but look for its disk."""

from __future__ import annotations

import os
from pathlib import Path

from ebpffix.verify.guest.images import Image
from ebpffix.verify.process import private_folder, run

_SECONDS = 5.0  # where KVM works the first line comes at once


def kvm_works(qemu: str, image: Image, cache: Path | None) -> bool:
    """Whether `qemu` runs machines by KVM. The answer is kept in the cache until this machine's next boot."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    kept = cache / "kernels" / "kvm" if cache else None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = kept.read_text().split() if kept and kept.exists() else []
    if known[:1] == [boot]:
        return known[1:] == ["works"]
    works = _probe(qemu, image)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(f"{boot} {'works' if works else 'hangs'}\n")
    return works


def _probe(qemu: str, image: Image) -> bool:
    argv = [qemu, "-machine", "pc,accel=kvm", "-cpu", "host", "-m", "512", "-nodefaults", "-no-user-config"]
    argv += ["-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", str(image.path)]
    argv += ["-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1"]
    with private_folder() as folder:
        return b"Linux version" in run(argv, folder=folder, timeout=_SECONDS).output
