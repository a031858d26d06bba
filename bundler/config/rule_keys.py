"""The keys by which tags are chosen."""

from __future__ import annotations

from bundler.config.fields import Count, Expression, Keys, Range, Since, TagName, Text, Until
from bundler.config.rules import Rules


class NameRuleKeys(Keys):
    """Rules that need no more than the tags' names."""

    tags: list[TagName] | None = None
    """These tags."""
    globs: list[Text] | None = None
    """Tags that match one of these globs."""
    patterns: list[Expression] | None = None
    """Tags that match one of these regular expressions as a whole."""
    versions: Range | None = None
    """Versions in this range: `>=6.10 <7`."""
    prereleases: bool | None = None
    """Whether pre-releases count as versions."""
    newest_per_minor: Count | None = None
    """Of every minor version, only so many of the newest."""
    newest_per_major: Count | None = None
    """Of every major version, only so many of the newest."""
    newest: Count | None = None
    """Only so many of the newest versions."""
    exclude: list[Text] | None = None
    """No tag that matches one of these globs."""


class RuleKeys(NameRuleKeys):
    """All rules. A source's own key wins over the default; null takes a default back."""

    created_since: Since | None = None
    """Only what was created since then: a date or time (RFC 3339), or an age: `90d`."""
    minimum_age: Until | None = None
    """Only what is that old at least: `72h`, `14d`."""
    follow_latest: bool | None = None
    """Also the version that `latest` points to."""


def name_rules(keys: NameRuleKeys) -> Rules:
    """The keys as rules."""
    return Rules(
        tags=tuple(keys.tags or ()),
        globs=tuple(keys.globs or ()),
        patterns=tuple(keys.patterns or ()),
        versions=keys.versions,
        prereleases=keys.prereleases or False,
        newest_per_minor=keys.newest_per_minor,
        newest_per_major=keys.newest_per_major,
        newest=keys.newest,
        exclude=tuple(keys.exclude or ()),
    )


def all_rules(keys: RuleKeys) -> Rules:
    """The keys as rules."""
    return name_rules(keys)._replace(
        created_since=keys.created_since,
        created_until=keys.minimum_age,
        follow_latest=keys.follow_latest or False,
    )
