"""The end of a command: the report, the failures on standard error, the exit code."""

import sys
from pathlib import Path
from typing import Any, TextIO

import click

from bundler.about import VERSION
from bundler.cli.terminal.log import current_log
from bundler.durable import whole_file
from bundler.errors import BundlerError
from bundler.reporting.json_report import Failure, Report, as_document, failures_of, json_parts, reported


def print_document(document: dict[str, Any], stream: TextIO) -> None:
    """Print a JSON document for scripts."""
    for part in json_parts(document):
        click.echo(part, file=stream, nl=False)


def conclude(report: Report, *, summary: str, file: Path | None, as_json: bool, stream: TextIO) -> int:
    """Write and print a report; return the exit code."""
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
    """Write a line per cause to standard error; return the exit code."""
    current_log().failures(failures, exit_code)
    return exit_code


def failed_report(command: Any, error: BundlerError) -> Report:
    """Return the report of a run that one error ended, or several found at once."""
    return Report(command=command, tool_version=VERSION, repositories=(), failures=failures_of(error))
