"""PageContents → one HTML file that needs nothing else: no script, no network, no second file. No I/O.

A bundle may be hostile. So every text is escaped by the templates' engine, nothing from a bundle
becomes an address, a style or a name of an element, and a policy forbids the browser all but our style.
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bundler.about import PROGRAM, VERSION
from bundler.errors import printable
from bundler.oci import Digest, RepositoryName, RepositoryPath
from bundler.page.findings import findings
from bundler.page.pull_lines import newest_first, newest_of, pull_line
from bundler.page.values import (
    Bar,
    ChangesPart,
    Column,
    PageContents,
    RepositoryPart,
    Segment,
    TagRow,
    bar_of,
    columns,
    repository_bar,
)
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_of

FIRST_LINES = "<!doctype html>\n<!-- A report page of timoni-bundler -->\n"
"""First lines of every page; a file that begins so may be replaced by a newer page."""

MOST_TAGS = 5_000
"""Tags that a page lists, over all repositories; all are counted."""

MOST_ROWS = 1_000
"""Repositories, changes and images that a page lists."""

_OPEN_ROWS = 12
"""A longer table is folded on a screen."""

_LONGEST = 600


class DepartedTags(NamedTuple):
    """Tags of earlier bundles that a delta says left in one of two ways."""

    id: str
    """`gone` or `deselected`."""
    tags: Sequence[tuple[str, str]]
    """Repository and tag."""


class Section(NamedTuple):
    """One repository, with its pictures."""

    part: RepositoryPart
    newest: Sequence[TagRow]
    """The tags that are listed, newest first."""
    bar: Bar
    columns: Sequence[Column]

    @property
    def signed(self) -> int:
        """Return the tags with a signature."""
        return sum(1 for tag in self.part.tags if tag.marks.signatures)

    @property
    def newest_version(self) -> TagRow | None:
        """Return the newest tag that is a version; without versions, the last by name."""
        versions = [tag for tag in self.part.tags if version_of(tag.reference)] or self.part.tags
        return versions[-1] if versions else None

    @property
    def path(self) -> RepositoryPath:
        """Return the name under which a registry serves it: without the source's host."""
        return RepositoryName.parse(self.part.name).path

    @property
    def pulled(self) -> TagRow | None:
        """Return the tag that a person would pull; None if everything was taken by digest."""
        tags = {row.reference: row for row in self.part.tags if row.reference != row.digest}
        newest = newest_of(newest_first(tags))
        return tags[newest] if newest else None

    def pull_line(self, address: str) -> str:
        """Return the command line that pulls that tag from the registry at an address."""
        assert self.pulled, "the template asks for those with a tag"
        return pull_line(address, self.path, self.pulled.reference, self.part.kind)

    @property
    def sources(self) -> list[str]:
        """Return the source addresses that the tags state."""
        return list(dict.fromkeys(tag.source for tag in reversed(self.part.tags) if tag.source))


class SizeBar(NamedTuple):
    """One of the bars that compare the whole."""

    label: str
    size: int
    bar: Segment


def render_page(page: PageContents, address: str = "") -> str:
    """Return the page as HTML; the same contents give the same text.

    With the `host:port` of a registry that serves the bundle, it is the first page of the registry: with
    links to the pages of repositories, and with lines that pull.
    """
    lines = findings(page)
    style = _text("style.css") + (_text("served.css") if address else "")
    return (
        _environment()
        .get_template("page.html")
        .render(
            **_head(style + _on_every_sheet(page)),
            page=page,
            address=address,
            good=[finding for finding in lines if finding.in_order],
            open=[finding for finding in lines if not finding.in_order],
            tags=sum(len(entry.tags) for entry in page.repositories),
            tagged=sum(1 for entry in page.repositories if entry.tags),
            attachments=sum(entry.attachments for entry in page.repositories),
            sections=_sections(page),
            departed=_departed(page),
            sizes=_size_bars(page),
            most=MOST_ROWS,
            open_rows=_OPEN_ROWS,
        )
    )


def _head(style: str) -> dict[str, object]:
    """Return the values of `head.html`: only the style with this digest is applied."""
    return {
        "first_lines": Markup(FIRST_LINES),  # noqa: S704  a constant
        "style": Markup(style),  # noqa: S704  our own files, and a digest
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "program": f"{PROGRAM} {VERSION}",
    }


def rendered_served(readme: str, **values: object) -> str:
    """Return a page of a registry that is served, from the values of its template; `readme` has lines."""
    text = "".join(letter for letter in readme if letter.isprintable() or letter in "\t\n")
    return (
        _environment()
        .get_template("served.html")
        .render(
            **_head(_text("style.css") + _text("served.css")),
            readme=escape(text),
            **values,
        )
    )


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("bundler.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": size_text, "count": _count, "counts": _counts, "plural": counted}
    return made


def _text(name: str) -> str:
    loader = _environment().loader
    assert loader, "it was made with one"
    return loader.get_source(_environment(), name)[0]


def _on_every_sheet(page: PageContents) -> str:
    """Return the style that prints the bundle's name on every sheet of paper."""
    # The one value in the style: parsed, so that it can be nothing but a digest.
    digest = Digest.parse(page.file.id)
    return f'@page {{ @bottom-left {{ content: "{digest}"; font: 7pt monospace; color: #545d68; }} }}\n'


def _one_line(value: object) -> object:
    """Return text without control or format characters, of limited length: the last guard."""
    return value if isinstance(value, Markup) else printable(value, _LONGEST)


def _count(number: int) -> str:
    return f"{number:,}"


def _counts(part: ChangesPart) -> dict[str, int]:
    """Return how many tags were added, removed and moved."""
    kinds = [row.change for row in part.rows]
    return {kind: kinds.count(kind) for kind in ("added", "removed", "moved")}


def _departed(page: PageContents) -> list[DepartedTags]:
    """Return the two ways in which tags leave, those that have any."""
    entries = page.repositories
    both = (
        DepartedTags("gone", [(entry.name, tag) for entry in entries for tag in entry.gone]),
        DepartedTags("deselected", [(entry.name, tag) for entry in entries for tag in entry.deselected]),
    )
    return [part for part in both if part.tags]


def _sections(page: PageContents) -> list[Section]:
    widest = max((entry.size for entry in page.repositories), default=0)
    room, sections = MOST_TAGS, []
    for entry in page.repositories[:MOST_ROWS]:
        newest = entry.tags[::-1][:room]
        room -= len(newest)
        drawn = columns(entry.tags) if newest else ()
        sections.append(Section(entry, newest, repository_bar(entry, widest), drawn))
    return sections


def _size_bars(page: PageContents) -> list[SizeBar]:
    bars = [
        ("Every tag carried alone", page.sizes.listed),
        ("Every part once", page.sizes.distinct),
        *([("This file, compressed", page.file.size)] if page.file.size is not None else []),
    ]
    most = max(size for _, size in bars)
    return [SizeBar(label, size, bar_of(size, most)) for label, size in bars]
