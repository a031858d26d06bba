"""Whose signatures on modules count, and what they are found to be. No I/O."""

from collections.abc import Iterable
from typing import NamedTuple

from bundler.trust.cosign import Evidence, Key
from bundler.trust.keyless import Keyless


class Signed(NamedTuple):
    """The known facts about the signatures of one manifest."""

    by: tuple[str, ...] = ()
    """Keys, by the names of their files; identities, with those who vouch for them."""
    unchecked: int = 0
    """Signatures by a certificate: carried, and not checked."""
    refused: tuple[str, ...] = ()
    """Signatures by a certificate that don't count, and why."""
    wrong: int = 0
    """Signatures that none of the keys made."""

    @property
    def told(self) -> str:
        """For people."""
        parts = [f"signed by {', '.join(self.by)}"] if self.by else []
        parts += [f"{self.unchecked} keyless, not checked"] if self.unchecked else []
        parts += [f"keyless, {why}" for why in self.refused]
        parts += [f"{self.wrong} by none of the keys"] if self.wrong else []
        return "; ".join(parts) or "not signed"


class Signers(NamedTuple):
    """The keys and identities of which one must have signed."""

    keys: tuple[Key, ...] = ()
    keyless: Keyless | None = None

    @property
    def told(self) -> str:
        """For people: the keys and the identities."""
        keyless = self.keyless.told if self.keyless else ()
        return " or ".join([*(key.name for key in self.keys), *keyless])

    def judge(self, evidence: Iterable[Evidence]) -> Signed:
        """Which of them made which of these."""
        by: dict[str, None] = {}
        refused: dict[str, None] = {}
        unchecked = wrong = 0
        for one in evidence:
            if one.certified is None:
                makers = [key.name for key in self.keys if key.verifies(one.signature, one.message)]
                by |= dict.fromkeys(makers)
                wrong += not makers
            elif self.keyless is None:
                unchecked += 1
            else:
                found = self.keyless.check(one)
                (by if found.accepted else refused)[found.told] = None
        return Signed(tuple(by), unchecked, tuple(refused), wrong)


NOBODY = Signers()
