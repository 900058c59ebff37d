"""A page to look at: one file with all in it, which needs no network and runs no script but its own.

All text of the report may come from a hostile program: it goes through `_text` into elements and through `escape` into
attributes, and a content security policy with the hashes of the page's own script and style refuses any other.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from hashlib import sha256
from html import escape
from itertools import zip_longest
from typing import Any

_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)
_TOKENS = 300  # comparing is quadratic: in longer lines nothing is highlighted
_SHOWN = 5  # files not wholly understood; more are folded up, so that the findings come first
_ALIKE = 0.3  # lines that have less in common are another line, not a changed one
_SAFETIES = ("safe", "suggested", "advice")
_VERDICTS = {
    "fixed": "refused before, loads now",
    "same-object": "the compiler makes the same object code of it",
    "still-accepted": "loaded before, loads now",
    "still-rejected": "refused before and now, for another reason perhaps",
    "worse": "loaded before, refused now: the fix is left out",
    "untried": "could not be compiled or loaded here; the reason says why",
}

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --soft: #f4f5f7; --line: #d8dbe0; --text: #1c2128; --dim: #59636e;
  --old: #ffebe9; --cut: #ffb8b0; --new: #dafbe1; --add: #8be39d; --safe: #1a7f37; --suggested: #9a6700;
  --advice: #0969da; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --soft: #1e2329; --line: #363d46; --text: #e3e8ee;
  --dim: #9aa5b1; --old: #3c1a1d; --cut: #8c2f2f; --new: #12301d; --add: #1f6b36; --safe: #4cc26a; --suggested: #dba53a;
  --advice: #64b0ff; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 82rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; font-family: ui-monospace, monospace; }
h3 { display: flex; flex-wrap: wrap; gap: .2rem .5rem; align-items: center; font-size: 1rem; font-weight: normal;
  margin: 0 0 .4rem; }
h3 a { color: var(--dim); font-size: 13px; font-family: ui-monospace, monospace; text-decoration: none; }
h3 a:hover { text-decoration: underline; }
p { margin: .3rem 0; }
.dim { color: var(--dim); }
.odd { color: var(--bad); border: 1px solid; border-radius: 3px; font-size: .75em; padding: 0 .2em; }
code, pre, .pane { font-family: ui-monospace, monospace; font-size: 13px; }
form, article, .told { border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; margin: .8rem 0; }
form { background: var(--soft); }
article:target { border-color: var(--advice); }
fieldset { border: 0; margin: .5rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .35rem; }
legend { float: left; width: 6.5rem; padding: .1rem 0; color: var(--dim); }
label { border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem; background: var(--back);
  cursor: pointer; user-select: none; }
label:has(:checked) { border-color: var(--advice); background: var(--advice); color: var(--back); }
label:has(:checked) .dim { color: inherit; }
label:has(:focus-visible) { outline: 2px solid var(--advice); outline-offset: 2px; }
label input { position: absolute; opacity: 0; }
input[type=search] { width: 100%; max-width: 30rem; padding: .35rem .6rem; font: inherit; color: inherit;
  background: var(--back); border: 1px solid var(--line); border-radius: 6px; }
.badge { border: 1px solid; border-radius: 1rem; padding: 0 .55rem; font-size: .85em; white-space: nowrap; }
.verdict::before { content: "proof: "; color: var(--dim); }
.safe, .fixed, .same-object, .still-accepted, .accepted { color: var(--safe); }
.suggested, .still-rejected, .untried, .partial { color: var(--suggested); }
.advice { color: var(--advice); }
.worse, .failed, .rejected { color: var(--bad); }
.hunk { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1px; margin: .6rem 0 0;
  border: 1px solid var(--line); background: var(--line); }
.hunk.one { grid-template-columns: minmax(0, 1fr); }
.between { border: solid var(--line); border-width: 0 1px; padding: 0 .6rem; font-size: 12px; color: var(--dim); }
.between + .hunk { margin-top: 0; }
.pane { overflow-x: auto; background: var(--back); }
.pane table { border-collapse: collapse; width: 100%; line-height: 1.45; tab-size: 4; }
.pane td { white-space: pre; padding: 0 .5rem; vertical-align: top; overflow-wrap: normal; }
.pane td:first-child { width: 1%; text-align: right; color: var(--dim); user-select: none; }
.old td + td::before { content: "- "; color: var(--bad); } .new td + td::before { content: "+ "; color: var(--safe); }
.old { background: var(--old); } .new { background: var(--new); } .none, .pane:empty { background: var(--soft); }
del { background: var(--cut); text-decoration: none; } ins { background: var(--add); text-decoration: none; }
.programs { border-collapse: collapse; margin: .8rem 0 .2rem; font-size: .93em; }
.programs td, .programs th { padding: 0 1.2rem 0 0; text-align: left; white-space: nowrap; }
.programs th { font-weight: normal; color: var(--dim); }
.programs td:first-child { white-space: normal; }
.matrix { overflow-x: auto; }
details { margin: .4rem 0 0; } summary { color: var(--dim); cursor: pointer; }
details pre { max-height: 24rem; overflow: auto; background: var(--soft); padding: .6rem; white-space: pre-wrap; }
[hidden] { display: none; }
@media (max-width: 44rem) {
  body { padding: .6rem; } .hunk { grid-template-columns: minmax(0, 1fr); } .none, .pane:empty { display: none; }
  legend { float: none; width: 100%; } article { padding: .6rem; }
  .pane td { padding: 0 .3rem; tab-size: 2; }
  .pane td + td { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: 4ch; text-indent: -4ch; }
  .programs { font-size: .85em; } .programs code { font-size: 12px; }
  .programs th, .programs td { padding-right: .6rem; }
}
@media print { form { display: none; } }
"""

