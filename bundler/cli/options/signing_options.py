"""What signing and verifying share: ssh-keygen as this command may use it, files of keys, the clock."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bundler.errors import UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.store.history import History
from bundler.trust.ssh_keygen import SshKeygen

if TYPE_CHECKING:
    from bundler.trust.bundle_signing import Signing, Terms
    from bundler.trust.statement import Job


_KEYS = "name a file of public keys"


def keygen() -> SshKeygen:
    """ssh-keygen with this environment; it may ask for a passphrase where somebody sits at a terminal."""
    return SshKeygen(os.environ, interactive=sys.stdin is not None and sys.stdin.isatty())


def key_file(path: Path) -> bytes:
    """A file of public keys, read once. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(DEFAULT_LIMITS.config + 1)
    except OSError as error:
        raise UsageError(str(path), error.strerror or "can't be read", _KEYS) from None
    if len(data) > DEFAULT_LIMITS.config:
        cause = f"larger than the limit of {DEFAULT_LIMITS.config:,} bytes"
        raise UsageError(str(path), cause, _KEYS)
    return data


def now() -> int:
    """Return the time in seconds since the epoch."""
    return int(time.time())


Command = TypeVar("Command", bound=Callable[..., Any])


class SigningOptions(NamedTuple):
    """The options as they were given."""

    sequence: int | None
    expires: str | None

    @property
    def given(self) -> bool:
        """Whether any of them was."""
        return self != (None, None)


def signing_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_signing`."""
    options = (
        click.option("--sequence", metavar="N", type=click.IntRange(0, (1 << 62) - 1),
                     help="Its number there; imports refuse lower ones. Default: seconds since the epoch."),
        click.option("--expires", metavar="WHEN",
                     help="Imports refuse it from then on: 30d, 72h, 2026-12-31, 2026-12-31T09:00:00Z."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_signing(options: dict[str, Any]) -> SigningOptions:
    """Take the options out of a command's arguments."""
    return SigningOptions(**{name: options.pop(name) for name in SigningOptions._fields})


def signing(key: Path | None, options: SigningOptions, job: Job, store: Path | None = None) -> Signing | None:
    """The key, and what it is to say; None without a key. Raises UsageError before any work.

    A clock that was set back makes no number that is not above those of the job's bundles in the store.
    """
    if key is None:
        if options.given:
            raise UsageError("--sequence or --expires", "nothing is signed", "add --sign-key KEY")
        return None
    from bundler.cli.options.signing_options import keygen, now
    from bundler.trust.bundle_signing import Signing

    at = now()
    terms = _terms(options, job, at)
    if store and terms.sequence is None:
        terms = terms._replace(least=History(store).next_number(job))
    return Signing(keygen(), key, terms, at)


def _terms(options: SigningOptions, job: Job, now: int) -> Terms:
    from bundler.trust.bundle_signing import Terms

    terms = Terms(job, options.sequence)
    return terms._replace(expires=_expiry(options.expires, now)) if options.expires else terms


def _expiry(text: str, now: int) -> Any:
    from bundler.config.fields import moment, seconds_of
    from bundler.trust.bundle_signing import moment_at

    try:
        at = now + seconds_of(text) if text[-1:] in "smhdw" else moment(text, now)
        found = moment_at(at)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError("--expires", str(error), "write 30d, 72h or 2026-12-31") from None
    if at <= now:
        raise UsageError("--expires", f"{found} is over", "name a time to come")
    return found
