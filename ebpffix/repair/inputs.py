"""Packets and map contents to try a program with: always the same ones, of the shapes that programs look for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Maps = Mapping[str, Mapping[bytes, bytes]]

_ETHER = bytes.fromhex("0102030405060a0b0c0d0e0f")
_IP4 = "4500003c1234400040{}0000c0a80001c0a80002"
_IP6 = "6000000000283a40" + "20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02"
_TCP = "04d20050000000010000000050020400000000000000"
_UDP = "04d200350018000061626364010203040000"
_BODIES = (
    ("0800", _IP4.format("06") + _TCP),
    ("0800", _IP4.format("11") + _UDP),
    ("0800", _IP4.format("01") + "0800f7ff00000000"),
    ("86dd", _IP6.replace("3a40", "0640") + _TCP),
    ("86dd", _IP6.replace("3a40", "1140") + _UDP),
    ("0806", "0001080006040001" + "00" * 20),
    ("8100", "00010800" + _IP4.format("11") + _UDP),
    ("88b5", "00" * 50),
    ("88b5", "ff" * 50),
    ("88b5", "".join(f"{n:02x}" for n in range(50))),
)
_LENGTHS = (15, 18, 34, 35, 38, 42, 54, 100)


def packets() -> Iterator[bytes]:
    """Frames whole, then cut: a kernel takes none shorter than its header."""
    whole = [_ETHER + bytes.fromhex(kind + body) for kind, body in _BODIES]
    whole += [bytes(64), b"\xff" * 64]
    yield from whole
    for length in _LENGTHS:
        yield from (frame[:length] for frame in whole if len(frame) > length)


def contents(keys: Mapping[str, frozenset[bytes]], sizes: Mapping[str, int]) -> Iterator[Maps]:
    """What maps may hold before a run: nothing, then the keys that are looked for with values of several kinds; `sizes`
    are those of the values in bytes."""
    yield {}
    if not any(keys.values()):
        return
    for make in (bytes, _small, _large):
        yield {name: {key: make(sizes[name]) for key in wanted} for name, wanted in keys.items() if wanted}


def _small(size: int) -> bytes:
    """Small numbers, whatever the width of the members."""
    return (b"\x01\x00\x00\x00\x02\x00\x00\x00" * (size // 8 + 1))[:size]


def _large(size: int) -> bytes:
    return b"\xff" * size
