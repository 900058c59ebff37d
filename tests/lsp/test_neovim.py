"""A real editor, with the lines that docs/editors.md has for it: Neovim, without a screen."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from others import missing
from support import CACHE, FIXED, PROGRAM, git

PAGE = Path(__file__).parents[2] / "docs" / "editors.md"
SCRIPT = r"""
local function wait(what, ready)
  if not vim.wait(60000, ready, 20) then error('nothing came: ' .. what) end
end
local function count() return #vim.diagnostic.get(0) end

vim.cmd('edit a.bpf.c')
wait('a finding', function() return count() == 1 end)
local found = vim.diagnostic.get(0)[1]

-- In the middle of typing: lines come and go above it.
vim.api.nvim_buf_set_lines(0, 0, 0, false, { '// \u{1f41d} é', '' })
wait('it moved', function() return count() == 1 and vim.diagnostic.get(0)[1].lnum == found.lnum + 2 end)
vim.cmd('undo')
wait('it is back', function() return count() == 1 and vim.diagnostic.get(0)[1].lnum == found.lnum end)

local place = {
  textDocument = vim.lsp.util.make_text_document_params(0),
  position = { line = found.lnum, character = found.col },
}
local _, page = next(vim.lsp.buf_request_sync(0, 'textDocument/hover', place, 20000))

vim.cmd('write')
wait('it is gone', function() return count() == 0 end)
local out = io.open(os.getenv('RESULT'), 'w')
local contents = page.result.contents.value
out:write(vim.fn.json_encode({ line = found.lnum + 1, message = found.message, page = contents }))
out:close()
vim.cmd('qall!')
"""


def _blocks() -> list[str]:
    return re.findall(r"^```lua\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def _neovim() -> tuple[str, bool]:
    """The editor, and whether it is as new as the first block of the page wants it."""
    path = os.environ.get("NVIM") or shutil.which("nvim")
    if not path:
        missing("no Neovim on the path; `tests/run` as root installs it")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"NVIM v(\d+)\.(\d+)", said)
    assert match
    return path, (int(match[1]), int(match[2])) >= (0, 11)


@pytest.mark.slow
def test_neovim_shows_and_mends(tmp_path: Path) -> None:
    """A finding as one types, the page of its transform, and what is safe mended at the save."""
    path, is_new = _neovim()
    new, old, on_save = _blocks()
    home, tree = tmp_path / "home", tmp_path / "tree"
    home.mkdir()
    tree.mkdir()
    git("init", "-q", cwd=tree)
    (tree / "a.bpf.c").write_bytes(PROGRAM)
    (tmp_path / "init.lua").write_text((new if is_new else old) + on_save + "\n")
    (tmp_path / "script.lua").write_text(SCRIPT)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("NVIM", "XDG_", "VIM"))},
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EBPFFIX_CACHE_DIR": str(CACHE),
        "RESULT": str(tmp_path / "result"),
    }
    run = subprocess.run(
        [path, "--headless", "-u", tmp_path / "init.lua", "-c", f"luafile {tmp_path / 'script.lua'}", "-c", "cquit"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert (tmp_path / "result").exists(), run.stderr
    result = json.loads((tmp_path / "result").read_text())
    assert "redundant" in result["page"] and "writes back" in result["message"]
    assert result["line"] == PROGRAM[: PROGRAM.index(b"bpf_map_update")].count(b"\n") + 1
    assert (tree / "a.bpf.c").read_bytes() == FIXED
