"""No tree takes the machine: memory, CPU time and waiting end, are told in one line, and the rest goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpffix.sources.discover import Discovery
from ebpffix.verify.compile import Clang
from ebpffix.verify.proof import SPENT

from .support import FINE, Attack

_BOMB = "#define A x x x x x x x x\n" + "".join(
    f"#define {b} {' '.join([a] * 32)}\n" for a, b in zip("ABCDEF", "BCDEFG", strict=True)
)
ATTACKS = {
    "endless include": ('#define H "/dev/zero"\n#include H\n', "of memory"),
    "macro bomb": (_BOMB + "int f(void) { return G; }\n", "CPU time|of memory"),
    "bomb of strings": (
        '#define A "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"\n'
        + "".join(f"#define {b} {' '.join([a] * 32)}\n" for a, b in zip("ABCDE", "BCDEF", strict=True))
        + "const char *f(void) { return F; }\n",
        "CPU time|of memory",
    ),
    "include of itself": ('#include "fine.bpf.c"\n#include __FILE__\n#include __FILE__\n', ""),
    "deep nesting": ("int f(void) { return " + "(" * 100_000 + "1" + ")" * 100_000 + "; }\n", ""),
    "deep blocks": ("int f(void) " + "{" * 100_000 + "}" * 100_000 + "\n", ""),
    "crash asked for": ("#pragma clang __debug crash\n", ""),
    "overflow asked for": ("#pragma clang __debug overflow_stack\n", "CPU time"),
    "error asked for": ("#pragma clang __debug llvm_fatal_error\n", ""),
}


# As for any program, but soon: the limits are 20 seconds each.
SOON = "from ebpffix.run import worker; worker._CPU, worker._STALL = 3, 3.0"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_program_that_takes_too_much_is_told_of_and_the_rest_goes_on(attack: Attack, name: str) -> None:
    text, reason = ATTACKS[name]
    files = {f"fine{number}.bpf.c": FINE for number in range(3)}
    done = attack.write({**files, "hostile.bpf.c": FINE + text}).run("--jobs", "2", first=SOON)
    assert done.out.count("padded-init") >= 3, done.err
    assert "Traceback" not in done.err and "a bug in ebpffix" not in done.err
    told = [line for line in done.err.splitlines() if line.startswith("hostile.bpf.c: failed: ")]
    if reason:
        assert len(told) == 1 and any(part in told[0] for part in reason.split("|")), done.err
        assert done.code == 2


def test_a_process_that_is_bound_fills_no_more() -> None:
    code = "from ebpffix.run import limits; limits.bound(64 << 20); a = bytes(32 << 20); print('half'); bytes(64 << 20)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "half\n" and done.stderr.endswith("MemoryError\n"), done


def test_a_pipe_among_the_includes_is_not_waited_for(attack: Attack) -> None:
    os.mkfifo(attack.tree / "pipe.h")
    attack.write({"hostile.bpf.c": FINE + "#define H <pipe.h>\n#include H\n", "fine.bpf.c": FINE})
    done = attack.run("-I", attack.tree, first=SOON)
    assert done.out.count("padded-init") == 1 and done.code == 2
    assert "gives nothing" in done.err


def test_the_proofs_of_a_run_have_a_budget(attack: Attack, clang: Clang) -> None:
    attack.write({f"fine{number}.bpf.c": FINE for number in range(4)})
    args = ("--verify", "--unsafe-fixes", "--clang", clang.path, "--output-format", "json")
    soon = "from ebpffix.verify.session import Verifier; Verifier.__init__.__kwdefaults__['seconds'] = 0.01"
    done = attack.run(*args, first=soon)
    proofs = [found["proof"] for found in json.loads(done.out)["findings"] if found["edits"]]
    assert len(proofs) == 4
    assert {(proof["verdict"], proof["reason"]) for proof in proofs} == {("untried", SPENT)}, proofs
    assert done.err.count("the proofs of this run took 0.01 s of CPU time, which is the limit") == 1, done.err


# Texts whose scanning grew with the square of their size, by the kind of file: (what stands before, what is repeated).
SCANS = {
    "escaped quotes .py": b"BPF_HASH = '\x00\\'",
    "escaped quotes .go": b'BPF_HASH = "\x00\\"',
    "escaped quotes .cc": b"BPF_HASH = '\x00\\'",
    "escaped quotes .lua": b"BPF_HASH = '\x00\\'",
    "escaped quotes .bpf.c": b'SEC("xdp") "\x00\\"',
    "open comments .go": b"BPF_HASH\x00/*",
    "open comments .cc": b"BPF_HASH\x00/*",
    "open comments .lua": b"BPF_HASH\x00--[[",
    "open texts .py": b"BPF_HASH\x00\"\"\"'''\\",
    "open texts .lua": b"BPF_HASH\x00[==[ [=[ [[",
    "open raw texts .cc": b'BPF_HASH\x00R"x( R"yy( ',
    "raw texts of many names .cc": b'BPF_HASH\x00R"%d(',
    "comments alone .py": b"BPF_HASH\x00#\n",
    "characters alone .go": b"BPF_HASH\x00'a'\n",
    "texts alone .py": b"\x00'BPF_'\n",
    "variables .py": b"\x00a%d='BPF_%%'\n",
    "one variable .py": b"\x00a='BPF_'\n",
    "names of characters .py": b"text = '''BPF_HASH(a); int f(struct pt_regs *ctx) {\x00\\N{",
    "brackets .py": b"text = '''BPF_HASH(a); int f(struct pt_regs *ctx) {\x00(",
    "branches .py": b"text = '''BPF_HASH(a); int f(struct pt_regs *ctx) {}\n\x00#el\n",
    "fields .py": b"text = '''BPF_HASH(a); int f(struct pt_regs *ctx) {}\n''' % x; b = '''BPF_ \x00%%s",
    "placeholders .py": b"t = '''BPF_HASH(a); int f(struct pt_regs *ctx) {FILTER}'''\n\x00t.replace('FILTER', '(')\n",
    "words to replace .py": b"t = '''BPF_HASH(a); int f(struct pt_regs *ctx) { }\n'''\n\x00t.replace('FILTER%d', '')\n",
    "programs .py": b"\x00a = '''BPF_HASH(m%d); int f%d(struct pt_regs *ctx) { g(); }'''\n",
}


@pytest.mark.parametrize("name", SCANS)
def test_the_time_to_look_for_programs_grows_with_the_text_not_with_its_square(name: str, tmp_path: Path) -> None:
    first, repeated = SCANS[name].split(b"\0")
    path = tmp_path / f"file{name.split()[-1]}"

    def seconds(size: int) -> float:
        marks = repeated.count(b"%d")
        each = (repeated.replace(b"%d", b"%06d" % n) if marks else repeated for n in range(size // len(repeated)))
        text = first + b"".join(each).replace(b"%%", b"%")
        began = time.process_time()
        Discovery.of_text(path, text)
        return time.process_time() - began

    seconds(1000)
    assert seconds(160_000) < 60 * max(seconds(10_000), 0.002)  # 16 times the text; 256 would be its square


def test_texts_that_stand_in_each_other_do_not_multiply_without_an_end(tmp_path: Path) -> None:
    text = "t = '''BPF_HASH(a);\nint f(struct pt_regs *ctx) {" + "AAA;" * 3000 + "}'''\n"
    text += f"t.replace('AAA', '{'BBB;' * 3000}').replace('BBB', '{'CCC;' * 3000}').replace('CCC', 'x')\n"
    began = time.process_time()
    found = Discovery.of_text(tmp_path / "a.py", text.encode())
    assert time.process_time() - began < 10
    assert all(len(program.source.data) < 8 << 20 for program in found.programs)
