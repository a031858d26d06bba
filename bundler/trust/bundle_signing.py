"""Statements made and signed."""

import time
from pathlib import Path
from typing import NamedTuple

from bundler.errors import TrustError, UsageError
from bundler.oci import Digest
from bundler.trust.armor import Signature
from bundler.trust.job import DEFAULT_JOB, Job
from bundler.trust.ssh_keygen import SshKeygen
from bundler.trust.statement import Moment, SignedStatement, Statement, encode

_RESUMABLE = 24 * 3600
"""Seconds for which an unfinished bundle keeps its statement."""


class Terms(NamedTuple):
    """The content of a new statement, besides which bundle it is about."""

    job: Job | None = None
    """None for the job of the statement that is replaced; of a bundle that has none, the default job."""
    sequence: int | None = None
    """None for the seconds since the epoch: it grows by itself."""
    expires: Moment | None = None
    least: int = 0
    """The number to use if the clock is behind it."""


def moment_at(seconds: int) -> Moment:
    """Return a time since the epoch. Raises ValueError for a year that has more than four digits."""
    return Moment.parse(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)))


class Signing:
    """A key that signs, and what it will say; `now` is in seconds since the epoch."""

    def __init__(self, keygen: SshKeygen, key: Path, terms: Terms, now: int) -> None:
        """Take the key. Raises: UsageError if there is none, or nobody accepts its certificate now."""
        self._keygen = keygen
        self._key = key
        self._terms = terms
        self._now = now
        self._name = (keygen.fingerprint(key), keygen.certificate(key))
        if cause := keygen.unfit(key, moment_at(now).removesuffix("Z")):
            raise UsageError(str(key), f"its certificate {cause}", "get a new certificate for the key")

    def seal(self, bundle: Digest, replaced: Statement | None = None) -> SignedStatement:
        """Return a new statement about a bundle, signed; its job and number follow from the one `replaced`.

        Raises: TrustError for a number that is lower than that of the same job before; LocalError if the
        key can't sign.
        """
        if replaced:
            self.follow(replaced)
        job, sequence, expires, least = self._terms
        job = job or (replaced.job if replaced else DEFAULT_JOB)
        if replaced and replaced.job == job:
            least = max(least, replaced.sequence)
        sequence = max(self._now, least) if sequence is None else sequence
        statement = Statement(bundle, job, sequence, moment_at(self._now), expires)
        encoded = encode(statement)
        return SignedStatement(statement, encoded, (self._keygen.sign(self._key, encoded),))

    def follow(self, replaced: Statement) -> None:
        """Raise TrustError if the number that is demanded is lower than the one it would replace."""
        if self._terms.sequence is not None:
            refuse_lower(replaced, self._terms.job or replaced.job, self._terms.sequence)

    def stands_in(self, signed: SignedStatement | None) -> bool:
        """Return True if this key has signed a bundle so, and the statement expires as is demanded now."""
        if signed is None or not self._has_signed(signed) or _expired(signed.statement, self._now):
            return False
        job, sequence, expires, _ = self._terms
        if expires and not self._lasts(signed.statement, expires):
            return False
        return signed.statement.job == (job or DEFAULT_JOB) and sequence in (None, signed.statement.sequence)

    def resumes(self, signed: SignedStatement | None, replaced: Statement | None) -> bool:
        """Return True if a bundle that was left unfinished can be finished with the statement it begins with.

        Not with one that is older than a day: a later bundle of the job may have a higher number by now.
        """
        if signed is None or not self.stands_in(signed):
            return False
        statement = signed.statement
        lower = replaced and replaced.job == statement.job and statement.sequence < replaced.sequence
        return not lower and 0 <= self._now - statement.time.seconds < _RESUMABLE

    def _lasts(self, statement: Statement, expires: Moment) -> bool:
        """Return True if a statement expires no later, and not before half of the demanded time is over."""
        if statement.expires is None:
            return False
        half = (expires.seconds - self._now) // 2
        return self._now + half <= statement.expires.seconds <= expires.seconds

    def join(self, signed: SignedStatement) -> SignedStatement:
        """Return the same statement with one more signature, unless this key has signed it.

        Raises UsageError where it should say something else, TrustError when it has expired.
        """
        if self._terms != Terms():
            cause = "it is already signed, and a signed statement can't be changed"
            raise UsageError("--job, --sequence or --expires", cause, "use --replace to make a new statement")
        if _expired(signed.statement, self._now):
            cause = f"it expired at {signed.statement.expires}"
            raise TrustError("statement", cause, "use --replace to make a new one")
        if self._has_signed(signed):
            return signed
        made = self._keygen.sign(self._key, signed.encoded)
        return signed._replace(signatures=(*signed.signatures, made))

    def _has_signed(self, signed: SignedStatement) -> bool:
        return self._name in map(_name_of, signed.signatures)


def refuse_lower(replaced: Statement, job: Job, sequence: int) -> None:
    """Raise TrustError if a number is lower than the one of the same job that it replaces."""
    if replaced.job == job and sequence < replaced.sequence:
        cause = f"number {sequence} of the job {job} would replace {replaced.sequence}"
        raise TrustError("statement", cause, f"choose a number from {replaced.sequence} on")


def _name_of(signature: Signature) -> tuple[str, str]:
    """Return the name that tells signatures apart: a renewed certificate of the same key makes another."""
    return signature.key, signature.certificate


def _expired(statement: Statement, now: int) -> bool:
    return statement.expires is not None and statement.expires.seconds <= now
