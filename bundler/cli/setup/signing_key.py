"""Shared parts of signing and verifying: ssh-keygen as this command may use it, and files of keys."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.config.export_options import SigningTerms
from bundler.errors import UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.session import system_clock

if TYPE_CHECKING:
    from bundler.trust.bundle_signing import Signing
    from bundler.trust.job import Job
    from bundler.trust.ssh_keygen import SshKeygen
    from bundler.trust.statement import Moment


_KEYS = "name a file of public keys"


def keygen() -> SshKeygen:
    """Return ssh-keygen with this environment; on a terminal, it may ask for a passphrase."""
    from bundler.trust.ssh_keygen import SshKeygen

    return SshKeygen(os.environ, interactive=sys.stdin is not None and sys.stdin.isatty())


def key_file(path: Path) -> bytes:
    """Read a file of public keys. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(DEFAULT_LIMITS.config + 1)
    except OSError as error:
        raise UsageError(str(path), error.strerror or "can't be read", _KEYS) from None
    if len(data) > DEFAULT_LIMITS.config:
        cause = f"larger than the limit of {DEFAULT_LIMITS.config:,} bytes"
        raise UsageError(str(path), cause, _KEYS)
    return data


def signing(
    key: Path | None, terms: SigningTerms, job: Job | None, store: Path | None = None
) -> Signing | None:
    """Return the key, and what it is to say; None without a key. Raises UsageError before any work.

    A clock that was set back makes no number that is not above those of the job's bundles in the store.
    """
    if key is None:
        if terms != SigningTerms():
            raise UsageError(
                "--sequence or --expires",
                "it has no effect on a bundle that is not signed",
                "add --sign-key KEY",
            )
        return None
    from bundler.trust.bundle_signing import Signing, Terms

    at = system_clock()
    made = Terms(job, terms.sequence)
    if terms.expires is not None:
        made = made._replace(expires=_expiry(terms.expires, at))
    if job and store and terms.sequence is None:
        from bundler.store.history import History

        made = made._replace(least=History(store).next_number(job))
    return Signing(keygen(), key, made, at)


def _expiry(second: int, now: int) -> Moment:
    from bundler.trust.bundle_signing import moment_at

    try:
        expiry = moment_at(second)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError("--expires", str(error), "write 30d, 72h or 2026-12-31") from None
    if second <= now:
        raise UsageError("--expires", f"{expiry} is in the past", "name a time in the future")
    return expiry
