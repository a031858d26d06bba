"""How a command ends: the report, the failures on standard error, the exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

import click

from bundler.about import VERSION
from bundler.cli.terminal.log import current_log
from bundler.durable import whole_file
from bundler.errors import BundlerError, SeveralErrors
from bundler.reporting.json_report import Failure, Report, as_document, failure, json_parts, reported

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
