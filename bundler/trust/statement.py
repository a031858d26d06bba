"""`statement.json`: the few lines about a bundle that are signed. No I/O.

One content has one spelling, and unknown fields are refused: what a signer said must not be half read.
"""

import functools
import re
from calendar import monthrange, timegm
from typing import Any, NamedTuple, Self

from bundler.errors import ContentError, TrustError, printable
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Digest, strict_json
from bundler.oci.grammar import DocumentValue, Parsed, Size, camel, document_value
from bundler.reporting.json_report import StatementReport
from bundler.trust.armor import NAMESPACE, SIGNATURE_FILE, Signature, signatures_in
from bundler.trust.job import Job

STATEMENT_FILE = "statement.json"


class Moment(Parsed):
    """A second in UTC: `2026-01-31T09:00:00Z` (RFC 3339)."""

    __slots__ = ()
    grammar = re.compile(
        "[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}Z"
    )
    meaning = "a time (2026-01-31T09:00:00Z)"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raise ValueError also for a day that does not exist."""
        moment = super().parse(text)
        if int(moment[8:10]) > monthrange(int(moment[:4]), int(moment[5:7]))[1]:
            raise ValueError(f"{moment} is a day that does not exist")
        return moment

    @property
    def seconds(self) -> int:
        """Return the seconds since the epoch."""
        return timegm(tuple(int(part) for part in re.findall("[0-9]+", self)))


@document_value
class Statement(DocumentValue):
    """The statement of a signer about a bundle."""

    bundle: Digest
    """The bundle id."""
    job: Job
    sequence: Size
    """Grows from one bundle of the job to the next."""
    time: Moment
    """When it was signed, by the signer's clock."""
    expires: Moment | None = None
    """From when on it is worth nothing."""


def encode(statement: Statement) -> bytes:
    """Return the bytes of `statement.json`: what is signed."""
    expires = {"expires": statement.expires} if statement.expires else {}
    return strict_json.canonical(
        {
            "bundle": statement.bundle,
            "job": statement.job,
            "sequence": statement.sequence,
            "time": statement.time,
            **expires,
        }
    )


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Statement:
    """Read `statement.json`. Raises ContentError for all that `encode` would not write."""
    if len(data) > limits.statement:
        raise ContentError(STATEMENT_FILE, f"larger than the limit of {limits.statement:,} bytes")
    strict_json.check(data, item=STATEMENT_FILE, depth=limits.json_depth)
    statement = _validated(data)
    if encode(statement) != data:
        raise ContentError(STATEMENT_FILE, "not canonical JSON")
    if statement.expires and statement.expires <= statement.time:
        raise ContentError(STATEMENT_FILE, "it expires before it was made")
    return statement


def _validated(data: bytes) -> Statement:
    from pydantic import ValidationError

    try:
        statement: Statement = adapter_of(Statement).validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its top"
        cause = f"{first['msg']} at {where}"
        raise ContentError(
            STATEMENT_FILE, printable(cause), "a newer timoni-bundler may be able to read it"
        ) from None
    return statement


@functools.cache
def adapter_of(of: Any) -> Any:
    """Return pydantic's adapter for these documents: nothing missing, nothing more, nothing converted."""
    from pydantic import ConfigDict, TypeAdapter, with_config

    with_config(
        ConfigDict(alias_generator=camel, extra="forbid", strict=True, use_attribute_docstrings=True)
    )(of)
    return TypeAdapter(of)


class SignedStatement(NamedTuple):
    """The statement of a signed bundle about itself; true only if its signatures are."""

    statement: Statement
    encoded: bytes
    """The exact bytes that are signed."""
    signatures: tuple[Signature, ...]

    def files(self) -> list[tuple[str, bytes]]:
        """Return the members, in file order."""
        armored = b"".join(signature.armored for signature in self.signatures)
        return [(STATEMENT_FILE, self.encoded), (SIGNATURE_FILE, armored)]

    def report(self) -> StatementReport:
        """Return the statement as reports have it, without any proof."""
        statement = self.statement
        keys = tuple(signature.key for signature in self.signatures)
        return StatementReport(statement.job, statement.sequence, statement.time, statement.expires, keys)


def signed_statement_of(
    bundle: Digest, statement: bytes, signatures: bytes, limits: Limits = DEFAULT_LIMITS
) -> SignedStatement:
    """Read both members.

    Raises ContentError; TrustError for the statement of another bundle, or signatures for another purpose.
    """
    decoded = decode(statement, limits=limits)
    if decoded.bundle != bundle:
        cause = f"it is about another bundle, {decoded.bundle}; this one is {bundle}"
        raise TrustError(STATEMENT_FILE, cause, "carry the bundle again")
    read = signatures_in(signatures, limits=limits)
    for signature in read:
        if signature.namespace != NAMESPACE:
            cause = f"made for the namespace {signature.namespace!r}, not {NAMESPACE}"
            raise TrustError(f"signature by {signature.key}", cause, "sign the bundle with `sign`")
    return SignedStatement(decoded, statement, read)
