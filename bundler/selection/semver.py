"""SemVer 2: a version, and the order of versions.

Our own, as the ranges are: the library for it takes longer to load than a repository's tags to read.
Source: semver.org 2.0.0; build metadata can't be in a tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from bundler.oci import Tag

_NUMBER = "(0|[1-9][0-9]*)"

_IDENTIFIER = "(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"

_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?", re.ASCII)

_BUILD = re.compile(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*")

Precedence = tuple[int, int, int, tuple[tuple[int, int, str], ...]]

_RELEASE = ((2, 0, ""),)
"""Behind every pre-release identifier."""


class Version(NamedTuple):
    """`major.minor.patch[-prerelease]`; compared by precedence."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version:
        """Raise ValueError unless it is a version without build metadata."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version")
        prerelease = tuple(match[4].split(".")) if match[4] else ()
        return cls(int(match[1]), int(match[2]), int(match[3]), prerelease)

    @property
    def precedence(self) -> Precedence:
        """Return the key that orders versions: numbers before words, fewer identifiers before more.

        Source: semver.org, 11.
        """
        return (*self.numbers, _ranks(self.prerelease) or _RELEASE)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Return the three numbers, without the pre-release."""
        return self.major, self.minor, self.patch

    def release(self) -> Version:
        """Return the version without its pre-release."""
        return self._replace(prerelease=())

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return self.precedence < _precedence(other)

    def __le__(self, other: tuple[object, ...]) -> bool:
        return self.precedence <= _precedence(other)

    def __gt__(self, other: tuple[object, ...]) -> bool:
        return self.precedence > _precedence(other)

    def __ge__(self, other: tuple[object, ...]) -> bool:
        return self.precedence >= _precedence(other)

    def __str__(self) -> str:
        behind = f"-{'.'.join(self.prerelease)}" if self.prerelease else ""
        return f"{self.major}.{self.minor}.{self.patch}{behind}"


def _ranks(identifiers: Iterable[str]) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in identifiers)


def age_order(tag: str, version: Version) -> tuple[object, ...]:
    """Return a key that sorts versions from old to new, and equal ones by their build metadata."""
    build = tag.partition("_")[2]
    return version.precedence, _ranks(build.split(".")) if build else (), tag


def _precedence(other: object) -> Precedence:
    assert isinstance(other, Version), "versions are compared with versions"
    return other.precedence


_SHORT = r"v?([0-9]+\.[0-9]+)(-.+)?"


def version_of(tag: str) -> Version | None:
    """Return the module version that a tag names: strict SemVer 2, no `v`. None for any other tag."""
    try:
        return Version.parse(tag)
    except ValueError:
        return None


def version_order(tag: str) -> tuple[bool, object, str]:
    """Return a key that sorts tags as people expect: versions by precedence, then the others by name."""
    version = version_of(tag)
    return (version is None, tag if version is None else version.precedence, tag)


def versions_of(tags: Collection[Tag]) -> dict[Tag, Version]:
    """Return the tags of one repository that are versions.

    One spelling counts in a repository, the first that any of its tags has: `1.2.3`, `v1.2.3`, then `1.2`
    or `v1.2`. So where full versions are, `v1.2` stays the moving name that it is there. Helm writes the
    version `1.2.3+build` as `1.2.3_build`, in every spelling.
    """
    for spelled in (_with_build, _with_v, _short):
        versions = {tag: version for tag in tags if (version := spelled(tag)) is not None}
        if versions:
            return versions
    return {}


def _with_build(tag: str) -> Version | None:
    version = _without_build(tag)
    return None if version is None else version_of(version)


def _with_v(tag: str) -> Version | None:
    return _with_build(tag[1:]) if tag.startswith("v") else None


def _short(tag: str) -> Version | None:
    match = re.fullmatch(_SHORT, _without_build(tag) or "")
    return version_of(f"{match[1]}.0{match[2] or ''}") if match else None


def _without_build(tag: str) -> str | None:
    """Return the tag up to its build metadata; None where `_` is followed by something else."""
    version, underscore, build = tag.partition("_")
    return version if not underscore or _BUILD.fullmatch(build) else None
