"""Whose signatures count, and what was imported before: options of `verify` and `import`."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.cli.import_log import state_folder
from bundler.errors import UsageError
from bundler.reporting.json_report import Report

if TYPE_CHECKING:
    from bundler.ledger.sequences import Memory
    from bundler.ledger.statement_verifier import StatementVerifier
    from bundler.trust.ssh_keygen import Allowed


class TrustOptions(NamedTuple):
    """The options as they were given."""

    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    require_signatures: int | None = None
    require_signature: bool = False
    state: Path | None = None
    allow_rollback: bool = False

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Every file that is read or written."""
        return (self.allowed_signers, self.revoked_keys, self.state)


def complete(options: TrustOptions) -> TrustOptions:
    """The options, if they say whose signatures count as soon as any must. Raises UsageError."""
    if options.allowed_signers is None and options._replace(state=None) != TrustOptions(None, None, None):
        cause = "it is not said whose signatures count"
        raise UsageError("signatures", cause, "name a file with --allowed-signers")
    return options


def gate_of(
    options: TrustOptions, *, remembers: bool = False, may_write: bool = True
) -> AbstractContextManager[StatementVerifier | None]:
    """The gate that these options make, to be closed; none without a file of allowed signers."""
    if options.allowed_signers is None:
        return nullcontext()
    from bundler.cli.options.signing_options import keygen, now
    from bundler.ledger.statement_verifier import Requirement, StatementVerifier

    return StatementVerifier(
        keygen(),
        Requirement(_allowed(options.allowed_signers, options.revoked_keys), options.require_signatures or 1),
        now=now(),
        memory=_memory(options.state, may_write=may_write) if remembers else None,
        allow_rollback=options.allow_rollback,
    )


def _allowed(signers: Path, revoked: Path | None) -> Allowed:
    from bundler.cli.options.signing_options import key_file
    from bundler.trust.ssh_keygen import Allowed

    if revoked is None:
        return Allowed(str(signers), key_file(signers))
    return Allowed(str(signers), key_file(signers), str(revoked), key_file(revoked))


def _memory(folder: Path | None, *, may_write: bool) -> Memory:
    from bundler.ledger.sequences import Memory

    return Memory(state_folder(folder), may_write=may_write)


def with_statement(report: Report, gate: StatementVerifier | None) -> Report:
    """The report of an import, with what the gate has proven; what it let pass is a warning."""
    if gate is None or gate.told is None or report.bundle is None:
        return report
    said = gate.told
    warnings = [f"job {said.job}: imported by --allow-rollback: {what}" for what in said.allowed]
    if said.previous is None:
        warnings.append(f"job {said.job}: no earlier import of it is known here")
    bundle = dataclasses.replace(report.bundle, statement=said)
    return dataclasses.replace(report, bundle=bundle, warnings=(*report.warnings, *warnings))
