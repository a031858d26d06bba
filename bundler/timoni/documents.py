"""CUE, JSON and YAML files as one kind of tree, with exact places. No I/O."""

from __future__ import annotations

import json
from typing import Any

from bundler.errors import ContentError, printable
from bundler.timoni.cue import LONGEST, parse
from bundler.timoni.merged import Parsed
from bundler.timoni.places import Places, SourceText


def parsed(file: SourceText) -> Parsed:
    """The tree of a file, by the ending of its name.

    Raises ContentError: another ending, over a limit, malformed, a key twice. Malformed CUE is no
    error: the tree says where it is damaged.
    """
    ending = ending_of(file)
    if ending == "cue":
        return Parsed(parse(file.name, file.text), Places(file))
    if ending == "json":
        _check_json(file)
        return Parsed(parse(file.name, file.text, json=True), Places(file))
    from bundler.timoni.yaml_tree import parse_yaml

    return Parsed(parse_yaml(file), Places(file))


def ending_of(file: SourceText) -> str:
    """`cue`, `json` or `yaml`. Raises ContentError for what Timoni takes for no Bundle file."""
    ending = file.name.rpartition(".")[2] if "." in file.name else ""
    known = {"cue": "cue", "json": "json", "yaml": "yaml", "yml": "yaml"}
    if ending not in known:
        raise ContentError(file.name, "not a Timoni Bundle file", "name it .cue, .yaml, .yml or .json")
    return known[ending]


def _check_json(file: SourceText) -> None:
    """JSON is CUE as well, if it is JSON at all."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ContentError(file.name, f"the key {printable(repr(key))} twice in one object")
            seen.add(key)

    if len(file.text) > LONGEST:
        raise ContentError(file.name, f"larger than the limit of {LONGEST:,} characters")
    try:
        json.loads(file.text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ContentError(file.name, f"not valid JSON: {error}") from error
