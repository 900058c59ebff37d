"""The web site of the documentation: it is built without a warning, has the pages that the program points to, and
fetches nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from ebpffix import site
from ebpffix.repair.registry import load_strategies
from ebpffix.report import explain
from ebpffix.transform import BUILT_IN, load_transforms

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([ROOT / "tests" / "tools" / "site", folder], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def _page(built: Path, url: str) -> str:
    """The page that an address of the site leads to."""
    assert url.startswith(f"{site.HOME}/")
    return (built / url.removeprefix(f"{site.HOME}/") / "index.html").read_text()


def test_every_transform_has_its_page(built: Path) -> None:
    ours = [known for known in load_transforms().values() if known.distribution == BUILT_IN]
    assert len(ours) > 10
    for known in ours:
        page = _page(built, explain.url(known))
        assert f'<h1 id="{known.facts.name}">' in page
        assert page.count('<div class="highlight">') >= len(list(explain.examples(known.facts.name)))


def test_every_strategy_has_its_page(built: Path) -> None:
    for name in load_strategies():
        assert f'<h1 id="{name}">' in _page(built, site.strategy(name))


class _Links(HTMLParser):
    """What a page has fetched when it is shown, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        self.places.add(known.get("id", ""))
        if tag in ("script", "img", "iframe", "source") and known.get("src"):
            self.fetched.append(known["src"])
        if tag == "link" and known.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.fetched.append(known["href"])
        if tag == "a" and known.get("href"):
            self.links.append(known["href"])


def test_links_lead_somewhere_and_nothing_is_fetched(built: Path) -> None:
    pages: dict[str, _Links] = {}
    for path in built.rglob("*.html"):
        if path.name != "404.html":
            pages[path.relative_to(built).as_posix()] = _Links()
            pages[path.relative_to(built).as_posix()].feed(path.read_text())
    assert len(pages) > 40
    for name, page in pages.items():
        assert not [url for url in page.fetched if urlsplit(url).netloc or url.startswith("//")], name
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            file, _, anchor = urljoin(f"/{name}", link).lstrip("/").partition("#")
            target = file + "index.html" if file.endswith("/") or not file else file
            assert (built / target).exists(), f"{name}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].places, f"{name}: {link}"


def test_links_to_files_are_of_files_that_are_there(built: Path) -> None:
    """Those out of docs/ lead to the repository."""
    pattern = re.compile(re.escape(site.SOURCE) + r"/(?:blob|tree)/main/([^\"#]+)")
    found = {name for path in built.rglob("*.html") for name in pattern.findall(path.read_text())}
    assert "fixtures/README.md" in found
    assert [name for name in found if not (ROOT / name).exists()] == []
