"""The same hostile names, comments and messages through every format: nothing ends a line, moves a cursor, turns text
around, becomes a command, a link or HTML."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from reports import hostile, hostile_report

from ebpffix.repair.model import Candidate, Effect
from ebpffix.repair.search import Built, Found, Made
from ebpffix.report import FORMATS, kernels, render, repairs
from ebpffix.report import text as plain_text
from ebpffix.run.repairs import Repair
from ebpffix.shown import inline, visible, visible_code
from ebpffix.verify.compile import Clang

from .support import Attack
from .support_b import PROGRAM

# ESC, C1 controls, bidi, line ends of all kinds, what is not seen, and what somebody obeys.
NASTY = (
    "a\x1b[2Jb\x9b31mc\u202ed\u2066e\rf\u2028g\u200bh\x07\x7f`i`|j <b onclick=x> [k](http://evil.example) "
    "::error::l ##[error]m @team #12 \U000e0041"
)
NAME = f"x {NASTY.replace('/', '_')}\n::error file=y::z\n.bpf.c"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028\u2066\U000e0041]")
CALL = "\tbpf_map_update_elem(&counts, &key, seen, BPF_ANY);"


def attacked(attack: Attack) -> Attack:
    """A finding in a file with such a name, beside such a comment, and a file that cannot be read as it should be."""
    text = PROGRAM.decode().replace(CALL, f"{CALL} /* {NASTY.replace(chr(13), '')} */")
    return attack.write({NAME: text, f"b{NAME}": 'int @@@ broken SEC("xdp") {' + NASTY + CALL})


def assert_tame(text: str) -> None:
    assert not UNSEEN.search(text), UNSEEN.findall(text)
    assert not any(0xD800 <= ord(c) <= 0xDFFF for c in text)


@pytest.mark.parametrize("form", ["text", *FORMATS])
def test_every_format_of_a_real_run(attack: Attack, form: str) -> None:
    done = attacked(attack).run("--output-format", form)
    assert done.code in (1, 2)
    assert_tame(done.err)
    assert_tame(done.out)
    for line in (done.out + done.err).splitlines():
        assert not line.startswith("::error file=y"), line


@pytest.mark.parametrize("form", [*FORMATS])
def test_every_format_of_a_report_in_which_all_is_hostile(form: str) -> None:
    report, _ = hostile()
    for finding in report["findings"]:
        finding["message"] += NASTY
        finding["reason"] += NASTY
    text = render(report, form).decode()
    assert_tame(text)
    if form in ("json", "sarif", "gitlab", "rdjson"):
        json.loads(text)
    if form == "json":
        assert json.loads(text) == json.loads(json.dumps(report))  # and nothing is lost
    for message in messages(json.loads(text)) if form in ("sarif", "gitlab", "rdjson") else ():
        assert_tame(message)
        assert "\n" not in message
    if form == "github":
        assert r"a\x1b[2Jb\x9b31mc\u202e" in text  # shown, not left out
    if form == "html":
        assert "<img" not in text and "<b onclick" not in text
    if form == "rdjson":
        for diagnostic in json.loads(text)["diagnostics"]:
            assert_inert(diagnostic["message"])


def messages(data: Any) -> Iterator[str]:
    """What a report in JSON says in words, as it is once it is read."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("message", "description"):
                yield value["text"] if isinstance(value, dict) else value
            yield from messages(value)
    elif isinstance(data, list):
        for value in data:
            yield from messages(value)


def test_lines_for_people_of_a_report_in_which_all_is_hostile() -> None:
    report = hostile_report()
    found = [*report.applied, *report.remaining]
    for one in found:
        one.fix.origin.append(NASTY)
    said = [*map(str, plain_text.lines(report, found, verbose=True)), *plain_text.notes(report), *kernels.lines(report)]
    assert len(said) > 2 * len(found)
    for line in said:
        assert_tame(line)
        assert "\n" not in line


def assert_inert(message: str) -> None:
    """Markdown that is words and code."""
    parsed = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(message)
    tokens = [inner for token in parsed for inner in (token, *(token.children or []))]
    assert {token.type for token in tokens} <= {
        "paragraph_open", "paragraph_close", "inline", "text", "code_inline",
    }, message  # fmt: skip
    words = " ".join(token.content for token in tokens if token.type == "text")
    assert not re.search(r"[@#<>|]|://", words), words


