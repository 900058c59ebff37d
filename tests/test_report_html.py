"""The page: nothing in a report can become markup or script, and a real browser shows and filters it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import others
import pytest
from reports import hostile, of_fixtures

from ebpffix.report import html, render

ELEMENTS = frozenset(
    "html head meta title style body header h1 h2 h3 p a span main form input label fieldset legend div b code section"
    " article table tr td th details summary pre del ins script".split()
)
ATTRIBUTES = frozenset(
    "open lang charset http-equiv content name class id hidden type placeholder aria-label role value checked"
    " href data-path data-transform data-safety data-verdict".split()
)


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("sample", [hostile, of_fixtures])
def test_only_our_markup(sample: Callable[[], tuple[dict[str, object], object]]) -> None:
    data = render(sample()[0], "html")
    page = Page(data)
    assert page.open == []
    assert set(page.elements) <= ELEMENTS
    assert page.attributes <= ATTRIBUTES
    assert page.elements.count("script") == page.elements.count("style") == 1
    assert not re.search(rb"https?://(?!evil)|url\(|@import", data)
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]", data.decode())


def test_what_cannot_be_seen_is_shown() -> None:
    text = Page(render(hostile()[0], "html")).text
    assert "U+202E" in text
    assert "\\xff" in text
    assert "U+001B" in text


def test_everything_is_told() -> None:
    report, _ = hostile()
    text = Page(render(report, "html")).text
    assert "message </td></script><script>alert(1)" in text
    for word in ("note ", "dropped ", "reason ", "why ", "log ", "no ", "clang", "int d"):
        assert f"{word}<" in text or word in text
    verdicts = {finding["proof"]["verdict"] for finding in report["findings"] if finding["proof"]}
    assert verdicts and all(f"{verdict}: {html._VERDICTS[verdict]}" in text for verdict in verdicts)
    report["findings"] = []
    assert "What the verdicts mean" not in Page(render(report, "html")).text
    assert "0 findings" in Page(render(report, "html")).text


def test_changes_are_marked() -> None:
    page = render(of_fixtures()[0], "html").decode()
    assert "<ins>__builtin_memcpy</ins>(" in page
    assert "<del>memcpy</del>(" in page


# -- in a real browser


def shown(tmp_path: Path, data: bytes, address: str = "", *flags: str) -> str:
    """The document when its script has run, without the script."""
    page = tmp_path / "report.html"
    page.write_bytes(data)
    command = [*others.browser(tmp_path / "profile"), *flags, "--dump-dom", f"{page.as_uri()}{address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return re.sub(r"<(script|style)>.*?</\1>", "", done.stdout, flags=re.DOTALL)


def visible(dom: str) -> list[str]:
    """The transforms of the articles that are shown."""
    articles = re.findall(r"<article ([^>]*)>", dom)
    return [re.search('data-transform="([^"]*)"', a)[1] for a in articles if "hidden" not in a]  # type: ignore[index]


@pytest.mark.browser
def test_filters_in_a_browser(tmp_path: Path) -> None:
    report, _ = of_fixtures()
    data = render(report, "html")
    everything = shown(tmp_path, data)
    assert len(visible(everything)) == len(report["findings"])
    assert f"{len(report['findings'])} of {len(report['findings'])} shown" in everything
    assert "<form>" in everything
    some = shown(tmp_path, data, "#transform=padded-init&safety=advice")
    wanted = [f for f in report["findings"] if (f["transform"], f["safety"]) == ("padded-init", "advice")]
    assert len(visible(some)) == len(wanted) > 0
    assert set(visible(some)) == {"padded-init"}
    assert re.search(r'<section data-path="builtin-memcpy/[^>]* hidden', some)
    found = shown(tmp_path, data, "#q=LATIN-1%20memcpy")
    assert 0 < len(visible(found)) < len(report["findings"])
    assert visible(shown(tmp_path, data, "#q=no+such+words")) == []


def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, *flags: str) -> str:
    """What an expression says in the page, as the page's own script might ask it."""
    monkeypatch.setattr(html, "_SCRIPT", f"{html._SCRIPT}\ndocument.title = ({script});")
    return str(re.findall("<title>(.*?)</title>", shown(tmp_path, render(of_fixtures()[0], "html"), "", *flags))[0])


@pytest.mark.browser
def test_a_click_filters_and_is_in_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A chosen transform is shown alone, by file and then by transform; and what is chosen can be sent as a link."""
    clicks = """boxes("transform").find(b => b.value === "padded-init").click(), boxes("by")[1].click(),
        [location.hash, articles.filter(a => !a.hidden).map(a => a.dataset.transform).join(),
         [...main.querySelectorAll("section:not([hidden]) h2")].map(h => h.textContent).join()].join(" ")"""
    address, transforms, titles = measured(monkeypatch, tmp_path, clicks).split(" ")
    assert address == "#transform=padded-init&amp;by=transform"
    count = sum(f["transform"] == "padded-init" for f in of_fixtures()[0]["findings"])
    assert transforms.split(",") == ["padded-init"] * count
    assert titles == "padded-init"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 500])
def test_nothing_is_wider_than_the_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int) -> None:
    """Old and new stand side by side, or on a phone below each other."""
    script = """[innerWidth, document.documentElement.scrollWidth,
        getComputedStyle(document.querySelector(".hunk:not(.one)")).gridTemplateColumns.split(" ").length].join()"""
    said = measured(monkeypatch, tmp_path, script, f"--window-size={width},900")
    inner, wide, columns = map(int, said.split(","))
    assert inner == width and wide <= inner
    assert columns == (2 if width > 700 else 1)


@pytest.mark.browser
@pytest.mark.parametrize(("dark", "flags"), [(False, ()), (True, ("--blink-settings=preferredColorScheme=0",))])
def test_light_and_dark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dark: bool, flags: tuple[str, ...]) -> None:
    script = """[document.body, form, document.querySelector(".pane")]
        .map(e => getComputedStyle(e).backgroundColor).join(" ")"""
    said = measured(monkeypatch, tmp_path, script, *flags)
    colours = [int(value) for value in re.findall(r"\d+", said)]
    assert len(colours) == 9
    assert max(colours) < 100 if dark else min(colours) > 200


@pytest.mark.browser
def test_hostile_report_in_a_browser(tmp_path: Path) -> None:
    report, _ = hostile()
    dom = shown(tmp_path, render(report, "html"))
    assert "<img" not in dom
    assert len(visible(dom)) == len(report["findings"])  # our own script ran


@pytest.mark.browser
def test_no_other_script_runs(tmp_path: Path) -> None:
    """Even markup that got through would do nothing: the page allows its own script alone."""
    data = render(of_fixtures()[0], "html")
    more = b"<script>document.body.innerHTML = 'broken'</script><b onclick='x' style='color:red'>b</b></body>"
    dom = shown(tmp_path, data.replace(b"</body>", more))
    assert "broken" not in dom
    assert visible(dom)
