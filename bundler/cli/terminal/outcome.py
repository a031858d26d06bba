"""The end of a command: the report, the failures on standard error, the exit code."""

import contextlib
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import click

from bundler.about import VERSION
from bundler.cli.terminal.log import current_log
from bundler.cli.terminal.stops import AGAIN, STOPS, exit_code_of, word_of
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
        _write(report, file)
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


class StopReport(AbstractContextManager["StopReport"]):
    """The report of a run, should a signal stop it: whoever reads it takes no earlier one for it.

    `file` is where it goes, as soon as that is known to replace nothing of the command's own.
    """

    def __init__(self, command: Any, *, dry_run: bool = False, as_json: bool, stream: TextIO) -> None:
        self.file: Path | None = None
        self._command = command
        self._dry_run = dry_run
        self._as_json = as_json
        self._stream = stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write and print it, as far as that is possible."""
        if not isinstance(error, STOPS):
            return
        report = stopped_report(self._command, error, dry_run=self._dry_run)
        with contextlib.suppress(BundlerError, OSError):
            if self.file is not None and not self._dry_run:
                _write(report, self.file)
            if self._as_json and not (current_log().structured and self._stream is sys.stderr):
                print_document(reported(report), self._stream)


def _write(report: Report, file: Path) -> None:
    with whole_file(file) as written:
        for part in json_parts(reported(report)):
            written.write(part.encode())


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


def stopped_report(command: Any, stop: BaseException, *, dry_run: bool = False) -> Report:
    """Return the report of a run that a signal stopped."""
    stopped = Failure(command, word_of(stop), exit_code_of(stop), AGAIN)
    return Report(command, VERSION, (), (stopped,), dry_run=dry_run)


def failed_report(command: Any, error: BundlerError, *, dry_run: bool = False) -> Report:
    """Return the report of a run that one error ended, or several found at once."""
    return Report(command, VERSION, (), failures_of(error), dry_run=dry_run)
