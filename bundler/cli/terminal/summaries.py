"""The summaries of `export`, `merge` and `import`: a line or two about what a run did."""

from collections import Counter
from collections.abc import Iterator

from bundler.cli.terminal.bundle_text import compact_lines, signed_lines
from bundler.cli.terminal.selection_text import import_plan_text, tag_counts
from bundler.reporting.json_report import Report, TagReport
from bundler.reporting.progress import counted, size_text


def export_summary(report: Report) -> str:
    """Return what was written: file, tags and size, then the bundle's id, then who signed modules."""
    if report.bundle is None:
        return "nothing is new, nothing was written" if report.unchanged else "nothing was exported"
    tags = sum(tag.status == "exported" for tag in _tags(report))
    state = "unchanged, nothing was written" if report.unchanged else counted(tags, "tag")
    size = f", {size_text(report.bundle.size)}" if report.bundle.size is not None else ""
    lines = [f"{report.bundle.path}: {state}{size}", f"bundle {report.bundle.id}"]
    compact = compact_lines(report.bundle.compact, every=False)
    return "\n".join([*lines, *compact, *signed_lines(report.signed)])


def import_summary(report: Report, target: str, prune: str = "", *, all_tags: bool = False) -> str:
    """Return what the target has now, for a dry run what it would get; then who signed modules.

    `prune` is the command that deletes tags, without their number; no command is told without it.
    """
    if report.dry_run:
        plan = import_plan_text(report, target, all_tags=all_tags)
        return "\n".join([*_bundles(report), plan, *_departures(report, prune)])
    counts = Counter(tag.status for tag in _tags(report))
    if set(counts) == {"present"}:
        line = f"{target}: {_all(counts['present'])} there already; nothing was sent"
    else:
        tags = tag_counts(counts, {"present": "there already", "removed": "deleted"})
        line = f"{target}: {tags}; {_sent(report)}"
    departures = _departures(report, prune)
    return "\n".join([*_bundles(report), line, *departures, *signed_lines(report.signed)])


def _bundles(report: Report) -> Iterator[str]:
    """Yield what was done with each of several bundles, oldest first; a line for all that came before."""
    old = [item for item in report.bundles if item.status == "skipped" and "before" in item.reason]
    if old:
        yield f"{counted(len(old), 'bundle')} imported before, or older"
    for item in report.bundles:
        if item not in old:
            job = f" {item.sequence} of job {item.job}" if item.job else ""
            name = item.path.rpartition("/")[2] or item.path
            reason = f": {item.reason}" if item.reason else ""
            yield f"{item.status:8}  {name}  {item.kind}{job}, {counted(item.tags, 'tag')}{reason}"


def _departures(report: Report, prune: str) -> Iterator[str]:
    """Yield what a delta says left, in the two words of its inventory, and the command that deletes it."""
    if report.gone_at_source:
        yield f"{counted(report.gone_at_source, 'tag')} gone at the source (deleted only with --prune)"
    if report.no_longer_selected:
        number = counted(report.no_longer_selected, "tag")
        yield f"{number} no longer selected (deleted only with --prune-deselected)"
    deleted = any(tag.status in ("removed", "planned") and not tag.digest for tag in _tags(report))
    if prune and not deleted and (total := report.gone_at_source + report.no_longer_selected):
        also = " --prune-deselected" if report.no_longer_selected else ""
        yield f"to delete them: {prune} {total}{also}"


def rollback_summary(report: Report, file: str, *, all_tags: bool = False) -> str:
    """Return what `import --rollback FILE` moved back, for a dry run what it would."""
    if report.dry_run:
        return import_plan_text(report, file, all_tags=all_tags)
    counts = Counter(tag.status for tag in _tags(report))
    if counts and set(counts) == {"skipped"}:
        return f"{file}: nothing to move back: {_all(counts['skipped'])} newer than this file"
    words = {"moved": "moved back", "present": "as before", "skipped": "newer than this file"}
    return f"{file}: {tag_counts(counts, words)}"


def _tags(report: Report) -> Iterator[TagReport]:
    return (tag for entry in report.repositories for tag in entry.tags)


def _all(number: int) -> str:
    return f"all {number:,} tags are" if number > 1 else "the tag is"


def _sent(report: Report) -> str:
    sent = f"{counted(report.blobs.moved, 'blob')} sent ({size_text(report.blobs.moved_bytes)})"
    return f"{sent}, {report.blobs.reused} there already" if report.blobs.reused else sent
