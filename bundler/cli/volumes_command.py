"""`timoni-bundler volumes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bundler.cli.cutting import cut_options, gathered_cut, more_volumes
from bundler.cli.printing import print_failures
from bundler.errors import UsageError, printable
from bundler.report import failure

_VOLUMES = click.argument("path", metavar="VOLUME|DIR", type=click.Path(path_type=Path))
_OUT = click.option("-o", "--output", "out", metavar="DIR", type=click.Path(path_type=Path),
                    help="Where to write.  [default: beside what is read]")  # fmt: skip

_LONGEST = 4096
"""Characters of a path."""


@click.group("volumes")
def command() -> None:
    """Cut a bundle into volumes, check a set of them, make lost ones again.

    \b
    timoni-bundler volumes split all.tar.zst --volume-size 4GiB --parity 20 -o /media/stick
    timoni-bundler volumes check /media/stick
    timoni-bundler volumes repair /media/stick -o /srv/incoming
    """


@command.command("split")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@cut_options
@click.option("--only", metavar="N", type=click.IntRange(1), help="Write this volume alone.")
@_OUT
def split_command(bundle: Path, *, only: int | None, out: Path | None, **options: Any) -> int:
    """Cut a bundle file into volumes. What is there whole already is left alone.

    Parity volumes are counted behind the others: with 5 volumes and 1 of parity, --only 6 is that.
    """
    from bundler.exporter.cutting import split

    cut = gathered_cut(options)
    if cut is None:
        raise UsageError("volumes split", "it is not said how large", "give --volume-size")
    if not bundle.is_file():
        raise UsageError(str(bundle), "not a file", "name a bundle file")
    volumes = split(bundle, _folder(out, bundle), cut, only)
    parity = sum(volume.is_parity for volume in volumes)
    click.echo(f"{_folder(out, bundle) / bundle.name}.*: {len(volumes)} volumes, {parity} of them parity")
    return 0


@command.command("check")
@_VOLUMES
@more_volumes
def check_command(path: Path, *, volumes_in: tuple[Path, ...]) -> int:
    """Hash every volume, and say which are damaged or missing."""
    from bundler.exporter.repair import check_volumes, complaint

    checked = check_volumes(path, volumes_in)
    for file, volume in checked.volumes.items():
        state = "is damaged" if file in checked.damaged else "OK"
        click.echo(f"{printable(file, _LONGEST)}: {volume.name} {state}")
    for file, error in checked.volumes.wrong.items():
        click.echo(f"{printable(file, _LONGEST)}: {error.cause}")
    lacks = complaint(checked)
    return 0 if lacks is None else print_failures((failure(lacks),), lacks.exit_code)


@command.command("repair")
@_VOLUMES
@more_volumes
@_OUT
def repair_command(path: Path, *, volumes_in: tuple[Path, ...], out: Path | None) -> int:
    """Make missing and damaged volumes again, from parity. The volumes that are there may be read-only."""
    from bundler.exporter.repair import check_volumes, repair

    made = repair(check_volumes(path, volumes_in), out or (path if path.is_dir() else path.parent))
    for file in made:
        click.echo(f"{printable(file, _LONGEST)}: made again")
    if not made:
        click.echo(f"{path}: nothing is missing")
    return 0


def _folder(out: Path | None, bundle: Path) -> Path:
    if out is not None and not out.is_dir():
        raise UsageError(str(out), "no such folder", f"create {out}")
    return out or bundle.parent
