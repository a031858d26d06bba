"""The tags that are taken, and for each the rule that decided: rules in, choices out. No I/O, no clock."""

from bundler.selection.choose import EVERY_TAG as ALL
from bundler.selection.choose import Choice, Decision, also_latest, candidates, choose
from bundler.selection.creation_time import created_at
from bundler.selection.rules import LATEST, Rules, check
from bundler.selection.semver import version_of, version_order

__all__ = [
    "ALL",
    "LATEST",
    "Choice",
    "Decision",
    "Rules",
    "also_latest",
    "candidates",
    "check",
    "choose",
    "created_at",
    "version_of",
    "version_order",
]
