"""What a guest is made of: the Python, the modules and the libraries by which programs are loaded here.

So the other kernel gets the very loader that this one has, with this machine's libbpf, which relocates a program
against that kernel's types; and nothing is to be compiled or installed.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ebpffix.verify import CannotVerify
from ebpffix.verify.child import start
from ebpffix.verify.process import private_folder, run

_SECONDS = 30
LINE = "rdinit=/ld.so PYTHONHOME=/ PYTHONPATH=/modules PYTHONHASHSEED=0 -- --library-path /lib /python -S /init"
INIT = b"from ebpffix.verify.guest.init import main; main()\n"
_FOLDERS = ("dev", "proc", "sys")
_UNCHECKED = struct.pack("<III", 1, 0, 0)  # flags of compiled code that is not compared with its source


def initramfs(init: bytes = INIT) -> bytes:
    """An archive for the kernel to unpack, which `LINE` starts; `init` is the Python that then runs. CannotVerify where
    its parts are not found."""
    with private_folder() as folder:
        done = run([sys.executable, "-S", *start("guest.parts")], folder=folder, timeout=_SECONDS)
    if done.code != 0 or not done.output:
        said = done.errors.decode(errors="replace").strip().splitlines() or ["it ended early"]
        raise CannotVerify(
            f"the loader cannot be packed for another kernel ({said[-1]})", "install libbpf 1.0 or later"
        )
    parts = json.loads(done.output)
    files = {**dict(_files(parts["modules"], parts["libraries"])), "init": init}
    if "ld.so" not in files:
        raise CannotVerify(f"{sys.executable} loads no shared libraries", "run ebpffix with another Python")
    return b"".join(cpio(files))


def _files(modules: Mapping[str, str], libraries: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    yield "python", Path(os.path.realpath(sys.executable)).read_bytes()
    for name, origin in modules.items():
        place = f"modules/{name.replace('.', '/')}"
        if not origin.endswith(".py"):
            yield f"{os.path.dirname(place)}/{os.path.basename(origin)}", Path(origin).read_bytes()
            continue
        code = compile(Path(origin).read_bytes(), origin, "exec", dont_inherit=True)
        inner = "/__init__" if os.path.basename(origin) == "__init__.py" else ""
        yield f"{place}{inner}.pyc", importlib.util.MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code)
    for path in libraries:
        name = os.path.basename(path)
        yield "ld.so" if name.startswith(("ld-", "ld.so")) else f"lib/{name}", Path(path).read_bytes()


def cpio(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """An archive in the "newc" form: executable files, with the folders that they need."""
    folders = sorted({str(p) for name in files for p in Path(name).parents} | set(_FOLDERS))
    entries = [(name, 0o040755, b"") for name in folders if name != "."]
    entries += [(name, 0o100755, data) for name, data in files.items()]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        yield header + b"\0" * (-len(header) % 4)
        yield data + b"\0" * (-len(data) % 4)
