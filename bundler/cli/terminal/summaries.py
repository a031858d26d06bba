"""What commands print: summaries on standard output, what went wrong on standard error."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import click

from bundler.about import VERSION
from bundler.cli.terminal.display import aligned
from bundler.cli.terminal.log import current_log
from bundler.durable import whole_file
from bundler.errors import BundlerError, SeveralErrors
from bundler.reporting.json_report import (
    Failure,
    Report,
    SignedReport,
    StatementReport,
    as_document,
    failure,
    json_parts,
    reported,
)
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

SHOWN = 1_000
"""Failures that get a line; the report has all."""


def print_document(document: dict[str, Any], stream: TextIO) -> None:
    """A JSON document for scripts."""
    for part in json_parts(document):
        click.echo(part, file=stream, nl=False)


def conclude(report: Report, *, summary: str, file: Path | None, as_json: bool, stream: TextIO) -> int:
    """Write and print a report; the result is the exit code."""
    if file is not None:
        with whole_file(file) as written:
            for part in json_parts(reported(report)):
                written.write(part.encode())
    log = current_log()
    for warning in report.warnings:
        log.warn(warning)
    print_failures(report.failures, report.exit_code)
    if log.structured and stream is sys.stderr:
        document = as_document(report) if as_json else None
        log.tell("result", summary, exit_code=report.exit_code, report=document)
    elif as_json:
        print_document(reported(report), stream)
    elif summary:
        click.echo(summary, file=stream)
    return report.exit_code


def print_failures(failures: tuple[Failure, ...], exit_code: int) -> int:
    """A line on standard error for each, as far as anybody would read; the result is the exit code."""
    log = current_log()
    for item in failures[:SHOWN]:
        log.failed(item.item, item.cause, item.next_step, item.exit_code)
    if more := len(failures[SHOWN:]):
        log.failed(f"{more:,} more", "not shown", "--report FILE or --json tells all of them", exit_code)
    return exit_code


def failed_report(command: Any, error: BundlerError) -> Report:
    """The report of a run that one error, or several found at once, ended."""
    problems = error.problems if isinstance(error, SeveralErrors) else (error,)
    failures = tuple(failure(problem) for problem in problems)
    return Report(command=command, tool_version=VERSION, repositories=(), failures=failures)


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


def signed_lines(signed: Iterable[SignedReport]) -> list[str]:
    """A line for each who signed modules; one for the signatures of which nobody knows."""
    every = tuple(signed)
    counts = Counter(who for one in every for who in one.by)
    unchecked = sum(one.unchecked for one in every)
    lines = [f"{count} signed by {who}" for who, count in counts.items()]
    return [*lines, *([f"{unchecked} keyless besides, not checked"] if unchecked else [])]


def signed_text(said: StatementReport) -> str:
    """What a bundle says of itself, and whether anybody has proven that."""
    text = f"job {said.job}, sequence {said.sequence}, {said.time}"
    text += f", expires {said.expires}" if said.expires else ""
    if said.signers:
        return f"{text}, signed by " + ", ".join(
            f"{signer.principal} ({signer.key})" for signer in said.signers
        )
    return f"{text}, signed, not proven, by {', '.join(said.keys)}"


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
