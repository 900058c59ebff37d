"""A small checked interpreter of BPF bytecode, for programs that the verifier refuses and that therefore cannot be run.

    run(image, "xdp", "my_program", packet, maps) -> Result    or Fault, or Unsupported

`Fault` is what a refusal protects from: a read outside of an object, through NULL or a number, or of what was never
written. `Unsupported` is what this interpreter does not know: other helpers, other contexts; it never guesses. What it
does run agrees with BPF_PROG_TEST_RUN of an accepted program (tests/test_repair_interpreter.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ebpffix.repair.bytecode import Insn, helper_names
from ebpffix.repair.image import Image, MapInfo

_U64, _U32 = (1 << 64) - 1, (1 << 32) - 1
_STEPS = 20_000
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_ARRAY_MAPS, _HASH_MAPS = (2, 6), (1, 5, 9, 10)


class Fault(Exception):
    """What the program does that the kernel must not let it do."""


class Unsupported(Exception):
    """What is not known here."""


@dataclass(eq=False)
class Region:
    """Memory that belongs together. `set` marks the bytes that were written, where that counts; pointers that were
    stored stand beside the bytes."""

    name: str
    data: bytearray
    writable: bool = True
    set: bytearray | None = None
    pointers: dict[int, Pointer] = field(default_factory=dict)


@dataclass(frozen=True)
class Pointer:
    """An address: `offset` bytes into a region, or a map itself."""

    region: Region
    offset: int

    def moved(self, by: int) -> Pointer:
        return Pointer(self.region, self.offset + by)


@dataclass(frozen=True)
class MapPointer:
    name: str


Value = int | Pointer | MapPointer | None  # None: never written


@dataclass(frozen=True)
class Result:
    """What a run gives: the return value as 32 bits, the packet after it, the entries of each map, and the keys that
    were looked for, by map."""

    retval: int
    packet: bytes
    maps: Mapping[str, Mapping[bytes, bytes]]
    keys: Mapping[str, frozenset[bytes]]


def run(
    image: Image, kind: str, name: str, packet: bytes, maps: Mapping[str, Mapping[bytes, bytes]] | None = None
) -> Result:
    """Run one program ("xdp" or "tc") on a packet. `maps` are entries that its maps hold before. Raises Fault or
    Unsupported."""
    machine = Machine(image, kind, packet, maps or {})
    value = machine.call(name, [machine.context])
    if not isinstance(value, int):
        raise Fault("returns no number")
    entries = {n: {k: bytes(r.data) for k, r in m.items()} for n, m in machine.maps.items()}
    return Result(value & _U32, bytes(machine.packet.data), entries, {n: frozenset(k) for n, k in machine.keys.items()})


class Machine:
    """The state of one run."""

    def __init__(self, image: Image, kind: str, packet: bytes, maps: Mapping[str, Mapping[bytes, bytes]]) -> None:
        self.image, self.kind = image, kind
        self.packet = Region("packet", bytearray(packet))
        self.context = Pointer(Region("ctx", bytearray(192)), 0)
        self.keys: dict[str, set[bytes]] = {n: set() for n in image.maps}
        self.maps: dict[str, dict[bytes, Region]] = {}
        for info in image.maps.values():
            entries = {k: bytearray(v) for k, v in maps.get(info.name, {}).items()}
            if info.type in _ARRAY_MAPS:
                every = (n.to_bytes(4, "little") for n in range(min(info.entries, 4096)))
                entries = {k: entries.get(k, bytearray(info.value)) for k in every}
            self.maps[info.name] = {k: Region("map value", v) for k, v in entries.items()}
        self.data = {
            n: Region("global", bytearray(d), writable=not n.startswith(".rodata")) for n, d in image.data.items()
        }
        self.steps = 0

    def call(self, name: str, given: list[Value], depth: int = 0) -> Value:
        """Run a function."""
        if depth > 8 or name not in self.image.functions:
            raise Unsupported("calls too deep, or a function from elsewhere")
        code = self.image.functions[name]
        stack = Region("stack", bytearray(512), set=bytearray(512))
        registers: list[Value] = [None, *given, *[None] * (9 - len(given)), Pointer(stack, 512)]
        at = 0
        while True:
            self.steps += 1
            if self.steps > _STEPS:
                raise Unsupported("too many steps")
            if not 0 <= at < len(code):
                raise Fault("runs past its end")
            insn = code[at]
            if insn.opcode == 0x95:
                return registers[0]
            at = self._step(name, code, at, insn, registers, depth)

    def _step(self, name: str, code: list[Insn], at: int, insn: Insn, registers: list[Value], depth: int) -> int:
        kind = insn.opcode & 7
        if insn.opcode == 0x18:
            registers[insn.dst] = self._immediate(name, code, at, insn)
            return at + 2
        if kind in (4, 7):
            registers[insn.dst] = alu(insn, registers[insn.dst], registers[insn.src])
        elif kind in (5, 6):
            return self._jump(name, at, insn, registers, depth)
        elif kind == 1:
            registers[insn.dst] = self._load(insn, registers[insn.src])
        elif kind in (2, 3):
            self._store(insn, registers)
        else:
            raise Unsupported(f"opcode {insn.opcode:#x}")
        return at + 1

    def _immediate(self, name: str, code: list[Insn], at: int, insn: Insn) -> Value:
        reference = self.image.references.get((name, at))
        if reference is None:
            return (insn.imm & _U32) | (code[at + 1].imm & _U32) << 32
        if reference.kind == "map":
            return MapPointer(reference.name)
        if reference.kind == "data":
            return Pointer(self.data[reference.name], reference.offset)
        raise Unsupported("the address of a function")

    # -- memory

    def _load(self, insn: Insn, base: Value) -> Value:
        size, mode = _SIZES[insn.opcode & 0x18], insn.opcode & 0xE0
        if mode not in (0x60, 0x80):
            raise Unsupported("an old packet load")
        pointer = _address(base, insn.offset)
        if pointer.region is self.context.region:
            return self._from_context(pointer.offset, size)
        if pointer.offset in pointer.region.pointers and size == 8:
            return pointer.region.pointers[pointer.offset]
        value = int.from_bytes(self.read(pointer, size), "little")
        if mode == 0x80 and value >> (8 * size - 1):
            value |= _U64 & ~((1 << 8 * size) - 1)
        return value

    def _from_context(self, offset: int, size: int) -> Value:
        table = _CONTEXTS[self.kind]
        if size == 4 and offset == table["data"]:
            return Pointer(self.packet, 0)
        if size == 4 and offset == table["data_end"]:
            return Pointer(self.packet, len(self.packet.data))
        if size == 4 and offset == table.get("len", -1):
            return len(self.packet.data)
        if size == 4 and offset in _ZERO[self.kind]:
            return 0
        if size == 4 and offset == table.get("ingress_ifindex", -1):
            return 1
        raise Unsupported("a member of the context")

    def read(self, pointer: Pointer, size: int) -> bytes:
        """Bytes that a program, or a helper for it, reads."""
        region, start = pointer.region, pointer.offset
        if not 0 <= start <= start + size <= len(region.data):
            raise Fault(f"reads outside of the {region.name}")
        if region.set is not None and not all(region.set[start : start + size]):
            raise Fault("reads what was never written")
        if any(start - 8 < place < start + size for place in region.pointers):
            raise Fault("reads a part of a pointer")
        return bytes(region.data[start : start + size])

    def write(self, pointer: Pointer, data: bytes) -> None:
        region, start = pointer.region, pointer.offset
        if not region.writable or not 0 <= start <= start + len(data) <= len(region.data):
            raise Fault(f"writes outside of the {region.name}")
        if region is self.context.region:
            raise Unsupported("a write to the context")
        region.data[start : start + len(data)] = data
        for place in [p for p in region.pointers if start - 8 < p < start + len(data)]:
            del region.pointers[place]
        if region.set is not None:
            region.set[start : start + len(data)] = b"\x01" * len(data)

    def _store(self, insn: Insn, registers: list[Value]) -> None:
        size, mode = _SIZES[insn.opcode & 0x18], insn.opcode & 0xE0
        pointer = _address(registers[insn.dst], insn.offset)
        value: Value = insn.imm & _U64 if insn.opcode & 7 == 2 else registers[insn.src]
        if mode == 0xC0:
            self._atomic(insn, pointer, size, registers)
            return
        if isinstance(value, Pointer):
            if size != 8 or pointer.region.name != "stack":
                raise Unsupported("a pointer that is stored elsewhere than on the stack")
            self.write(pointer, bytes(8))
            pointer.region.pointers[pointer.offset] = value
            return
        self.write(pointer, (_number(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little"))

    def _atomic(self, insn: Insn, pointer: Pointer, size: int, registers: list[Value]) -> None:
        old, mask = int.from_bytes(self.read(pointer, size), "little"), (1 << 8 * size) - 1
        operand, operation = _number(registers[insn.src]), insn.imm & ~1
        if operation == 0xE0:
            new = operand
        elif operation in (0x00, 0x40, 0x50, 0xA0):
            new = {0x00: old + operand, 0x40: old | operand, 0x50: old & operand, 0xA0: old ^ operand}[operation]
        else:
            raise Unsupported("an atomic operation")
        self.write(pointer, (new & mask).to_bytes(size, "little"))
        if insn.imm & 1:
            registers[insn.src] = old

    # -- control

    def _jump(self, name: str, at: int, insn: Insn, registers: list[Value], depth: int) -> int:
        operation = insn.opcode & 0xF0
        if insn.opcode == 0x85:
            self._called(name, at, insn, registers, depth)
            return at + 1
        if operation == 0x00:
            return at + 1 + (insn.imm if insn.opcode == 0x06 else insn.offset)
        right: Value = registers[insn.src] if insn.opcode & 8 else insn.imm & _U64
        taken = compare(operation, registers[insn.dst], right, wide=insn.opcode & 7 == 5)
        return at + 1 + (insn.offset if taken else 0)

    def _called(self, name: str, at: int, insn: Insn, registers: list[Value], depth: int) -> None:
        given = registers[1:6]
        if insn.src == 0:
            result = self._helper(helper_names().get(insn.imm, ""), given)
        elif insn.src == 1:
            reference = self.image.references.get((name, at))
            if reference is None:
                raise Unsupported("a function in the same section")
            result = self.call(reference.name, given, depth + 1)
        else:
            raise Unsupported("a function of the kernel")
        registers[0] = result
        registers[1:6] = [None] * 5

    def _helper(self, name: str, given: list[Value]) -> Value:
        if name == "bpf_map_lookup_elem":
            info, entries = self._map(given[0])
            key = self._key(info, given[1])
            return Pointer(entries[key], 0) if key in entries else 0
        if name == "bpf_map_update_elem":
            info, entries = self._map(given[0])
            return self._update(info, entries, self._key(info, given[1]), _address(given[2], 0), _number(given[3]))
        if name == "bpf_map_delete_elem":
            info, entries = self._map(given[0])
            key = self._key(info, given[1])
            if info.type not in _HASH_MAPS:
                return -22 & _U64
            return 0 if entries.pop(key, None) else -2 & _U64
        if name == "bpf_skb_load_bytes":
            start, size = _number(given[1]) & _U32, _number(given[3]) & _U32
            if not size:
                raise Fault("loads nothing")
            found = bytes(self.packet.data[start : start + size])
            self.write(_address(given[2], 0), found if len(found) == size else bytes(size))
            return 0 if len(found) == size else -14 & _U64
        if name == "bpf_trace_printk":
            return 0
        raise Unsupported(f"{name or 'a helper'}()")

    def _map(self, value: Value) -> tuple[MapInfo, dict[bytes, Region]]:
        if not isinstance(value, MapPointer):
            raise Fault("no map")
        info = self.image.maps.get(value.name)
        if info is None or info.type not in (*_ARRAY_MAPS, *_HASH_MAPS):
            raise Unsupported("a map of another type")
        return info, self.maps[value.name]

    def _key(self, info: MapInfo, value: Value) -> bytes:
        key = self.read(_address(value, 0), info.key)
        self.keys[info.name].add(key)
        return key

    def _update(self, info: MapInfo, entries: dict[bytes, Region], key: bytes, value: Pointer, flags: int) -> int:
        data = self.read(value, info.value)
        if info.type in _ARRAY_MAPS:
            if key not in entries:
                return -7 & _U64
            if flags == 1:
                return -17 & _U64
        if flags > 2 or (flags == 1 and key in entries) or (flags == 2 and key not in entries):
            return (-22 if flags > 2 else -17 if flags == 1 else -2) & _U64
        if key not in entries and len(entries) >= info.entries:
            raise Unsupported("a full map")
        # Whoever holds the old value holds it still; both are one in a map that is allocated in advance.
        if key in entries and info.type in _ARRAY_MAPS:
            entries[key].data[:] = data
        else:
            entries[key] = Region("map value", bytearray(data))
        return 0


# Offsets in struct xdp_md and struct __sk_buff; what a test run gives where nothing else is said.
_CONTEXTS = {
    "xdp": {"data": 0, "data_end": 4, "ingress_ifindex": 12},
    "tc": {"data": 76, "data_end": 80, "len": 0, "ingress_ifindex": 40},
}
_ZERO = {"xdp": {16}, "tc": {8, 32, 48, 52, 56, 60, 64}}  # rx_queue_index; mark, priority, cb[0] to cb[4]


def _address(base: Value, offset: int) -> Pointer:
    if not isinstance(base, Pointer):
        raise Fault("goes through NULL or a number" if isinstance(base, int) else "goes through what is no pointer")
    return base.moved(offset)


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise Fault("takes what was never set, or a pointer, for a number")
    return value


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def alu(insn: Insn, left: Value, right: Value) -> Value:
    """What an arithmetic instruction makes of its operands."""
    wide, operation = insn.opcode & 7 == 7, insn.opcode & 0xF0
    bits = 64 if wide else 32
    mask = (1 << bits) - 1
    if operation == 0xD0:
        return _swapped(insn, _number(left))
    operand: Value = right if insn.opcode & 8 else insn.imm & _U64
    if operation == 0xB0:
        return _moved(insn, operand, wide)
    if isinstance(left, Pointer) or isinstance(operand, Pointer):
        return _pointer_arithmetic(operation, left, operand, wide)
    a = _number(left) & mask
    if operation == 0x80:
        return -a & mask
    b = _number(operand) & mask
    return _arithmetic(operation, a, b, bits, insn.offset == 1) & mask


def _arithmetic(operation: int, a: int, b: int, bits: int, signed: bool) -> int:
    if operation in (0x30, 0x90) and signed:
        x, y = _signed(a, bits), _signed(b, bits)
        quotient = 0 if not y else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        return quotient if operation == 0x30 else (x if not y else x - quotient * y)
    if operation == 0x30:
        return a // b if b else 0
    if operation == 0x90:
        return a % b if b else a
    shift = b & (bits - 1)
    known = {
        0x00: a + b, 0x10: a - b, 0x20: a * b, 0x40: a | b, 0x50: a & b, 0x60: a << shift, 0x70: a >> shift,
        0xA0: a ^ b, 0xC0: _signed(a, bits) >> shift,
    }  # fmt: skip
    if operation not in known:
        raise Unsupported("an arithmetic operation")
    return known[operation]


def _moved(insn: Insn, operand: Value, wide: bool) -> Value:
    if operand is None:
        raise Fault("copies what was never set")
    if wide and not insn.offset:
        return operand
    number = _number(operand)
    if insn.offset:
        number = _signed(number, insn.offset)
    return number & (_U64 if wide else _U32)


def _pointer_arithmetic(operation: int, left: Value, right: Value, wide: bool) -> Value:
    if wide and operation == 0x00:
        if isinstance(left, Pointer) and isinstance(right, int):
            return left.moved(_signed(right, 64))
        if isinstance(right, Pointer) and isinstance(left, int):
            return right.moved(_signed(left, 64))
    if wide and operation == 0x10 and isinstance(left, Pointer):
        if isinstance(right, int):
            return left.moved(-_signed(right, 64))
        if isinstance(right, Pointer) and right.region is left.region:
            return (left.offset - right.offset) & _U64
    raise Fault("arithmetic with a pointer")


def _swapped(insn: Insn, value: int) -> int:
    size = insn.imm // 8
    data = (value & ((1 << insn.imm) - 1)).to_bytes(size, "little")
    swap = insn.opcode in (0xDC, 0xD7)
    return int.from_bytes(data, "big" if swap else "little")


def compare(operation: int, left: Value, right: Value, *, wide: bool) -> bool:
    """Whether a conditional jump is taken."""
    if left is None or right is None:
        raise Fault("compares what was never set")
    bits = 64 if wide else 32
    if isinstance(left, Pointer) or isinstance(right, Pointer):
        a, b = x, y = _comparable(left, right)
    else:
        a, b = _number(left) & ((1 << bits) - 1), _number(right) & ((1 << bits) - 1)
        x, y = _signed(a, bits), _signed(b, bits)
    known = {
        0x10: a == b, 0x20: a > b, 0x30: a >= b, 0x40: bool(a & b), 0x50: a != b, 0x60: x > y, 0x70: x >= y,
        0xA0: a < b, 0xB0: a <= b, 0xC0: x < y, 0xD0: x <= y,
    }  # fmt: skip
    if operation not in known:
        raise Unsupported("a jump")
    return known[operation]


def _comparable(left: Value, right: Value) -> tuple[int, int]:
    """Two numbers that compare as two addresses do."""
    if isinstance(left, Pointer) and isinstance(right, Pointer):
        if left.region is not right.region:
            raise Unsupported("a comparison of pointers into different memory")
        return left.offset, right.offset
    if right == 0:
        return 1, 0
    if left == 0:
        return 0, 1
    raise Fault("compares a pointer with a number")
