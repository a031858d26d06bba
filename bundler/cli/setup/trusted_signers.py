"""The signers who count, on bundles and on modules, and the place of the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.about import PROGRAM
from bundler.config.include_options import ModuleSignerOptions
from bundler.errors import UsageError
from bundler.named_files import text_of
from bundler.trust.job import Job

if TYPE_CHECKING:
    from bundler.trust.cosign import Key
    from bundler.trust.keyless import Keyless
    from bundler.trust.module_signers import Signers
    from bundler.trust.policy import Demand, KeylessDemand
    from bundler.trust.ssh_keygen import Allowed
    from bundler.trust.statement_verifier import StatementVerifier


class TrustOptions(NamedTuple):
    """The options as they were given."""

    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    require_signatures: int | None = None
    require_signature: bool = False
    state: Path | None = None
    allow_rollback: bool = False
    new_job: bool = False
    job: Job | None = None
    """The job that the bundle must be signed for; None for any."""
    measured: bool = False
    """True if the run has metrics, which name the job too."""

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Return every file that is read or written."""
        return (self.allowed_signers, self.revoked_keys, self.state)


def complete(options: TrustOptions) -> TrustOptions:
    """Return the options. Raises: UsageError if one of them has no effect without allowed signers."""
    if options.allowed_signers is None:
        for name in ("revoked_keys", "require_signatures", "require_signature", "allow_rollback", "new_job"):
            if getattr(options, name):
                raise _needs_signers(f"--{name.replace('_', '-')}")
        if options.job and not options.measured:
            raise _needs_signers("--job")
    return options


def _needs_signers(option: str) -> UsageError:
    return UsageError(
        option, "it needs --allowed-signers FILE", "add it: the file says whose signatures count"
    )


def verifier_of(options: TrustOptions, now: int) -> StatementVerifier | None:
    """Return the verifier that these options make; None without a file of allowed signers."""
    if options.allowed_signers is None:
        return None
    from bundler.cli.setup.signing_key import keygen
    from bundler.trust.statement_verifier import Requirement, StatementVerifier

    allowed = _allowed(options.allowed_signers, options.revoked_keys)
    requirement = Requirement(allowed, options.require_signatures or 1, options.job)
    return StatementVerifier(keygen(), requirement, now=now, allow_expired=options.allow_rollback)


def _allowed(signers: Path, revoked: Path | None) -> Allowed:
    from bundler.cli.setup.signing_key import key_file
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
        cause = "there is no home directory, so there is no place for the state"
        raise UsageError("--state", cause, "name a directory that is kept between runs")
    return (Path(state) if state else Path(str(home), ".local", "state")).absolute() / PROGRAM


# --- signatures on modules ---------------------------------------------------------------------------

IDENTITY = "--certificate-identity"


def demand_of(options: ModuleSignerOptions) -> Demand | None:
    """Return what every module must have; None if nothing is asked. Raises UsageError."""
    if options == ModuleSignerOptions():
        return None
    from bundler.trust.policy import Demand

    keyless = _keyless(options) if options._replace(cosign_keys=()) != ModuleSignerOptions() else None
    return Demand(("*",), cosign_keys=tuple(map(str, options.cosign_keys)), keyless=keyless)


def _keyless(options: ModuleSignerOptions) -> KeylessDemand:
    from bundler.trust.policy import Identity, KeylessDemand, is_narrow

    assert options.issuer is not None, "the three are given together"
    if wide := next((identity for identity in options.identities if not is_narrow(identity)), None):
        raise UsageError(
            f"{IDENTITY} {wide}",
            "this pattern matches almost anybody",
            "name at least HOST/OWNER/ or @DOMAIN",
        )
    identities = (Identity(identity, options.issuer) for identity in options.identities)
    return KeylessDemand(str(options.trusted_root), tuple(identities))


def module_signers(options: ModuleSignerOptions) -> Signers:
    """Return whose signatures count. Raises UsageError."""
    from bundler.trust.module_signers import NOBODY

    demand = demand_of(options)
    return signers_of([demand])[demand] if demand else NOBODY


def signers_of(demands: Iterable[Demand]) -> dict[Demand, Signers]:
    """Return the signers that demands name, each file read once. Raises UsageError."""
    from bundler.trust.module_signers import Signers

    key, proven = cache(_key), cache(_proven)
    return {
        demand: Signers(tuple(map(key, demand.cosign_keys)), demand.keyless and proven(demand.keyless))
        for demand in demands
        if demand.signed
    }


def _key(name: str) -> Key:
    from bundler.trust.cosign import read_key

    path = Path(name)
    return read_key(path.name, text_of(path).encode())


def _proven(demand: KeylessDemand) -> Keyless:
    from bundler.trust.keyless import Keyless, read_trusted_root

    root = text_of(Path(demand.trusted_root)).encode()
    return Keyless(read_trusted_root(demand.trusted_root, root), demand.identities)
