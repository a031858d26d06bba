"""The target asked before anything is written: one HEAD per root."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError
from bundler.importer.plan import Standing
from bundler.oci.content import Digest
from bundler.oci.manifest import Manifest
from bundler.oci.referrer import is_belonging_tag, is_fallback_tag, is_referrers_index
from bundler.progress import Progress, each_shown
from bundler.registry.registries import Registries

Answer = TypeVar("Answer")


def survey(roots: Iterable[Root], registries: Registries, *, jobs: int, progress: Progress) -> Standing:
    """What each root's tag points to; of a tag that holds other belongings than ours, the manifest too.

    Raises the first error: a target that can't be asked must not be written to.
    """

    def asked(
        label: str, wanted: Collection[Root], work: Callable[[Root], Answer]
    ) -> Iterator[tuple[Root, Answer]]:
        for root, answer in each_shown(progress, label, wanted, work, jobs=jobs):
            if isinstance(answer, BundlerError):
                raise answer
            yield root, answer

    existing = dict(asked("looking at the target", list(roots), lambda root: points_to(root, registries)))
    others = [
        root
        for root, digest in existing.items()
        if digest and digest != root.digest and is_belonging_tag(root.tag)
    ]
    there = dict(asked("signatures at the target", others, lambda root: _manifest_at(root, registries)))
    own = {root: found for root, found in there.items() if found and _is_its_own(root, found)}
    return Standing(existing | dict.fromkeys(there.keys() - own.keys()), own)


def points_to(root: Root, registries: Registries) -> Digest | None:
    """What a root's tag points to at the target, or whether the digest is there."""
    return registries.target(root.repository).digest_of(root.tag or root.digest)


def _manifest_at(root: Root, registries: Registries) -> Manifest | None:
    return registries.target(root.repository).manifest_at(root.tag or root.digest)


def _is_its_own(root: Root, manifest: Manifest) -> bool:
    """False where a registry took a fallback tag for the subject's digest (GitLab)."""
    return not is_fallback_tag(root.tag) or is_referrers_index(manifest)
