"""What pyproject.toml cannot say: of the fixtures, a wheel has those that `--explain` shows, the others are for tests;
and where a README's links lead when it is read elsewhere."""

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = "https://github.com/OWNER/ebpffix/blob/main/"
_SHOWN = re.compile(r"\bexplain=yes\b")
_RELATIVE = re.compile(r"(?<=\]\()(?![a-z]+:|#)(?=[^)]+\))")


class WithoutTests(build_py):
    """Leaves out the files of `ebpffix_fixtures` that no page shows."""

    def find_data_files(self, package: str, src_dir: str) -> list[str]:
        found: list[str] = super().find_data_files(package, src_dir)
        return [name for name in found if package != "ebpffix_fixtures" or _is_shown(Path(name))]


def _is_shown(path: Path) -> bool:
    before = path.with_name(path.name.replace(".fixed.c", ".c"))
    return _SHOWN.search(before.read_text(encoding="latin-1").partition("\n")[0]) is not None


setup(
    cmdclass={"build_py": WithoutTests},
    long_description=_RELATIVE.sub(SOURCE, Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
