"""The summaries of `export`, `merge` and `import`."""

from __future__ import annotations

from bundler.cli.terminal.bundle_text import signed_lines
from bundler.cli.terminal.display import aligned
from bundler.reporting.json_report import Report
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order


def export_summary(report: Report) -> str:
    """One line: what was written; then who signed modules, if that was asked."""
    tags = sum(tag.status == "exported" for entry in report.repositories for tag in entry.tags)
    if report.bundle is None:
        return "nothing is new, nothing was written" if report.unchanged else "nothing was exported"
    state = "unchanged, nothing was written" if report.unchanged else counted(tags, "tag")
    size = f", {size_text(report.bundle.size)}" if report.bundle.size is not None else ""
    line = f"{report.bundle.path}: {state}{size}, bundle {report.bundle.id}"
    return "\n".join([line, *signed_lines(report.signed)])


def import_summary(report: Report, target: str) -> str:
    """One line: what the target has now, for a dry run after a line for each tag; then who signed modules."""
    if report.dry_run:
        return "\n".join(
            [
                *_planned_lines(report),
                f"{target}: {counted(report.blobs.moved, 'blob')} to send at most "
                f"({size_text(report.blobs.moved_bytes)}); nothing was written",
                *signed_lines(report.signed),
            ]
        )
    counts: dict[str, int] = {}
    for entry in report.repositories:
        for tag in entry.tags:
            counts[tag.status] = counts.get(tag.status, 0) + 1
    parts = [f"{count} {status}" for status, count in counts.items()] or ["no tags"]
    sent = f"{counted(report.blobs.moved, 'blob')} sent ({size_text(report.blobs.moved_bytes)})"
    line = f"{target}: {', '.join(parts)}; {sent}, {report.blobs.reused} there already"
    return "\n".join([line, *signed_lines(report.signed)])


def _planned_lines(report: Report) -> list[str]:
    return aligned(
        [
            (
                f"{entry.name}:{tag.reference}",
                tag.digest or "-",
                (tag.reason or tag.status) + (f", now {tag.previous}" if tag.previous else ""),
            )
            for entry in report.repositories
            for tag in sorted(entry.tags, key=lambda tag: version_order(tag.reference))
        ]
    )
