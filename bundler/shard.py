"""One part of an export that several machines share: repositories dealt out by their names alone. No I/O."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Self

from bundler.errors import UsageError
from bundler.oci.reference import RepositoryName

_GRAMMAR = re.compile("([0-9]{1,4})/([0-9]{1,4})")
_DIGITS = 16


class Shard(NamedTuple):
    """Part number `part` of `parts`, counted from 0 as Kubernetes counts the pods of an indexed Job."""

    part: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `I/N`. Raises UsageError."""
        match = _GRAMMAR.fullmatch(text)
        if match is None:
            raise UsageError(text, "this is no shard", "write I/N, counted from 0: 0/3, 1/3, 2/3")
        shard = cls(int(match[1]), int(match[2]))
        if shard.part >= shard.parts:
            last = shard.parts - 1
            step = f"write 0/{shard.parts} to {last}/{shard.parts}" if shard.parts else "write 0/1 for all"
            raise UsageError(text, "there is no such shard: they are counted from 0", step)
        return shard

    def takes(self, name: RepositoryName) -> bool:
        """Whether a repository is in this part.

        The first 16 hexadecimal digits of sha256(`host/path`), as a number, modulo the number of parts.
        This never changes: shards that programs of two versions make must fit together.
        """
        return int(hashlib.sha256(name.encode()).hexdigest()[:_DIGITS], 16) % self.parts == self.part
