"""The text of `explain` and of dry runs: which tags would go along, and why."""

from __future__ import annotations

from bundler.cli.terminal.display import aligned
from bundler.reporting.json_report import Explanation, Report
from bundler.reporting.progress import counted, size_text


def explanation_text(found: Explanation) -> str:
    """A line per tag: + taken, - left out, and why."""
    lines: list[str] = []
    for entry in found.repositories:
        taken = sum(decision.taken for decision in entry.decisions)
        lines.append(f"{entry.name}  ({taken} of {counted(len(entry.decisions), 'tag')})")
        width = max((len(decision.tag) for decision in entry.decisions), default=0)
        lines += [
            f"  {'+' if decision.taken else '-'} {decision.tag.ljust(width)}  {decision.reason}"
            for decision in entry.decisions
        ]
    return "\n".join(lines)


def plan_text(report: Report, requests: int, fetch: int, total: int, disk: int) -> str:
    """What a dry run says."""
    rows = [
        (
            f"{entry.name}:{tag.reference}",
            tag.digest or "-",
            "-" if tag.size is None else size_text(tag.size),
            tag.reason or tag.status,
        )
        for entry in report.repositories
        for tag in entry.tags
    ]
    lines = aligned(rows)
    lines.append(f"requests to come: {requests}")
    lines.append(f"bytes to fetch:   {size_text(fetch)} of {size_text(total)} distinct")
    lines.append(f"disk needed:      at most {size_text(disk)}")
    return "\n".join(lines)
