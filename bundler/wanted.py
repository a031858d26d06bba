"""What the user wants carried: references, repositories with rules, whole namespaces. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from bundler.errors import BundlerError
from bundler.oci.content import Digest
from bundler.oci.platform import Platform
from bundler.oci.reference import Reference, RegistryName, RepositoryName
from bundler.selection import ALL, Rules
from bundler.shard import Shard


class Along(NamedTuple):
    """What goes along with a tag."""

    images: bool = False
    """The container images that a Timoni module runs."""
    referrers: bool = True
    """Signatures, attestations, SBOMs: all that refers to it."""
    require: frozenset[str] = frozenset()
    """Kinds of referrers without which a tag fails."""
    platforms: tuple[Platform, ...] = ()
    """Of an index, only the children for these; all if empty."""

    def joined(self, other: Along) -> Along:
        """What two wishes for one repository come to."""
        both = self.platforms and other.platforms
        return Along(
            self.images or other.images,
            self.referrers or other.referrers,
            self.require | other.require,
            tuple(dict.fromkeys(self.platforms + other.platforms)) if both else (),
        )


ALONE = Along()


PRESETS = {
    "kubernetes-schema": RepositoryName("ghcr.io/stefanprodan/timoni/kubernetes-schema"),
    "minimal": RepositoryName("ghcr.io/stefanprodan/timoni/minimal"),
}
"""What Timoni itself fetches, by fixed names: for `mod vendor k8s` and for `mod init`."""


class Pin(NamedTuple):
    """One tag, or one digest."""

    reference: Reference
    along: Along = ALONE
    strict: bool = False
    """With tag and digest: the tag must point to that digest. Otherwise the digest alone is asked for."""


class Source(NamedTuple):
    """The tags of one repository that rules take."""

    repository: RepositoryName
    rules: Rules = ALL
    along: Along = ALONE


class Namespace(NamedTuple):
    """The repositories of a registry whose path matches a glob."""

    registry: RegistryName
    glob: str
    exclude: tuple[str, ...] = ()
    rules: Rules = ALL
    along: Along = ALONE

    def sources(self, catalog: Iterable[RepositoryName]) -> Iterator[Source]:
        """One source for each repository that matches."""
        for name in catalog:
            if fnmatchcase(name.path, self.glob) and not self._excluded(name):
                yield Source(name, self.rules, self.along)

    def _excluded(self, name: RepositoryName) -> bool:
        return any(fnmatchcase(name.path, glob) for glob in self.exclude)


class Selection(NamedTuple):
    """All that one export is to carry."""

    pins: tuple[Pin, ...] = ()
    sources: tuple[Source, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    locked: bool = False
    """From a lock file: all of it or nothing; a pin whose tag moved is taken by its digest."""
    omitted: frozenset[Digest] = frozenset()
    """Children of indexes to leave out, besides those that no wished platform needs."""

    problems: tuple[BundlerError, ...] = ()
    """What was asked for and can't be read: failures of the export."""
    shard: Shard | None = None
    """The part of it to carry. Everything stays named, so that all parts know the same registries."""

    @property
    def own_pins(self) -> tuple[Pin, ...]:
        """The pins of this part."""
        return tuple(pin for pin in self.pins if self._owns(pin.reference.repository))

    def own_sources(self, found: Iterable[Source]) -> list[Source]:
        """The sources of this part; `found` are those of the namespaces."""
        return [source for source in (*self.sources, *found) if self._owns(source.repository)]

    def _owns(self, name: RepositoryName) -> bool:
        return self.shard is None or self.shard.takes(name)

    def joined(self, *others: Selection) -> Selection:
        """All of them as one."""
        parts = (self, *others)
        return self._replace(
            pins=tuple(dict.fromkeys(pin for part in parts for pin in part.pins)),
            sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
            namespaces=tuple(dict.fromkeys(space for part in parts for space in part.namespaces)),
            problems=tuple(problem for part in parts for problem in part.problems),
        )

    @property
    def with_images(self) -> bool:
        """Whether images may come from registries that are not known yet."""
        alongs = [pin.along for pin in self.pins] + [source.along for source in self.sources]
        return any(along.images for along in alongs + [space.along for space in self.namespaces])

    @property
    def registries(self) -> frozenset[RegistryName]:
        """Every registry that it names; images may come from others."""
        names = {pin.reference.repository.registry for pin in self.pins}
        names |= {source.repository.registry for source in self.sources}
        return frozenset(names | {space.registry for space in self.namespaces})


def selection_of(references: Iterable[Reference], rules: Rules = ALL, along: Along = ALONE) -> Selection:
    """A selection of references: those with tag or digest as they are, of the others what rules take."""
    known = list(dict.fromkeys(references))
    pins = tuple(Pin(reference, along) for reference in known if reference.tag or reference.digest)
    names = [reference.repository for reference in known if not (reference.tag or reference.digest)]
    return Selection(pins, tuple(Source(name, rules, along) for name in names))
