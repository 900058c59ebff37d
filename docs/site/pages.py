"""What mkdocs is told besides the pages of docs/: those of transforms and strategies, from the text that `--explain`
prints, the README as the first page, and where links lead that leave docs/."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ebpffix import site
from ebpffix.fix import BCC
from ebpffix.repair.registry import load_strategies
from ebpffix.report import explain
from ebpffix.transform import BUILT_IN, load_transforms

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(\]\()([^)\s:#][^)\s:]*)(\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Addresses, and the generated pages in the navigation."""
    config.site_url = f"{site.HOME}/"
    config.repo_url, config.repo_name = site.SOURCE, "Source"
    nav: list[dict[str, Any]] = config.nav or []
    for part in nav:
        for title, prefix in (("Transforms", "transforms/"), ("Repairs", "strategies/")):
            if title in part:
                part[title] = [name for name in _generated() if name.startswith(prefix)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in _generated().items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "index.md", content=_readme()))
    style = Path(__file__).with_name("style.css")
    files.append(File.generated(config, "style.css", content=style.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link to a file of the repository that is no page leads to where the repository is."""
    return _LINK.sub(
        lambda match: match[1] + _target(match[2], posixpath.dirname(page.file.src_uri)) + match[3], markdown
    )


def _target(link: str, folder: str) -> str:
    name, _, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join("docs", folder, name))
    is_page = path.startswith("docs/") and path.endswith((".md", ".png")) and not path.startswith("docs/editors/")
    if is_page or not (ROOT / path).exists():
        return link
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    return f"{site.SOURCE}/{kind}/main/{path}{'#' * bool(anchor)}{anchor}"


def _readme() -> str:
    """The README, whose links count from the root."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return _LINK.sub(
        lambda m: m[1] + (m[2].removeprefix("docs/") if m[2].startswith("docs/") else f"../{m[2]}") + m[3], text
    )


def _generated() -> dict[str, str]:
    """The pages that are made, by name, in the order of the navigation."""
    return dict([*_transforms(), *_strategies()])


def _transforms() -> Iterator[tuple[str, str]]:
    ours = {name: known for name, known in load_transforms().items() if known.distribution == BUILT_IN}
    rows = ["| transform | what it finds | lesson |", "|---|---|---|"]
    for name, known in ours.items():
        lesson = f"[{known.facts.pattern}]({_lesson(known.facts.pattern)})" if known.facts.pattern else ""
        only = " (BCC)" if known.facts.dialects == (BCC,) else ""
        rows.append(f"| [{name}]({name}.md){only} | {_cell(known.facts.summary)} | {lesson} |")
    how = "`ebpffix --select NAME` looks for one alone; `// ebpffix: ignore[NAME]` above a line leaves it as it is."
    yield "transforms/index.md", "\n".join(["# Transforms", "", how, "", *rows, ""])
    for name, known in ours.items():
        number = known.facts.pattern
        lesson = f"[lesson {number}]({_lesson(number)}) · " if number else ""
        head = f"# {name}\n\n*{lesson}{' and '.join(known.facts.dialects)}*\n\n"
        yield f"transforms/{name}.md", head + explain.markdown(known) + "\n"


def _lesson(number: int) -> str:
    """The place of a lesson, seen from a transform's page."""
    text = (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")
    title = re.search(rf"^## ({number} .*)$", text, re.MULTILINE)
    return f"../lessons.md#{slugify(title[1], '-')}" if title else "../lessons.md"


def _strategies() -> Iterator[tuple[str, str]]:
    known = load_strategies()
    rows = ["| strategy | what it mends |", "|---|---|"]
    rows += [f"| [{name}]({name}.md) | {_cell(one.page.splitlines()[0])} |" for name, one in known.items()]
    how = "What [`ebpffix --repair`](../repair.md) tries, in this order, where the verifier refuses a program."
    yield "strategies/index.md", "\n".join(["# Repairs", "", how, "", *rows, ""])
    for name, one in known.items():
        yield f"strategies/{name}.md", f"# {name}\n\n{one.page}\n\n**Where the verifier says:** `{one.facts.when}`\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
