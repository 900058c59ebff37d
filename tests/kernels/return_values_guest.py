"""What a guest runs for return_values.py: attaches all programs of an object, calls ftruncate(77, 123456) a hundred
times, and tells what the object's map `right` has counted."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator
from typing import Any

from ebpffix.verify.guest.init import main
from ebpffix.verify.libbpf_child import dump

FD, LENGTH, CALLS = 77, 123456, 100


def counted(lib: ctypes.CDLL, request: dict[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    """One answer, with the map's entries in place of a log."""
    lib.bpf_program__attach.restype = lib.bpf_object__find_map_by_name.restype = ctypes.c_void_p
    ctypes.CDLL(None).mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", 0, None)
    opened = ctypes.c_void_p(lib.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), None))
    number = -lib.bpf_object__load(opened)
    at, links = lib.bpf_object__next_program(opened, None), []
    while at:
        links.append(lib.bpf_program__attach(ctypes.c_void_p(at)))
        at = lib.bpf_object__next_program(opened, ctypes.c_void_p(at))
    os.dup2(os.open("/file", os.O_CREAT | os.O_RDWR, 0o600), FD)
    for _ in range(CALLS):
        os.ftruncate(FD, LENGTH)
    found = ctypes.c_void_p(lib.bpf_object__find_map_by_name(opened, b"right"))
    entries = json.dumps(dump(lib, found)) if all(links) and not number else ""
    (name,) = request["programs"]
    yield {"name": name, "errno": number, "insns": 0, "log": entries}
    lib.bpf_object__close(opened)


if __name__ == "__main__":
    main(counted)
