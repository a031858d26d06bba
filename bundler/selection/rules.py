"""The rules by which tags are taken: what a user can ask for. docs/choosing-tags.md says what they mean."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from bundler.errors import UsageError
from bundler.oci import Tag
from bundler.oci.grammar import expression
from bundler.oci.reference import can_match_tag
from bundler.selection.creation_time import LAST_SECOND
from bundler.selection.ranges import Range, parse_range
from bundler.selection.semver import Version

LATEST = Tag("latest")

_LONGEST_PATTERN = 200

_MOST_SHOWN = 3
"""Rules of one kind that a reason names."""


class Rules(NamedTuple):
    """The tags to take of one repository; without any rule, every tag."""

    tags: tuple[Tag, ...] = ()
    """Exact names."""
    globs: tuple[str, ...] = ()
    """Case matters."""
    patterns: tuple[str, ...] = ()
    """Regular expressions, each for the whole tag."""
    versions: str | None = None
    """A range as npm writes it: `>=6.10 <7`."""
    prereleases: bool = False
    """True if `versions` and `newest*` see pre-releases."""
    newest_per_minor: int | None = None
    newest_per_major: int | None = None
    newest: int | None = None
    created_since: int | None = None
    """Seconds since the epoch, UTC; the second itself is in."""
    created_until: int | None = None
    """Seconds since the epoch, UTC: the end of a minimum age; the second itself is in."""
    follow_latest: bool = False
    """Take `latest` and the version that it points to, besides what the other rules take."""
    exclude: tuple[str, ...] = ()
    """Globs that win over everything."""

    @property
    def asks_creation(self) -> bool:
        """Return whether a tag's time of creation matters."""
        return self.created_since is not None or self.created_until is not None

    @property
    def ranks_versions(self) -> bool:
        """Return whether a rule looks at versions, so that pre-releases matter."""
        return self.versions is not None or bool(newest_rules(self))

    def follows(self, tag: Tag) -> bool:
        """Return whether this is the `latest` that is followed."""
        return self.follow_latest and tag == LATEST


class Newest(NamedTuple):
    """One of the `newest*` rules."""

    most: int
    unit: str
    width: int
    """Numbers of a version that name its group."""

    def __str__(self) -> str:
        return f"the newest {self.most}{self.unit}"

    def beside(self, group: tuple[int, ...]) -> str:
        """Return the rule, and the group in which it left something out."""
        return f"{self} {'.'.join(map(str, group))}" if group else str(self)


def newest_rules(rules: Rules) -> tuple[Newest, ...]:
    """Return the `newest*` rules that are given, in the order in which they apply."""
    counts = (
        (rules.newest_per_minor, " per minor", 2),
        (rules.newest_per_major, " per major", 1),
        (rules.newest, "", 0),
    )
    return tuple(Newest(count, unit, width) for count, unit, width in counts if count is not None)


def check(rules: Rules) -> None:
    """Raise UsageError for rules that can't be meant, naming the first that is wrong.

    `candidates` and `choose` expect rules that passed.
    """
    for fault in _faults(rules):
        raise fault


def _faults(rules: Rules) -> Iterator[UsageError]:
    if "" in (*rules.globs, *rules.exclude):
        yield UsageError("''", "an empty glob matches no tag", "leave it out, or write '*' for every tag")
    for glob in (*rules.globs, *rules.exclude):
        if not can_match_tag(glob):
            yield UsageError(
                f"glob '{glob}'", "no tag can match it", "write a glob on tags alone, as '1.2.*'"
            )
    yield from filter(None, map(_pattern_fault, rules.patterns))
    yield from _range_faults(rules)
    for rule in newest_rules(rules):
        if rule.most < 1:
            yield UsageError(str(rule), "the number must be at least 1", "remove it to take all")
    yield from _time_faults(rules)


def _pattern_fault(pattern: str) -> UsageError | None:
    item = f"pattern '{pattern}'"
    if not pattern:
        return UsageError(
            item, "an empty pattern matches no tag", "leave it out, or write '.*' for every tag"
        )
    if len(pattern) > _LONGEST_PATTERN:
        return UsageError(item, f"longer than {_LONGEST_PATTERN} characters", "write several patterns")
    try:
        expression(pattern)
    except ValueError as error:
        cause = f"not a regular expression: {error}"
        return UsageError(item, cause, "write it as RE2 has it; for names with * and ?, use a glob")
    return None