# What is chosen stands behind the # of the address, so that a link to the page can say what to show. In a row of boxes
# none means all.
_SCRIPT = """
const form = document.forms[0], main = document.querySelector("main"), count = document.getElementById("count");
const names = ["transform", "safety", "verdict"], articles = [...main.querySelectorAll("article")];
const texts = articles.map(a => a.textContent.toLowerCase());
const boxes = name => [...form.querySelectorAll(`input[name="${name}"]`)];
const chosen = name => boxes(name).filter(b => b.checked).map(b => b.value);
const files = [...main.children].map(s => [s, [...s.querySelectorAll("article")]]);
const transforms = boxes("transform").map(b => {
  const section = document.createElement("section"), title = document.createElement("h2");
  title.textContent = b.value;
  section.append(title);
  return [section, articles.filter(a => a.dataset.transform === b.value)];
});
let grouped = "file";
function group(by) {
  if (by !== grouped) main.replaceChildren(...(by === "file" ? files : transforms).map(([section, of]) => {
    section.append(...of);
    return section;
  }));
  grouped = by;
}
function show() {
  group(chosen("by")[0]);
  const words = form.q.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const on = Object.fromEntries(names.map(n => [n, chosen(n)]));
  let shown = 0;
  articles.forEach((a, i) => {
    const fits = names.every(n => !on[n].length || on[n].includes(a.dataset[n]));
    a.hidden = !fits || !words.every(w => texts[i].includes(w));
    shown += !a.hidden;
  });
  for (const s of main.children) s.hidden = !s.querySelector("article:not([hidden])");
  count.textContent = `${shown} of ${articles.length} shown`;
}
function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  form.q.value = given.get("q") || "";
  for (const n of names) for (const b of boxes(n)) b.checked = given.getAll(n).includes(b.value);
  for (const b of boxes("by")) b.checked = b.value === (given.get("by") === "transform" ? "transform" : "file");
  show();
}
form.addEventListener("input", () => {
  const now = new URLSearchParams(names.flatMap(n => chosen(n).map(value => [n, value])));
  if (form.q.value) now.set("q", form.q.value);
  if (chosen("by")[0] !== "file") now.set("by", chosen("by")[0]);
  history.replaceState(null, "", "#" + now);
  show();
});
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", read);
form.hidden = false;
read();
"""


