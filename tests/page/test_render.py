"""A page is HTML that a hostile bundle can't change, the same for the same bundle, and readable by all."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.reader import open_bundle
from bundler.errors import printable
from bundler.page.gather import page_of
from bundler.page.render import FIRST_LINES, render_page
from bundler.page.values import (
    ChangeRow,
    ChangesPart,
    ImageRow,
    ImagesPart,
    LabelledFact,
    Marks,
    Namer,
    PageContents,
    TagRow,
    UnknownImage,
)
from bundler.session import Session
from tests.builders import Content, a_bundle, a_module, an_image, manifest_document
from tests.page.contents import ALLOWED, APP, PROVEN, TakenApart, a_transfer, page_in, taken_apart

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"--></style></script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "&lt;b&gt; &#x3c;b&#x3e;",
    "\u202egnp.exe\u2066 \u200b\ufeff",
    "a\x00b\x1b[31m\r\n\tc\x85\u2028",
    "]]><!--",
]


@pytest.fixture(scope="module")
def transfer(tmp_path_factory: pytest.TempPathFactory) -> PageContents:
    """The page of a usual transfer."""
    return page_in(tmp_path_factory.mktemp("transfer"), a_transfer())


def with_text(page: PageContents, text: str) -> PageContents:
    """The page with the text wherever a text can come from outside."""
    tag = TagRow(text, f"sha256:{'0' * 64}", text, text, text, text, 1, 1, Marks())
    entry = page.repositories[0]._replace(name=text, kind=text, tags=(tag, tag), gone=(text,))
    change = ChangeRow("moved", text, text, text, text, 1)
    changes = ChangesPart(text, text, (change,), 0, 0, 0, 0)
    row = ImageRow(text, "absent", (Namer(text, text, text, 2),))
    return page._replace(
        title=text,
        file=page.file._replace(name=text, kind=text, base=(text,)),
        origin=(LabelledFact(text, text),),
        repositories=(entry,),
        images=ImagesPart(1, (row,), (UnknownImage(text, text, 1),)),
        changes=(changes,),
    )


# --- escaping ----------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None), max_size=300)))
def test_no_text_makes_an_element_or_an_attribute(transfer: PageContents, text: str) -> None:
    page = TakenApart(render_page(with_text(transfer, f"x{text}")))
    assert page.structure == taken_apart(with_text(transfer, "xx")).structure
    assert page.comments == [" A report page of timoni-bundler "]


@pytest.mark.slow
@given(st.text(st.characters(codec=None), max_size=300))
def test_no_text_brings_control_or_format_characters(transfer: PageContents, text: str) -> None:
    page = render_page(with_text(transfer, text))
    assert {letter for letter in page if not letter.isprintable()} == {"\n"}
    assert page.encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_bundle_is_shown_as_text(text: str, tmp_path: Path) -> None:
    content = Content()
    names = ("image.version", "image.created", "image.revision", "image.source")
    annotations = {f"org.opencontainers.{name}": text for name in names} | {"sh.timoni.images": text}
    config = content.add_blob(b"{}", "application/vnd.timoni.config.v1+json")
    content.add_manifest(manifest_document(config, [], annotations=annotations), "1.0.0")
    page = taken_apart(page_in(tmp_path, {APP: content}))
    assert {element.name for element in page.elements} <= ALLOWED
    assert " ".join(printable(text).split()) in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_served_report_shows_hostile_text_as_text(text: str, tmp_path: Path) -> None:
    content = Content()
    config = content.add_blob(b"{}", "application/vnd.timoni.config.v1+json")
    annotations = {f"org.opencontainers.image.{name}": text for name in ("version", "created", "source")}
    content.add_manifest(manifest_document(config, [], annotations=annotations), "1.0.0")
    page = TakenApart(render_page(page_in(tmp_path, {APP: content}), text))
    assert {element.name for element in page.elements} <= {*ALLOWED, "a", "pre"}
    links = [value for element in page.elements for name, value in element.attributes if name == "href"]
    assert set(links) == {f"/repositories/{APP.partition('/')[2]}", "/v2/_catalog"}


def test_an_annotation_without_end_is_cut(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    long = {
        "org.opencontainers.image.revision": "r" * 3_000_000,
        "org.opencontainers.image.created": "c" * 99_999,
    }
    config = content.add_blob(b"{}", "application/vnd.oci.image.config.v1+json")
    content.add_manifest(manifest_document(config, [], annotations=long), "2.0.0")
    assert len(render_page(page_in(tmp_path, {APP: content}))) < 40_000


def test_addresses_are_texts_and_lead_nowhere(transfer: PageContents) -> None:
    page = taken_apart(with_text(transfer, "https://example.com/"))
    attributes = Counter(name for element in page.elements for name, _ in element.attributes)
    assert not {"href", "src", "action", "style", "srcset", "data", "xlink:href"} & set(attributes)
    assert [name for name in attributes if name.startswith("on")] == []
    assert not re.search(r"url\(|@import", "".join(page.texts))


# --- alone, and the same -----------------------------------------------------------------------------


def test_the_policy_allows_our_style_and_nothing_else(transfer: PageContents) -> None:
    page = taken_apart(transfer)
    policy = next(
        dict(element.attributes)["content"]
        for element in page.elements
        if ("http-equiv", "Content-Security-Policy") in element.attributes
    )
    style = re.search("<style>(.*?)</style>", render_page(transfer), re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_same_bundle_gives_the_same_page_wherever_it_lies(tmp_path: Path) -> None:
    pages = []
    for folder in (tmp_path / "one", tmp_path / "another"):
        folder.mkdir()
        pages.append(render_page(page_in(folder, a_transfer())))
    assert pages[0] == pages[1]
    assert str(tmp_path) not in pages[0]


def test_a_page_begins_as_every_page_does(transfer: PageContents) -> None:
    assert render_page(transfer).startswith(FIRST_LINES + '<html lang="en">')


# --- what it shows -----------------------------------------------------------------------------------


def test_a_page_tells_all_of_a_usual_transfer(tmp_path: Path) -> None:
    older = a_bundle(tmp_path / "older.tar.zst", {APP: a_module("0.9.0")})
    newer = a_bundle(tmp_path / "newer.tar.zst", a_transfer())
    with open_bundle(older) as before, open_bundle(newer) as after:
        list(after.everything())
        sha256 = after.sha256
        page = taken_apart(page_of(after, PROVEN, Session(), since=[before]))
    assert str(sha256) in page.text
    for text in (
        after.id,
        "newer.tar.zst",
        "5 tags in 2 repositories, with 4 signatures, SBOMs and other attachments",
        "none \u2013 consistency is proven, origin is not",
        "What changed since older.tar.zst",
        "5 added, 1 removed, 0 moved, 0 unchanged",
        "made from https://example.com/app",
        "refs/tags/1.2.0",
        "2026-03-01 08:15",
        "ghcr.io/team/app:1.1.0",
        "latest says 1.2.0",
    ):
        assert text in page.text


def test_what_was_not_read_is_told(tmp_path: Path) -> None:
    page = page_in(tmp_path, a_transfer(), PROVEN._replace(every_byte=False))
    assert "not computed: the file was not read as a whole" in taken_apart(page).text


def test_a_delta_names_what_it_adds_to(transfer: PageContents) -> None:
    base = f"sha256:{'b' * 64}"
    page = taken_apart(transfer._replace(file=transfer.file._replace(kind="delta", base=(base,))))
    assert "A delta: it completes what earlier bundles brought." in page.text
    assert f"Adds to bundle {base}" in page.text


def test_a_proven_origin_is_shown(transfer: PageContents) -> None:
    page = taken_apart(transfer._replace(origin=(LabelledFact("Signed by", "carrier@example.org"),)))
    assert "Signed by: carrier@example.org" in page.text
    assert "origin is not" not in page.text


def test_an_empty_bundle_has_a_page(tmp_path: Path) -> None:
    assert "Nothing: this bundle is empty." in taken_apart(page_in(tmp_path, {})).text


# --- bounds ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_thousand_tags_are_one_page_that_is_folded(transfer: PageContents) -> None:
    tag = transfer.repositories[0].tags[0]
    tags = tuple(tag._replace(reference=f"1.{number}.0", revision="a" * 40) for number in range(2_000))
    text = render_page(transfer._replace(repositories=(transfer.repositories[0]._replace(tags=tags),)))
    page = TakenApart(text)
    assert len(text) < 2_000_000
    assert [element.name for element in page.elements].count("details") == 1
    assert text.index("1.1999.0</code>") < text.index("1.0.0</code>")


@pytest.mark.slow
def test_more_than_a_page_can_list_is_counted(transfer: PageContents) -> None:
    tag = transfer.repositories[0].tags[0]._replace(revision="r" * 100)
    many = transfer.repositories[0]._replace(tags=(tag,) * 9_000)
    few = many._replace(tags=(tag,) * 9)
    row = ImageRow("x", "absent", ())
    page = transfer._replace(repositories=(many, *(few,) * 1_199), images=ImagesPart(1, (row,) * 1_500, ()))
    text = render_page(page)
    told = TakenApart(text).text
    assert len(text) < 8_000_000
    assert "19,791 tags in 1,200 repositories" in told
    assert "200 repositories more" in told
    assert "1,199 repositories more" in told
    assert "4,000 tags more" in told
    assert "500 images more" in told


# --- for everybody -----------------------------------------------------------------------------------


def test_headings_go_down_one_level_at_a_time(transfer: PageContents) -> None:
    levels = [int(one.name[1]) for one in taken_apart(transfer).elements if re.fullmatch("h[1-6]", one.name)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise([0, *levels]))


def test_every_table_has_a_caption_and_scoped_headings(transfer: PageContents) -> None:
    elements = taken_apart(transfer).elements
    names = Counter(element.name for element in elements)
    assert names["table"] == names["caption"] >= 4
    assert [one for one in elements if one.name == "th" and "scope" not in dict(one.attributes)] == []


def test_every_id_is_there_once_and_every_label_names_one(transfer: PageContents) -> None:
    attributes = [pair for element in taken_apart(transfer).elements for pair in element.attributes]
    ids = Counter(value for name, value in attributes if name == "id")
    assert set(ids.values()) == {1}
    assert {value for name, value in attributes if name == "aria-labelledby"} == set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_stands_out_from_its_ground(scheme: str, transfer: PageContents) -> None:
    (palette,) = re.findall(rf":root {{\s+color-scheme: {scheme};(.*?)}}", render_page(transfer), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", palette))
    for name in ("ink", "quiet", "own", "look", "good"):
        for ground in ("paper", "warm"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_picture_says_no_more_than_the_numbers(tmp_path: Path) -> None:
    page = taken_apart(page_in(tmp_path, {APP: a_module("1.0.0", "1.1.0"), "h.example/image": an_image()}))
    widths = [
        value
        for element in page.elements
        for name, value in element.attributes
        if element.name == "rect" and name in ("x", "y", "width", "height")
    ]
    assert widths
    assert all(0 <= float((value or "").rstrip("%")) <= 100 for value in widths)