def _range_faults(rules: Rules) -> Iterator[UsageError]:
    if rules.versions is None:
        return
    try:
        parse_range(rules.versions, prereleases=rules.prereleases)
    except ValueError as error:
        yield UsageError(f"versions '{rules.versions}'", str(error), "write a range such as '>=6.10 <7'")


def _time_faults(rules: Rules) -> Iterator[UsageError]:
    since, until = rules.created_since, rules.created_until
    for name, second in (("created since", since), ("created until", until)):
        if second is not None and not 0 <= second <= LAST_SECOND:
            yield UsageError(f"{name} {second}", "not a second of the years 1970 to 9999", "name another")
    if since is not None and until is not None and since > until:
        cause = "no tag can be younger than `since` and older than `until`"
        yield UsageError("created since and until", cause, "name an earlier `since`, or a later `until`")


class TagMatcher:
    """A matcher of the tags of one repository with `rules`; each answer names the rule."""

    def __init__(self, rules: Rules, versions: Mapping[Tag, Version]) -> None:
        self._rules = rules
        self._versions = versions
        self._named = frozenset(rules.tags)
        self._range = _range(rules.versions, prereleases=rules.prereleases)
        self._wide_range = _range(rules.versions, prereleases=True)
        self._newest = " and ".join(map(str, newest_rules(rules)))
        self._nothing_asked = not (rules.tags or rules.globs or rules.patterns or self._range)

    def excluded(self, tag: Tag) -> str | None:
        """Return the reason why the tag must stay out, if there is one."""
        glob = _first_match(tag, self._rules.exclude)
        return glob and f"excluded by '{glob}'"

    def matched_by(self, tag: Tag) -> str | None:
        """Return the rule that takes the tag, if there is one."""
        if self._rules.follows(tag):
            return "latest is followed"
        return "listed by name" if self.named(tag) else self.matched_by_rule(tag)

    def named(self, tag: Tag) -> bool:
        """Return whether the tag was asked for by its exact name."""
        return tag in self._named

    def matched_by_rule(self, tag: Tag) -> str | None:
        """Return the rule that would take the tag if nobody had named it."""
        return None if self._newest and self._hidden(tag) else self._matching(tag)

    def why_not(self, tag: Tag) -> str:
        """Return the reason why no rule takes the tag."""
        if self._hidden(tag) and (self._matching(tag) or self._within(self._wide_range, tag)):
            return "a pre-release"
        return " and ".join(self._failed()) or "not listed by name"

    def _failed(self) -> Iterator[str]:
        """Yield the rules that take some tags, and not this one."""
        rules = self._rules
        if self._nothing_asked:
            yield "not a version" if self._newest else "only latest is followed"
        if rules.globs:
            yield f"matches no glob {_listed(rules.globs)}"
        if rules.patterns:
            yield f"matches no pattern {_listed(rules.patterns)}"
        if rules.versions is not None:
            yield f"not in range '{rules.versions}'"

    def _matching(self, tag: Tag) -> str | None:
        if glob := _first_match(tag, self._rules.globs):
            return f"matches glob '{glob}'"
        if pattern := next((text for text in self._rules.patterns if expression(text).fullmatch(tag)), None):
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
        """Return whether the tag is a pre-release that `versions` and `newest*` don't see."""
        version = self._versions.get(tag)
        if version is None or self._rules.prereleases or not version.prerelease:
            return False
        return not self._within(self._range, tag)

    def _within(self, versions: Range | None, tag: Tag) -> bool:
        version = self._versions.get(tag)
        return versions is not None and version is not None and versions.holds(version)


def _range(text: str | None, *, prereleases: bool) -> Range | None:
    return None if text is None else parse_range(text, prereleases=prereleases)


def _listed(texts: tuple[str, ...]) -> str:
    """Return a few texts in quotes, and the number of the others."""
    shown = ", ".join(f"'{text}'" for text in texts[:_MOST_SHOWN])
    more = len(texts) - _MOST_SHOWN
    return f"{shown} (and {more:,} more)" if more > 0 else shown


def _first_match(tag: Tag, globs: Iterable[str]) -> str | None:
    return next((glob for glob in globs if fnmatchcase(tag, glob)), None)
