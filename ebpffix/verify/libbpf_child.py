"""The child that loads objects with libbpf.

Reads one request from standard input, a line of JSON and then the object's bytes, and answers with lines of JSON, one
for each program. Every program is opened and loaded in a process of its own, so that a crash or a hang of libbpf costs
that program only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import sys
from collections.abc import Iterator
from functools import partial

from ebpffix.kernel.map_types import BY_NUMBER, Shape
from ebpffix.verify.child import Answer, Failed, apart, drop_capabilities, loading_only, pack, strerror, unpack
from ebpffix.verify.confine import hide_pins
from ebpffix.verify.map_memory import PER_CPU, needed, refusal

LOG = (16 << 20) - 1  # bytes; what every kernel takes. Pages that the log does not reach cost nothing.
MEMORY = 1 << 30  # bytes of address space for libbpf
ENTRIES = 1 << 16  # entries of a map that a dump gives

_DUMPED = {n for n, row in BY_NUMBER.items() if row.is_hash or row.is_array or row.shape is Shape.TRIE}
_BY_CONTEXT = {17, 31}  # BPF_PROG_TYPE_RAW_TRACEPOINT, _SYSCALL: a test run gives them a context, not a packet


class OpenOptions(ctypes.Structure):
    _fields_ = (("sz", ctypes.c_size_t), ("object_name", ctypes.c_char_p))


class TestRunOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_char_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


def library() -> ctypes.CDLL:
    """libbpf with the result types that are not int. OSError when there is none."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    for names, result in (
        ("bpf_object__open_mem bpf_object__next_program bpf_object__next_map", ctypes.c_void_p),
        ("bpf_program__name bpf_program__section_name bpf_map__name", ctypes.c_char_p),
        ("bpf_program__insn_cnt", ctypes.c_size_t),
        ("bpf_map__key_size bpf_map__value_size bpf_map__max_entries bpf_map__map_flags", ctypes.c_uint32),
    ):
        for name in names.split():
            getattr(lib, name).restype = result
    return lib


class MapInfo(ctypes.Structure):
    """The beginning of the kernel's `struct bpf_map_info`."""

    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("type", "id", "key_size", "value_size", "max_entries", "map_flags")
    )


class Opened:
    """An object of which one program alone will be loaded."""

    def __init__(self, lib: ctypes.CDLL, data: bytes, name: str) -> None:
        self.lib = lib
        options = OpenOptions(ctypes.sizeof(OpenOptions), b"ebpffix")
        self.object = ctypes.c_void_p(lib.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), ctypes.byref(options)))
        if not self.object:
            raise Failed(f"libbpf cannot open the object: {strerror(ctypes.get_errno())}")
        self.program = ctypes.c_void_p()
        for program in self._all("bpf_object__next_program"):
            wanted = lib.bpf_program__name(program) == name.encode()
            lib.bpf_program__set_autoload(program, ctypes.c_bool(wanted))
            if wanted:
                self.program = program
        if not self.program:
            raise Failed("libbpf sees no such program in the object")
        self.maps = {lib.bpf_map__name(m).decode(): m for m in self._all("bpf_object__next_map")}
        for each in self.maps.values():
            lib.bpf_map__set_pin_path(each, None)  # else the map would outlive the check, or be shared with others

    def _all(self, following: str) -> Iterator[ctypes.c_void_p]:
        at = getattr(self.lib, following)(self.object, None)
        while at:
            yield ctypes.c_void_p(at)
            at = getattr(self.lib, following)(self.object, ctypes.c_void_p(at))

    def definitions(self) -> dict[str, tuple[int, int, int, int, int]]:
        """Each map's type, size of key and of value in bytes, number of entries, and flags, as of now."""
        names = ("type", "key_size", "value_size", "max_entries", "map_flags")
        facts = [getattr(self.lib, f"bpf_map__{name}") for name in names]
        return {name: tuple(fact(each) for fact in facts) for name, each in self.maps.items()}

    def made(self) -> dict[str, tuple[int, int, int, int, int]]:
        """The same of the maps that were made, as the kernel has them."""
        found, info = {}, MapInfo()
        for name, each in self.maps.items():
            size = ctypes.c_uint32(ctypes.sizeof(info))
            descriptor = self.lib.bpf_map__fd(each)
            if descriptor >= 0 and not self.lib.bpf_obj_get_info_by_fd(
                descriptor, ctypes.byref(info), ctypes.byref(size)
            ):
                found[name] = (info.type, info.key_size, info.value_size, info.max_entries, info.map_flags)
        return found

    def map_bytes(self) -> int:
        """What the kernel takes for the maps as soon as they are made."""
        cpus = int(self.lib.libbpf_num_possible_cpus())
        return sum(needed(*definition, cpus) for definition in self.definitions().values())

    def load(self, most: int = LOG) -> tuple[int, str]:
        """The error number (0: accepted) and `most` bytes of the verifier's log."""
        log = ctypes.create_string_buffer(most)
        self.lib.bpf_program__set_log_buf(self.program, log, ctypes.c_size_t(most))
        failed = self.lib.bpf_object__load(self.object)
        return -failed, log.value.decode(errors="replace")


