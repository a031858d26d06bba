"""One part of an export that several machines share: repositories dealt out by their names alone. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from bundler.errors import BundlerError, UsageError
from bundler.oci import Digest, Reference, RegistryName, RepositoryName
from bundler.oci.platform import Platform
from bundler.selection.choose import EVERY_TAG
from bundler.selection.rules import Rules, check

_GRAMMAR = "([0-9]{1,4})/([0-9]{1,4})"

_DIGITS = 16


class Shard(NamedTuple):
    """Part number `part` of `parts`, counted from 0 as Kubernetes counts the pods of an indexed Job."""

    part: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `I/N`. Raises UsageError."""
        match = re.fullmatch(_GRAMMAR, text)
        if match is None:
            raise UsageError(text, "this is not a shard", "write I/N, counted from 0: 0/3, 1/3, 2/3")
        shard = cls(int(match[1]), int(match[2]))
        if shard.part >= shard.parts:
            last = shard.parts - 1
            step = f"write 0/{shard.parts} to {last}/{shard.parts}" if shard.parts else "write 0/1 for all"
            raise UsageError(text, "there is no such shard: shards are counted from 0", step)
        return shard

    def takes(self, name: RepositoryName) -> bool:
        """Return whether a repository is in this part.

        The first 16 hexadecimal digits of sha256(`host/path`), as a number, modulo the number of parts.
        This never changes: shards that programs of two versions make must fit together.
        """
        return int(hashlib.sha256(name.encode()).hexdigest()[:_DIGITS], 16) % self.parts == self.part


class Include(NamedTuple):
    """The content that is carried with a tag."""

    images: bool = False
    """The container images that a Timoni module runs."""
    referrers: bool = True
    """Signatures, attestations, SBOMs: all that refers to it."""
    require: frozenset[str] = frozenset()
    """Kinds of referrers without which a tag fails."""
    platforms: tuple[Platform, ...] = ()
    """Children of an index are carried for these platforms only; for all if empty."""
    exclude_images: tuple[str, ...] = ()
    """Globs for images to leave out, as `host/path` or with tag or digest."""
    optional_images: tuple[str, ...] = ()
    """Globs for images without which a module is carried all the same, with a warning."""
    image_min_age: int | None = None
    """Seconds since its creation that an image must have, where its registry tells when that was."""

    def joined(self, other: Include, *, narrow: bool = True) -> Include:
        """Return the sum of two wishes for one repository.

        A `narrow` sum keeps the platform limit of either wish; otherwise, both must have one.
        """
        limited = narrow or (self.platforms and other.platforms)
        return Include(
            self.images or other.images,
            self.referrers or other.referrers,
            self.require | other.require,
            tuple(dict.fromkeys(self.platforms + other.platforms)) if limited else (),
            tuple(dict.fromkeys(self.exclude_images + other.exclude_images)),
            tuple(dict.fromkeys(self.optional_images + other.optional_images)),
            older_of(self.image_min_age, other.image_min_age),
        )


def older_of(age: int | None, other: int | None) -> int | None:
    """Return the greater of two ages, of which either may not be asked for."""
    return max((each for each in (age, other) if each is not None), default=None)


ALONE = Include()


PRESETS = {
    "kubernetes-schema": RepositoryName("ghcr.io/stefanprodan/timoni/kubernetes-schema"),
    "minimal": RepositoryName("ghcr.io/stefanprodan/timoni/minimal"),
}
"""Repositories that Timoni itself fetches by fixed names, for `mod vendor k8s` and `mod init`."""


class PinnedReference(NamedTuple):
    """One tag, or one digest."""

    reference: Reference
    include: Include = ALONE
    strict: bool = False
    """With tag and digest: the tag must point to that digest. Otherwise the digest alone is asked for."""
    named_by: str = ""
    """The place that names it, worded to follow "named": `by bundle.cue`, `on the command line`."""
    exclude: tuple[str, ...] = ()
    """Globs for tags, which win over the name."""

    @property
    def reason(self) -> str:
        """Return the reason why it is taken."""
        return f"named {self.named_by}".rstrip()

    @property
    def excluded(self) -> str | None:
        """Return the reason why it stays out, if there is one."""
        tag = self.reference.tag
        glob = tag and next((glob for glob in self.exclude if fnmatchcase(tag, glob)), None)
        return f"excluded by '{glob}', though {self.reason}" if glob else None


class Source(NamedTuple):
    """The tags of one repository that rules take."""

    repository: RepositoryName
    rules: Rules = EVERY_TAG
    include: Include = ALONE