def render(report: dict[str, Any]) -> bytes:
    """The whole page. Without script it shows everything."""
    policy = f"default-src 'none'; style-src '{_digest(_STYLE)}'; script-src '{_digest(_SCRIPT)}'; base-uri 'none'"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>ebpffix report</title>',
        f"<style>{_STYLE}</style></head><body>",
        *_head(report),
        *_filters(report["findings"]),
        *_not_understood(report),
        *_kernels(report.get("kernels", [])),
        "<main>",
        *_files(report),
        f"</main><script>{_SCRIPT}</script></body></html>\n",
    ]
    return "\n".join(parts).encode()


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    """Text for an element: escaped, and with what cannot be seen, or makes what is seen another text than what the
    compiler reads, made visible."""
    shown = escape(text)
    if shown.isprintable():
        return shown
    return "".join(c if _is_seen(c) else f'<span class="odd">{_name(c)}</span>' for c in shown)


def _is_seen(character: str) -> bool:
    return character.isprintable() or character == "\t"


def _name(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"U+{code:04X}"


def _head(report: dict[str, Any]) -> Iterator[str]:
    files, findings = report["summary"]["files"], report["findings"]
    by = Counter(finding["safety"] for finding in findings)
    counts = ", ".join(f'<span class="{s}">{by[s]} {s}</span>' for s in _SAFETIES if by[s])
    states = ", ".join(f"{count} {state}" for state, count in files.items() if count)
    tool = f"{report['tool']['name']} {report['tool']['version']}"
    at = f" at {report['head_sha'][:12]}" if report["head_sha"] else ""
    yield f"<header><h1>{len(findings)} finding{'s' * (len(findings) != 1)}{f' ({counts})' if counts else ''}</h1>"
    yield f'<p class="dim">{sum(files.values())} eBPF files: {_text(states or "none")}; {_text(tool + at)}</p>'
    proofs = [finding["proof"] for finding in findings if finding["proof"]]
    if proofs:
        kernels = ", ".join(sorted({proof["kernel"] for proof in proofs}))
        compilers = ", ".join(sorted({proof["compiler"] for proof in proofs if proof["compiler"]}))
        verdicts = Counter(proof["verdict"] for proof in proofs)
        told = ", ".join(f'<span class="{v}">{verdicts[v]} {v}</span>' for v in _VERDICTS if verdicts[v])
        yield f'<p class="dim">Verified on kernel {_text(kernels)} with {_text(compilers or "no compiler")}: {told}</p>'
        meant = "".join(f'<p><b class="{v}">{v}</b>: {words}</p>' for v, words in _VERDICTS.items() if verdicts[v])
        yield f'<details class="legend"><summary>What the verdicts mean</summary>{meant}</details>'
    yield "</header>"


def _filters(findings: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield '<form hidden><p><input type="search" name="q" placeholder="Part of a path, a message, the code"'
    yield ' aria-label="Search"> <span id="count" class="dim" role="status"></span></p>'
    transforms = Counter(finding["transform"] for finding in findings)
    safeties = Counter(finding["safety"] for finding in findings)
    verdicts = Counter(map(_verdict, findings))
    yield _boxes("transform", sorted(transforms), transforms)
    yield _boxes("safety", [s for s in _SAFETIES if s in safeties], safeties)
    if any(verdict != "none" for verdict in verdicts):
        yield _boxes("verdict", [v for v in (*_VERDICTS, "none") if v in verdicts], verdicts)
    yield '<fieldset><legend>group by</legend><label><input type="radio" name="by" value="file" checked> file</label>'
    yield '<label><input type="radio" name="by" value="transform"> transform</label></fieldset></form>'


def _boxes(name: str, values: Iterable[str], counts: Counter[str]) -> str:
    boxes = (
        f'<label><input type="checkbox" name="{name}" value="{escape(value)}"> {_text(value)}'
        f' <span class="dim">{counts[value]}</span></label>'
        for value in values
    )
    return f"<fieldset><legend>{name}</legend>{' '.join(boxes)}</fieldset>"


def _verdict(finding: dict[str, Any]) -> str:
    return finding["proof"]["verdict"] if finding["proof"] else "none"


def _not_understood(report: dict[str, Any]) -> Iterator[str]:
    """What makes a file that shows no finding not clean."""
    told = [f'<span class="failed">{_text(error)}</span>' for error in report["summary"]["errors"]]
    for file in report["files"]:
        if file["status"] in ("failed", "partial"):
            status = f'<b class="{file["status"]}">{file["status"]}</b>'
            told.append(f"<code>{_text(file['path'])}</code> {status}: {_text('; '.join(file['notes']))}")
    for dropped in report["summary"]["dropped"]:
        said = f"{dropped['transform']}: a fix was left out: {dropped['reason']}"
        told.append(f"<code>{_text(dropped['path'])}</code> {_text(said)}")
    if told:
        shown = " open" if len(told) <= _SHOWN else ""
        yield f'<details class="told"{shown}><summary>Not wholly understood: {len(told)}</summary>'
        yield f"{''.join(f'<p>{one}</p>' for one in told)}</details>"


def _kernels(programs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Which kernel takes which program, as it is, and what the first says that refuses one."""
    kernels = list(dict.fromkeys(load["kernel"] for program in programs for load in program["verdicts"]))
    if not programs:
        return
    heads = "".join(f"<th>{_text(kernel)}</th>" for kernel in kernels)
    yield '<div class="told matrix"><p>Programs as they are, by kernel</p>'
    yield f'<table class="programs"><tr><th></th>{heads}</tr>'
    for program in (program for program in programs if program["verdicts"]):
        loads = {load["kernel"]: load for load in program["verdicts"]}
        cells = "".join(_load(loads.get(kernel)) for kernel in kernels)
        yield f"<tr><td>{_text(program['path'])} <code>{_text(program['program'])}</code></td>{cells}</tr>"
    yield "</table>"
    for program in programs:
        for load in program["verdicts"]:
            if load["verdict"] == "untried":
                said = f"{program['path']}: {program['program']}: untried on {load['kernel']}: {load['reason']}"
                yield f'<p class="dim">{_text(said)}</p>'
        if refused := program["refused"]:
            place = f"{refused['path']}:{refused['line']}" if refused["line"] else program["path"]
            who = (
                f"{program['program']}: Linux {refused['kernel']} refuses" if refused["kernel"] else "does not compile"
            )
            said = f"{place}: {who}: {refused['message']}"
            yield f"<details><summary>{_text(said)}</summary><p>{_message(refused['explanation'])}</p></details>"
    yield "</div>"


def _load(load: dict[str, Any] | None) -> str:
    return f'<td class="{load["verdict"]}">{load["verdict"]}</td>' if load else "<td></td>"


def _files(report: dict[str, Any]) -> Iterator[str]:
    """The findings, file by file."""
    files = {file["path"]: file for file in report["files"]}
    by_path: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        by_path.setdefault(finding["path"], []).append(finding)
    for path, findings in by_path.items():
        dialect = files[path]["dialect"] if path in files else ""
        yield f'<section data-path="{escape(_seen(path))}">'
        yield f'<h2>{_text(path)} <span class="dim">{_text(dialect)}</span></h2>'
        for finding in sorted(findings, key=lambda f: (f["line"], f["column"])):
            yield from _article(finding)
        yield "</section>"


def _seen(path: str) -> str:
    """A path for an attribute: lone surrogates, which no encoding has, made readable."""
    return "".join(c if _is_seen(c) else _name(c) for c in path)


def _article(finding: dict[str, Any]) -> Iterator[str]:
    verdict, safety, transform = _verdict(finding), finding["safety"], finding["transform"]
    data = f'data-transform="{escape(transform)}" data-safety="{safety}" data-verdict="{verdict}"'
    yield f'<article id="{escape(finding["fingerprint"])}" {data}>'
    badge = f'<span class="badge verdict {verdict}">{verdict}</span>' if finding["proof"] else ""
    place = f"{_text(finding['path'])}:{finding['line']}"
    yield f'<h3><b>{_text(transform)}</b> <a href="#{escape(finding["fingerprint"])}">{place}</a>'
    yield f'<span class="badge {safety}">{safety}</span> {badge}</h3><p>{_message(finding["message"])}</p>'
    if finding["reason"]:
        yield f'<p class="dim">{safety.capitalize()}: {_message(finding["reason"])}</p>'
    if finding["origin"]:
        ways = "".join(f"<p>{_message(way)}</p>" for way in finding["origin"])
        yield f'<details><summary class="dim">where the pointer comes from</summary>{ways}</details>'
    if finding["hunks"]:
        yield from _hunks(finding)
    else:
        yield f'<div class="hunk one">{_pane(_rows(finding["line"], finding["source"], ""))}</div>'
    if finding["proof"]:
        yield from _proof(finding["proof"])
    yield "</article>"


def _message(text: str) -> str:
    """Text with its `code` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


# -- diffs


def _hunks(finding: dict[str, Any]) -> Iterator[str]:
    """Old on the left, new on the right. New line numbers are those after this fix alone."""
    moved: Counter[str] = Counter()
    last = (finding["path"], 0)  # the file of the hunk above, and its last line
    for hunk in finding["hunks"]:
        path, start, old, new = hunk["path"], hunk["start_line"], hunk["old"], hunk["new"]
        if path != last[0]:
            yield f"<p><code>{_text(path)}</code></p>"
        elif last[1] and start > last[1] + 1:
            between = start - last[1] - 1
            yield f'<div class="between">{between} line{"s" * (between != 1)} between, unchanged</div>'
        last = (path, hunk["end_line"])
        pairs = [_compared(a, b) for a, b in zip_longest(old, new)]
        left = _rows(start, (a for a, _ in pairs), "old") if old else ()
        right = _rows(start + moved[path], (b for _, b in pairs), "new") if new else ()
        moved[path] += len(new) - len(old)
        yield f'<div class="hunk">{_pane(left)}{_pane(right)}</div>'


def _rows(start: int, lines: Iterable[Marked | str | None], kind: str) -> Iterator[str]:
    for number, line in enumerate(lines, start):
        if line is None:
            yield '<tr class="none"><td></td><td> </td></tr>'
        else:
            code = line.html if isinstance(line, Marked) else _text(_bare(line))
            yield f'<tr class="{kind}"><td>{number}</td><td>{code or " "}</td></tr>'


def _pane(rows: Iterable[str]) -> str:
    """One side of a change; empty if there is nothing on it."""
    table = "".join(rows)
    return f'<div class="pane">{f"<table>{table}</table>" if table else ""}</div>'


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


class Marked:
    """A line whose changed parts are marked already."""

    def __init__(self, html: str) -> None:
        self.html = html


def _compared(old: str | None, new: str | None) -> tuple[Marked | str | None, Marked | str | None]:
    """Two lines that stand side by side, with what differs marked if they have enough in common."""
    if old is None or new is None:
        return old, new
    a, b = _TOKEN.findall(_bare(old)), _TOKEN.findall(_bare(new))
    if max(len(a), len(b)) > _TOKENS:
        return old, new
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return old, new
    left, right = "", ""
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        gone, came = _text("".join(a[i:i_end])), _text("".join(b[j:j_end]))
        left += gone if tag == "equal" or not gone else f"<del>{gone}</del>"
        right += came if tag == "equal" or not came else f"<ins>{came}</ins>"
    return Marked(left), Marked(right)


# -- proofs


def _proof(proof: dict[str, Any]) -> Iterator[str]:
    if proof["reason"]:
        yield f'<p class="dim">{_text(proof["verdict"])}: {_text(proof["reason"])}</p>'
    if not proof["programs"]:
        return
    yield '<table class="programs"><tr><th>program</th><th>before</th><th>after</th><th>instructions</th></tr>'
    for program in proof["programs"]:
        counts = " → ".join("-" if n is None else str(n) for n in (program["insns_before"], program["insns_after"]))
        loads = "".join(f'<td class="{program[when]}">{program[when]}</td>' for when in ("before", "after"))
        kernel = f" on {_text(program['kernel'])}" if program.get("kernel") else ""
        yield f"<tr><td><code>{_text(program['name'])}</code>{kernel}</td>{loads}<td>{counts}</td></tr>"
    yield "</table>"
    for program in proof["programs"]:
        said = "\n".join(filter(None, (program["reason"], program["log"])))
        if said:
            lines = "\n".join(map(_text, said.split("\n")))
            kernel = f" on {_text(program['kernel'])}" if program.get("kernel") else ""
            told = f"What was said of {_text(program['name'])}{kernel}"
            yield f"<details><summary>{told}</summary><pre>{lines}</pre></details>"