def load(lib: ctypes.CDLL, data: bytes, request: Answer, name: str) -> Answer:
    opened = Opened(lib, data, name)
    if why := refusal(opened.map_bytes()):
        raise Failed(why)
    drop_capabilities() if request["cap_bpf"] else loading_only()
    maps = opened.definitions()  # loading may change them
    lib.bpf_program__set_log_level(opened.program, ctypes.c_uint32(request["log_level"]))
    number, log = opened.load(request["log_size"] or LOG)
    answer = {"errno": number, "log": log, "insns": lib.bpf_program__insn_cnt(opened.program)}
    return {**answer, "maps": maps if number else opened.made()}


def test_runs(lib: ctypes.CDLL, data: bytes, request: Answer, name: str) -> Answer:
    """Several runs, each with maps of its own; what could not be run is None."""
    answers: list[Answer | None] = []
    for given in request["runs"]:
        try:
            answers.append(test_run(lib, data, {**request, **given}, name))
        except Failed:
            answers.append(None)
    return {"runs": answers}


def test_run(lib: ctypes.CDLL, data: bytes, request: Answer, name: str) -> Answer:
    opened = Opened(lib, data, name)
    try:
        return run_loaded(lib, opened, request, name)
    finally:
        lib.bpf_object__close(opened.object)


def run_loaded(lib: ctypes.CDLL, opened: Opened, request: Answer, name: str) -> Answer:
    loading_only()
    number, log = opened.load()
    if number:
        raise Failed(f"{name} does not load: {strerror(number)}\n{log}")
    for map_name, entries in request["maps"].items():
        if map_name not in opened.maps:
            raise Failed(f"{name}: no map {map_name}")
        each = opened.maps[map_name]
        sizes = lib.bpf_map__key_size(each), value_size(lib, each)
        for key, value in ((unpack(k), unpack(v)) for k, v in entries):
            if (len(key), len(value)) != sizes:
                wrong = f"keys have {sizes[0]} bytes and values {sizes[1]}, not {len(key)} and {len(value)}"
                raise Failed(f"map {map_name}: {wrong}")
            if lib.bpf_map_update_elem(lib.bpf_map__fd(each), key, value, ctypes.c_uint64(0)):
                raise Failed(f"map {map_name} refuses an entry: {strerror(ctypes.get_errno())}")
    given = unpack(request["packet"])
    out = ctypes.create_string_buffer(max(len(given), 64) + 4096)
    options = TestRunOptions(ctypes.sizeof(TestRunOptions))
    if lib.bpf_program__type(opened.program) in _BY_CONTEXT:
        options.ctx_in, options.ctx_size_in = given, len(given)
    else:
        options.data_in, options.data_size_in = given, len(given)
        options.data_out, options.data_size_out = ctypes.addressof(out), len(out)
        options.repeat = request["repeat"]
    if lib.bpf_prog_test_run_opts(lib.bpf_program__fd(opened.program), ctypes.byref(options)):
        raise Failed(f"{name} cannot be run here: {strerror(ctypes.get_errno())}")
    return {
        "retval": options.retval,
        "data_out": pack(out.raw[: options.data_size_out] if options.data_out else b""),
        "maps": {n: dump(lib, m) for n, m in opened.maps.items() if lib.bpf_map__type(m) in _DUMPED},
    }


def value_size(lib: ctypes.CDLL, each: ctypes.c_void_p) -> int:
    """The bytes of a value as user space sees it: of all CPUs, for a per-CPU map."""
    size: int = lib.bpf_map__value_size(each)
    if lib.bpf_map__type(each) in PER_CPU:
        return (size + 7) // 8 * 8 * int(lib.libbpf_num_possible_cpus())
    return size


def dump(lib: ctypes.CDLL, each: ctypes.c_void_p) -> list[tuple[str, str]]:
    descriptor = lib.bpf_map__fd(each)
    key = ctypes.create_string_buffer(lib.bpf_map__key_size(each))
    value = ctypes.create_string_buffer(value_size(lib, each))
    found: list[tuple[str, str]] = []
    last = None
    while len(found) < ENTRIES and not lib.bpf_map_get_next_key(descriptor, last, key):
        if not lib.bpf_map_lookup_elem(descriptor, key, value):
            found.append((pack(key.raw), pack(value.raw)))
        last = ctypes.create_string_buffer(key.raw, len(key.raw))
    return found


def main() -> None:
    parent = os.getppid()
    request = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    try:
        lib = library()
    except OSError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    # Kernels before 5.11 count maps and programs as locked memory; CAP_SYS_RESOURCE may be dropped later.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    # No map is pinned here; should libbpf learn another way, it comes to nothing where this user may see to it.
    with contextlib.suppress(OSError):
        hide_pins()
    for answer in answers(lib, request, data):
        if os.getppid() != parent:
            return
        print(json.dumps(answer), flush=True)


def answers(lib: ctypes.CDLL, request: Answer, data: bytes) -> Iterator[Answer]:
    """What became of each program of a request, one after the other as they are asked for."""
    work = test_runs if request.get("runs") else test_run if request["run"] else load
    for name in request["programs"]:
        yield {"name": name, **apart(partial(work, lib, data, request, name), request["timeout"], MEMORY)}
