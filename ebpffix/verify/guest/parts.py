"""The child that says of which files a process consists that can do what a guest does."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from importlib import import_module

from ebpffix.verify.libbpf_child import library


class _Found(ctypes.Structure):
    """The beginning of what `dl_iterate_phdr` says of a library."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


def _libraries() -> list[str]:
    """The shared libraries of this process, by the names that they were looked for by."""
    found: list[str] = []

    def note(info: ctypes._Pointer[_Found], _size: int, _data: int) -> int:
        if b"/" in (name := info.contents.name or b""):
            found.append(os.fsdecode(name))
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Found), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(kind(note), None)
    return found


def main() -> None:
    """Print the modules as {name: file}, and the libraries, as JSON."""
    # What Python may start with where no locale is set, and what a guest does.
    for name in ("encodings.ascii", "encodings.latin_1", "ebpffix.verify.guest.init"):
        import_module(name)
    library()
    specs = {name: getattr(module, "__spec__", None) for name, module in tuple(sys.modules.items())}
    origins = {name: getattr(spec, "origin", None) for name, spec in specs.items()}
    files = {name: origin for name, origin in origins.items() if origin and os.path.isabs(origin)}
    extensions = set(files.values())
    json.dump({"modules": files, "libraries": [p for p in _libraries() if p not in extensions]}, sys.stdout)
