"""Files that are no files: pipes, devices, links out of the tree, more than any source has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ebpffix.sources.reader import read_file


def test_a_regular_file_is_read_whole_also_through_links_and_when_its_size_is_made_up(tmp_path: Path) -> None:
    text = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(text)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()
    assert read_file(tmp_path / "file") == read_file(tmp_path / "link", within=tmp_path) == text
    assert read_file(tmp_path / "file", len(text)) == text
    assert read_file(tmp_path / "empty") == b""
    assert read_file("/proc/version").startswith(b"Linux version")


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError) as refused:
            read_file(path)
        assert refused.value.strerror == "not a regular file", path
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_more_than_was_asked_for_is_refused_however_large_the_file_says_it_is(tmp_path: Path) -> None:
    os.truncate(os.open(tmp_path / "sparse", os.O_CREAT | os.O_WRONLY), 1 << 40)
    for path, most in ((tmp_path / "sparse", 16 << 20), ("/proc/kallsyms", 1000)):
        with pytest.raises(OSError) as refused:
            read_file(path, most)
        assert refused.value.errno == errno.EFBIG, path


def test_a_link_out_of_the_folder_is_refused_and_one_that_stays_in_it_is_not(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tmp_path / "tree2").write_bytes(b"secret")
    (tree / "own").write_bytes(b"own")
    (tree / "below" / "in").symlink_to("../own")
    (tree / "out").symlink_to("../tree2")
    assert read_file(tree / "below" / "in", within=tree) == b"own"
    with pytest.raises(OSError, match="a link out of"):
        read_file(tree / "out", within=tree)
