"""The head of a compact file: what must be known and judged before anything else of it is read."""

from itertools import accumulate, pairwise
from typing import NamedTuple

from bundler.bundle.compacted import compact_format
from bundler.bundle.inventory import bundle_id
from bundler.bundle.inventory_reader import decode
from bundler.bundle.stream import StatementCheck
from bundler.errors import ContentError
from bundler.limits import Limits
from bundler.trust.statement import signed_statement_of


class HeadParts(NamedTuple):
    """The parts of a head, as bytes."""

    compact: bytes
    inventory: bytes
    statement: bytes
    signatures: bytes


class OpenedHead:
    """A head that was read: the verifier has heard what was signed before the rest was looked at."""

    def __init__(self, head: bytes, limits: Limits, verifier: StatementCheck | None = None) -> None:
        """Read it. Raises ContentError, TrustError."""
        self.parts = head_parts(head, limits)
        self.id = bundle_id(self.parts.inventory)
        signed = self.parts.statement, self.parts.signatures
        self.signed_statement = (
            signed_statement_of(self.id, *signed, limits) if self.parts.statement else None
        )
        self.proven = verifier(self.signed_statement) if verifier else None
        self.inventory = decode(self.parts.inventory, limits=limits)
        self.described = compact_format.decode_head(self.parts.compact, limits)
        self.layout = compact_format.layout_of(len(head), self.described, self.inventory)


def head_parts(head: bytes, limits: Limits) -> HeadParts:
    """Cut a head into its parts. Raises ContentError for sizes that it does not have, or over a limit."""
    start = compact_format.HEAD_SIZES.size
    sizes = compact_format.HEAD_SIZES.unpack_from(head.ljust(start, b"\0"))
    bounds = (limits.inventory, limits.inventory, limits.statement, limits.signatures)
    if start + sum(sizes) != len(head) or any(
        size > bound for size, bound in zip(sizes, bounds, strict=True)
    ):
        raise ContentError(compact_format.COMPACT_FILE, "a head of other sizes than it says")
    ends = accumulate(sizes, initial=start)
    return HeadParts(*(head[begin:end] for begin, end in pairwise(ends)))
