"""The text of `diff`: lines for a terminal, or a Markdown table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bundler.errors import printable
from bundler.oci.content import shortened
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.deltas.difference import Difference, TagChange, TagState

SIGNS = {"added": "+", "removed": "-", "moved": "~"}


def text_of(found: Difference) -> Iterator[str]:
    """A line for each change, and the sums."""
    for name, change in _ordered(found):
        known = any(state and state.revision for state in (change.old, change.new))
        revisions = f"  revision {_revisions(change, ' -> ')}" if known else ""
        yield f"{SIGNS[change.change]} {name}:{change.reference}  {_told(change, ' -> ')}{revisions}"
    yield _sums(found)


def markdown_of(found: Difference) -> Iterator[str]:
    """A table with a row for each change, and the sums."""
    if found.repositories:
        yield "| change | repository | tag | version and digest | git revision |"
        yield "|---|---|---|---|---|"
    for name, change in _ordered(found):
        cells = (change.change, name, change.reference, _told(change, " → "), _revisions(change, " → "))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    if found.repositories:
        yield ""
    yield _sums(found)


def _ordered(found: Difference) -> Iterator[tuple[str, TagChange]]:
    for entry in found.repositories:
        for change in sorted(entry.changes, key=lambda change: version_order(change.reference)):
            yield entry.name, change


def _told(change: TagChange, arrow: str) -> str:
    return _joined(
        change, arrow, lambda state: f"{printable(state.version or '-', 40)} {shortened(state.digest)}"
    )


def _revisions(change: TagChange, arrow: str) -> str:
    return _joined(change, arrow, lambda state: printable(state.revision or "-", 60))


def _joined(change: TagChange, arrow: str, tell: Callable[[TagState], str]) -> str:
    return arrow.join(dict.fromkeys(tell(state) for state in (change.old, change.new) if state))


def _sums(found: Difference) -> str:
    counts = dict.fromkeys(SIGNS, 0)
    for _, change in _ordered(found):
        counts[change.change] += 1
    tags = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return (
        f"{tags}, {found.unchanged} unchanged; {counted(found.added_blobs, 'blob')} more "
        f"({size_text(found.added_bytes)}), {found.removed_blobs} less ({size_text(found.removed_bytes)})"
    )
