"""The choice among a repository's tags: matching rules, then what holds back, then the newest.

Each tag is decided once; the reason names the rule. docs/choosing-tags.md has the meaning with examples.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from bundler.oci import Tag
from bundler.selection.creation_time import rfc3339
from bundler.selection.rules import Rules, TagMatcher, newest_rules
from bundler.selection.semver import Version, age_order, version_order, versions_of

EVERY_TAG = Rules()


class Decision(NamedTuple):
    """A tag taken or left out, and the rule that decided."""

    tag: Tag
    taken: bool
    reason: str


class Choice(NamedTuple):
    """The decision on each tag of a repository."""

    decisions: tuple[Decision, ...]
    """In version order."""
    absent: tuple[Tag, ...] = ()
    """Asked for by name, and not there."""
    excluded: frozenset[Tag] = frozenset()
    """Left out by `exclude`, which nothing overrules."""

    @property
    def taken(self) -> tuple[Tag, ...]:
        """Return the tags taken."""
        return tuple(decision.tag for decision in self.decisions if decision.taken)

    @property
    def left_out(self) -> tuple[Decision, ...]:
        """Return the others, with their reasons."""
        return tuple(decision for decision in self.decisions if not decision.taken)


def candidates(tags: Iterable[Tag], rules: Rules) -> tuple[Tag, ...]:
    """Return the tags whose time of creation `choose` must know; none without a rule about it."""
    if not rules.asks_creation:
        return ()
    ordered = sorted(set(tags), key=version_order)
    return _matched(ordered, TagMatcher(rules, versions_of(ordered))).taken


def choose(
    tags: Iterable[Tag], rules: Rules = EVERY_TAG, created: Mapping[Tag, int | None] | None = None
) -> Choice:
    """Decide every tag. `rules` must have passed `check`.

    `created` has the seconds since the epoch of what `candidates` named; None, or no entry: unknown.
    """
    ordered = sorted(set(tags), key=version_order)
    versions = versions_of(ordered)
    matcher = TagMatcher(rules, versions)
    choice = _matched(ordered, matcher)
    if rules.asks_creation:
        choice = _without(choice, _held_back(choice.taken, rules, created or {}))
    if newest_rules(rules):
        choice = _without(choice, _not_newest(choice.taken, rules, matcher, versions))
    listed = set(ordered)
    return choice._replace(absent=tuple(tag for tag in dict.fromkeys(rules.tags) if tag not in listed))


def also_latest(choice: Choice, version: Tag) -> Choice:
    """Return the choice with the version that `latest` points to, which only its manifest tells.

    It is taken whatever left it out, except `exclude`; one that the repository has not is absent.
    """
    if all(decision.tag != version for decision in choice.decisions):
        return choice._replace(absent=tuple(dict.fromkeys((*choice.absent, version))))
    if version in choice.excluded:
        return choice
    taken = Decision(version, taken=True, reason="latest points to it")
    return choice._replace(
        decisions=tuple(taken if decision.tag == version else decision for decision in choice.decisions)
    )


def _matched(ordered: Iterable[Tag], matcher: TagMatcher) -> Choice:
    decisions = []
    excluded = set()
    for tag in ordered:
        if reason := matcher.excluded(tag):
            excluded.add(tag)
            decisions.append(Decision(tag, taken=False, reason=reason))
        else:
            rule = matcher.matched_by(tag)
            decisions.append(Decision(tag, taken=rule is not None, reason=rule or matcher.why_not(tag)))
    return Choice(tuple(decisions), excluded=frozenset(excluded))


def _without(choice: Choice, reasons: Mapping[Tag, str]) -> Choice:
    decisions = (
        decision._replace(taken=False, reason=reasons[decision.tag]) if decision.tag in reasons else decision
        for decision in choice.decisions
    )
    return choice._replace(decisions=tuple(decisions))


# --- what leaves out tags that came in --------------------------------------------------------------


def _held_back(tags: Iterable[Tag], rules: Rules, created: Mapping[Tag, int | None]) -> dict[Tag, str]:
    reasons = {tag: why_held_back(rules, created.get(tag)) for tag in tags}
    return {tag: reason for tag, reason in reasons.items() if reason}


def why_held_back(rules: Rules, second: int | None) -> str | None:
    """Return the reason why a time of creation, in seconds since the epoch, is not taken; None if it is."""
    if second is None:
        return "its time of creation is unknown"
    if rules.created_since is not None and second < rules.created_since:
        return f"created {rfc3339(second)}, before {rfc3339(rules.created_since)}"
    if rules.created_until is not None and second > rules.created_until:
        return f"created {rfc3339(second)}, younger than the minimum age"
    return None


def _not_newest(
    tags: Iterable[Tag], rules: Rules, matcher: TagMatcher, versions: Mapping[Tag, Version]
) -> dict[Tag, str]:
    """Return tags that the `newest*` rules leave out; a named tag is ranked as if unnamed, and stays."""
    ranked = {tag: versions[tag] for tag in tags if tag in versions and matcher.matched_by_rule(tag)}
    return {tag: reason for tag, reason in _older(ranked, rules) if not matcher.named(tag)}


def _older(versions: Mapping[Tag, Version], rules: Rules) -> Iterator[tuple[Tag, str]]:
    """Yield what each rule leaves out of the tags that the rule before it kept."""
    ranked = sorted(versions, key=lambda tag: age_order(tag, versions[tag]), reverse=True)
    for rule in newest_rules(rules):
        counted: Counter[tuple[int, ...]] = Counter()
        kept = []
        for tag in ranked:
            group = versions[tag].numbers[: rule.width]
            counted[group] += 1
            if counted[group] > rule.most:
                yield tag, f"older than {rule.beside(group)}"
            else:
                kept.append(tag)
        ranked = kept