class Namespace(NamedTuple):
    """The repositories of a registry whose path matches a glob."""

    registry: RegistryName
    glob: str
    exclude: tuple[str, ...] = ()
    rules: Rules = EVERY_TAG
    include: Include = ALONE

    def covers(self, name: RepositoryName) -> bool:
        """Return whether a repository of this name belongs to the namespace, excluded or not."""
        return name.registry == self.registry and fnmatchcase(name.path, self.glob)

    def sources(self, catalog: Iterable[RepositoryName]) -> Iterator[Source]:
        """Yield one source for each repository that matches."""
        for name in catalog:
            if self.covers(name) and not self._excluded(name):
                yield Source(name, self.rules, self.include)

    def _excluded(self, name: RepositoryName) -> bool:
        return any(fnmatchcase(name.path, glob) for glob in self.exclude)


class Selection(NamedTuple):
    """All that one export is to carry."""

    pins: tuple[PinnedReference, ...] = ()
    sources: tuple[Source, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    locked: bool = False
    """From a lock file: all of it or nothing; a pin whose tag moved is taken by its digest."""
    omitted: frozenset[Digest] = frozenset()
    """Children of indexes to leave out, besides those that no wished platform needs."""
    ages: Rules = EVERY_TAG
    """Of these rules, those about creation times must hold for what a lock file pins."""
    of_images: frozenset[RepositoryName] = frozenset()
    """Repositories of images, whose times of creation are not asked for."""

    problems: tuple[BundlerError, ...] = ()
    """Requests that can't be read: failures of the export."""
    shard: Shard | None = None
    """The part of it to carry. Everything stays named, so that all parts know the same registries."""

    @property
    def own_pins(self) -> tuple[PinnedReference, ...]:
        """Return the pins of this part."""
        return tuple(pin for pin in self.pins if self.owns(pin.reference.repository))

    def own_sources(self, listed: Iterable[Source]) -> list[Source]:
        """Return the sources of this part; `listed` are those of the namespaces."""
        return [source for source in (*self.sources, *listed) if self.owns(source.repository)]

    def names(self, name: RepositoryName) -> bool:
        """Return whether a source, a pin or a namespace names this repository."""
        named = any(source.repository == name for source in self.sources)
        named = named or any(pin.reference.repository == name for pin in self.pins)
        return named or any(space.covers(name) for space in self.namespaces)

    @property
    def names_anything(self) -> bool:
        """Return whether anything is asked for, readable or not."""
        return bool(self.pins or self.sources or self.namespaces or self.problems)

    def owns(self, name: RepositoryName) -> bool:
        """Return whether a repository is in this part."""
        return self.shard is None or self.shard.takes(name)

    def joined(self, *others: Selection) -> Selection:
        """Return all selections as one."""
        parts = (self, *others)
        return self._replace(
            pins=_distinct(pin for part in parts for pin in part.pins),
            sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
            namespaces=tuple(dict.fromkeys(space for part in parts for space in part.namespaces)),
            problems=tuple(problem for part in parts for problem in part.problems),
        )

    @property
    def with_images(self) -> bool:
        """Return whether images may come from registries that are not known yet."""
        return any(include.images for include in self.includes)

    @property
    def includes(self) -> list[Include]:
        """Return what is included, once for each source."""
        choosing = [source.include for source in self.sources] + [space.include for space in self.namespaces]
        return [pin.include for pin in self.pins] + choosing

    @property
    def rules(self) -> list[Rules]:
        """Return the rules of each source that has any."""
        return [source.rules for source in self.sources] + [space.rules for space in self.namespaces]

    @property
    def registries(self) -> frozenset[RegistryName]:
        """Return every registry that it names; images may come from others."""
        names = {pin.reference.repository.registry for pin in self.pins}
        names |= {source.repository.registry for source in self.sources}
        return frozenset(names | {space.registry for space in self.namespaces})


def _distinct(pins: Iterable[PinnedReference]) -> tuple[PinnedReference, ...]:
    """Return each pin once, as the first source that names it has it."""
    first: dict[PinnedReference, PinnedReference] = {}
    for pin in pins:
        first.setdefault(pin._replace(named_by=""), pin)
    return tuple(first.values())


def selection_of(
    references: Iterable[Reference], rules: Rules = EVERY_TAG, include: Include = ALONE, *, named_by: str = ""
) -> Selection:
    """Return a selection: references with tag or digest as they are, of the others what the rules take.

    Raises: UsageError for rules that can't be meant.
    """
    check(rules)
    distinct = list(dict.fromkeys(references))
    pins = tuple(
        PinnedReference(reference, include, named_by=named_by, exclude=rules.exclude)
        for reference in distinct
        if reference.tag or reference.digest
    )
    names = [reference.repository for reference in distinct if not (reference.tag or reference.digest)]
    return Selection(pins, tuple(Source(name, rules, include) for name in names))
