"""Whether a repaired program is still the same program: what the verifier's yes does not tell.

    gone(before, after)         helpers, maps and programs that it no longer has
    unreached(bench, …)         code that the verifier now passes by
    differences(before, after)  runs that were fine and end otherwise now
    disagreement(one, other)    an input for which two repairs do not do the same

A refused program cannot be test-run, so `differences` runs its bytecode in the interpreter: wherever that does not
fault, the repaired program must agree under BPF_PROG_TEST_RUN. Program types that cannot be test-run are not compared.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebpffix.repair import image, inputs, interpreter
from ebpffix.repair.bytecode import helper_names, instructions
from ebpffix.verify.compile import Object
from ebpffix.verify.load import Place, TestRun, test_runs
from ebpffix.verify.objects import NotAnObject, parts

_KINDS = {"xdp": "xdp", "tc": "tc", "tcx": "tc", "classifier": "tc", "action": "tc"}
_RUNS = 24  # that two programs are compared by
# Helpers of which one may take the other's place: a repair swaps them, and both do the same work.
_FAMILIES = (
    r"bpf_probe_read(?:_kernel|_user)?$", r"bpf_probe_read(?:_kernel|_user)?_str$", r"bpf_get_current_task(?:_btf)?$",
    r"bpf_map_(?:update|push)_elem$", r"bpf_(?:perf_event|ringbuf)_output$", r"bpf_ktime_get_",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """An input, and what became of it, in words. `left`: the repaired program only left, and touched nothing."""

    packet: bytes
    maps: inputs.Maps
    before: str
    after: str
    left: bool

    def __str__(self) -> str:
        filled = f" and {sum(map(len, self.maps.values()))} map entries" if self.maps else ""
        packet = f"a packet of {len(self.packet)} bytes ({self.packet.hex()[:80]})"
        return f"{packet}{filled}: {self.before}; now {self.after}"


def gone(before: bytes, after: bytes) -> list[str]:
    """The helpers, maps and programs of an object that the repaired one lacks; nothing for what is no object."""
    if not before or not after:
        return []
    try:
        helpers = [f"{name}()" for name in sorted(_calls(before) - _calls(after))]
        kept = parts(after).keys()
        lost = (k for k in parts(before) if k.startswith((".maps variable ", "program ")) and k not in kept)
        return helpers + [k.removeprefix(".maps variable ") for k in lost]
    except NotAnObject:
        return []


def _calls(data: bytes) -> set[str]:
    names = {helper_names().get(i.imm, str(i.imm)) for _, code in instructions(data) for i in code if i.is_helper}
    return {next((f for f in _FAMILIES if re.match(f, name)), name) for name in names}


def unreached(log: str, code: bytes, program: str) -> list[str]:
    """The helpers that the program calls at instructions which the verifier never walked; `log` is that of the load, at
    level 2."""
    walked = {int(n) for n in re.findall(r"^(\d+): \(", log, re.MULTILINE)}
    if not walked or not code:
        return []
    found = next((insns for name, insns in instructions(code) if name == program), [])
    missed = [i for n, i in enumerate(found) if i.is_helper and n not in walked]
    return sorted({f"{helper_names().get(i.imm, i.imm)}()" for i in missed})


def differences(
    before: bytes, after: bytes, program: str, section: str, place: Place | None = None
) -> list[Difference]:
    """Runs that were fine before, and give something else now, in this kernel."""
    kind = _KINDS.get(section.split("/")[0])
    if not kind or not before or not after:
        return []
    try:
        old = image.read(before)
    except ValueError:
        return []
    fine = list(_fine(old, kind, program))[:_RUNS]
    if not fine:
        return []
    runs = test_runs(Object(after, frozenset()), program, [(packet, maps) for packet, maps, _ in fine], place=place)
    found = []
    for (packet, maps, was), now in zip(fine, runs, strict=True):
        if now and (words := _compared(was, now)):
            found.append(Difference(packet, maps, *words, _untouched(old, kind, packet, maps, now)))
    return found


def _untouched(old: image.Image, kind: str, packet: bytes, maps: inputs.Maps, now: TestRun) -> bool:
    entries = interpreter.Machine(old, kind, packet, maps).maps
    same = (now.maps.get(n) in (None, {k: bytes(r.data) for k, r in m.items()}) for n, m in entries.items())
    return now.data_out == packet and all(same)


def _fine(old: image.Image, kind: str, program: str) -> Iterator[tuple[bytes, inputs.Maps, interpreter.Result]]:
    """Inputs on which the program does not fault, as far as it can be run at all."""
    sizes = {name: info.value for name, info in old.maps.items()}
    for packet in inputs.packets():
        keys: dict[str, frozenset[bytes]] = {}
        for maps in _filled(old, kind, program, packet, sizes, keys):
            try:
                yield packet, maps, interpreter.run(old, kind, program, packet, maps)
            except interpreter.Fault:
                continue
            except interpreter.Unsupported:
                return


def _filled(
    old: image.Image, kind: str, program: str, packet: bytes, sizes: dict[str, int], keys: dict[str, frozenset[bytes]]
) -> Iterator[inputs.Maps]:
    """Map contents for the keys that the program looks for with this packet."""
    machine = interpreter.Machine(old, kind, packet, {})
    with contextlib.suppress(interpreter.Fault, interpreter.Unsupported):
        machine.call(program, [machine.context])
    keys |= {name: frozenset(found) for name, found in machine.keys.items() if name in sizes}
    yield from inputs.contents(keys, sizes)


def _compared(was: interpreter.Result, now: TestRun) -> tuple[str, str] | None:
    """What is different, as (before, now) in words; None for nothing."""
    if was.retval != now.retval:
        return f"returned {was.retval}", f"{now.retval}"
    if was.packet != now.data_out:
        return "another packet", "this one"
    for name, entries in was.maps.items():
        if name in now.maps and dict(entries) != now.maps[name]:
            return f"map {name} held {_shown(entries)}", _shown(now.maps[name])
    return None


def _shown(entries: object) -> str:
    return str({k.hex(): v.hex() for k, v in list(dict(entries).items())[:2]})  # type: ignore[call-overload]


def disagreement(one: bytes, other: bytes, program: str, section: str, place: Place | None = None) -> str:
    """An input for which two repaired programs do not do the same, in words; "" if none was found."""
    if section.split("/")[0] not in _KINDS or not one or not other:
        return ""
    given: Sequence[tuple[bytes, inputs.Maps]] = [(packet, {}) for packet in list(inputs.packets())[:_RUNS]]
    pairs = [test_runs(Object(data, frozenset()), program, given, place=place) for data in (one, other)]
    for (packet, _), first, second in zip(given, *pairs, strict=True):
        if first and second and first != second:
            say = f"returns {first.retval}, the other {second.retval}" if first.retval != second.retval else "differs"
            return f"for a packet of {len(packet)} bytes ({packet.hex()[:40]}…) it {say}"
    return ""
