"""The file of `--report`."""

from pathlib import Path

from bundler.bundle.sealing import sidecar_of
from bundler.errors import UsageError
from bundler.named_files import check_folder


def check_report(report: Path | None, *others: str | Path | None) -> None:
    """Raise UsageError before any work where the report can't be written, or would replace `others`."""
    if report is None:
        return
    check_folder(report, "--report")
    if report.is_dir():
        raise UsageError(str(report), "--report: this is a directory", "name a file")
    place = report.resolve()
    taken = {Path(other).resolve() for other in others if other not in (None, "-")}
    if not taken.isdisjoint({place, *place.parents}) or place in {sidecar_of(path) for path in taken}:
        raise UsageError(
            str(report),
            "--report would replace a file that this command reads or writes",
            "choose another name",
        )
