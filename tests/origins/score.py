"""Score what provenance says of labelled places: precision and recall by safety, and each wrong answer.

    python tests/origins/score.py TABLE TREES [--half open|sealed|fresh|all]

TABLE has tab-separated rows with a header: repo, commit, path, line, column, expression, question, truth, half,
evidence. The checkout of `owner/name` is TREES/owner+name. What README.md beside the table says of the columns holds.
A place is answered safely where each link is certain, as a suggestion where one is only likely, else not at all.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ebpffix.analysis.provenance import HOSTS, Proof, Space, pointer, prove, prove_place
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.frontend.environment import Environment, Options
from ebpffix.run.engine import run
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import Discovery, discover
from ebpffix.transform import Registered, Transform

Row = dict[str, str]
_KNOWN = re.compile(r"BPF_(?:CORE|PROBE)_READ|bpf_core_read|bpf_probe_read|PT_REGS_")
_TELLABLE = ("kernel", "kernel-trusted", "bpf", "user")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("trees", type=Path)
    parser.add_argument("--half", choices=("open", "sealed", "fresh", "all"), default="open")
    parser.add_argument("--silent", action="store_true", help="list the places without an answer too")
    args = parser.parse_args()
    with args.table.open(newline="") as table:
        rows = [r for r in csv.DictReader(table, delimiter="\t") if args.half in (r["half"], "all")]
    verdicts = []
    for repo in dict.fromkeys(r["repo"] for r in rows):
        own = [r for r in rows if r["repo"] == repo]
        verdicts += list(_score(args.trees / repo.replace("/", "+"), own))
    _print(verdicts, silent=args.silent)


def _score(tree: Path, rows: list[Row]) -> Iterator[tuple[Row, str, str, str]]:
    """(row, safety or "", answer, why) of each row of one tree."""
    expressions = {_first_line(r["expression"]) for r in rows}
    spy = Transform(
        "spy", 0, (BCC, LIBBPF), (rb"\w",), "says where pointers come from", neighbours=HOSTS, user_space=True
    )
    named = {str(tree / r["path"]) for r in rows if not r["path"].endswith((".c", ".h", ".py", ".go"))}
    discovery, contents = discover([str(tree)]), dict[Path, bytes]()
    for name in sorted(named):  # of a kind that is not looked at by itself
        path, text = Path(name + ".c").resolve(), Path(name).read_bytes()
        discovery, contents[path] = Discovery.of_text(path, text, BCC), text
    chosen = {"spy": Registered(spy, _say(expressions), "")}
    settings = Settings(chosen, Environment(Options()), jobs=2, contents=contents)
    report = run(discovery, settings)
    said: dict[tuple[str, int, int, str], list[dict[str, list[str]]]] = {}
    for found in report.findings:
        answer = json.loads(found.fix.message)
        path = found.fix.at.path
        data = report.before[path]
        start = found.fix.at.start
        line = data.count(b"\n", 0, start) + 1
        inside = str(path.relative_to(tree.resolve()))
        inside = inside if path.exists() else inside.removesuffix(".c")
        key = (inside, line, start - data.rfind(b"\n", 0, start), answer["text"])
        said.setdefault(key, []).append(answer)
    for row in rows:
        key = row["path"], int(row["line"]), int(row["column"]), _first_line(row["expression"])
        yield row, *_verdict(row, said.get(key, []))


def _verdict(row: Row, answers: list[dict[str, list[str]]]) -> tuple[str, str, str]:
    if not answers:
        return "", "", "the place was not found"
    found = []
    for answer in answers:
        lvalue = row["question"] in ("convert", "copy") or (row["question"] == "read" and answer["macro"])
        found.append(answer["place" if lvalue and answer["place"] else "value"])
    # A program that includes a header and does not come to the place says nothing of it.
    reached = [f for f in found if "nothing is seen to call" not in f[2]] or found
    answers_ = {f[1] for f in reached}
    if len(answers_) > 1:
        return "", "", f"programs differ: {sorted(answers_)}"
    safety = "suggested" if any(f[0] == "suggested" for f in reached) else reached[0][0]
    return safety, reached[0][1], reached[0][2]


def _say(expressions: set[str]) -> Callable[[Unit], Iterator[Fix]]:
    def find(unit: Unit) -> Iterator[Fix]:
        done = set()
        for function in unit.functions:
            for node in function.walk():
                if node.path not in unit.sources or not _is_expression(node):
                    continue
                text = _first_line(node.text.decode("utf-8", "replace"))
                if text not in expressions or (node.path, node.start, text) in done:
                    continue
                done.add((node.path, node.start, text))
                around = unit.macros_around(node.path, node.start, node.end)
                through = pointer(node.bare)
                answer = {
                    "text": text,
                    "macro": bool(around) and not _KNOWN.match(around[-1].name) and through is not None,
                    "value": _words(prove(unit, node)),
                    "place": _words(prove_place(unit, node.bare)) if through is not None else [],
                }
                yield Fix(node, json.dumps(answer), Safety.ADVICE, reason="-")

    return find


def _is_expression(node: Node) -> bool:
    return node.kind.endswith("_EXPR") or node.kind.endswith("_OPERATOR") or node.kind == "StmtExpr"


def _first_line(text: str) -> str:
    return text.split("\n")[0][:60].rstrip()


def _words(proof: Proof) -> list[str]:
    """(safety, answer, why) of a proof."""
    if proof.is_bpf:
        answer = "bpf"
    elif proof.space is Space.KERNEL:
        answer = "kernel-trusted" if all(way.trusted for way in proof.ways) else "kernel"
    else:
        answer = "user" if proof.space is Space.USER else proof.reader
    if not answer:
        return ["", "", proof.unknown]
    return ["safe" if proof.is_certain else "suggested", answer, " | ".join(proof.chains)]


def _print(verdicts: list[tuple[Row, str, str, str]], *, silent: bool) -> None:
    tellable = [v for v in verdicts if v[0]["truth"] in _TELLABLE]
    for row, safety, answer, why in verdicts:
        place = f"{row['repo']} {row['path']}:{row['line']}:{row['column']} `{row['expression']}` ({row['question']})"
        if safety and answer != row["truth"]:
            print(f"WRONG {safety}: {place}: said {answer}, is {row['truth']}\n    {why}\n    truth: {row['evidence']}")
        elif silent and not safety and row["truth"] in _TELLABLE:
            print(f"silent: {place}: is {row['truth']}\n    {why}")
    for safety in ("safe", "suggested"):
        given = [v for v in verdicts if v[1] == safety]
        right = sum(v[2] == v[0]["truth"] for v in given)
        print(f"{safety}: {len(given)} answers, {right} right, {len(given) - right} wrong")
    right = sum(v[2] == v[0]["truth"] for v in tellable)
    print(f"recall: {right} of {len(tellable)} that can be told ({100 * right / max(len(tellable), 1):.1f} %)")
    kinds = Counter((v[0]["question"], v[0]["truth"], v[1] or "silent") for v in verdicts)
    for (question, truth, safety), count in sorted(kinds.items()):
        print(f"    {question:8} {truth:15} {safety:10} {count}")


if __name__ == "__main__":
    main()
