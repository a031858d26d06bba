"""The end of a command: the report, the failures on standard error, the exit code."""

import json
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from bundler.about import VERSION
from bundler.cli.terminal.log import current_log
from bundler.durable import local_errors, whole_file
from bundler.errors import BundlerError
from bundler.reporting.json_report import Failure, Report, as_document, failures_of, json_parts, reported


def print_document(document: dict[str, Any], stream: TextIO) -> None:
    """Print a JSON document for scripts."""
    for part in json_parts(document):
        click.echo(part, file=stream, nl=False)


def conclude(report: Report, *, summary: str, file: Path | None, as_json: bool, stream: TextIO) -> int:
    """Write and print a report; return the exit code."""
    log = current_log()
    if file is not None and report.dry_run and _has_real_report(file):
        log.warn(f"{file}: left as it is, because a dry run does not replace the report of a run")
    elif file is not None:
        with whole_file(file) as written:
            for part in json_parts(reported(report)):
                written.write(part.encode())
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


def _has_real_report(file: Path) -> bool:
    """Return whether a file is there that is not the report of another dry run."""
    with local_errors(file, "read"):
        if not file.exists():
            return False
        data = file.read_bytes()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(document, dict) and document.get("dryRun") is True)


def print_failures(failures: tuple[Failure, ...], exit_code: int) -> int:
    """Write a line per cause to standard error; return the exit code."""
    current_log().failures(failures, exit_code)
    return exit_code


def failed_report(command: Any, error: BundlerError, *, dry_run: bool = False) -> Report:
    """Return the report of a run that one error ended, or several found at once."""
    return Report(command, VERSION, (), failures_of(error), dry_run=dry_run)
