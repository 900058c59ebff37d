"""Programs made at random, which the verifier accepts, run by the interpreter and by the kernel: both must agree.

    python -m repair.generated [COUNT] [SEED]      (in the folder tests)

Arithmetic of all widths and signs, branches, loops, packet reads and writes, hash and array maps, functions.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ebpffix.repair import image, interpreter
from ebpffix.repair.inputs import packets
from ebpffix.verify.compile import Object, compile_libbpf, find_clang
from ebpffix.verify.load import test_runs

_HEAD = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct value { __u64 a; __u32 b; __s16 c; __u8 d; __u8 e; };
#define MAP(kind, entries, name) struct { __uint(type, kind); __uint(max_entries, entries); \\
    __type(key, __u32); __type(value, struct value); } name SEC(".maps")
MAP(BPF_MAP_TYPE_HASH, 64, h);
MAP(BPF_MAP_TYPE_ARRAY, 4, t);
static volatile __u64 global = 3;
static __noinline __u64 mix(__u64 a, __u32 b) { return a * 31 + (b ^ (a >> 7)); }
"""
_OPERATORS = ("+", "-", "*", "&", "|", "^")
_TYPES = ("__u64", "__s64", "__u32", "__s32", "__u16", "__s16", "__u8", "__s8")
_NAMES = ("a", "b", "c", "d")
_EACH = 25  # programs in one object


class Maker:
    """One random program after the other; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def program(self, number: int) -> str:
        lines = [f'SEC("xdp") int p{number}(struct xdp_md *ctx) {{']
        lines += ["__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;"]
        lines += ["if (data + 40 > end) return XDP_PASS;", "__u32 key = 0; struct value *v, fresh = {};"]
        for name in _NAMES:
            kind = self.random.choice(_TYPES)
            lines.append(f"{kind} {name} = *({self.random.choice(_TYPES)} *)(data + {self.random.randrange(32)});")
        for _ in range(self.random.randrange(4, 14)):
            lines.append(self.statement(0))
        return "\n".join([*lines, f"return (int)({self.value()});", "}"])

    def value(self) -> str:
        choose = self.random.random()
        a, b = self.random.choice(_NAMES), self.random.choice(_NAMES)
        if choose < 0.2:
            return str(self.random.choice((0, 1, 7, 255, 0x7FFFFFFF, 0xDEADBEEF, 0x123456789ABCDEF)))
        if choose < 0.35:
            return f"(({self.random.choice(_TYPES)}){a})"
        if choose < 0.45:
            return f"({a} {self.random.choice(('<<', '>>'))} ({b} & 31))"
        if choose < 0.52:
            return f"__builtin_bswap{self.random.choice((16, 32, 64))}({a})"
        if choose < 0.58:
            return f"((__u64){a} {self.random.choice('/%')} ({b} | 1))"
        return f"({a} {self.random.choice(_OPERATORS)} {b})"

    def statement(self, depth: int) -> str:
        choose, name = self.random.random(), self.random.choice(_NAMES)
        if choose < 0.4 or depth > 2:
            return f"{name} {self.random.choice(('=', '+=', '^='))} {self.value()};"
        if choose < 0.6:
            compared = self.random.choice(("<", ">", "<=", ">=", "==", "!=", "&"))
            inner, other = self.statement(depth + 1), self.statement(depth + 1)
            return f"if ({self.value()} {compared} {self.value()}) {{ {inner} }} else {{ {other} }}"
        if choose < 0.7:
            rounds = self.random.randrange(1, 6)
            return f"for (int i{depth} = 0; i{depth} < {rounds}; i{depth}++) {{ {self.statement(depth + 1)} }}"
        if choose < 0.78:
            return f"*({self.random.choice(_TYPES)} *)(data + {self.random.randrange(32)}) = {self.value()};"
        if choose < 0.9:
            name, member = self.random.choice("ht"), self.random.choice("abcde")
            return (
                f"key = {self.value()} & 5; v = bpf_map_lookup_elem(&{name}, &key);"
                f" if (v) v->{member} += {self.value()};"
                f" else {{ fresh.{member} = {self.value()}; bpf_map_update_elem(&{name}, &key, &fresh, BPF_ANY); }}"
            )
        if choose < 0.95:
            return f"{name} = mix({self.value()}, {self.value()});"
        return f"global = {self.value()}; {name} ^= global;"


@dataclass
class Tally:
    agreed: int = 0
    not_run: int = 0
    differing: tuple[str, ...] = ()


def compare(count: int, seed: int, folder: Path) -> Tally:
    """Run `count` generated programs both ways, each on a few packets."""
    tally, maker = Tally(), Maker(seed)
    given = [packet for packet in packets() if len(packet) >= 40][:6]
    for start in range(0, count, _EACH):
        text = _HEAD + "\n".join(maker.program(n) for n in range(min(_EACH, count - start)))
        path = folder / f"generated{start}.bpf.c"
        path.write_text(text + '\nchar _license[] SEC("license") = "GPL";\n')
        cpu = ("v2", "v3", "v4")[start // _EACH % 3]
        made = compile_libbpf(path, clang=find_clang(), args=[f"-mcpu={cpu}"])
        assert isinstance(made, Object), str(made)
        for name in image.read(made.data).sections:
            if name != "mix":
                _compare_one(made, name, given, tally)
    return tally


def _compare_one(made: Object, name: str, given: list[bytes], tally: Tally) -> None:
    real = test_runs(made, name, [(packet, {}) for packet in given])
    for packet, now in zip(given, real, strict=True):
        if now is None:  # the verifier gave up on it
            tally.not_run += 1
            continue
        try:
            was = interpreter.run(image.read(made.data), "xdp", name, packet)
        except (interpreter.Fault, interpreter.Unsupported) as error:
            tally.differing += (f"{name}: {type(error).__name__} {error}",)
            continue
        same = was.retval == now.retval and was.packet == now.data_out
        same = same and all(dict(was.maps[m]) == now.maps[m] for m in was.maps if m in now.maps)
        if same:
            tally.agreed += 1
        else:
            tally.differing += (f"{name} on {packet.hex()}: {was.retval}, the kernel {now.retval}",)


def main() -> Iterator[str]:
    import tempfile

    count, seed = (int(a) for a in (*sys.argv[1:3], *("2000", "1")[len(sys.argv[1:3]) :]))
    with tempfile.TemporaryDirectory() as folder:
        tally = compare(count, seed, Path(folder))
    yield f"{tally.agreed} runs agree, {len(tally.differing)} differ, {tally.not_run} were not accepted"
    yield from tally.differing[:20]


if __name__ == "__main__":
    print("\n".join(main()))