def terminal(attack: Attack, *args: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-Im", "ebpffix", *args],
        cwd=attack.tree,
        env=attack.environment | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    return said.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


@pytest.mark.parametrize("args", [(), ("--diff",), ("--statistics",), ("--output-format", "json")], ids=" ".join)
def test_a_terminal_gets_nothing_that_it_obeys(attack: Attack, args: tuple[str, ...]) -> None:
    said = terminal(attacked(attack), *args)
    assert "redundant-map-update" in said or "bpf_map_update_elem" in said
    assert_tame(said.replace("\t", " "))


def test_a_diff_for_git_is_byte_for_byte(attack: Attack) -> None:
    attack.write({"a.bpf.c": PROGRAM.replace(b"\tif (!seen)", b"\t/* \x1b[31m */ if (!seen)")})
    assert "\x1b[31m" in attack.run("--diff").out
    assert "\x1b" not in terminal(attack, "--diff")


def test_a_patch_series_has_no_forged_lines(attack: Attack) -> None:
    done = attacked(attack).run("--format-patch", attack.home / "out")
    assert_tame(done.out + done.err)
    (patch,) = (attack.home / "out").glob("0001-*")
    assert b"\x1b" not in patch.read_bytes()
    body = message_from_bytes(patch.read_bytes()).get_payload(decode=True)
    assert isinstance(body, bytes)
    assert b"\n::error" not in body.partition(b"\ndiff --git")[0]


def test_errors_about_names(attack: Attack) -> None:
    for args in (("none " + NAME,), ("--baseline", NAME), ("-I", NAME), ("--select", NAME), ("--log", NAME)):
        done = attack.run(*args)
        assert done.code == 2 and done.err.count("\n") == 1, done
        assert_tame(done.err)


def test_a_hostile_log(attack: Attack) -> None:
    log = attack.home / "log"
    nasty = NASTY.replace("\r", " ")
    log.write_text(
        f"0: (b7) r0 = 0\n; {nasty} @ {NAME.splitlines()[0]}:3\n1: (79) r1 = *(u64 *)(r2 +0)\n"
        f"R2 invalid mem access 'scalar{nasty}'\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n"
    )
    done = attack.write({"a.bpf.c": PROGRAM}).run("--log", log)
    assert done.code == 1 and "refused" in done.out, done
    assert_tame(done.out + done.err)


def test_a_hostile_log_of_a_run_that_repairs(attack: Attack) -> None:
    """What is said of a refusal stands before a diff, where git passes over it."""
    log = attack.home / "log"
    log.write_text(
        f"0: (b7) r0 = 0\n; x @ {NASTY.replace(chr(13), ' ')}.c:3\n1: (79) r1 = *(u64 *)(r2 +0)\n"
        f"R2 invalid mem access 'scalar\x1b\u202e'\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n"
    )
    done = attack.write({"a.bpf.c": PROGRAM}).run("--repair", "--log", log)
    assert done.out.startswith("# ") and "scalar" in done.out, done
    assert_tame(done.out + done.err)


def test_what_is_said_of_a_repair_ends_no_line() -> None:
    forged = "x\n--- a/.github/workflows/w.yml\n+++ b/.github/workflows/w.yml\x1b"
    candidate = Candidate((), Effect.EXACT, forged, strategy="x")
    made = Made(candidate, forged, forged, Path(forged), 3, Path("y" + forged), 4)
    found = Found({}, (made,), "", Built(), (candidate,), unreached=(forged,), disagrees=forged)
    for repair in (Repair(Path(forged), "untried", None, {}, forged), Repair(Path(forged), "repaired", found)):
        said = list(repairs.lines(repair))
        assert said and any("x\\n--- a" in line for line in said)
        assert not any("\n" in line for line in said)
        assert all(line.startswith("# ") for line in repairs.headed(repair).decode().splitlines())
        assert_tame("\n".join(said))


@pytest.mark.parametrize("args", [(), ("--diff",)], ids=str)
def test_a_terminal_gets_nothing_that_it_obeys_of_a_repair(attack: Attack, clang: Clang, args: tuple[str, ...]) -> None:
    refused = PROGRAM.replace(b"\tif (!seen)", b"\tif (0)").replace(b"*seen", b"/* \x1b[31m\xe2\x80\xae */ *seen")
    attack.write({"a.bpf.c": refused, "b.bpf.c": PROGRAM + "#error \u202e\n".encode()})
    said = terminal(attack, "--repair", "--clang", clang.path, *args)
    assert ("b.bpf.c: cannot be repaired here" if not args else "a.bpf.c") in said, said
    assert_tame(said.replace("\t", " "))


def test_the_functions_themselves() -> None:
    assert visible("plain é 🐝 text") == "plain é 🐝 text"
    assert visible("a\x1b\n\t\r\x9b\u202e\udcff") == r"a\x1b\n\t\r\x9b\u202e\xff"
    assert visible_code("\ta\tb\x1b") == "\ta\tb\\x1b"
    assert_inert(inline(NASTY))
    made: Any = [visible(chr(code)) for code in range(0x3000)]
    assert all(text.isprintable() and text for text in made)
    assert Path(NAME).name == NAME
