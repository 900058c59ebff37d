"""The formats for machines: their shape, that no text breaks out of it, and that every fix is the right one."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import others
import pytest
import schemas
from reports import NAME, after, hostile, of_fixtures, text_of
from support import ebpffix

from ebpffix.report import FORMATS, render
from ebpffix.report.places import encodings
from ebpffix.shown import visible

Sample = tuple[dict[str, Any], dict[str, bytes]]


@pytest.fixture(scope="module", params=[of_fixtures, hostile], ids=["fixtures", "hostile"])
def sample(request: pytest.FixtureRequest) -> Sample:
    made: Sample = request.param()
    assert made[0]["findings"]
    return made


def made(sample: Sample, format: str) -> Any:
    return json.loads(render(sample[0], format))


# -- JSON


def schema() -> Any:
    return json.loads(resources.files("ebpffix.report").joinpath("schema.json").read_bytes())


def test_schema(sample: Sample) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(made(sample, "json"), schema(), jsonschema.Draft202012Validator)
    marks = [finding["fingerprint"] for finding in sample[0]["findings"]]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), 2),
        (("head_sha",), "; rm"),
        (("findings", 0, "safety"), "sure"),
        (("findings", 0, "line"), 0),
        (("findings", 0, "line"), "1"),
        (("findings", 0, "edits"), []),
        (("findings", 0, "fingerprint"), "<b>"),
        (("findings", 0, "proof"), {}),
        (("files", 0, "status"), "clean"),
        (("more",), 1),
    ],
)
def test_schema_refuses(place: tuple[Any, ...], value: Any) -> None:
    report: Any = json.loads(render(hostile()[0], "json"))
    assert report["findings"][0]["safety"] == "safe"
    at = report
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema(), jsonschema.Draft202012Validator)


def test_names_come_back_whole(sample: Sample) -> None:
    assert made(sample, "json") == json.loads(json.dumps(sample[0]))


def test_source_lines(sample: Sample) -> None:
    report, files = sample
    for finding in report["findings"]:
        data = files[finding["path"]]
        encoding = "latin-1" if encodings(report)[finding["path"]] == "latin-1" else "utf-8"
        lines = [line.decode(encoding) for line in io.BytesIO(data)]
        last = max(finding["line"], finding["end_line"] - (finding["end_column"] == 1))
        assert finding["source"] == lines[finding["line"] - 1 : last]


# -- SARIF


def cut(text: str, region: dict[str, int]) -> tuple[int, int]:
    """A region as offsets in UTF-16 code units."""
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    starts = [len(text[:start].encode("utf-16-le")) // 2 for start in starts]
    starts.append(len(text.encode("utf-16-le")) // 2)  # the line after the last one
    return (
        starts[region["startLine"] - 1] + region["startColumn"] - 1,
        starts[region["endLine"] - 1] + region["endColumn"] - 1,
    )


def test_sarif_fixes_are_against_the_original(sample: Sample) -> None:
    """An editor that makes the replacements gets what the edits make, and the region is the finding's own text."""
    report, files = sample
    results = made(sample, "sarif")["runs"][0]["results"]
    assert len(results) == len(report["findings"])
    for result, finding in zip(results, report["findings"], strict=True):
        expected = after(finding, files)
        changes = [change for fix in result.get("fixes", []) for change in fix["artifactChanges"]]
        assert {path_of(change) for change in changes} == expected.keys()
        for change in changes:
            raw = text_of(files[path_of(change)])
            text = raw.encode("utf-16-le")
            for replacement in reversed(change["replacements"]):
                start, end = cut(raw, replacement["deletedRegion"])
                text = text[: start * 2] + replacement["insertedContent"]["text"].encode("utf-16-le") + text[end * 2 :]
            assert text.decode("utf-16-le") == text_of(expected[path_of(change)])


