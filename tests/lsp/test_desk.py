"""What is known of open files after a change is what is known when all of them are opened anew.

Files that include each other are edited at random, line by line, with lines that matter: includes, structs with and
without padding, functions, what makes a text eBPF. One desk is told of each change; another looks at everything again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import CACHE, git

from ebpffix.lsp.desk import Desk
from ebpffix.lsp.messages import Looked, Make, Opened, Seen, Silence, Update

INNER = "struct key {\n\tu16 port;\n\tu64 cookie;\n};\n"
OUTER = """#include "inner.h"

static __always_inline u64 *of(void *map, struct key *key)
{
	return bpf_map_lookup_elem(map, key);
}
"""
PROGRAM = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "outer.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct key);
	__type(value, u64);
} seen SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct key key = {
		.port = ctx->ingress_ifindex,
		.cookie = 2,
	};
	u64 *known = of(&seen, &key);

	if (!known)
		return XDP_PASS;
	*known += 1;
	bpf_map_update_elem(&seen, &key, known, BPF_ANY);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
"""
HOST = '''from bcc import BPF
TEXT = r"""
struct k { u32 a; char b; };
BPF_HASH(m, struct k, u64, 64);

int f(struct pt_regs *ctx)
{
	struct k k;
	k.a = 1;
	k.b = 2;
	m.increment(k);
	return 0;
}
"""
BPF(text=TEXT)
'''
LINES = [
    '#include "inner.h"\n',
    '#include "outer.h"\n',
    '#include "lost.h"\n',
    "// a comment\n",
    "\tu8 more;\n",
    "\tu64 wide;\n",
    "// ebpffix: ignore\n",
    "// ebpffix: ignore-file[padded-init]\n",
    "}\n",
    '"""\n',
    "\n",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """On the disk is another program that includes a header, and that nobody opens."""
    git("init", "-q", cwd=tmp_path)
    (tmp_path / "closed.bpf.c").write_text(PROGRAM)
    for name, text in (("inner.h", INNER), ("outer.h", OUTER)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, Desk]]:
    monkeypatch.setenv("EBPFFIX_CACHE_DIR", str(CACHE))
    monkeypatch.chdir("/")
    one, other = Desk(), Desk()
    with one, other:
        yield one, other


def _plain(looked: Looked) -> dict[Path, Seen]:
    return {one.path: replace(one, generation=0) for one in looked.seen}


def _edited(text: str, choose: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = choose.randint(0, len(lines))
    match choose.randint(0, 2):
        case 0:
            lines.insert(at, choose.choice(LINES))
        case 1 if at < len(lines):
            del lines[at]
        case _ if at < len(lines):
            lines[at] = choose.choice(
                [lines[at].replace("u16", "u64"), lines[at].replace("_HASH", "_LRU_HASH"), lines[at] * 2]
            )
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_change_is_all_that_is_needed(tree: Path, desks: tuple[Desk, Desk], seed: int) -> None:
    desk, anew = desks
    choose = random.Random(seed)
    texts = {
        "inner.h": INNER,
        "outer.h": OUTER,
        "a.bpf.c": PROGRAM,
        "b.bpf.c": PROGRAM.replace("xdp", "tc"),
        "c.py": HOST,
    }
    first = texts.copy()
    known: dict[Path, Seen] = {}
    found = 0
    for number in range(40):
        name = choose.choice(list(texts))
        texts[name] = first[name] if choose.random() < 0.2 else _edited(texts[name], choose)
        opened = {n: Opened(tree / n, text.encode(), number, tree) for n, text in texts.items()}
        known |= _plain(desk.update(Update((opened[name],) if number else tuple(opened.values()))))
        expected = _plain(anew.update(Update(tuple(opened.values()), fresh=True)))
        assert known == expected, texts
        found += sum(len(seen.findings) for seen in expected.values())
    assert found > 20


def test_headers_hang_together_through_a_program_that_is_closed(tree: Path, desks: tuple[Desk, Desk]) -> None:
    desk, _ = desks
    reader = OUTER.replace(
        "struct key *key)\n{\n", "struct key *other)\n{\n\tstruct key of = { .port = other->port };\n\n"
    )
    reader = reader.replace("(map, key)", "(map, &of)")

    def told(name: str, text: str) -> list[str]:
        looked = desk.update(Update((Opened(tree / name, text.encode(), 1, tree),)))
        return [f.transform for seen in looked.seen if seen.path.name == "outer.h" for f in seen.findings]

    assert told("outer.h", reader) == ["padded-init"]
    assert told("inner.h", INNER) == ["padded-init"]
    assert told("inner.h", "struct key {\n\tu64 port;\n};\n") == []
    assert told("inner.h", INNER) == ["padded-init"]


def test_what_changes_on_the_way_changes_nothing(tree: Path, desks: tuple[Desk, Desk]) -> None:
    """To try a fix or a comment leaves everything as it was."""
    desk, anew = desks
    opened = tuple(Opened(tree / n, t.encode(), 1, tree) for n, t in (("a.bpf.c", PROGRAM), ("outer.h", OUTER)))
    before = _plain(desk.update(Update(opened)))
    for seen in before.values():
        for finding in seen.findings:
            desk.silence(Silence(seen.path, finding.identity))
            desk.make(Make(seen.path, finding.identity))
    assert before[tree / "a.bpf.c"].findings
    assert _plain(desk.update(Update(opened))) == before == _plain(anew.update(Update(opened)))
