"""The child that compiles and loads with BCC, under the system's Python, which has its module.

Importing BCC takes long, so it serves requests, a line of JSON each, until its input ends. Each is compiled in a
process of its own, and each function loaded in one below that.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from functools import partial
from typing import Any

from ebpffix.verify.child import Answer, Failed, apart, drop_capabilities, pack, strerror, unpack

MEMORY = 3 << 30  # bytes of address space: libbcc brings its own clang
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def hide_pins() -> None:
    """A mount namespace of our own with an empty BPF file system: a map that a program pins is gone with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = b"/sys/fs/bpf"
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        or (os.path.isdir(folder) and libc.mount(b"bpf", folder, b"bpf", 0, None))
    ):
        raise Failed(f"no mount namespace for the check: {strerror(ctypes.get_errno())}")


def check(bcc: Any, request: Answer) -> Answer:
    """Compile one text, load each of its functions."""
    hide_pins()
    flags = [f.encode() for f in request["flags"]]
    try:
        program = bcc.BPF(text=unpack(request["text"]), cflags=flags)
    except Exception as error:  # BCC raises nothing finer; what matters it has written to standard error
        return {"compile": str(error)}
    lib, module = bcc.lib, program.module
    names = [lib.bpf_function_name(module, n).decode() for n in range(lib.bpf_num_functions(module))]
    loaded = {}
    for name in names:
        loaded[name] = []
        for kind in request["types"].get(name, [request["default"]]):
            work = partial(load, program, name, kind, request["cap_bpf"])
            loaded[name].append(apart(work, request["timeout"], MEMORY) if request["load"] else {})
            if loaded[name][-1].get("errno") == 0:
                break
    return {
        "programs": loaded,
        "code": {n: pack(program.dump_func(n.encode())) for n in names},
        "maps": {n: list(m) for n, m in maps(lib, module)},
        "licence": ctypes.string_at(lib.bpf_module_license(module)).decode(errors="replace"),
    }


def load(program: Any, name: str, kind: int, cap_bpf: bool) -> Answer:
    if cap_bpf:
        drop_capabilities()
    code = program.dump_func(name.encode())
    ctypes.set_errno(0)
    try:
        program.load_func(name.encode(), kind)
        return {"errno": 0, "insns": len(code) // 8}
    except Exception:
        return {"errno": ctypes.get_errno() or 1, "insns": len(code) // 8}


def maps(lib: Any, module: Any) -> Any:
    """Each map with its type, sizes in bytes, and number of entries."""
    for number in range(lib.bpf_num_tables(module)):
        yield (
            lib.bpf_table_name(module, number).decode(),
            (
                lib.bpf_table_type_id(module, number),
                lib.bpf_table_key_size_id(module, number),
                lib.bpf_table_leaf_size_id(module, number),
                lib.bpf_table_max_entries_id(module, number),
                lib.bpf_table_flags_id(module, number),
            ),
        )


def main() -> None:
    try:
        import bcc
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    if not hasattr(bcc.BPF, "_trace_autoload"):
        print(json.dumps({"missing": "this version of BCC attaches in a way that cannot be turned off"}), flush=True)
        return
    # It would load and attach whatever is named kprobe__… as soon as the text is compiled.
    bcc.BPF._trace_autoload = lambda self: None
    print(json.dumps({"bcc": getattr(bcc, "__version__", "")}), flush=True)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        print(json.dumps(apart(partial(check, bcc, request), request["total"], MEMORY)), flush=True)
