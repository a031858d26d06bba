"""The signers of modules who count, and the verdict on their signatures. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
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
    def summary(self) -> str:
        """Return the text for people."""
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
    def summary(self) -> str:
        """Return the text for people: the keys and the identities."""
        keyless = self.keyless.descriptions if self.keyless else ()
        return " or ".join([*(key.name for key in self.keys), *keyless])

    def check(self, evidence: Iterable[Evidence]) -> Signed:
        """Return which of them made these signatures."""
        by: dict[str, None] = {}
        refused: dict[str, None] = {}
        unchecked = wrong = 0
        for signature in evidence:
            if signature.certified is None:
                makers = [
                    key.name for key in self.keys if key.verifies(signature.signature, signature.message)
                ]
                by |= dict.fromkeys(makers)
                wrong += not makers
            elif self.keyless is None:
                unchecked += 1
            else:
                checked = self.keyless.check(signature)
                (by if checked.accepted else refused)[checked.detail] = None
        return Signed(tuple(by), unchecked, tuple(refused), wrong)


NOBODY = Signers()
