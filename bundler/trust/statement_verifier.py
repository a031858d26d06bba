"""Signatures on a bundle: who made them, and whether their statement is still valid."""

from dataclasses import replace
from typing import NamedTuple

from bundler.errors import BUNDLE, TrustError, UsageError
from bundler.reporting.json_report import SignerReport, StatementReport
from bundler.trust.job import Job
from bundler.trust.ssh_keygen import Allowed, Signer, SshKeygen
from bundler.trust.statement import SignedStatement, Statement

EXPIRED = "expired"


class Requirement(NamedTuple):
    """The signers that a bundle must have, and the job."""

    allowed: Allowed
    signers: int = 1
    """Different principals that must have signed."""
    job: Job | None = None
    """The job that the statement must name; None for any."""


class StatementVerifier:
    """A verifier for `open_bundle` and `BundleStream`; `now` is in seconds since the epoch.

    A key must be allowed at the time that the statement names and now: the first is the signer's word,
    and who stole a key that is out of use could name any time. It remembers nothing: what may be
    imported after what is decided by the ledger.
    """

    def __init__(
        self, keygen: SshKeygen, requirement: Requirement, *, now: int, allow_expired: bool = False
    ) -> None:
        """Take what is required. Raises: UsageError for a list of revoked keys without any."""
        allowed = requirement.allowed
        if allowed.revoked is not None and not _lists_keys(allowed.revoked):
            raise UsageError(allowed.revoked_name, "--revoked-keys: it lists no keys", "leave the option out")
        self._keygen = keygen
        self._requirement = requirement
        self._allow_expired = allow_expired
        self._now = now

    def __call__(self, signed: SignedStatement | None) -> StatementReport:
        """Return what was proven.

        Raises: TrustError unless enough of the allowed signers signed a valid statement of the job.
        """
        if signed is None:
            cause = "not signed, but a signature is required"
            raise TrustError(BUNDLE, cause, "sign it outside with `timoni-bundler sign`")
        signers = self._signers(signed)
        statement, expected = signed.statement, self._requirement.job
        if expected and statement.job != expected:
            cause = f"signed for job {statement.job}, but job {expected} is expected"
            raise TrustError(BUNDLE, cause, "import the bundle of that job, or name the other with --job")
        problem = expired(statement, self._now)
        if problem and not self._allow_expired:
            raise TrustError(f"job {statement.job}", problem, "have it signed again")
        return replace(
            signed.report(),
            signers=tuple(SignerReport(*signer) for signer in signers),
            allowed=(EXPIRED,) if problem else (),
        )

    def _signers(self, signed: SignedStatement) -> list[Signer]:
        """Return those who count, each once, as is each key. Raises: TrustError if they are too few."""
        times = (signed.statement.time.seconds, self._now)
        proven: dict[str, Signer] = {}
        refused: list[TrustError] = []
        for signature in signed.signatures:
            try:
                signer = self._keygen.signer(self._requirement.allowed, signature, signed.encoded, times)
                # Two certificates can give one key two names: whoever holds it is one signer all the same.
                if signer.key not in {other.key for other in proven.values()}:
                    proven.setdefault(signer.principal, signer)
            except TrustError as error:
                refused.append(error)
        needed = self._requirement.signers
        if len(proven) < needed:
            why = "; ".join(str(error) for error in refused) or "nobody else has signed it"
            have = f"{len(proven)} of {needed} signers: " if needed > 1 else ""
            next_step = f"allowed signers: file {self._requirement.allowed.name!r}"
            raise TrustError(BUNDLE, have + why, next_step)
        return list(proven.values())


_REVOCATION_LIST = b"SSHKRL\n\0"

_BEFORE_ITS_TEXTS = 36
"""Bytes of its magic, versions, date and flags. Source: OpenSSH, PROTOCOL.krl."""


def _lists_keys(data: bytes) -> bool:
    """Return True unless a file of revoked keys, or the list that `ssh-keygen -k` makes, is empty."""
    if data.startswith(_REVOCATION_LIST):
        sections = _BEFORE_ITS_TEXTS
        for _ in ("reserved", "comment"):
            sections += 4 + int.from_bytes(data[sections : sections + 4])
        return len(data) > sections
    lines = (line.strip() for line in data.splitlines())
    return any(line and not line.startswith(b"#") for line in lines)


def expired(statement: Statement, now: int) -> str:
    """Return a sentence for a statement that has expired; empty for any other."""
    if statement.expires and statement.expires.seconds <= now:
        return f"the statement expired at {statement.expires}"
    return ""
