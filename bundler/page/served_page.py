"""The pages of a registry that `serve` runs: what is there, how to pull it, the README of each module.

Nothing in them comes from elsewhere. They are made anew for every request, as a writable registry changes;
the report of a bundle, which is read once, is kept.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Protocol

from bundler.bundle.reader import Bundle
from bundler.errors import BundlerError
from bundler.limits import DEFAULT_LIMITS, MIB
from bundler.oci import INDEXES, Descriptor, Digest, Manifest, RepositoryPath, Tag, parse_manifest
from bundler.oci.manifest import TIMONI_CONTENT_TYPE
from bundler.page.gather import page_of
from bundler.page.listed_images import is_module
from bundler.page.pull_lines import MODULE, newest_first, newest_of, pull_line
from bundler.page.render import render_page, rendered_served
from bundler.page.values import PageContents, Proof
from bundler.session import Session
from bundler.timoni.layer import LayerLimits, layer_readme

MOST_REPOSITORIES, MOST_TAGS = 500, 200
"""Repositories of a directory's first page, and tags of a repository's page, that are listed."""

_MOST_ADDRESSES = 4
"""Addresses for which the rendered report is kept; there may be megabytes of it."""

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
    """Newest first: versions by precedence, then others by name."""
    is_module: bool

    @property
    def kind(self) -> str:
        """Return what it holds, in words."""
        return MODULE if self.is_module else "Image or other artifact"

    @property
    def newest(self) -> ServedTag | None:
        """Return the tag that a person would pull."""
        newest = newest_of([tag.name for tag in self.tags])
        return next((tag for tag in self.tags if tag.name == newest), None)

    @property
    def listed(self) -> tuple[ServedTag, ...]:
        """Return the tags that the page shows."""
        return self.tags[:MOST_TAGS]

    def pull_line(self, address: str, tag: ServedTag) -> str:
        """Return a command line that pulls a tag."""
        return pull_line(address, self.name, tag.name, self.kind)


class ServedPages:
    """The pages of one registry. Safe for any number of threads.

    The first page is the report of the `bundle` that is served; without one, as for a directory, it is a
    list of the repositories.
    """

    def __init__(self, content: ListedContent, session: Session, bundle: Bundle | None = None) -> None:
        self._content = content
        self._session = session
        self._bundle = bundle
        self._report = functools.lru_cache(_MOST_ADDRESSES)(self._rendered)
        self._gathered: PageContents | None = None
        self._reading = threading.Lock()

    def page(self, path: str, address: str) -> str | None:
        """Return the page of a path; None if there is none.

        `address` is the registry's `host:port`, as the browser knows it.
        """
        if path == "/":
            return self._first(address)
        match = _REPOSITORY.fullmatch(path)
        return self._repository(match[1], address) if match else None

    def _first(self, address: str) -> str:
        if self._bundle is None:
            return self._index(address)
        # Gathered and rendered by the first that asks; the others wait for the same text.
        with self._reading:
            return self._report(address)

    def _rendered(self, address: str) -> str:
        assert self._bundle, "it is asked for where there is one"
        if self._gathered is None:
            unchecked = Proof(every_byte=False, sidecar=False)
            self._gathered = page_of(self._bundle, unchecked, self._session, savings=False)
        return render_page(self._gathered, address)

    def _index(self, address: str) -> str:
        names = sorted(self._content.names())
        parts = [part for name in names[:MOST_REPOSITORIES] if (part := self._part(name))]
        tags = sum(len(item.tags) for name in names if (item := self._content.repository(name)))
        return rendered_served(
            title=address, address=address, repositories=names, listed=parts, tags=tags, part=None, readme=""
        )

    def _repository(self, text: str, address: str) -> str | None:
        try:
            part = self._part(RepositoryPath.parse(text))
        except ValueError:
            return None
        if part is None:
            return None
        readme = self._readme(part) if part.is_module and part.newest else ""
        return rendered_served(
            title=part.name, address=address, repositories=(), listed=(), tags=0, part=part, readme=readme
        )

    def _part(self, name: RepositoryPath) -> ServedPart | None:
        repository = self._content.repository(name)
        if repository is None:
            return None
        names = [tag for tag in repository.tags if not tag.startswith("sha256-")]
        tags = tuple(ServedTag(tag, repository.tags[tag]) for tag in newest_first(names))
        manifest = self._manifest(repository.manifests.get(tags[0].digest)) if tags else None
        return ServedPart(name, tags, bool(manifest and is_module(manifest)))

    def _manifest(self, blob: Descriptor | None) -> Manifest | None:
        if blob is None or blob.size > DEFAULT_LIMITS.manifest or blob.media_type in INDEXES:
            return None
        try:
            data = b"".join(self._content.chunks(blob))
            return parse_manifest(data, blob.media_type, blob.digest)
        except BundlerError:
            return None

    def _readme(self, part: ServedPart) -> str:
        """Return the README in the newest version's layers; empty if there is none that can be read."""
        repository = self._content.repository(part.name)
        newest = part.newest
        manifest = self._manifest(repository.manifests.get(newest.digest)) if repository and newest else None
        for layer in manifest.layers if manifest else ():
            if layer.annotations.get(TIMONI_CONTENT_TYPE) != "module" or layer.blob.size > _LARGEST_LAYER:
                continue
            try:
                text = layer_readme(b"".join(self._content.chunks(layer.blob)), LayerLimits())
                return text[:_LONGEST_README]
            except BundlerError:
                return ""
        return ""
