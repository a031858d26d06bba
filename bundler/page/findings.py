"""Findings for the person who signs: what is in order, and what to look at. No I/O."""

from collections.abc import Iterator
from typing import NamedTuple

from bundler.page.values import ChangesPart, PageContents, RepositoryPart, TagRow
from bundler.reporting.progress import counted
from bundler.selection.semver import version_of

_MOST_NAMED = 5


class Finding(NamedTuple):
    """One line of the findings."""

    in_order: bool
    what: str
    """A short sentence."""
    more: str = ""
    """Explanation, or the places concerned."""


def _good(what: str, more: str = "") -> Finding:
    return Finding(in_order=True, what=what, more=more)


def _look(what: str, more: str = "") -> Finding:
    return Finding(in_order=False, what=what, more=more)


def findings(page: PageContents) -> list[Finding]:
    """Return all findings in order of weight: the file, its origin, its content, its changes."""
    return [
        *_proof(page),
        _origin(page),
        *_departed(page),
        *_signatures(page),
        *_images(page),
        *_contradictions(page),
        *_sparse(page),
        *(finding for part in page.changes for finding in _changes(part)),
    ]


def _proof(page: PageContents) -> Iterator[Finding]:
    if layers := page.proof.unproven:
        yield _look(
            f"{counted(layers, 'layer')} can be proven only with the base.",
            "What this file stores is undamaged; name the base with `--since`.",
        )
        return
    if not page.proof.every_byte:
        yield _look("The content was not checked.", "Only the list of contents was read.")
        return
    yield _good("Every byte was checked.", "Nothing is damaged, missing or added.")
    if page.file.size is not None and not page.proof.sidecar:
        yield _look("No .sha256 file lies beside it.", "Compare the SHA-256 below by another way.")


def _origin(page: PageContents) -> Finding:
    if page.origin:
        return _good("The signature on this file is valid.")
    if page.claimed:
        return _look("The signature on this file was not checked.", "`--allowed-signers` checks it.")
    proven = "Consistency is proven, origin is not" if page.proof.every_byte else "Its origin is not proven"
    return _look("No signature on this file.", f"{proven}: compare the bundle id by a way that you trust.")


def _departed(page: PageContents) -> Iterator[Finding]:
    gone = [f"{entry.name}:{tag}" for entry in page.repositories for tag in entry.gone]
    if gone:
        more = f"{_named(gone)}. An import deletes them only with --prune."
        yield _look(f"{counted(len(gone), 'tag')} said to be gone at the source.", more)
    deselected = [f"{entry.name}:{tag}" for entry in page.repositories for tag in entry.deselected]
    if deselected:
        more = f"{_named(deselected)}. The source still has them; only --prune-deselected deletes them."
        yield _look(f"{counted(len(deselected), 'tag')} no longer selected.", more)


def _signatures(page: PageContents) -> Iterator[Finding]:
    tags = sum(len(entry.tags) for entry in page.repositories)
    unsigned = [(entry, count) for entry in page.repositories if (count := _unsigned(entry))]
    if unsigned:
        where = [f"{entry.name}: {count:,} of {len(entry.tags):,}" for entry, count in unsigned]
        count = sum(count for _, count in unsigned)
        yield _look(
            f"{count:,} of {counted(tags, 'tag')} without a signature.", _named(where) + _earlier(page)
        )
    elif tags:
        more = "They go along; whether they are valid is for the keys inside to say."
        yield _good("Every tag has a signature.", more)


def _earlier(page: PageContents) -> str:
    return ". Earlier bundles may have brought some" if page.file.base else ""


def _unsigned(entry: RepositoryPart) -> int:
    return sum(1 for tag in entry.tags if not tag.marks.signatures)


def _images(page: PageContents) -> Iterator[Finding]:
    lacking = [row.reference for row in page.images.rows if row.state != "carried"]
    if lacking:
        what = f"{len(lacking):,} of {counted(len(page.images.rows), 'container image')} not in this file."
        yield _look(what, _named(lacking) + _earlier(page))
    elif page.images.rows:
        yield _good("All container images that the modules name are in this file.")
    if page.images.unknown:
        what = "Some modules may run images that can't be read from them."
        yield _look(what, _named(list(dict.fromkeys(place.place for place in page.images.unknown))))


def _contradictions(page: PageContents) -> Iterator[Finding]:
    wrong = [_name(entry, tag) for entry in page.repositories for tag in entry.tags if _contradicts(tag)]
    if wrong:
        yield _look(
            f"{counted(len(wrong), 'tag')} with another version inside than in the name.", _named(wrong)
        )


def _contradicts(tag: TagRow) -> bool:
    stated = tag.version.removeprefix("v")
    return stated not in ("", tag.reference) and version_of(tag.reference) is not None


def _sparse(page: PageContents) -> Iterator[Finding]:
    if page.left_out:
        what = f"{counted(page.left_out, 'part')} of images left out on purpose."
        yield _look(what, "They are for platforms that were not wanted.")


def _changes(part: ChangesPart) -> Iterator[Finding]:
    moved = [
        f"{row.repository}:{row.reference}"
        for row in part.rows
        if row.change == "moved" and version_of(row.reference) is not None
    ]
    if moved:
        what = f"{counted(len(moved), 'version')} with other content than in {part.old_name}."
        yield _look(what, _named(moved))


def _name(entry: RepositoryPart, tag: TagRow) -> str:
    return f"{entry.name}{'@' if tag.reference == tag.digest else ':'}{tag.reference}"


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f", and {more:,} more" if more > 0 else "")
