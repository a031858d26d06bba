"""The pages of a registry that `serve` runs: what is there, how to pull it, the README of each module.

They are made anew for every request, as a writable registry changes; nothing in them comes from elsewhere.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, Protocol

from bundler.errors import BundlerError
from bundler.limits import DEFAULT_LIMITS, MIB
from bundler.oci import INDEXES, Descriptor, Digest, Manifest, RepositoryPath, Tag, parse_manifest
from bundler.oci.manifest import TIMONI_CONTENT_TYPE
from bundler.page.listed_images import is_module
from bundler.page.render import rendered_served
from bundler.selection.semver import version_of, version_order
from bundler.timoni.layer import LayerLimits, layer_readme

MOST_REPOSITORIES, MOST_TAGS = 500, 200
"""Repositories of the first page, and tags of a repository's page, that are listed."""

_LARGEST_LAYER = 16 * MIB

_LONGEST_README = 64 * 1024

_REPOSITORY = re.compile("/repositories/(.+)")


class TagsAndManifests(Protocol):
    """One repository of a registry."""

    @property
    def tags(self) -> Mapping[Tag, Digest]:
        """Return the digests by tag."""

    @property
    def manifests(self) -> Mapping[Digest, Descriptor]:
        """Return the descriptors by digest."""


class ListedContent(Protocol):
    """The content of a registry, as far as the pages show it."""

    def names(self) -> Collection[RepositoryPath]:
        """Return the names of all repositories."""

    def repository(self, name: RepositoryPath) -> TagsAndManifests | None:
        """Return a repository; None if there is none of that name."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob or manifest, verified."""


class ServedTag(NamedTuple):
    """One tag."""

    name: Tag
    digest: Digest


class ServedPart(NamedTuple):
    """One repository."""

    name: RepositoryPath
    tags: tuple[ServedTag, ...]
    """Newest first: versions by precedence, then others."""
    is_module: bool

    @property
    def kind(self) -> str:
        """Return what it holds, in words."""
        return "Timoni module" if self.is_module else "Image or other artifact"

    @property
    def newest(self) -> ServedTag | None:
        """Return the newest version, a release before a pre-release; or the first other tag."""
        releases = (tag for tag in self.tags if version_of(tag.name) and "-" not in tag.name)
        return next(releases, self.tags[0] if self.tags else None)

    @property
    def listed(self) -> tuple[ServedTag, ...]:
        """Return the tags that the page shows."""
        return self.tags[:MOST_TAGS]

    def pull_line(self, address: str, tag: ServedTag) -> str:
        """Return a command line that pulls a tag."""
        place = f"{address}/{self.name}"
        if self.is_module:
            folder = self.name.rpartition("/")[2]
            return shlex.join(["timoni", "mod", "pull", f"oci://{place}", "-v", tag.name, "-o", folder])
        return shlex.join(["docker", "pull", f"{place}:{tag.name}"])


class ServedPages(NamedTuple):
    """The pages of one registry, by path."""

    content: ListedContent
    address: str
    """`host:port`, as the browser knows it."""
    report: Callable[[], str] | None = None
    """Makes the report page of the bundle; None for a directory."""

    def page(self, path: str) -> str | None:
        """Return the page of a path; None if there is none."""
        if path == "/report" and self.report:
            return self.report()
        if path == "/":
            return self._index()
        match = _REPOSITORY.fullmatch(path)
        return self._repository(match[1]) if match else None

    def _index(self) -> str:
        names = sorted(self.content.names())
        parts = [part for name in names[:MOST_REPOSITORIES] if (part := self._part(name))]
        tags = sum(len(item.tags) for name in names if (item := self.content.repository(name)))
        return rendered_served(
            title=self.address, address=self.address, repositories=names, listed=parts, tags=tags,
            has_report=bool(self.report), part=None, readme="",
        )  # fmt: skip

    def _repository(self, text: str) -> str | None:
        try:
            part = self._part(RepositoryPath.parse(text))
        except ValueError:
            return None
        if part is None:
            return None
        readme = self._readme(part) if part.is_module and part.newest else ""
        return rendered_served(
            title=part.name, address=self.address, repositories=(), listed=(), tags=0, has_report=False,
            part=part, readme=readme,
        )  # fmt: skip

    def _part(self, name: RepositoryPath) -> ServedPart | None:
        repository = self.content.repository(name)
        if repository is None:
            return None
        names = [tag for tag in repository.tags if not tag.startswith("sha256-")]
        versions = sorted(filter(version_of, names), key=version_order, reverse=True)
        others = sorted(tag for tag in names if not version_of(tag))
        tags = tuple(ServedTag(tag, repository.tags[tag]) for tag in (*versions, *others))
        manifest = self._manifest(repository.manifests.get(tags[0].digest)) if tags else None
        return ServedPart(name, tags, bool(manifest and is_module(manifest)))

    def _manifest(self, blob: Descriptor | None) -> Manifest | None:
        if blob is None or blob.size > DEFAULT_LIMITS.manifest or blob.media_type in INDEXES:
            return None
        try:
            data = b"".join(self.content.chunks(blob))
            return parse_manifest(data, blob.media_type, blob.digest)
        except BundlerError:
            return None

    def _readme(self, part: ServedPart) -> str:
        """Return the README in the newest version's layers; empty if there is none that can be read."""
        repository = self.content.repository(part.name)
        newest = part.newest
        manifest = self._manifest(repository.manifests.get(newest.digest)) if repository and newest else None
        for layer in manifest.layers if manifest else ():
            if layer.annotations.get(TIMONI_CONTENT_TYPE) != "module" or layer.blob.size > _LARGEST_LAYER:
                continue
            try:
                text = layer_readme(b"".join(self.content.chunks(layer.blob)), LayerLimits())
                return text[:_LONGEST_README]
            except BundlerError:
                return ""
        return ""
