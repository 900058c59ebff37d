"""A `.git` that came with a stranger's tree: nothing that it names runs, nothing is fetched, and what it says of other
folders is not believed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ebpffix.sources import git as safe_git
from ebpffix.sources.git import GitError
from hostile.support_b import FIXED, PROGRAM, ebpffix, git, marker, tree_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tree_of(tmp_path / "tree")


RUNS = (("src",), ("--diff-base", "main"), ("--output-format", "json"), ("--format-patch", "out"))


def run_all(tree: Path) -> None:
    for args in RUNS:
        assert ebpffix(*args, cwd=tree).code in (0, 1, 2)


PROGRAMS = [
    "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.askPass", "core.pager", "core.editor", "diff.external",
    "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
    "core.alternateRefsCommand", "uploadpack.packObjectsHook", "credential.helper", "gpg.program", "alias.ls-files",
    "alias.diff", "alias.merge-base", "alias.rev-parse", "interactive.diffFilter", "sequence.editor", "pager.config",
]  # fmt: skip


def test_no_program_of_the_configuration_runs(tree: Path, tmp_path: Path) -> None:
    program, ran = marker(tmp_path / "evil")
    for key in PROGRAMS:
        git("config", key, f"!{program}" if key.startswith("alias.") else program, cwd=tree)
    git("config", "core.hooksPath", tmp_path / "hooks", cwd=tree)
    (tree / ".git" / "info" / "attributes").write_text("* filter=evil diff=evil\n")
    (tmp_path / "hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-commit"):
        shutil.copy(program, tmp_path / "hooks" / hook)
    path = tree / "src" / "count.bpf.c"
    path.write_bytes(PROGRAM + b"\n")  # so that its content must be looked at
    os.utime(path, (1, 1))
    run_all(tree)
    assert not ran.exists(), ran.read_text()
    # The marks would have been left: git itself runs them.
    subprocess.run(["git", "diff", "HEAD"], cwd=tree, capture_output=True)
    assert ran.exists()


def test_commands_that_would_run_a_program_do_not(tree: Path, tmp_path: Path) -> None:
    """None of those that are used would; the next one might."""
    program, ran = marker(tmp_path / "evil")
    shutil.copy(program, tmp_path / "evil" / "post-index-change")
    git("config", "diff.external", program, cwd=tree)
    git("config", "core.hooksPath", tmp_path / "evil", cwd=tree)
    (tree / "src" / "count.bpf.c").write_bytes(FIXED)
    for args in (("diff", "HEAD"), ("update-index", "src/count.bpf.c")):
        with contextlib.suppress(GitError):
            safe_git.git(tree, *args)
    assert not ran.exists(), ran.read_text()


def test_an_included_configuration_counts_as_little(tree: Path, tmp_path: Path) -> None:
    program, ran = marker(tmp_path / "evil")
    (tree / "more").write_text(f"[core]\n\tfsmonitor = {program}\n")
    git("config", "include.path", "../more", cwd=tree)
    run_all(tree)
    assert not ran.exists(), ran.read_text()


@pytest.mark.parametrize("how", ["ssh://evil.invalid/x", "ext::{program}", "{folder}/served", "git://127.0.0.1:1/x"])
def test_nothing_is_fetched(tree: Path, tmp_path: Path, how: str) -> None:
    program, ran = marker(tmp_path / "evil")
    url = how.format(program=program, folder=tmp_path)
    (tmp_path / "served").mkdir()
    git("init", "-q", "--bare", cwd=tmp_path / "served")
    for key, value in {
        "core.repositoryFormatVersion": "1", "extensions.partialClone": "evil", "remote.evil.promisor": "true",
        "remote.evil.url": url, "remote.evil.uploadpack": program, "core.sshCommand": program, "core.gitProxy": program,
        "protocol.allow": "always", "protocol.ext.allow": "always", "protocol.file.allow": "always",
    }.items():  # fmt: skip
        git("config", key, value, cwd=tree)
    # All that is not there would be asked for.
    for folder in (tree / ".git" / "objects").iterdir():
        if len(folder.name) == 2:
            shutil.rmtree(folder)
    run_all(tree)
    assert not ran.exists(), ran.read_text()


def test_a_sparse_index_fetches_nothing_in_a_plain_run(tree: Path, tmp_path: Path) -> None:
    program, ran = marker(tmp_path / "evil")
    (tree / "docs" / "deep").mkdir(parents=True)
    (tree / "docs" / "deep" / "a.bpf.c").write_bytes(PROGRAM)
    git("add", "-A", cwd=tree)
    git("commit", "-qm", "two", cwd=tree)
    git("sparse-checkout", "set", "--cone", "--sparse-index", "src", cwd=tree)
    for key, value in {
        "extensions.partialClone": "evil", "remote.evil.promisor": "true", "remote.evil.url": "ssh://evil.invalid/x",
        "core.sshCommand": program, "core.repositoryFormatVersion": "1",
    }.items():  # fmt: skip
        git("config", key, value, cwd=tree)
    missing = git("rev-parse", "HEAD:docs", cwd=tree).strip()
    (tree / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    done = ebpffix(cwd=tree)
    assert done.code == 1 and "src/count.bpf.c" in done.out, done
    assert not ran.exists(), ran.read_text()


def test_another_work_tree_is_not_looked_at(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.bpf.c").write_bytes(PROGRAM)
    git("config", "core.worktree", tmp_path / "private", cwd=tree)
    done = ebpffix("--diff-base", "main", cwd=tree)
    assert done.code == 0, done
    done = ebpffix(cwd=tree)
    assert done.code == 1 and "secret" not in done.out + done.err, done
    assert safe_git.git(tree, "ls-files", "-z", "-co").output == b"src/count.bpf.c\0"


def test_replaced_objects_do_not_hide_a_change(tree: Path) -> None:
    path = tree / "src" / "count.bpf.c"
    path.write_bytes(FIXED)
    git("commit", "-qam", "without", cwd=tree)
    git("branch", "base", cwd=tree)
    path.write_bytes(PROGRAM)
    git("commit", "-qam", "with", cwd=tree)
    git(
        "replace",
        git("rev-parse", "base:src", cwd=tree).strip(),
        git("rev-parse", "HEAD:src", cwd=tree).strip(),
        cwd=tree,
    )
    assert ebpffix("--diff-base", "base", cwd=tree).code == 1


def test_a_repository_around_a_broken_one_is_not_asked(tree: Path) -> None:
    inner = tree / "inner"
    (inner / ".git").mkdir(parents=True)
    with pytest.raises(GitError):
        safe_git.git(inner, "rev-parse", "HEAD")


def test_files_that_look_like_a_repository_are_none(tree: Path) -> None:
    inner = tree / "inner"
    shutil.copytree(tree / ".git", inner)
    git("config", "--file", "config", "core.bare", "true", cwd=inner)
    (inner / ".git").mkdir()
    with pytest.raises(GitError):
        safe_git.git(inner, "rev-parse", "HEAD")


def test_a_tree_without_end_is_cut_off(tree: Path) -> None:
    """Each tree names the one below ten times: a listing has 10^9 entries."""
    blob = subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=tree, input=b"", capture_output=True, check=True)
    below, kind, mode = blob.stdout.decode().strip(), "blob", "100644"
    for _ in range(9):
        entries = "".join(f"{mode} {kind} {below}\t{name}\n" for name in "0123456789")
        made = subprocess.run(["git", "mktree"], cwd=tree, input=entries.encode(), capture_output=True, check=True)
        below, kind, mode = made.stdout.decode().strip(), "tree", "040000"
    bomb = git("commit-tree", below, "-p", "HEAD", "-m", "bomb", cwd=tree).strip()
    git("update-ref", "HEAD", bomb, cwd=tree)
    done = ebpffix("--diff-base", bomb, cwd=tree)
    assert done.code == 2 and done.err.startswith("ebpffix: --diff-base"), done
    assert done.err.count("\n") == 1


def test_the_user_s_own_names_are_still_taken(tree: Path, tmp_path: Path) -> None:
    git("config", "user.name", "Some\x1b[31mone", cwd=tree)
    git("config", "user.email", "one@example.org", cwd=tree)
    assert ebpffix("--format-patch", tmp_path / "out", cwd=tree).code == 1
    (patch,) = (tmp_path / "out").iterdir()
    assert b'\nFrom: "Some\\\\x1b[31mone" <one@example.org>\n' in patch.read_bytes()


# -- what --diff-base says is what `git diff` said


def test_only_the_lines_that_differ(tree: Path) -> None:
    path = tree / "src" / "count.bpf.c"
    path.write_bytes(PROGRAM.replace(b"char LICENSE", b"\nchar LICENSE"))
    assert ebpffix("--diff-base", "main", cwd=tree).code == 0
    path.write_bytes(PROGRAM.replace(b"BPF_ANY", b"0"))
    assert ebpffix("--diff-base", "main", cwd=tree).code == 1


def test_a_file_that_was_renamed_is_not_new(tree: Path) -> None:
    git("mv", "src/count.bpf.c", "src/moved.bpf.c", cwd=tree)
    (tree / "src" / "moved.bpf.c").write_bytes(PROGRAM + b"\n")
    git("add", "-A", cwd=tree)
    assert ebpffix("--diff-base", "main", cwd=tree).code == 0
    git("commit", "-qm", "moved", cwd=tree)
    assert ebpffix("--diff-base", "HEAD~1", cwd=tree).code == 0


def test_line_ends_that_git_converts_are_no_change(tree: Path) -> None:
    (tree / "src" / "count.bpf.c").write_bytes(PROGRAM.replace(b"\n", b"\r\n"))
    assert ebpffix("--diff-base", "main", cwd=tree).code == 0


def test_a_new_file_and_one_that_git_ignores_are_all_new(tree: Path) -> None:
    (tree / "src" / "new.bpf.c").write_bytes(PROGRAM)
    done = ebpffix("--diff-base", "main", cwd=tree)
    assert done.code == 1 and "new.bpf.c" in done.out and "count.bpf.c" not in done.out, done


def test_standard_input_is_compared_too(tree: Path) -> None:
    args = ("-", "--stdin-filename", "src/count.bpf.c", "--diff-base", "main")
    assert ebpffix(*args, cwd=tree, text=PROGRAM + b"\n").code == 0
    assert ebpffix(*args, cwd=tree, text=PROGRAM.replace(b"BPF_ANY", b"0")).code == 1
