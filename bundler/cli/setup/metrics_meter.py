"""`--metrics`: what a run did, written for node_exporter's textfile collector, also when it failed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from bundler.about import VERSION
from bundler.cli.terminal.outcome import failed_report, stopped_report
from bundler.cli.terminal.stops import STOPS
from bundler.durable import local_errors, write_whole
from bundler.errors import BundlerError, LocalError, UsageError
from bundler.named_files import check_folder
from bundler.reporting.json_report import Report
from bundler.trust.job import Job

SUFFIX = ".prom"

READABLE = 0o644
"""The collector is another user."""

Name = Literal["export", "import", "verify"]


class MetricsFile(NamedTuple):
    """The file that keeps the metrics of one command and job."""

    path: Path
    command: Name
    job: str

    def check(self) -> None:
        """Raise UsageError before any work if it can't be written, or is not what it seems."""
        if self.path.suffix != SUFFIX:
            cause = f"--metrics: the node exporter's collector reads only files that end in {SUFFIX}"
            raise UsageError(str(self.path), cause, f"name it {self.path.name}{SUFFIX}")
        check_folder(self.path, "--metrics")
        self.last_success()

    def last_success(self) -> float:
        """Read the time of the last success. Raises UsageError for a file with other metrics."""
        from bundler.reporting.prometheus import labels_of, last_success

        with local_errors(self.path, "read"):
            text = self.path.read_text(errors="replace") if self.path.exists() else ""
        time_of_success = last_success(text, labels_of(self.command, self.job))
        if time_of_success is None:
            cause = f"--metrics: these are not the metrics of {self.command} of job {self.job}"
            raise UsageError(str(self.path), cause, "use one file per command and job")
        return time_of_success

    def write(self, report: Report, duration: float) -> None:
        """Write it whole; a run that failed keeps the last success."""
        from bundler.reporting.prometheus import Run, exposition

        text = exposition(report, Run(self.job, time.time(), duration), self.last_success())
        write_whole(self.path, text.encode(), mode=READABLE)


class Meter:
    """One run under way."""

    def __init__(self, file: MetricsFile | None, command: Name) -> None:
        self._file = file
        self._began = time.monotonic()
        self._report = Report(command, VERSION, (), ())

    def noted(self, report: Report) -> Report:
        """Keep the report for the metrics, and return it."""
        self._report = report
        return report

    def write(self) -> None:
        """Write the metrics, where they are wanted."""
        if self._file:
            self._file.write(self._report, time.monotonic() - self._began)


@contextmanager
def metered(
    name: Name, metrics: Path | None, job: Job, *, dry_run: bool = False, only_failure: bool = False
) -> Iterator[Meter]:
    """Measure what is done below, also if it fails. A dry run is not measured. Raises UsageError."""
    file = MetricsFile(metrics, name, job) if metrics else None
    if file:
        file.check()
    meter = Meter(None if dry_run else file, name)
    try:
        yield meter
    except (Exception, *STOPS) as error:
        stopped = isinstance(error, STOPS)
        failed = stopped_report(name, error) if stopped else failed_report(name, _told(error))
        meter.noted(failed)
        # What ended the run is what must be told.
        with suppress(BundlerError):
            meter.write()
        raise
    if not only_failure:
        meter.write()


def _told(error: BaseException) -> BundlerError:
    """Return the error that `__main__` will report: standard output that is closed or full, or a bug."""
    if isinstance(error, BundlerError):
        return error
    if isinstance(error, OSError):
        return LocalError("standard output", str(error.strerror or error))
    return BundlerError("internal error", type(error).__name__)
