"""The text of `diff`: lines for a terminal, or a Markdown table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from bundler.cli.terminal.bundle_text import aligned
from bundler.errors import printable
from bundler.oci import shortened
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.deltas.difference import Difference, TagChange, TagState

SIGNS = {"added": "+", "removed": "-", "moved": "~"}

ARROW = " -> "


def text_of(difference: Difference) -> Iterator[str]:
    """Yield a line per change below the name of its repository, then the sums."""
    for entry in difference.repositories:
        yield entry.name
        yield from (f"  {line}" for line in aligned([_row(change) for change in _sorted(entry.changes)]))
    yield _sums(difference)


def _row(change: TagChange) -> tuple[str, str, str, str]:
    states = [state for state in (change.old, change.new) if state]
    has_revision = any(state.revision for state in states)
    same = all(state.version in (None, change.reference) for state in states)
    digests = ARROW.join(dict.fromkeys(shortened(state.digest) for state in states))
    return (
        f"{SIGNS[change.change]} {change.reference}",
        digests if same else _told(change, ARROW),
        f"revision {_revisions(change, ARROW)}" if has_revision else "",
        change.departure or "",
    )


def markdown_of(difference: Difference) -> Iterator[str]:
    """Yield a table with a row per change, then the sums."""
    if difference.repositories:
        yield "| change | repository | tag | version and digest | git revision |"
        yield "|---|---|---|---|---|"
    for name, change in _ordered(difference):
        kind = change.departure or change.change
        cells = (kind, name, change.reference, _told(change, " → "), _revisions(change, " → "))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    if difference.repositories:
        yield ""
    yield _sums(difference)


def _sorted(changes: Iterable[TagChange]) -> list[TagChange]:
    return sorted(changes, key=lambda change: version_order(change.reference))


def _ordered(difference: Difference) -> Iterator[tuple[str, TagChange]]:
    for entry in difference.repositories:
        for change in _sorted(entry.changes):
            yield entry.name, change


def _told(change: TagChange, arrow: str) -> str:
    return _joined(
        change, arrow, lambda state: f"{printable(state.version or '-', 40)} {shortened(state.digest)}"
    )


def _revisions(change: TagChange, arrow: str) -> str:
    return _joined(change, arrow, lambda state: printable(state.revision or "-", 60))


def _joined(change: TagChange, arrow: str, tell: Callable[[TagState], str]) -> str:
    return arrow.join(dict.fromkeys(tell(state) for state in (change.old, change.new) if state))


def _sums(difference: Difference) -> str:
    counts = dict.fromkeys(SIGNS, 0)
    for _, change in _ordered(difference):
        counts[change.change] += 1
    departures = Counter(change.departure for _, change in _ordered(difference) if change.departure)
    why = ", ".join(f"{count} {departure}" for departure, count in sorted(departures.items()))
    tags = ", ".join(
        f"{count} {kind}{f' ({why})' if why and kind == 'removed' else ''}" for kind, count in counts.items()
    )
    added = f"{counted(difference.added_blobs, 'blob')} added ({size_text(difference.added_bytes)})"
    removed = f"{difference.removed_blobs} removed ({size_text(difference.removed_bytes)})"
    return f"{tags}, {difference.unchanged} unchanged; {added}, {removed}"
