"""The way back from an import: the file that is written before tags move, and `import --rollback`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from bundler.cli.log import current_log
from bundler.cli.trusting import state_folder
from bundler.durable import local_errors, make_directories, write_whole
from bundler.errors import LocalError, UsageError
from bundler.importer.rollback import Rollback, decode_rollback, encode_rollback, rollback_of
from bundler.oci.content import Digest

if TYPE_CHECKING:
    from bundler.importer.plan import Step

Command = TypeVar("Command", bound=Callable[..., int])


def way_back_options(command: Command) -> Command:
    """Add them to a command; they arrive as `rollback_file` and `rollback`."""
    options = (
        click.option("--rollback-file", metavar="FILE", type=click.Path(path_type=Path),
                     help="Write here, before any tag moves, what each pointed to. Default: where --state "
                          "is, if a tag that is there moves."),
        click.option("--rollback", metavar="FILE", type=click.Path(path_type=Path),
                     help="Instead of importing: point every tag back, as this file has it."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


class WayBack(NamedTuple):
    """Where it is written."""

    file: Path | None
    """As the command line says."""
    state: Path | None

    def check(self) -> None:
        """Raise UsageError before any work if it can't be written."""
        if self.file and not self.file.parent.is_dir():
            raise UsageError(str(self.file), "--rollback-file: its folder does not exist", "create it")

    def write(self, bundle: Digest, steps: Sequence[Step]) -> None:
        """Write it. A place of its own choice that can't be written is a warning only."""
        rollback = rollback_of(bundle, steps)
        if self.file:
            write_whole(self.file, encode_rollback(rollback))
        elif any(moved.old for moved in rollback.moved):
            self._write_by_default(rollback)

    def _write_by_default(self, rollback: Rollback) -> None:
        try:
            folder = state_folder(self.state)
            make_directories(folder)
            path = folder / f"rollback-{rollback.bundle.encoded[:12]}.json"
            if path.exists():
                return  # of a run that was interrupted: it knows what was there at first
            write_whole(path, encode_rollback(rollback))
        except (LocalError, UsageError) as error:
            current_log().warn(f"no rollback file: {error}; name one with --rollback-file")
            return
        current_log().warn(f"tags that are there will move; the way back is `import --rollback {path}`")


def read_rollback(path: Path) -> Rollback:
    """Read a file. Raises UsageError, LocalError, ContentError."""
    if not path.is_file():
        raise UsageError(str(path), "--rollback: no such file")
    with local_errors(path, "read"):
        return decode_rollback(path.read_bytes(), str(path))
