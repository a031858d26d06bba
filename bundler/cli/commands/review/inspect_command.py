"""`timoni-bundler inspect`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from bundler import describe, open_bundle
from bundler.bundle.contents import Contents, RepositoryContents
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.display import aligned
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.summaries import print_document, signed_text
from bundler.errors import printable
from bundler.oci.content import shortened
from bundler.reporting.json_report import document
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

COLUMNS = ("TAG", "VERSION", "DIGEST", "CREATED", "SIZE", "OWN")


@click.command("inspect", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@more_volumes
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (schemas/contents.schema.json).")
def command(bundle: Path, *, volumes_in: tuple[Path, ...], as_json: bool) -> int:
    """Show what a bundle holds: repositories, tags, digests, versions, dates, sizes.

    SIZE is all that a tag needs, OWN what nothing else in the bundle needs. Only the manifests are
    read: `verify` proves the rest.

    \b
    timoni-bundler inspect modules.tar.zst
    timoni-bundler inspect modules.tar.zst --json | jq -r '.repositories[].name'
    """
    with open_bundle(bundle, volumes_in=volumes_in) as opened:
        contents = describe(opened)
    if as_json:
        print_document(document(contents), sys.stdout)
    else:
        # Not a terminal: no width, unless $COLUMNS says one.
        click.echo(contents_text(contents, shutil.get_terminal_size((0, 0)).columns))
    return 0


def contents_text(contents: Contents, width: int = 0) -> str:
    """A table per repository, in `width` columns of a terminal if that is not 0, and the sums."""
    lines = [line for entry in contents.repositories for line in (*_table(entry, width), "")]
    shared = contents.listed_size - contents.distinct_size
    lines.append(f"bundle     {contents.id}")
    if contents.kind == "delta":
        lines += [f"builds on  {base}" for base in contents.base]
        lines.append(f"required   {size_text(contents.required_size)} that the base brought")
    if contents.statement:
        lines.append(f"statement  {signed_text(contents.statement)}")
    lines.append(f"blobs      {contents.blobs}, {size_text(contents.distinct_size)} distinct")
    lines.append(f"as listed  {size_text(contents.listed_size)}, of which {size_text(shared)} shared")
    if contents.file_size is not None:
        size, whole = contents.file_size, contents.distinct_size
        lines.append(
            f"file       {size_text(size)}" + (f", {size / whole:.0%} of the distinct bytes" if whole else "")
        )
    return "\n".join(lines)


def _table(entry: RepositoryContents, width: int) -> list[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for tag in sorted(entry.tags, key=lambda tag: version_order(tag.reference)):
        cells = (tag.reference[:40], tag.version or "-", shortened(tag.digest), tag.created or "-")
        rows.append((*(printable(cell, 40) for cell in cells), size_text(tag.size), size_text(tag.own_size)))
    title = f"{entry.name}  ({counted(len(entry.tags), 'tag')}, {size_text(entry.size)})"
    table = [] if len(rows) == 1 else _fitting(rows, width - 2) if width else aligned(rows)
    table += [f"{gone[:40]}  removed" for gone in entry.removed]
    return [title, *(f"  {line}" for line in table)]


def _fitting(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """The table; on a narrow terminal with the day alone, then without what says least."""
    day, shown = COLUMNS.index("CREATED"), list(range(len(COLUMNS)))
    table = aligned(rows)
    for dropped in (None, "VERSION", "OWN", "CREATED"):
        if max(map(len, table)) <= width:
            break
        rows = [(*row[:day], row[day][: len("2026-11-23")], *row[day + 1 :]) for row in rows]
        shown = [column for column in shown if COLUMNS[column] != dropped]
        table = aligned([tuple(row[column] for column in shown) for row in rows])
    return table
