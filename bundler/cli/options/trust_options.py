"""Whose signatures count, and what was imported before: options of `verify` and `import`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bundler.about import PROGRAM
from bundler.errors import UsageError

if TYPE_CHECKING:
    from bundler.trust.ssh_keygen import Allowed
    from bundler.trust.statement_verifier import StatementVerifier


Command = TypeVar("Command", bound=Callable[..., Any])


class TrustOptions(NamedTuple):
    """The options as they were given."""

    allowed_signers: Path | None
    revoked_keys: Path | None
    require_signatures: int | None
    require_signature: bool = False
    state: Path | None = None
    allow_rollback: bool = False

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Every file that is read or written."""
        return (self.allowed_signers, self.revoked_keys, self.state)


def trust_options(command: Command) -> Command:
    """Whose signatures count; they arrive as one value by `gathered_trust`."""
    path = click.Path(path_type=Path)
    options = (
        click.option("--allowed-signers", metavar="FILE", type=path,
                     help="A signature by one of these is required (ssh-keygen(1), ALLOWED SIGNERS)."),
        click.option("--revoked-keys", metavar="FILE", type=path,
                     help="Keys that don't count any more: a key revocation list, or public keys."),
        click.option("--require-signatures", metavar="N", type=click.IntRange(1, 16),
                     help="Number of allowed signers that must have signed.  [default: 1]"),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def rollback_options(command: Command) -> Command:
    """What may come in after what; besides `trust_options`."""
    options = (
        click.option("--require-signature", is_flag=True,
                     help="Take nothing without a signature; --allowed-signers says so too."),
        click.option("--state", metavar="DIR", type=click.Path(path_type=Path),
                     help="Directory for state kept between imports: imported bundles, the last sequence "
                          "number of each job, rollback files. Default: $XDG_STATE_HOME/timoni-bundler, "
                          "else ~/.local/state/timoni-bundler."),
        click.option("--allow-rollback", is_flag=True,
                     help="Import what is older than what was imported, or expired; the report says so."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_trust(options: dict[str, Any]) -> TrustOptions:
    """Take the options out of a command's arguments; `complete` has them checked."""
    names = [name for name in TrustOptions._fields if name in options]
    return TrustOptions(**{name: options.pop(name) for name in names})


def complete(options: TrustOptions) -> TrustOptions:
    """The options, if they say whose signatures count as soon as any must. Raises UsageError."""
    if options.allowed_signers is None and options._replace(state=None) != TrustOptions(None, None, None):
        given = "--revoked-keys" if options.revoked_keys else "--require-signatures"
        given = "--allow-rollback" if options.allow_rollback else given
        raise UsageError(given, "it needs --allowed-signers FILE", "say whose signatures count")
    return options


def verifier_of(options: TrustOptions, now: int) -> StatementVerifier | None:
    """Return the verifier that these options make; None without a file of allowed signers."""
    if options.allowed_signers is None:
        return None
    from bundler.cli.options.signing_options import keygen
    from bundler.trust.statement_verifier import Requirement, StatementVerifier

    allowed = _allowed(options.allowed_signers, options.revoked_keys)
    requirement = Requirement(allowed, options.require_signatures or 1)
    return StatementVerifier(keygen(), requirement, now=now, allow_expired=options.allow_rollback)


def _allowed(signers: Path, revoked: Path | None) -> Allowed:
    from bundler.cli.options.signing_options import key_file
    from bundler.trust.ssh_keygen import Allowed

    if revoked is None:
        return Allowed(str(signers), key_file(signers))
    return Allowed(str(signers), key_file(signers), str(revoked), key_file(revoked))


def state_folder(folder: Path | None) -> Path:
    """Return the directory of the ledger, absolute. Raises: UsageError if nothing says where it is."""
    if folder is not None:
        return folder.absolute()
    state, home = os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME")
    if not state and not home:
        cause = "there is no home directory to remember the import in"
        raise UsageError("--state", cause, "name a directory that outlives this run")
    return (Path(state) if state else Path(str(home), ".local", "state")).absolute() / PROGRAM
