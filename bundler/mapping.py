"""Names at the target: which repository becomes which, by rules. No I/O."""

import re
import warnings
from collections.abc import Iterable
from enum import Enum
from fnmatch import fnmatchcase
from typing import NamedTuple

from bundler.errors import CollectedError, UsageError
from bundler.oci import Prefix, RepositoryName
from bundler.oci.grammar import expression


class Match(Enum):
    """The ways in which a rule names repositories."""

    REPOSITORY = "repository"
    """One, by its name."""
    PREFIX = "prefix"
    """All whose names begin so, up to a `/`; a registry alone is such a prefix."""
    PATTERN = "pattern"
    """All whose whole names match a regular expression."""


class MappingRule(NamedTuple):
    """A new name for some repositories; names are `host/path`."""

    match: Match
    source: str
    to: str
    """Below the target's prefix: a path, what replaces the prefix, or a template with `\\1`, `\\g<name>`."""


class Mapping(NamedTuple):
    """All that decides about names; without anything, paths are kept and hosts are dropped."""

    rules: tuple[MappingRule, ...] = ()
    """The first that matches wins."""
    flatten: int | None = None
    """Levels that a path at the target has at most; what is deeper is joined with `-`."""
    allow: tuple[str, ...] = ()
    """Globs on the path at the target (`*` also matches `/`); anything is allowed without any."""


KEPT = Mapping()
"""Paths kept, hosts dropped."""

_UNREADABLE = (re.error, FutureWarning, IndexError, OverflowError, RecursionError)
"""Errors of Python's `re` for a malformed expression or template."""


def check_rule(rule: MappingRule) -> None:
    """Raise UsageError unless the rule's expression and template can be meant."""
    if rule.match is not Match.PATTERN:
        return
    with warnings.catch_warnings():
        # What Python may read in another way one day is refused now.
        warnings.simplefilter("error", FutureWarning)
        try:
            # The template is read before anything is searched.
            re.compile(rule.source).sub(rule.to, "")
            expression(rule.source)
        except (ValueError, *_UNREADABLE) as error:
            cause = f"the regular expression or its replacement is not valid: {error}"
            raise UsageError(rule.source, cause, r"use the syntax of RE2, with groups as \1") from None


def target_name(source: RepositoryName, to: Prefix, mapping: Mapping) -> RepositoryName:
    """Return the name of `source` at the target, allowed or not.

    Raises UsageError: not a name, too long, no level left to flatten to.
    """
    _check_flatten(to, mapping)
    try:
        name = RepositoryName.parse(f"{to}/{_path(source, mapping.rules)}")
        return RepositoryName.parse(f"{name.registry}/{_flat(name.path, mapping.flatten)}")
    except (ValueError, *_UNREADABLE) as error:
        next_step = "use a shorter prefix, or another mapping"
        raise UsageError(str(source), f"its name at the target: {error}", next_step) from None


def map_all(
    names: Iterable[RepositoryName], to: Prefix, mapping: Mapping
) -> dict[RepositoryName, RepositoryName]:
    """Return the name at the target of every source.

    Raises CollectedError with all names that can't be, all that two sources would share, and all
    that the allow-list leaves out.
    """
    _check_flatten(to, mapping)
    mapped: dict[RepositoryName, RepositoryName] = {}
    problems: list[UsageError] = []
    for source in sorted(set(names)):
        try:
            mapped[source] = target_name(source, to, mapping)
        except UsageError as error:
            problems.append(error)
    problems += _collisions(mapped)
    problems += _not_allowed(mapped, mapping.allow)
    if problems:
        raise CollectedError("import", problems)
    return mapped


def _check_flatten(to: Prefix, mapping: Mapping) -> None:
    taken = len(to.path.split("/")) if to.path else 0
    if mapping.flatten is not None and taken >= mapping.flatten:
        cause = f"{to} already has {taken} levels, and flatten allows {mapping.flatten} in all"
        raise UsageError("flatten", cause, "use a shorter prefix, or a larger number for flatten")


def _path(source: RepositoryName, rules: tuple[MappingRule, ...]) -> str:
    for rule in rules:
        if (path := _replaced(source, rule)) is not None:
            return path
    return source.path


def _replaced(source: RepositoryName, rule: MappingRule) -> str | None:
    """Return the path that a rule gives; None if the rule is not for this source."""
    if rule.match is Match.PATTERN:
        match = expression(rule.source).fullmatch(source)
        return str(match.expand(rule.to)) if match else None
    if rule.match is Match.REPOSITORY:
        return rule.to if source == rule.source else None
    start = rule.source.rstrip("/")
    if not f"{source}/".startswith(f"{start}/"):
        return None
    return f"{rule.to.rstrip('/')}{source[len(start) :]}".strip("/")


def _flat(path: str, levels: int | None) -> str:
    if levels is None:
        return path
    *kept, last = path.split("/", levels - 1)
    return "/".join([*kept, last.replace("/", "-")])


def _collisions(mapped: dict[RepositoryName, RepositoryName]) -> list[UsageError]:
    sources: dict[RepositoryName, list[RepositoryName]] = {}
    for source, target in mapped.items():
        sources.setdefault(target, []).append(source)
    next_step = "map them to different names"
    return [
        UsageError(target, f"{' and '.join(shared)} would all get this name", next_step)
        for target, shared in sources.items()
        if len(shared) > 1
    ]


def _not_allowed(mapped: dict[RepositoryName, RepositoryName], allow: tuple[str, ...]) -> list[UsageError]:
    next_step = "exclude it, map it to another name, or add it to `allow`"
    return [
        UsageError(
            source, f"its name at the target, {target}, is not in allow ({', '.join(allow)})", next_step
        )
        for source, target in mapped.items()
        if allow and not any(fnmatchcase(target.path, glob) for glob in allow)
    ]
