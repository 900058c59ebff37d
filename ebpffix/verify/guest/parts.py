"""The child that says of which files a process consists that can do what a guest does."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder

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


def _origin(name: str) -> str | None:
    """The file of a module; its own, if it put another in its place, as collections.abc does in Python 3.13."""
    spec = getattr(sys.modules[name], "__spec__", None)
    path = getattr(sys.modules.get(name.rpartition(".")[0]), "__path__", None)
    if spec and spec.name != name and path:
        spec = PathFinder.find_spec(name, path)
    return spec.origin if spec else None


def main() -> None:
    """Print the modules as {name: file}, and the libraries, as JSON."""
    # What Python may start with where no locale is set, and what a guest does.
    for name in ("encodings.ascii", "encodings.latin_1", "ebpffix.verify.guest.init"):
        import_module(name)
    library()
    origins = {name: _origin(name) for name in tuple(sys.modules)}
    files = {name: origin for name, origin in origins.items() if origin and os.path.isabs(origin)}
    extensions = set(files.values())
    json.dump({"modules": files, "libraries": [p for p in _libraries() if p not in extensions]}, sys.stdout)
