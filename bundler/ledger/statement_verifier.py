"""The gate that a signed bundle passes before anything else of it is read: whose it is, and how new."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Self

from bundler.errors import BUNDLE, TrustError
from bundler.ledger.sequences import Memory, Seen
from bundler.reporting.json_report import SignerReport, StatementReport
from bundler.trust.ssh_keygen import Allowed, Signer, SshKeygen
from bundler.trust.statement import SignedStatement, Statement


class Requirement(NamedTuple):
    """Whose signatures a bundle must have."""

    allowed: Allowed
    signers: int = 1
    """Different principals that must have signed."""


class StatementVerifier:
    """A judge for `open_bundle` and `BundleStream`; `now` is in seconds since the epoch.

    A key must be allowed at the time that the statement names and now: the first is the signer's word,
    and who stole a key that is out of use could name any time.
    """

    def __init__(
        self,
        keygen: SshKeygen,
        requirement: Requirement,
        *,
        now: int,
        memory: Memory | None = None,
        allow_rollback: bool = False,
    ) -> None:
        self._keygen = keygen
        self._requirement = requirement
        self._memory = memory
        self._allow_rollback = allow_rollback
        self._now = now
        self._statement: Statement | None = None
        self._last: Seen | None = None
        self.told: StatementReport | None = None
        """What was proven, once a bundle has passed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._memory:
            self._memory.close()

    def __call__(self, sealed: SignedStatement | None) -> None:
        """Raise TrustError unless enough of the right people signed it, and nothing newer was imported."""
        if sealed is None:
            cause = "it is not signed, and a signature is required"
            raise TrustError(BUNDLE, cause, "sign it where it is made: timoni-bundler sign")
        signers = self._signers(sealed)
        self._statement = sealed.statement
        self._last = self._memory.last(sealed.statement.job) if self._memory else None
        problems = dict(_problems(sealed.statement, self._last, self._now))
        if problems and not self._allow_rollback:
            first = next(iter(problems.values()))
            next_step = "--allow-rollback imports it all the same" if self._memory else "have it signed anew"
            raise TrustError(f"job {sealed.statement.job}", first, next_step)
        self.told = replace(
            sealed.told(),
            signers=tuple(SignerReport(*signer) for signer in signers),
            previous=self._last.sequence if self._last else None,
            allowed=tuple(problems),
        )

    def remember(self) -> None:
        """Keep the sequence number: from now on nothing older passes. Never a lower one than before."""
        said = self._statement
        if self._memory and said and (self._last is None or said.sequence > self._last.sequence):
            self._memory.remember(Seen(said.job, said.sequence, said.bundle, said.time))

    def _signers(self, sealed: SignedStatement) -> list[Signer]:
        """Those who count, each once, as is each key. Raises TrustError if they are too few."""
        times = (sealed.statement.time.seconds, self._now)
        found: dict[str, Signer] = {}
        refused: list[TrustError] = []
        for signature in sealed.signatures:
            try:
                signer = self._keygen.signer(self._requirement.allowed, signature, sealed.encoded, times)
                # Two certificates can give one key two names: whoever holds it is one signer all the same.
                if signer.key not in {other.key for other in found.values()}:
                    found.setdefault(signer.principal, signer)
            except TrustError as error:
                refused.append(error)
        needed = self._requirement.signers
        if len(found) < needed:
            why = "; ".join(str(error) for error in refused) or "no other has signed it"
            have = f"{len(found)} of {needed} signers: " if needed > 1 else ""
            raise TrustError(BUNDLE, have + why, f"allowed are those of {self._requirement.allowed.name}")
        return list(found.values())


def _problems(statement: Statement, last: Seen | None, now: int) -> list[tuple[str, str]]:
    """What speaks against a statement that is rightly signed, as a word and a sentence."""
    found: list[tuple[str, str]] = []
    if statement.expires and statement.expires.seconds <= now:
        found.append(("expired", f"the statement expired at {statement.expires}"))
    if last and statement.sequence < last.sequence:
        cause = f"sequence number {statement.sequence}, and {last.sequence} was imported before"
        found.append(("older", f"a rollback: {cause}"))
    if last and statement.sequence == last.sequence and statement.bundle != last.bundle:
        cause = f"another bundle with sequence number {last.sequence} was imported before: {last.bundle}"
        found.append(("same sequence", cause))
    return found
