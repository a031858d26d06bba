"""The files that an import writes beside the report, from what the target has now."""

import dataclasses
from pathlib import Path

from bundler.config.import_options import NameOptions
from bundler.config.selection_options import RuntimeOptions
from bundler.durable import write_whole
from bundler.errors import UsageError
from bundler.named_files import check_folder, text_of
from bundler.reporting.json_report import Report
from bundler.session import Session


def check_names(names: NameOptions, receipt: Path | None) -> None:
    """Raise UsageError before any work where a file can't be written."""
    to = names.timoni_bundles_to
    if bool(names.timoni_bundles) != (to is not None):
        raise UsageError("--timoni-bundle", "it works only together with --timoni-bundle-to", "give both")
    if to is not None:
        _check_folder(to, names.timoni_bundles)
    if names.mirror_config and names.mirror_config.exists() and not names.mirror_config.is_dir():
        cause = "--write-mirror-config: this is not a folder"
        raise UsageError(str(names.mirror_config), cause, "name a folder; it may be new")
    for option, file in (("--write-image-map", names.image_map), ("--receipt", receipt)):
        if file:
            check_folder(file, option)


def _check_folder(to: Path, files: tuple[Path, ...]) -> None:
    names = [file.name for file in files]
    if not to.is_dir():
        raise UsageError(str(to), "--timoni-bundle-to: no such folder", f"create {to}")
    if len(set(names)) != len(names):
        raise UsageError(
            "--timoni-bundle", "two files have the same name", "rewrite them in two runs, into two folders"
        )
    for file in files:
        text_of(file)
        check_folder(to / file.name, "--timoni-bundle-to")
    if same := next((file for file in files if (to / file.name).resolve() == file.resolve()), None):
        raise UsageError(str(same), "the rewritten file would replace the original", "choose another folder")


def write_all(
    written: NameOptions,
    runtime: RuntimeOptions,
    report: Report,
    session: Session,
    receipt: Path | None = None,
) -> Report:
    """Write what is wanted, from what the target has now; for a dry run, only say what is missing.

    The report gets a warning for what stays unmapped, and a failure for each module that a rewritten
    file names and the target lacks; the file is written all the same.
    """
    if report.bundles and not report.repositories:
        return report  # nothing was imported: what earlier imports wrote stays
    if written.image_map and not report.dry_run:
        lines = sorted({f"{old} {new}\n" for old, new in _names(report)})
        write_whole(written.image_map, "".join([*_filtered_lines(report), *lines]).encode())
    if written.mirror_config:
        from bundler.cli.mirror_config import write_mirror_config

        refused = write_mirror_config(written.mirror_config, report, session, receipt)
        report = dataclasses.replace(report, warnings=(*report.warnings, *refused))
    if to := written.timoni_bundles_to:
        from bundler.cli.timoni_files import write_rewritten

        return write_rewritten(written, to, runtime, report, session)
    return report


def _names(report: Report) -> list[tuple[str, str]]:
    """Return every reference outside, by tag and by digest, with its name at the target."""
    names: list[tuple[str, str]] = []
    for entry in report.repositories:
        for tag in entry.tags:
            if tag.status in ("failed", "skipped") or not tag.digest or not entry.source:
                continue
            if tag.reference != tag.digest:
                names.append((f"{entry.source}:{tag.reference}", f"{entry.name}:{tag.reference}"))
            if tag.filtered_from or tag.status == "merged":
                continue  # the digest outside is that of the whole index or of our list, which is not there
            names.append((f"{entry.source}@{tag.digest}", f"{entry.name}@{tag.digest}"))
    return names


def _filtered_lines(report: Report) -> list[str]:
    """Return a comment for each tag that has another digest than outside."""
    return sorted(
        f"# {entry.source}:{tag.reference} is filtered: {tag.filtered_from} is {tag.digest} here\n"
        for entry in report.repositories
        for tag in entry.tags
        if tag.filtered_from and tag.is_there and entry.source
    )
