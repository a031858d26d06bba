"""Which tags are versions, and in which order tags stand."""

from __future__ import annotations

import re
from collections.abc import Collection

from bundler.oci.reference import Tag
from bundler.selection.semver import Version

_SHORT = r"v?([0-9]+\.[0-9]+)(-.+)?"


def version_of(tag: str) -> Version | None:
    """The module version that a tag names: strict SemVer 2, no `v`. None for any other tag."""
    try:
        return Version.parse(tag)
    except ValueError:
        return None


def version_order(tag: str) -> tuple[bool, object, str]:
    """A key that sorts tags as people expect: versions by precedence, then the others by name."""
    version = version_of(tag)
    return (version is None, tag if version is None else version.precedence, tag)


def versions_of(tags: Collection[Tag]) -> dict[Tag, Version]:
    """The tags of one repository that are versions.

    One spelling counts in a repository, the first that any of its tags has: `1.2.3`, `v1.2.3`, then
    `1.2` or `v1.2`. So where full versions are, `v1.2` stays the moving name that it is there.
    """
    for spelled in (version_of, _with_v, _short):
        found = {tag: version for tag in tags if (version := spelled(tag)) is not None}
        if found:
            return found
    return {}


def _with_v(tag: str) -> Version | None:
    return version_of(tag[1:]) if tag.startswith("v") else None


def _short(tag: str) -> Version | None:
    match = re.fullmatch(_SHORT, tag)
    return version_of(f"{match[1]}.0{match[2] or ''}") if match else None
