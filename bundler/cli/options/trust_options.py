"""Whose signatures count, and what was imported before: options of `verify` and `import`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from bundler.about import PROGRAM
from bundler.cli.options.job_options import checked_job
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
    job: str | None = None
    """The job that the bundle must be signed for; None for any."""
    new_job: bool = False

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
        click.option("--new-job", is_flag=True,
                     help="Import a job that --state does not know beside those that it knows."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_trust(options: dict[str, Any], job: str | None = None) -> TrustOptions:
    """Take the options out of a command's arguments; `complete` has them checked.

    `job` is that of an import file. One on the command line counts only if it was given: its default is
    for metrics.
    """
    names = [name for name in TrustOptions._fields if name in options]
    trust = TrustOptions(**{name: options.pop(name) for name in names})
    return trust._replace(job=checked_job(trust.job) if _names_job() and trust.job else job)


def _names_job() -> bool:
    return click.get_current_context().get_parameter_source("job") is ParameterSource.COMMANDLINE


def complete(options: TrustOptions) -> TrustOptions:
    """Return the options. Raises: UsageError if one of them has no effect without allowed signers."""
    if options.allowed_signers is None:
        for name in ("revoked_keys", "require_signatures", "require_signature", "allow_rollback", "new_job"):
            if getattr(options, name):
                raise _needs_signers(f"--{name.replace('_', '-')}")
        if options.job and not (_names_job() and click.get_current_context().params.get("metrics")):
            raise _needs_signers("--job")
    return options


def _needs_signers(option: str) -> UsageError:
    return UsageError(option, "it needs --allowed-signers FILE", "say whose signatures count")


def verifier_of(options: TrustOptions, now: int) -> StatementVerifier | None:
    """Return the verifier that these options make; None without a file of allowed signers."""
    if options.allowed_signers is None:
        return None
    from bundler.cli.options.signing_options import keygen
    from bundler.trust.statement_verifier import Requirement, StatementVerifier

    allowed = _allowed(options.allowed_signers, options.revoked_keys)
    job = checked_job(options.job) if options.job else None
    requirement = Requirement(allowed, options.require_signatures or 1, job)
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
