"""The way back from an import: the file that is written before tags move, and `import --rollback`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from click.core import ParameterSource

from bundler.cli.import_log import short_name, state_folder
from bundler.cli.terminal.log import current_log
from bundler.config.option import fields_of
from bundler.config.run_options import RegistryOptions
from bundler.durable import local_errors, make_directories, write_whole
from bundler.errors import BundlerError, ContentError, UsageError
from bundler.ledger.rollback_file import Moved, Rollback, decode_rollback, encode_rollback
from bundler.limits import DEFAULT_LIMITS
from bundler.named_files import check_folder, read_at_most
from bundler.oci.content import Digest

_WITH_ROLLBACK = {
    "rollback", "on_conflict", "state", "dry_run", "report", "as_json", "quiet", "metrics", "job",
    *(field.name for field in fields_of(RegistryOptions)),
}  # fmt: skip


def check_alone(context: click.Context) -> None:
    """Raise UsageError for options that say something about an import, and that a way back would not hear."""
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name)
        if given is ParameterSource.COMMANDLINE and parameter.name not in _WITH_ROLLBACK:
            cause = "--rollback goes where its file says, and imports nothing"
            raise UsageError(parameter.opts[0], cause, "leave it out")


class RollbackTarget(NamedTuple):
    """Where it is written."""

    file: Path | None
    """As the command line says."""
    state: Path | None
    target: str
    """Where the import goes: two targets of one bundle have two ways back."""

    def check(self) -> None:
        """Raise UsageError before any work if it can't be written, or would replace something else."""
        if self.file:
            check_folder(self.file, "--rollback-file")
        if self.file and self.file.exists():
            try:
                read_rollback(self.file)
            except ContentError as error:
                cause = f"--rollback-file: it is there, and {error.cause}"
                raise UsageError(str(self.file), cause, "name another") from None

    def write(self, bundle: Digest, moved: Sequence[Moved]) -> None:
        """Write it, or add to it. A place of its own choice that can't be written is a warning only."""
        if self.file:
            self._keep(self.file, bundle, moved)
        elif any(one.old for one in moved):
            try:
                path = self._own_place(bundle)
                make_directories(path.parent)
                self._keep(path, bundle, moved)
            except BundlerError as error:
                current_log().warn(f"no rollback file: {error}; name one with --rollback-file")
            else:
                current_log().warn(
                    f"tags that are there will move; the way back is `import --rollback {path}`"
                )

    def finish(self, bundle: Digest) -> None:
        """Note that the import came to its end: what comes after is another one."""
        try:
            path = self.file or self._own_place(bundle)
            found = read_rollback(path) if path.is_file() else None
            if found and found.is_of(bundle, self.target) and not found.done:
                write_whole(path, encode_rollback(dataclasses.replace(found, done=True)))
        except BundlerError:
            if self.file:
                raise

    def _own_place(self, bundle: Digest) -> Path:
        return state_folder(self.state) / f"rollback-{bundle.encoded[:12]}-{short_name(self.target)}.json"

    def _keep(self, path: Path, bundle: Digest, moved: Sequence[Moved]) -> None:
        """Write the way back. A run that was interrupted knows what was there at first: its own is kept."""
        earlier = read_rollback(path) if path.is_file() else None
        known = earlier if earlier and earlier.is_of(bundle, self.target) else None
        if known and not moved:
            return
        new = Rollback(1, bundle, self.target, tuple(moved))
        write_whole(path, encode_rollback(known.joined(moved) if known and not known.done else new))


def read_rollback(path: Path) -> Rollback:
    """Read a file. Raises UsageError, LocalError, ContentError."""
    if not path.is_file():
        raise UsageError(str(path), "--rollback: no such file", "check the path")
    with local_errors(path, "read"):
        return decode_rollback(read_at_most(path, DEFAULT_LIMITS.inventory), str(path))
