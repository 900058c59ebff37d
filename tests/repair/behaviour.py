"""The refused programs of fixtures/repair and what a right repair of each must do.

Beside `<class>/<name>.bpf.c` stands `<name>.toml`: never a text to arrive at, only a behaviour.

    set         "held-out" for the quarter that no strategy was written against (every fourth by name); else left out
    message     a regex that the verifier's message of the refused program has
    privileged  false: what is refused is the load with CAP_BPF alone
    calls       helpers that a repaired program still calls
    [[run]]     one BPF_PROG_TEST_RUN: `program`, `packet`, `maps` before and `after`, `retval` (one, or those that
                are right), `data` (the packet after it; `data-prefix`: only so many bytes of it)

Bytes are hex with blanks anywhere, `20*00` for many, and names of headers (`eth`, `ip-udp`, …).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpffix.repair.bytecode import helper_names, instructions
from ebpffix.verify.compile import Object
from ebpffix.verify.load import load, test_run

FOLDER = Path(__file__).parents[2] / "fixtures" / "repair"

_IP = "45 00 0028 0000 0000 40 {} 0000 0a000001 0a000002"
_HEADERS = {
    "eth": "010203040506 0a0b0c0d0e0f 0800",
    "eth6": "010203040506 0a0b0c0d0e0f 86dd",
    "ip-tcp": _IP.format("06"),
    "ip-udp": _IP.format("11"),
    "tcp": "1000 0050 00000001 00000000 5002 0400 0000 0000",
    "udp": "1000 0035 0008 0000",
}


def octets(text: str) -> bytes:
    """The bytes that a spec writes down."""
    found = b""
    for word in text.split():
        if word in _HEADERS:
            found += octets(_HEADERS[word])
        elif match := re.fullmatch(r"(\d+)\*([0-9a-f]{2})", word):
            found += bytes.fromhex(match[2]) * int(match[1])
        elif word.startswith("cut:"):
            found = found[: int(word[4:])]
        else:
            found += bytes.fromhex(word)
    return found


@dataclass(frozen=True)
class Run:
    program: str
    packet: bytes
    retval: tuple[int, ...] = ()
    data: bytes | None = None
    maps: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    after: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One refused program; `path` is its C file."""

    path: Path
    message: str
    held_out: bool
    privileged: bool
    calls: tuple[str, ...]
    runs: tuple[Run, ...]

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name.removesuffix('.bpf.c')}"


def cases() -> list[Case]:
    """All of them, by class and name."""
    return [_case(path) for path in sorted(FOLDER.glob("*/*.bpf.c"))]


def _case(path: Path) -> Case:
    spec = tomllib.loads(path.with_name(path.name.removesuffix(".bpf.c") + ".toml").read_text())
    unknown = spec.keys() - {"set", "message", "privileged", "calls", "run"}
    assert not unknown, f"{path}: unknown {unknown}"
    return Case(
        path,
        spec["message"],
        spec.get("set") == "held-out",
        spec.get("privileged", True),
        tuple(spec.get("calls", ())),
        tuple(_run(run) for run in spec.get("run", ())),
    )


def _run(spec: Mapping[str, Any]) -> Run:
    wanted = spec.get("retval", ())
    data = octets(spec["data"])[: spec.get("data-prefix")] if "data" in spec else None
    retval = (wanted,) if isinstance(wanted, int) else tuple(wanted)
    return Run(spec["program"], octets(spec["packet"]), retval, data, _maps(spec.get("maps")), _maps(spec.get("after")))


def _maps(spec: Mapping[str, Mapping[str, str]] | None) -> dict[str, dict[bytes, bytes]]:
    return {name: {octets(k): octets(v) for k, v in entries.items()} for name, entries in (spec or {}).items()}


def refused(case: Case, made: Object) -> str:
    """The verifier's words on the refused program; "" if it loads, or something else is wrong with it."""
    found = [r for r in load(made, cap_bpf=not case.privileged) if r.verdict == "rejected"]
    return next((r.log for r in found if re.search(case.message, r.log)), "")


def wrongs(case: Case, made: Object) -> Iterator[str]:
    """What a repaired program does that it should not, one line each; nothing for a right repair."""
    log = [f"{r.name}: {r.verdict} {r.reason}" for r in load(made, cap_bpf=not case.privileged)]
    yield from (line for line in log if ": accepted" not in line)
    if any(": accepted" not in line for line in log):
        return
    wanted = {"bpf_trace_printk" if name == "bpf_printk" else name for name in case.calls}
    missing = wanted - helper_calls(made.data)
    if missing:
        yield f"no longer calls {', '.join(sorted(missing))}"
    for number, run in enumerate(case.runs, 1):
        yield from (f"run {number}: {line}" for line in _wrong(run, made))


def _wrong(run: Run, made: Object) -> Iterator[str]:
    try:
        done = test_run(made, run.program, run.packet, maps=run.maps)
    except RuntimeError as error:
        yield str(error)
        return
    if run.retval and done.retval not in run.retval:
        yield f"returns {done.retval}, not {' or '.join(map(str, run.retval))}"
    if run.data is not None and done.data_out[: len(run.data)] != run.data:
        yield f"the packet is {done.data_out.hex()}, not {run.data.hex()}"
    for name, entries in run.after.items():
        for key, value in entries.items():
            if done.maps.get(name, {}).get(key) != value:
                yield f"map {name} holds {done.maps.get(name, {})}, not {value.hex()} at {key.hex()}"


def helper_calls(data: bytes) -> set[str]:
    """The helpers that the programs of an object call, by name."""
    return {helper_names().get(i.imm, str(i.imm)) for _, code in instructions(data) for i in code if i.is_helper}
