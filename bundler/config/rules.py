"""The rules by which tags are chosen, and their texts checked one by one."""

from __future__ import annotations

from bundler.config.refusal import RefusedError
from bundler.errors import UsageError
from bundler.selection import Rules, check

__all__ = ["Rules", "expression", "refuse_unless_meant", "version_range"]


def version_range(text: str) -> str:
    """The range, if it is one. Raises RefusedError."""
    refuse_unless_meant(Rules(versions=text))
    return text


def expression(text: str) -> str:
    """The regular expression, if it is one. Raises RefusedError."""
    refuse_unless_meant(Rules(patterns=(text,)))
    return text


def refuse_unless_meant(rules: Rules) -> None:
    """Raise RefusedError for rules that can't be meant."""
    try:
        check(rules)
    except UsageError as error:
        raise RefusedError(error.cause, error.next_step) from None
