"""How the server is started, and what the page of the editors has for them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "editors.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def _run(*args: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{before}\nfrom ebpffix.lsp.cli import main\nmain()"
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, input="")


@pytest.mark.parametrize("args", [(), ("--stdio",)])
def test_it_ends_with_its_editor(args: tuple[str, ...]) -> None:
    """An editor that is gone says nothing more."""
    done = _run(*args)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    done = _run(before="sys.modules['lsprotocol'] = None")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "pip install 'ebpffix[lsp]'" in done.stderr


def test_a_wrong_option_is_one_line() -> None:
    done = _run("--tcp")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_the_page_can_be_copied() -> None:
    """Its settings are of their languages; Neovim and Emacs have run theirs."""
    (helix,) = map(tomllib.loads, _blocks("toml"))
    assert helix["language-server"]["ebpffix"]["command"] == "ebpffix-lsp"
    assert "ebpffix" in helix["language"][0]["language-servers"]
    (code,) = map(json.loads, _blocks("json"))
    assert code["[c]"]["editor.codeActionsOnSave"] == {"source.fixAll.ebpffix": "explicit"}
