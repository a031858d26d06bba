"""Command lines that pull what a registry serves, for people to copy. No I/O."""

import shlex
from collections.abc import Iterable, Sequence
from typing import TypeVar

from bundler.selection.semver import version_of, version_order

Name = TypeVar("Name", bound=str)

MODULE = "Timoni module"
"""Kind of a repository whose newest tag is a version of a module."""


def newest_first(tags: Iterable[Name]) -> list[Name]:
    """Return tags as a person looks for them: versions from the newest to the oldest, then others by name."""
    names = list(tags)
    versions = sorted(filter(version_of, names), key=version_order, reverse=True)
    return [*versions, *sorted(name for name in names if not version_of(name))]


def newest_of(tags: Sequence[str]) -> str | None:
    """Return the tag that a person would pull, of tags that stand newest first.

    A release comes before a pre-release, and a version before another tag.
    """
    releases = (tag for tag in tags if version_of(tag) and "-" not in tag)
    return next(releases, tags[0] if tags else None)


def pull_line(address: str, repository: str, tag: str, kind: str) -> str:
    """Return the command line that pulls a tag; `address` is `host:port`, `repository` without a host."""
    place = f"{address}/{repository}"
    if kind == MODULE:
        folder = repository.rpartition("/")[2]
        return shlex.join(["timoni", "mod", "pull", f"oci://{place}", "-v", tag, "-o", folder])
    return shlex.join(["docker", "pull", f"{place}:{tag}"])
