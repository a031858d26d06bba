"""Files that an import writes for those who work with the target: images by name, Timoni Bundle files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from bundler.cli.files import text_of
from bundler.durable import write_whole
from bundler.errors import UsageError
from bundler.places import check_folder
from bundler.report import Report

Command = TypeVar("Command", bound=Callable[..., Any])


class Written(NamedTuple):
    """What to write, and where."""

    image_map: Path | None
    timoni_bundles: tuple[Path, ...]
    timoni_bundles_to: Path | None
    receipt: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read or written."""
        return (*(path for path in (self.image_map, self.receipt) if path), *self.timoni_bundles)


def written_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_written`."""
    options = (
        click.option("--write-image-map", "image_map", metavar="FILE", type=click.Path(path_type=Path),
                     help="Write a line OLD NEW for every tag and digest that the target has now."),
        click.option("--timoni-bundle", "timoni_bundles", metavar="FILE", type=click.Path(path_type=Path),
                     multiple=True,
                     help="A Timoni Bundle file whose module urls are to be rewritten. Repeatable."),
        click.option("--timoni-bundle-to", "timoni_bundles_to", metavar="DIR",
                     type=click.Path(path_type=Path),
                     help="Write the rewritten Timoni Bundle files here, under the same names."),
        click.option("--receipt", metavar="FILE", type=click.Path(path_type=Path),
                     help="Keep up in this file what the target holds: carried back, it is a --base of the "
                          "next export (schemas/receipt.schema.json)."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_written(options: dict[str, Any]) -> Written:
    """Take the options out of a command's arguments. Raises UsageError before any work."""
    written = Written(**{name: options.pop(name) for name in Written._fields})
    to = written.timoni_bundles_to
    if bool(written.timoni_bundles) != (to is not None):
        raise UsageError("--timoni-bundle", "it needs --timoni-bundle-to, and that needs it", "give both")
    if to is not None:
        _check_folder(to, written.timoni_bundles)
    for option, file in (("--write-image-map", written.image_map), ("--receipt", written.receipt)):
        if file:
            check_folder(file, option)
    return written


def _check_folder(to: Path, files: tuple[Path, ...]) -> None:
    names = [file.name for file in files]
    if not to.is_dir():
        raise UsageError(str(to), "--timoni-bundle-to: no such folder", f"create {to}")
    if len(set(names)) != len(names):
        raise UsageError("--timoni-bundle", "two files have one name", "rewrite them into two folders")
    if same := next((file for file in files if (to / file.name).resolve() == file.resolve()), None):
        raise UsageError(str(same), "it would be replaced by itself", "choose another folder")
    for file in files:
        text_of(file)


def write_all(written: Written, report: Report) -> Report:
    """Write what is wanted, from what the target has now; the report tells what stays unmapped."""
    if written.image_map:
        lines = sorted({f"{old} {new}\n" for old, new in _names(report)})
        write_whole(written.image_map, "".join(lines).encode())
    if written.timoni_bundles_to:
        from bundler.cli.timoni_bundles import rewritten_files

        names = {entry.source: entry.name for entry in report.repositories if entry.source}
        found = rewritten_files(written.timoni_bundles, names)
        for file, data in found.files.items():
            write_whole(written.timoni_bundles_to / file.name, data)
        return dataclasses.replace(report, warnings=(*report.warnings, *found.warnings))
    return report


def _names(report: Report) -> list[tuple[str, str]]:
    """Every reference outside, by tag and by digest, and what it is called now."""
    found: list[tuple[str, str]] = []
    for entry in report.repositories:
        for tag in entry.tags:
            if tag.status in ("failed", "skipped") or not tag.digest or not entry.source:
                continue
            if tag.reference != tag.digest:
                found.append((f"{entry.source}:{tag.reference}", f"{entry.name}:{tag.reference}"))
            found.append((f"{entry.source}@{tag.digest}", f"{entry.name}@{tag.digest}"))
    return found
