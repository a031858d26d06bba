"""The text of `explain` and of dry runs: totals first, then the tags of each repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bundler.cli.terminal.bundle_text import aligned, compact_lines, signed_lines
from bundler.oci import shortened
from bundler.reporting.json_report import Explanation, Report, RepositoryReport, TagReport
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.exporter.fetch.fetch_plan import ExportPlan

REASONS = 3
"""Reasons that the line about other tags names, the most frequent first."""

TAKEN, LEFT, FAILED, REMOVED = "+", "-", "!", "x"

MARKS = {"skipped": LEFT, "present": LEFT, "failed": FAILED, "removed": REMOVED}
"""By status; every other status is a tag that goes along."""


class ListedTag(NamedTuple):
    """One line: a tag, what is known of it, why it is there, and one of the marks."""

    tag: str
    cells: tuple[str, ...]
    reason: str
    mark: str


class ListedRepository(NamedTuple):
    """The tags of one repository."""

    name: str
    tags: Sequence[ListedTag]
    size: int | None = None

    @property
    def taken(self) -> int:
        """Return the number of tags that are taken."""
        return sum(tag.mark == TAKEN for tag in self.tags)


def explanation_text(explained: Explanation, *, all_tags: bool) -> str:
    """Return the tags that an export would take, with `all_tags` also the others, and why."""
    repositories = [
        ListedRepository(
            entry.name,
            [ListedTag(each.tag, (), each.reason, TAKEN if each.taken else LEFT) for each in entry.decisions],
        )
        for entry in explained.repositories
    ]
    return "\n".join([_total(repositories, all_tags=all_tags), *_listing(repositories, all_tags=all_tags)])


def export_plan_text(report: Report, plan: ExportPlan, disk: int, *, all_tags: bool) -> str:
    """Return what an export would do; `disk` is in bytes."""
    fetch = f"{size_text(plan.fetch_bytes)} of {size_text(plan.total_bytes)}"
    repositories = [_planned(entry) for entry in report.repositories]
    lines = [
        _total(repositories, all_tags=all_tags),
        f"fetch  {fetch}, in {counted(plan.requests, 'request')}",
        f"disk   {size_text(disk)} at most",
        *compact_lines(report.compact, every=True),
        *(f"remove {path}" for path in report.removed),
    ]
    return "\n".join([*lines, *signed_lines(report.signed), *_listing(repositories, all_tags=all_tags)])


def import_plan_text(report: Report, target: str, *, all_tags: bool) -> str:
    """Return what an import would do; tags that the target has already are among the others."""
    repositories = [_planned(entry) for entry in report.repositories]
    sent = f"{counted(report.blobs.moved, 'blob')} ({size_text(report.blobs.moved_bytes)})"
    lines = [
        f"{target}: {_changes(report)}; nothing was written",
        *([f"send  at most {sent}"] if report.blobs.moved else []),
        *signed_lines(report.signed),
    ]
    return "\n".join([*lines, *_listing(repositories, all_tags=all_tags)])


def _planned(entry: RepositoryReport) -> ListedRepository:
    tags = sorted(entry.tags, key=lambda tag: version_order(tag.reference))
    return ListedRepository(entry.name, [_planned_tag(tag) for tag in tags], entry.size)


def _planned_tag(tag: TagReport) -> ListedTag:
    reason = tag.reason or {"present": "there already"}.get(tag.status, tag.status)
    if tag.previous:
        reason += f", now {shortened(tag.previous)}"
    cells = [shortened(tag.digest) if tag.digest else "-"]
    cells += [size_text(tag.size)] if tag.size is not None else []
    return ListedTag(_short(tag.reference), tuple(cells), reason, MARKS.get(tag.status, TAKEN))


def tag_counts(counts: Counter[Any], words: Mapping[str, str]) -> str:
    """Return `7 tags pushed, 2 there already`: the counts by status, in the given words."""
    parts = [f"{count:,} {words.get(status, status)}" for status, count in counts.items()]
    if not parts:
        return "no tags"
    number, _, rest = parts[0].partition(" ")
    return ", ".join([f"{number} {'tag' if number == '1' else 'tags'} {rest}", *parts[1:]])


def _changes(report: Report) -> str:
    """Return how many tags would become what."""
    return tag_counts(
        Counter(
            tag.reason if tag.status == "planned" else tag.status
            for entry in report.repositories
            for tag in entry.tags
        ),
        {"present": "there already", "skipped": "left out"},
    )


def _total(repositories: Sequence[ListedRepository], *, all_tags: bool) -> str:
    taken, every = sum(entry.taken for entry in repositories), sum(len(entry.tags) for entry in repositories)
    line = f"{_part(taken, every)} in {counted(len(repositories), 'repository', 'repositories')}"
    return f"{line}; --all shows the others" if taken < every and not all_tags else line


def _part(taken: int, every: int) -> str:
    return counted(every, "tag") if taken == every else f"{taken} of {counted(every, 'tag')}"


def _listing(repositories: Iterable[ListedRepository], *, all_tags: bool) -> Iterator[str]:
    for entry in repositories:
        size = "" if entry.size is None else f", {size_text(entry.size)}"
        yield f"\n{entry.name}: {_part(entry.taken, len(entry.tags))}{size}"
        shown = [tag for tag in entry.tags if tag.mark != LEFT or all_tags]
        rows = [(f"{tag.mark} {tag.tag}" if all_tags else tag.tag, *tag.cells) for tag in shown]
        for line, tag in zip(_columns(rows), shown, strict=True):
            yield f"  {line}  {tag.reason}"
        if others := Counter(tag.reason for tag in entry.tags if tag.mark == LEFT and not all_tags):
            yield f"  not shown: {_reasons(others)}"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows of different lengths; the lines stay as wide as the widest."""
    most = max(map(len, rows), default=0)
    lines = aligned([(*row, *[""] * (most - len(row))) for row in rows]) if rows else []
    return [line.ljust(max(map(len, lines))) for line in lines]


def _reasons(counts: Counter[str]) -> str:
    common = counts.most_common(REASONS)
    rest = counts.total() - sum(count for _, count in common)
    parts = [f"{count} {reason}" for reason, count in common]
    return ", ".join([*parts, *([f"{rest} more"] if rest else [])])


def _short(reference: str) -> str:
    return shortened(reference) if ":" in reference else reference
