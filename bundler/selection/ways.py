"""By which rule a tag comes in, looked at for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from bundler.oci.reference import Tag
from bundler.selection.ranges import Range, parse_range
from bundler.selection.rules import Rules, newest_rules
from bundler.selection.semver import Version


class Ways:
    """The ways in that `rules` open for the tags of one repository."""

    def __init__(self, rules: Rules, versions: Mapping[Tag, Version]) -> None:
        self._rules = rules
        self._versions = versions
        self._named = frozenset(rules.tags)
        self._range = _range(rules.versions, prereleases=rules.prereleases)
        self._wide_range = _range(rules.versions, prereleases=True)
        self._newest = " and ".join(map(str, newest_rules(rules)))
        self._nothing_asked = not (rules.tags or rules.globs or rules.patterns or self._range)

    def excluded(self, tag: Tag) -> str | None:
        """The reason why it must stay out, if there is one."""
        glob = _first_match(tag, self._rules.exclude)
        return glob and f"excluded by '{glob}'"

    def way_in(self, tag: Tag) -> str | None:
        """The reason to take it, if there is one."""
        if self._rules.follows(tag):
            return "latest is followed"
        return "listed by name" if self.named(tag) else self.unnamed_way_in(tag)

    def named(self, tag: Tag) -> bool:
        """Whether it was asked for by its exact name."""
        return tag in self._named

    def unnamed_way_in(self, tag: Tag) -> str | None:
        """The reason to take it if nobody had named it."""
        return None if self._newest and self._hidden(tag) else self._matching(tag)

    def why_not(self, tag: Tag) -> str:
        """The reason not to take a tag that no way leads in."""
        if self._hidden(tag) and (self._matching(tag) or self._within(self._wide_range, tag)):
            return "a pre-release"
        return "no version" if self._nothing_asked else "no rule takes it"

    def _matching(self, tag: Tag) -> str | None:
        if glob := _first_match(tag, self._rules.globs):
            return f"matches glob '{glob}'"
        if pattern := next((text for text in self._rules.patterns if re.fullmatch(text, tag)), None):
            return f"matches pattern '{pattern}'"
        if self._within(self._range, tag):
            return f"in range '{self._rules.versions}'"
        return self._unasked(tag) if self._nothing_asked else None

    def _unasked(self, tag: Tag) -> str | None:
        if not self._newest:
            # Who only follows latest wants nothing else.
            return None if self._rules.follow_latest else "every tag is taken"
        return f"among {self._newest}" if tag in self._versions else None

    def _hidden(self, tag: Tag) -> bool:
        """Whether it is a pre-release that `versions` and `newest*` don't see."""
        version = self._versions.get(tag)
        if version is None or self._rules.prereleases or not version.prerelease:
            return False
        return not self._within(self._range, tag)

    def _within(self, versions: Range | None, tag: Tag) -> bool:
        version = self._versions.get(tag)
        return versions is not None and version is not None and versions.holds(version)


def _range(text: str | None, *, prereleases: bool) -> Range | None:
    return None if text is None else parse_range(text, prereleases=prereleases)


def _first_match(tag: Tag, globs: Iterable[str]) -> str | None:
    return next((glob for glob in globs if fnmatchcase(tag, glob)), None)
