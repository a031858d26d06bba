"""A statement with its signatures, as they stand behind the inventory. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from bundler.errors import TrustError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import Digest
from bundler.report import StatementReport
from bundler.trust.armor import SIGNATURE_FILE, Signature, signatures_in
from bundler.trust.statement import STATEMENT_FILE, Statement, decode


class Sealed(NamedTuple):
    """What a signed bundle says of itself; true only if its signatures are."""

    statement: Statement
    encoded: bytes
    """The exact bytes that are signed."""
    signatures: tuple[Signature, ...]

    def files(self) -> list[tuple[str, bytes]]:
        """The members, in file order."""
        armored = b"".join(signature.armored for signature in self.signatures)
        return [(STATEMENT_FILE, self.encoded), (SIGNATURE_FILE, armored)]

    def told(self) -> StatementReport:
        """As reports have it, nobody's word proven."""
        said = self.statement
        keys = tuple(signature.key for signature in self.signatures)
        return StatementReport(said.job, said.sequence, said.time, said.expires, keys)


def sealed_of(bundle: Digest, statement: bytes, signatures: bytes, limits: Limits = DEFAULT_LIMITS) -> Sealed:
    """Both members read. Raises ContentError, and TrustError for the statement of another bundle."""
    said = decode(statement, limits=limits)
    if said.bundle != bundle:
        cause = f"it speaks of another bundle, {said.bundle}; this one is {bundle}"
        raise TrustError(STATEMENT_FILE, cause, "carry the bundle again")
    return Sealed(said, statement, signatures_in(signatures, limits=limits))