def path_of(change: dict[str, Any]) -> str:
    assert change["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    return unquote(change["artifactLocation"]["uri"], errors="surrogateescape").removeprefix("./")


def test_sarif_regions_count_as_editors_do() -> None:
    report, files = hostile()
    results = made((report, files), "sarif")["runs"][0]["results"]
    found = set()
    for result, finding in zip(results, report["findings"], strict=True):
        text = text_of(files[finding["path"]])
        start, end = cut(text, result["locations"][0]["physicalLocation"]["region"])
        found.add(text.encode("utf-16-le")[start * 2 : end * 2].decode("utf-16-le"))
    assert found == {"int b = 2", "int c;\r\n", "int d", "int e"}


def test_sarif_names_and_messages() -> None:
    run = made(hostile(), "sarif")["runs"][0]
    uris = {artifact["location"]["uri"] for artifact in run["artifacts"]}
    assert all(re.fullmatch(r"[\w./~%-]+", uri, re.ASCII) for uri in uris)
    assert NAME in {unquote(uri, errors="surrogateescape") for uri in uris}
    assert not [r for r in run["results"] if re.search(r"(?<!\\)\[[^\]\\]*\]\(", r["message"]["text"])]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert {note["level"] for note in invocation["toolExecutionNotifications"]} == {"error", "warning", "note"}


def test_sarif_rules_have_the_transforms_pages() -> None:
    run = made(of_fixtures(), "sarif")["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == {result["ruleId"] for result in run["results"]}
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    (rule,) = (rule for rule in rules if rule["id"] == "map-size")
    assert "10240" in rule["help"]["text"]
    assert "```diff\n" in rule["help"]["markdown"]


def test_sarif_of_a_transform_that_is_not_installed() -> None:
    report, files = hostile()
    for finding in report["findings"]:
        finding["transform"] = "some-other"
    (rule,) = made((report, files), "sarif")["runs"][0]["tool"]["driver"]["rules"]
    assert rule == {"id": "some-other", "name": "SomeOther"}


@pytest.mark.node
def test_sarif_validator(sample: Sample, tmp_path: Path) -> None:
    """Microsoft's own says nothing, neither errors nor warnings."""
    code, said = validated(render(sample[0], "sarif"), tmp_path)
    # No page of the project on the web is known: that alone may be missing.
    assert [result["message"]["id"] for result in said] == ["Warning_ProvideToolnformationUri"], said
    assert code == 0


@pytest.mark.node
def test_sarif_validator_refuses(tmp_path: Path) -> None:
    broken = made((hostile()[0], {}), "sarif")
    region = broken["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    region["endLine"] = region["startLine"] - 1
    _, said = validated(json.dumps(broken).encode(), tmp_path)
    assert "error" in {result.get("level") for result in said}


def validated(sarif: bytes, folder: Path) -> tuple[int, list[Any]]:
    """What Microsoft's validator answers: its exit code and its own results."""
    (folder / "report.sarif").write_bytes(sarif)
    tool = others.node("@microsoft/sarif-multitool/bin.js")
    command = [*tool, "validate", "report.sarif", "--output", "said.sarif", "--log", "ForceOverwrite"]
    env = os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}  # else it asks for a library of ICU
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    said = folder / "said.sarif"
    assert said.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(said.read_bytes())["runs"][0].get("results", [])


# -- GitHub's workflow commands


def unescaped(text: str) -> str:
    return text.replace("%3A", ":").replace("%2C", ",").replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")


def test_github(sample: Sample) -> None:
    report, _ = sample
    lines = render(report, "github").decode().splitlines()
    commands = []
    for line in lines:
        match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert match, line
        properties = dict(part.split("=", 1) for part in match[2].split(","))
        commands.append((match[1], {key: unescaped(value) for key, value in properties.items()}, unescaped(match[3])))
        jsonschema.validate(commands[-1][1], schemas.GITHUB)
    told = commands[-len(report["findings"]) :]
    for (level, properties, message), finding in zip(told, report["findings"], strict=True):
        assert level == ("notice" if finding["safety"] == "advice" else "warning")
        # What nobody would see of a name is not told: the annotation then has no line to stand on.
        seen = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in finding["path"])
        assert properties["file"] == seen
        assert (properties["line"], properties["endLine"]) == (str(finding["line"]), str(finding["end_line"]))
        assert ("col" in properties) == (finding["line"] == finding["end_line"])
        assert message.startswith(visible(finding["message"]))
    not_clean = [file for file in report["files"] if file["status"] in ("failed", "partial")]
    assert len(commands) - len(told) >= len(not_clean)


def test_github_lines_are_lines_to_everybody() -> None:
    data = render(hostile()[0], "github")
    assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", data)
    assert len(data.decode().splitlines()) == data.count(b"\n")


# -- GitLab's code quality


def test_gitlab(sample: Sample) -> None:
    report, _ = sample
    issues = made(sample, "gitlab")
    jsonschema.validate(issues, schemas.GITLAB)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    for issue, finding in zip(issues, report["findings"], strict=False):
        assert isinstance(issue["description"], str) and visible(finding["message"]) in issue["description"]
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"] == {
            "path": finding["path"],
            "lines": {"begin": finding["line"], "end": finding["end_line"]},
        }
    failed = [file for file in report["files"] if file["status"] == "failed"]
    assert [issue["severity"] for issue in issues].count("critical") == len(failed)


