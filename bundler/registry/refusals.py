"""What a target may refuse, told apart by what helps."""

from __future__ import annotations

from bundler.errors import IntegrityError, TargetRefusedError
from bundler.oci.content import Digest


class MissingContentError(TargetRefusedError):
    """The target says that a blob or manifest is missing which it said it had."""


class TypeRefusedError(TargetRefusedError):
    """The target takes no artifacts of this kind."""


class RepositoryRefusedError(TargetRefusedError):
    """The target takes nothing into this repository: more tries with other blobs are no use."""


class StoredOtherwiseError(IntegrityError):
    """The target says that it stored other bytes than it was sent."""


def contradicts(said: str, digest: Digest) -> bool:
    """Whether a registry names another digest; by another algorithm, it may be the same content."""
    return said.startswith(f"{digest.algorithm}:") and said != digest
