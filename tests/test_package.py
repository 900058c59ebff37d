"""The package as users get it: from a wheel and from an sdist, with its headers and its transforms."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from ebpffix import site

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and the wheel that was made from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


def test_wheel_has_what_runs_and_no_more(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    structs = "ebpffix_transforms/missing_kernel_struct/private_structs.txt"
    data = {"ebpffix/py.typed", "ebpffix/headers/bcc/prelude.h", structs}
    assert {"ebpffix/app/cli.py", *data} <= names
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ebpffix").rglob("*") if p.suffix in (".py", ".h")}
    transforms = ROOT / "transforms"
    here |= {f"ebpffix_transforms/{p.relative_to(transforms).as_posix()}" for p in transforms.rglob("*.py")}
    assert here <= names
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith((".dist-info", ".data"))} == {
        "ebpffix",
        "ebpffix_transforms",
        "ebpffix_fixtures",
    }


def test_of_the_fixtures_only_those_that_are_shown(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ebpffix_fixtures/")}
    shown = {
        f"ebpffix_fixtures/{path.relative_to(ROOT / 'fixtures').as_posix()}"
        for path in (ROOT / "fixtures").glob("*/*.c")
        if "explain=yes" in path.read_text(encoding="latin-1").partition("\n")[0]
    }
    assert len(shown) > 10
    assert shown <= names
    assert len(names) <= 2 * len(shown)


def test_the_index_takes_it(built: Path) -> None:
    """Its own checker, and what stands in the metadata."""
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), cwd=built)
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = message_from_bytes(archive.read(name))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {line.partition(",")[0] for line in metadata.get_all("Project-URL", [])} >= {"Source", "Documentation"}
    assert f"({site.SOURCE}/blob/main/docs/editors.md)" in str(metadata.get_payload())
    assert any(name.endswith("share/man/man1/ebpffix.1") for name in archive.namelist())


def test_one_place_says_where_it_is() -> None:
    """The build cannot import it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(url.startswith((site.HOME, site.SOURCE)) for url in project["urls"].values())
    assert f'SOURCE = "{site.SOURCE}/blob/main/"' in (ROOT / "setup.py").read_text()


def test_the_manual_pages_are_what_help_says() -> None:
    say = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['written']()))"
    tool = str(ROOT / "tests" / "tools" / "manpages")  # in a process in which no other test ran
    written = json.loads(subprocess.check_output([sys.executable, "-c", say, tool]))
    there = {path.name: path.read_text() for path in (ROOT / "docs" / "man").iterdir()}
    assert there == written, "run tests/tools/manpages, and hand in what it writes"


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installed_elsewhere_it_finds_its_transforms(built: Path, tmp_path: Path, kind: str) -> None:
    (archive,) = built.glob(kind)
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", archive, cwd=tmp_path)
    listed = run(tmp_path / "venv" / "bin" / "ebpffix", "--transforms", cwd=tmp_path)
    ours = {p.stem.replace("_", "-") for p in (ROOT / "transforms").iterdir()} - {"--init--", "--pycache--"}
    assert {line.split()[0] for line in listed.splitlines()} == ours
    page = run(python, "-m", "ebpffix", "--explain", "redundant-map-update", cwd=tmp_path)
    assert "-\tbpf_map_update_elem(" in page
    assert run(python, "-m", "ebpffix", "--version", cwd=tmp_path).startswith("ebpffix")
