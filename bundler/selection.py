"""Which tags are taken, and why not the others: rules in, choices out. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from semantic_version import Version

from bundler.oci.reference import Tag


class Skipped(NamedTuple):
    """A tag left out, and the reason."""

    tag: Tag
    reason: str


class Choice(NamedTuple):
    """The tags taken, in version order, and those left out."""

    taken: tuple[Tag, ...]
    left_out: tuple[Skipped, ...]


def version_of(tag: str) -> Version | None:
    """The module version that a tag names: strict SemVer 2, no `v`. None for any other tag."""
    try:
        return Version(tag)
    except ValueError:
        return None


def version_order(tag: str) -> tuple[bool, object, str]:
    """A key that sorts tags as people expect: versions by precedence, then the others by name."""
    version = version_of(tag)
    return (version is None, tag if version is None else version.precedence_key, tag)


def choose(tags: Iterable[Tag], globs: Sequence[str] = ()) -> Choice:
    """Every tag that matches one of the globs; all tags without any."""
    ordered = sorted(set(tags), key=version_order)
    matching = {tag for tag in ordered if not globs or any(fnmatchcase(tag, glob) for glob in globs)}
    reason = f"matches no --tag ({', '.join(globs)})"
    return Choice(
        tuple(tag for tag in ordered if tag in matching),
        tuple(Skipped(tag, reason) for tag in ordered if tag not in matching),
    )
