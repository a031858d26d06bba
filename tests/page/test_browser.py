"""The page in a real browser: it is painted, printed, silent, and asks nobody for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.page.gather import page_of
from bundler.page.render import render_page
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.doubles import Canary
from tests.page.browser import Browser, console, printed_text
from tests.page.contents import APP, IMAGE, PROVEN, a_module_with_images, a_transfer
from tests.page.test_render import HOSTILE, with_text

ELSEWHERE = "http://elsewhere.example/"
OWN_COLOUR = (0x17, 0x50, 0x5C)
LONG = [f"1.{number}.0" for number in range(12)] + [f"2.{number}.0" for number in range(8)]


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    """Sees every request that leaves the browser."""
    with Canary() as server:
        yield server


@pytest.fixture
def browser(canary: Canary, tmp_path: Path) -> Browser:
    """A browser that can reach nobody but the canary."""
    return Browser(tmp_path, canary.host)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A usual page, with a repository of so many tags that they are folded."""
    folder = tmp_path_factory.mktemp("page")
    contents = {**a_transfer(), f"{APP}-long": a_module_with_images(*LONG)}
    older = a_bundle(folder / "older.tar.zst", {APP: a_module("1.0.0")})
    newer = a_bundle(folder / "newer.tar.zst", contents)
    with open_bundle(older) as before, open_bundle(newer) as after:
        list(after.everything())
        text = render_page(page_of(after, PROVEN, Session(), since=[before]))
    (folder / "report.html").write_text(text)
    return folder / "report.html"


@pytest.fixture(scope="module")
def hostile(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose every text wants to break out, and to have something fetched."""
    with open_bundle(a_bundle(page.parent / "hostile.tar.zst", a_transfer())) as opened:
        contents = page_of(opened, PROVEN, Session())
    text = f'{"".join(HOSTILE)}"><img src="{ELSEWHERE}a.png"><link rel=stylesheet href="{ELSEWHERE}b.css">'
    path = tmp_path_factory.mktemp("hostile") / "hostile.html"
    path.write_text(render_page(with_text(contents, text)))
    return path


def test_the_page_is_painted_from_top_to_bottom(browser: Browser, page: Path) -> None:
    seen = browser.picture_of(page, 640, 1200)
    assert all(seen.painted(top, top + 200) > 40 for top in range(0, 1200, 200))


def test_sizes_are_painted_as_bars(browser: Browser, page: Path) -> None:
    assert browser.picture_of(page, 640, 1600).has(*OWN_COLOUR)


def test_the_browser_reads_what_was_written(browser: Browser, page: Path) -> None:
    shown = browser.text_of(page)
    for text in ("Before you sign", "Every byte was checked.", "2.7.0", f"{IMAGE}:1.1.0", "older.tar.zst"):
        assert text in shown


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_no_request_leaves_the_browser_and_its_console_is_silent(
    name: str, browser: Browser, canary: Canary, request: pytest.FixtureRequest
) -> None:
    canary.seen.clear()
    ended = browser.run(request.getfixturevalue(name), "--dump-dom")
    assert "Before you sign" in ended.stdout
    assert canary.asked(pattern="elsewhere") == []
    assert console(ended) == []


def test_the_canary_would_see_a_request(browser: Browser, canary: Canary, tmp_path: Path) -> None:
    (tmp_path / "open.html").write_text(f'<!doctype html><img src="{ELSEWHERE}seen.png">')
    browser.run(tmp_path / "open.html", "--dump-dom")
    assert canary.asked(pattern="elsewhere.example/seen.png")


def test_even_markup_that_got_in_could_fetch_and_run_nothing(
    browser: Browser, canary: Canary, page: Path, tmp_path: Path
) -> None:
    canary.seen.clear()
    script, style = "<script>document.title = 'it ran'</script>", "<style>h1 { color: red }</style>"
    bad = f'<img src="{ELSEWHERE}c.png">{script}{style}'
    (tmp_path / "bad.html").write_text(page.read_text().replace("<main>", f"<main>{bad}", 1))
    ended = browser.run(tmp_path / "bad.html", "--dump-dom")
    assert canary.asked(pattern="elsewhere") == []
    assert "<title>it ran" not in ended.stdout
    assert len([line for line in console(ended) if "Content Security Policy" in line]) >= 3


@pytest.mark.parametrize("width", [320, 480, 800, 1280])
def test_nothing_is_wider_than_the_screen(width: int, browser: Browser, page: Path) -> None:
    measure = "document.title = frame.contentDocument.documentElement.scrollWidth"
    frame = (
        f'<iframe id="frame" width="{width}" height="900" style="border:0" src="{page.as_uri()}"></iframe>'
    )
    around = browser.folder / "around.html"
    around.write_text(f"<!doctype html>{frame}<script>onload = () => {{ {measure} }}</script>")
    shown = browser.run(around, "--dump-dom", "--allow-file-access-from-files").stdout
    assert re.findall("<title>(.*?)</title>", shown) == [str(width)]


def test_it_prints_with_everything_unfolded(browser: Browser, page: Path) -> None:
    sheets = printed_text(browser.printed(page))
    text = "\n".join(sheets)
    assert 2 <= len(sheets) <= 12
    assert [
        version for version in LONG if not re.search(rf"^ *{re.escape(version)} ", text, re.MULTILINE)
    ] == []
    assert all(re.search(f"sha256:[0-9a-f]{{64}} +{n} ?/ ?{len(sheets)}", s) for n, s in enumerate(sheets, 1))


def test_the_first_sheet_is_the_one_to_sign(browser: Browser, page: Path) -> None:
    first = printed_text(browser.printed(page))[0]
    for text in ("Before you sign", "SHA-256 of the file", "Bundle id", "approved", "refused", "Signature"):
        assert text in first
    assert "What is inside" not in first
