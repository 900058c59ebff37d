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
from typing import Any, cast

from ebpffix.verify.child import Answer, Failed, apart, drop_capabilities, loading_only, pack, strerror, unpack
from ebpffix.verify.confine import hide_pins, show_only
from ebpffix.verify.map_guard import MapGuard
from ebpffix.verify.map_memory import refusal

MEMORY = 3 << 30  # bytes of address space: libbcc brings its own clang


def check(bcc: Any, request: Answer) -> Answer:
    """Compile one text, load each of its functions."""
    try:
        hide_pins()
    except OSError as error:
        raise Failed(f"no mount namespace for the check: {strerror(error.errno or 0)}") from None
    loading_only(*request["keep"])
    guard = MapGuard()
    show_only(request["tree"], request["system"], ("/sys/fs/bpf", os.devnull))
    try:
        program = bcc.BPF(text=unpack(request["text"]), cflags=request["flags"])
    except Exception as error:  # BCC raises nothing finer; what matters it has written to standard error
        if why := refusal(guard.total):
            raise Failed(why) from None
        return {"compile": str(error)}
    lib, module = bcc.lib, program.module
    names = [lib.bpf_function_name(module, n).decode() for n in range(lib.bpf_num_functions(module))]
    loaded: dict[str, list[Answer]] = {}
    for name in names:
        loaded[name] = []
        for kind in kinds(name, request):
            work = partial(load, program, name, kind, request["cap_bpf"])
            answer = apart(work, request["timeout"], MEMORY) if request["load"] else {}
            loaded[name].append({**answer, "kind": kind})
            if answer.get("errno") == 0:
                break
    return {
        "programs": loaded,
        "code": {n: pack(program.dump_func(n.encode())) for n in names},
        "maps": maps(lib, module),
        "licence": (lib.bpf_module_license(module) or b"").decode(errors="replace"),
    }


def kinds(name: str, request: Answer) -> list[int]:
    """The kinds of program to try a function as, the likeliest first."""
    named = [kind for prefix, kind in request["by_name"].items() if name.startswith(prefix)]
    return named or cast("list[int]", request["by_context"].get(name, [request["default"]]))


def load(program: Any, name: str, kind: int, cap_bpf: bool) -> Answer:
    drop_capabilities() if cap_bpf else loading_only()
    code = program.dump_func(name.encode())
    ctypes.set_errno(0)
    try:
        program.load_func(name.encode(), kind)
        return {"errno": 0, "insns": len(code) // 8}
    except Exception:
        return {"errno": ctypes.get_errno() or 1, "insns": len(code) // 8}


def maps(lib: Any, module: Any) -> dict[str, list[int]]:
    """Each map's type, size of key and of value in bytes, number of entries, and flags."""
    lib.bpf_table_name.restype = ctypes.c_char_p
    facts = [getattr(lib, f"bpf_table_{f}_id") for f in ("type", "key_size", "leaf_size", "max_entries", "flags")]
    for function in (lib.bpf_table_name, *facts):
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    count = lib.bpf_num_tables(module)
    return {lib.bpf_table_name(module, n).decode(): [fact(module, n) for fact in facts] for n in range(count)}


def main() -> None:
    try:
        import bcc  # type: ignore[import-not-found]  # of the system's Python
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
