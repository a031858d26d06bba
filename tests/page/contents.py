"""Bundles to report on, and pages taken apart as a browser would."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.reader import open_bundle
from bundler.page.gather import page_of
from bundler.page.render import render_page
from bundler.page.values import PageContents, Proof
from bundler.session import Session
from bundler.timoni.module import pack_module
from tests.builders import Content, a_bundle, sign_by_subject, sign_by_tag

APP = "ghcr.io/team/modules/app"
IMAGE = "ghcr.io/team/app"
PROVEN = Proof(every_byte=True, sidecar=True)

VOID = {"meta", "rect", "line"}
"""Elements that this page leaves open; in SVG they close themselves."""
ALLOWED = {
    *("html", "head", "title", "style", "body", "header", "main", "section", "article", "footer"),
    *("h1", "h2", "h3", "p", "ul", "li", "div", "span", "strong", "em", "code", "bdi", "dl", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption"),
    *("svg", *VOID),
}


def a_module_with_images(*versions: str, image: str = IMAGE) -> Content:
    """Versions as `timoni mod push` makes them, each of which runs an image of the same version."""
    content = Content()
    for month, version in enumerate(versions, start=1):
        values = f'package main\n\nvalues: image: {{repository: "{image}", tag: "{version}", digest: ""}}\n'
        files = {
            "timoni.cue": b"package main\n",
            "values.cue": values.encode(),
            "cue.mod/v.cue": b"v: 1\n" * 99,
        }
        packed = pack_module(
            files,
            version=version,
            created=f"2026-{month:02}-01T08:15:00Z",
            source="https://example.com/app",
            revision=f"refs/tags/{version}",
        )
        content.blobs |= {blob.digest: data for blob, data in packed.blobs.items()}
        content.add_bytes(packed.manifest.data, packed.manifest.blob.media_type, version)
    return content


def a_transfer() -> dict[str, Content]:
    """A module: one version signed by tag, one by subject with an SBOM, one not; one image goes along."""
    app, image = a_module_with_images("1.0.0", "1.1.0", "1.2.0"), Content()
    app.tags["latest"] = app.tags["1.2.0"]
    sign_by_tag(app, app.tags["1.0.0"])
    sign_by_tag(app, sign_by_tag(app, app.tags["1.1.0"], "sbom"))
    sign_by_subject(app, app.tags["1.1.0"])
    image.add_image("app", "1.0.0")
    return {APP: app, IMAGE: image}


def page_in(folder: Path, contents: Mapping[str, Content], proof: Proof = PROVEN) -> PageContents:
    """What the page of a bundle of these contents says."""
    with open_bundle(a_bundle(folder / "b.tar.zst", contents)) as opened:
        return page_of(opened, proof, Session())


class Element(NamedTuple):
    """A start tag."""

    name: str
    attributes: tuple[tuple[str, str | None], ...]


class TakenApart(HTMLParser):
    """A page's elements and texts; raises when something is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, tuple(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        """All that is read, in one line."""
        return " ".join(" ".join(self.texts).split())

    @property
    def structure(self) -> list[Element]:
        """What the page is built of, without what is read aloud of it."""
        return [
            Element(name, tuple(pair for pair in attributes if pair[0] != "aria-label"))
            for name, attributes in self.elements
        ]


def taken_apart(page: PageContents) -> TakenApart:
    """A page rendered, and taken apart."""
    return TakenApart(render_page(page))
