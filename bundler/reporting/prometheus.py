"""A report as Prometheus metrics, in the text format that node_exporter's textfile collector reads. No I/O.

One file belongs to one command and job: its own last success is read back from it, because a run that
fails must not forget it. Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, get_args

from bundler.errors import EXIT_OK, BundlerError
from bundler.reporting.json_report import Report, Status

PREFIX = "timoni_bundler"

SUCCESS = f"{PREFIX}_last_success_timestamp_seconds"

Labels = Mapping[str, str]

Sample = tuple[Labels, float]

HELP = {
    "last_success_timestamp_seconds": "When a run last ended with exit code 0; 0 if none has.",
    "last_run_timestamp_seconds": "When the last run ended.",
    "last_exit_code": "Exit code of the last run.",
    "last_duration_seconds": "How long the last run took.",
    "last_phase_duration_seconds": "How long each phase of the last run took.",
    "last_tags": "Tags of the last run, by what became of them.",
    "last_failures": "What failed in the last run, by the exit code that it alone would have.",
    "last_warnings": "Warnings of the last run.",
    "last_drifted_tags": "Tags that the last run found to point elsewhere than they should.",
    "last_blobs": "Distinct blobs of the last run, by what became of them.",
    "last_blob_bytes": "Bytes of distinct blobs of the last run, by what became of them.",
    "last_requests": "Requests of the last run, authentication and retries included.",
    "last_retries": "Requests that the last run sent again.",
    "last_received_bytes": "Bytes that the last run received.",
    "last_sent_bytes": "Bytes that the last run sent.",
    "last_bundle_size_bytes": "Size of the bundle that the last run wrote or read.",
    "last_unchanged": "1 if the last run found everything there already, and wrote nothing.",
    "build_info": "1; the label says which version of the program ran last.",
}
"""Every metric: all are gauges, because each run begins anew."""


class Run(NamedTuple):
    """Facts of a run that its report lacks: times in seconds, `ended` since the epoch."""

    job: str
    ended: float
    duration: float


def exposition(report: Report, run: Run, earlier: float = 0.0) -> str:
    """Return the metrics of a run; `earlier` is when it last succeeded before this one."""
    labels = labels_of(report.command, run.job)
    success = run.ended if report.exit_code == EXIT_OK else earlier
    families: dict[str, list[Sample]] = {
        "last_success_timestamp_seconds": [({}, success)],
        **_samples(report, run),
    }
    return "".join(line for name, samples in families.items() for line in _family(name, labels, samples))


def labels_of(command: str, job: str) -> Labels:
    """Return the labels that tell the metrics of one command and job from all others."""
    return {"command": command, "job": job}


def last_success(text: str, labels: Labels) -> float | None:
    """Return when the owner of a file last succeeded, 0 if never; None if the file is somebody else's."""
    if not text.strip():
        return 0.0
    beginning = f"{SUCCESS}{_labels(labels)} "
    success = next((line for line in text.split("\n") if line.startswith(beginning)), "")
    try:
        return float(success.removeprefix(beginning))
    except ValueError:
        return None


def _samples(report: Report, run: Run) -> dict[str, list[Sample]]:
    """Return every metric but the last success, in the order of HELP."""
    blobs, traffic = report.blobs, report.traffic
    size = report.bundle.size if report.bundle else None
    sizes = {"moved": blobs.moved_bytes, "reused": blobs.reused_bytes}
    numbers = {"moved": blobs.moved, "reused": blobs.reused, "failed": blobs.failed}
    return {
        "last_run_timestamp_seconds": [({}, run.ended)],
        "last_exit_code": [({}, report.exit_code)],
        "last_duration_seconds": [({}, run.duration)],
        "last_phase_duration_seconds": _by("phase", report.seconds),
        "last_tags": _by("status", _tags(report)),
        "last_failures": _by("exit_code", _failures(report)),
        "last_warnings": [({}, len(report.warnings))],
        "last_drifted_tags": [({}, len(report.drifted))],
        "last_blobs": _by("status", numbers),
        "last_blob_bytes": _by("status", sizes),
        "last_requests": [({}, traffic.requests)],
        "last_retries": [({}, traffic.retries)],
        "last_received_bytes": [({}, traffic.received_bytes)],
        "last_sent_bytes": [({}, traffic.sent_bytes)],
        "last_bundle_size_bytes": [] if size is None else [({}, size)],
        "last_unchanged": [({}, report.unchanged)],
        "build_info": [({"version": report.tool_version}, 1)],
    }


def _tags(report: Report) -> dict[str, int]:
    """Count every status, also those of no tag: a series that comes and goes can't be compared."""
    counts = Counter(tag.status for entry in report.repositories for tag in entry.tags)
    return {status: counts[status] for status in get_args(Status) if status != "planned"}


def _failures(report: Report) -> dict[str, int]:
    counts = Counter(item.exit_code for item in report.failures)
    exit_codes = {kind.exit_code for kind in BundlerError.__subclasses__()}
    return {str(code): counts[code] for code in sorted(exit_codes | set(counts))}


def _by(label: str, numbers: Mapping[str, float]) -> list[Sample]:
    return [({label: name}, number) for name, number in numbers.items()]


# --- the text format ---------------------------------------------------------------------------------


def _family(name: str, labels: Labels, samples: Iterable[Sample]) -> Iterator[str]:
    lines = [f"{PREFIX}_{name}{_labels({**labels, **more})} {_number(value)}\n" for more, value in samples]
    if lines:
        yield f"# HELP {PREFIX}_{name} {HELP[name]}\n"
        yield f"# TYPE {PREFIX}_{name} gauge\n"
        yield from lines


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
