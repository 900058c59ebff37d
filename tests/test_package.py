"""The package as users get it: from a wheel and from an sdist, with its headers and its transforms."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

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
    assert {t for t in tops if not t.endswith(".dist-info")} == {"ebpffix", "ebpffix_transforms", "ebpffix_fixtures"}


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
