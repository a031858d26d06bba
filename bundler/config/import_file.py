"""The import file: where to, under which names, and which part of a bundle."""

from __future__ import annotations

from typing import Any

from bundler.config.fields import Circumstances
from bundler.config.import_keys import MATCHES, ImportKeys, MappingKeys, SelectKeys
from bundler.config.paths import beside_file
from bundler.config.reading import Found, exactly_one, items, read_keys
from bundler.config.refusal import Problem, RefusedError, Where, refuse
from bundler.config.rule_keys import name_rules
from bundler.config.rules import refuse_unless_meant
from bundler.config.values import ImportFile, Part
from bundler.errors import UsageError
from bundler.mapping import Mapping, MappingRule, Match, check_rule
from bundler.oci.reference import RepositoryPath


def read_import_file(name: str, text: str) -> ImportFile:
    """The file's content as values; paths in it are relative to the folder of `name`.

    Raises UsageError, with every problem that the file has.
    """
    keys, document = read_keys(name, text, ImportKeys, Circumstances({}, 0), _across)
    try:
        select = _part(keys.select or SelectKeys())
    except RefusedError as refused:
        where = ("select",)
        refuse(name, [Problem(document.line(where), where, str(refused), refused.next_step)])
    rules = tuple(_rule(rule) for rule in keys.mapping or ())
    return ImportFile(
        name=name,
        to=keys.to,
        mapping=Mapping(rules, keys.flatten, tuple(keys.allow or ())),
        on_conflict=keys.on_conflict,
        select=select,
        image_map=beside_file(name, keys.image_map),
    )


def _part(keys: SelectKeys) -> Part:
    rules = name_rules(keys)
    refuse_unless_meant(rules)
    return Part(tuple(keys.repositories or ()), rules)


def _rule(keys: MappingKeys) -> MappingRule:
    if keys.pattern is not None:
        return MappingRule(Match.PATTERN, keys.pattern, keys.to)
    if keys.repository is not None:
        return MappingRule(Match.REPOSITORY, keys.repository, keys.to)
    return MappingRule(Match.PREFIX, keys.prefix or keys.registry or "", keys.to)


def _across(content: dict[str, Any]) -> Found:
    """What is wrong between the keys of a mapping rule."""
    for where, rule in items(content, "mapping"):
        yield from exactly_one(rule, where, MATCHES)
        if isinstance(rule, dict) and isinstance(to := rule.get("to"), str):
            yield from _unmeant(rule, to, where)


def _unmeant(rule: dict[str, Any], to: str, where: Where) -> Found:
    """What is wrong with `to`, given what it replaces."""
    try:
        if isinstance(pattern := rule.get("pattern"), str):
            check_rule(MappingRule(Match.PATTERN, pattern, to))
        elif "repository" in rule or to.rstrip("/"):
            RepositoryPath.parse(to if "repository" in rule else to.rstrip("/"))
    except UsageError as error:
        yield (*where, "pattern"), error.cause, error.next_step
    except ValueError as error:
        yield (*where, "to"), str(error), "write a path below the target, without its host"