# -- reviewdog


def test_rdjson(sample: Sample) -> None:
    report, files = sample
    result = made(sample, "rdjson")
    jsonschema.validate(result, schemas.RDJSON)
    assert result["source"] == {"name": "ebpffix"}
    suggested = 0
    for diagnostic, finding in zip(result["diagnostics"], report["findings"], strict=False):
        assert diagnostic["severity"] in ("ERROR", "WARNING", "INFO")
        assert diagnostic["code"]["value"] == finding["transform"]
        assert diagnostic["location"]["path"] == finding["path"]
        assert diagnostic["location"]["range"]["start"] == {"line": finding["line"], "column": finding["column"]}
        expected = after(finding, files)
        for suggestion in diagnostic["suggestions"]:
            suggested += 1
            # One suggestion is the whole fix: taken alone it must not leave half of it.
            assert list(expected) == [finding["path"]]
            assert taken(text_of(files[finding["path"]]), suggestion) == text_of(expected[finding["path"]])
        if len(finding["hunks"]) > 1:
            assert "several places" in diagnostic["message"]
    assert suggested
    failed = [file for file in report["files"] if file["status"] == "failed"]
    assert len(result["diagnostics"]) == len(report["findings"]) + len(failed)


def taken(text: str, suggestion: dict[str, Any]) -> str:
    """A text with a suggestion as review comments take it: without columns whole lines, none for an empty text."""
    lines = re.findall("[^\n]*\n|[^\n]+", text)
    start, end = suggestion["range"]["start"], suggestion["range"]["end"]
    if "column" in start:
        old = "".join(lines[: start["line"] - 1]), "".join(lines[end["line"] - 1 :])
        assert (start["column"], end["column"]) == (1, 1)
        return str(old[0] + suggestion["text"] + old[1])
    last = lines[end["line"] - 1]
    new = suggestion["text"] + ("\n" if suggestion["text"] and last.endswith("\n") else "")
    return str("".join(lines[: start["line"] - 1]) + new + "".join(lines[end["line"] :]))


# -- on the command line


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_on_the_command_line(tree: Path, format: str) -> None:
    done = ebpffix("--output-format", format, cwd=tree)
    assert (done.code, done.err) == (1, "")
    assert "redundant-map-update" in done.out
    assert "count.bpf.c" in done.out
    filed = ebpffix("--diff", "--output-format", format, "--output-file", "out", cwd=tree)
    assert filed.out.startswith("diff --git")
    assert (tree / "out").read_bytes().decode("latin-1") == done.out
    (tree / "any").touch()
    assert (tree / "out").stat().st_mode == (tree / "any").stat().st_mode  # others may read it, as any new file


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_found(tmp_path: Path, format: str) -> None:
    done = ebpffix("--output-format", format, cwd=tmp_path)
    assert done.code == 0
    if format not in ("github", "html"):
        json.loads(done.out)
