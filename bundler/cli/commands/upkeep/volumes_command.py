"""`timoni-bundler volumes`."""

from pathlib import Path
from typing import Annotated

import click

from bundler import open_bundle
from bundler.cli.declared_command import declared
from bundler.cli.setup.bundle_form import cut_of
from bundler.cli.terminal import outcome, progress_bars, upkeep_text
from bundler.config.export_options import VolumeOptions
from bundler.config.option import Argument, Option
from bundler.config.run_options import Quiet, SetOptions
from bundler.errors import UsageError
from bundler.reporting.json_report import failure

VolumesArgument = Annotated[Path, Argument("VOLUME|DIR", path=True)]

Folder = Annotated[
    Path | None,
    Option(
        "--output", "-o", metavar="DIR",
        help="Write into this folder. Default: beside what is read.",
    ),
]  # fmt: skip


@click.group("volumes")
def command() -> None:
    """Split a bundle into volumes, check a set of them, and recover lost ones.

    \b
    timoni-bundler volumes split all.tar.zst --volume-size 4GiB --parity 20 -o /media/stick
    timoni-bundler volumes check /media/stick
    timoni-bundler volumes repair /media/stick -o /srv/incoming
    """


@declared("split", command)
def split_command(
    bundle: Annotated[Path, Argument("BUNDLE", path=True)],
    volumes: VolumeOptions,
    *,
    only: Annotated[
        int | None, Option("--only", metavar="N", least=1, help="Write only this volume.")
    ] = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> int:
    """Split a bundle file into volumes. Volumes that are already complete are left alone.

    Parity volumes are counted after the others: with 5 volumes and 1 parity volume, --only 6 is the parity
    volume.

    \b
    timoni-bundler volumes split all.tar.zst --volume-size 4GiB --parity 20 -o /media/stick
    """
    from bundler.volumes.volume_writer import split

    cut = cut_of(volumes)
    if cut is None:
        raise UsageError(
            "volumes split",
            "the size of a volume is missing",
            "add --volume-size, for example --volume-size 4GiB",
        )
    folder = _folder(out, bundle)
    _check_whole_file(bundle)
    made = split(bundle, folder, cut, only, progress_bars.display(quiet=quiet))
    click.echo(upkeep_text.split_text(folder / bundle.name, made, only))
    return 0


def _check_whole_file(bundle: Path) -> None:
    """Raise unless it is a bundle in one file; its content is left to `verify`."""
    if bundle.is_dir():
        raise UsageError(str(bundle), "not a file", "name a bundle file")
    with open_bundle(bundle) as opened:
        if opened.volumes:
            next_step = "join the volumes of a full bundle with `timoni-bundler merge` first"
            raise UsageError(str(bundle), "it is already split into volumes", next_step)


@declared("check", command)
def check_command(path: VolumesArgument, volumes: SetOptions, *, quiet: Quiet = False) -> int:
    """Hash every volume, and show which are damaged or missing, parity volumes included.

    \b
    timoni-bundler volumes check /media/dvd --volumes-in /srv/incoming
    """
    from bundler.volumes.repair import check_volumes, complaint
    from bundler.volumes.volume_sets import broken_off

    checked = check_volumes(path, volumes.volumes_in, progress_bars.display(quiet=quiet))
    click.echo(upkeep_text.checked_text(checked, broken_off(checked.volumes)))
    lacks = complaint(checked)
    return 0 if lacks is None else outcome.print_failures((failure(lacks),), lacks.exit_code)


@declared("repair", command)
def repair_command(
    path: VolumesArgument, volumes: SetOptions, *, out: Folder = None, quiet: Quiet = False
) -> int:
    """Recover missing and damaged volumes from parity volumes. The existing volumes may be read-only.

    \b
    timoni-bundler volumes repair /media/dvd -o /srv/incoming
    """
    from bundler.volumes.repair import check_volumes, repair

    folder = _folder(out, path / "any" if path.is_dir() else path)
    progress = progress_bars.display(quiet=quiet)
    made = repair(check_volumes(path, volumes.volumes_in, progress), folder, progress)
    click.echo(upkeep_text.repaired_text(path, made))
    return 0


def _folder(out: Path | None, bundle: Path) -> Path:
    if out is not None and not out.is_dir():
        raise UsageError(str(out), "no such folder", f"create {out}")
    return out or bundle.parent
