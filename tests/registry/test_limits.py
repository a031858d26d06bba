"""Each bound on what a source may answer: at it all comes, one past it that is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.errors import BundlerError
from tests.builders import a_module
from tests.doubles import FakeClock, LoopbackServer, MemoryRegistry, Reply, changed, flipped, says, wants
from tests.flows import PATIENT, exported, registries_for

MODULE = a_module("1.0.0", "1.1.0", "1.2.0")
MANIFESTS = MODULE.parsed().values()
TAGS = json.dumps({"name": "app", "tags": sorted(MODULE.tags)}).encode()
LARGEST = max((manifest.data for manifest in MANIFESTS), key=len)
TOKEN = json.dumps({"token": "any" * 20}).encode()

Trouble = Callable[[MemoryRegistry, LoopbackServer], None]


def nothing(source: MemoryRegistry, tokens: LoopbackServer) -> None:
    """The content alone comes to the limit."""


def redirected(source: MemoryRegistry, tokens: LoopbackServer) -> None:
    """Three times to the same address."""
    source.on("GET", "/blobs/", says(307, Location="?"), times=3)


def down(source: MemoryRegistry, tokens: LoopbackServer) -> None:
    """Two answers of the first tag list."""
    source.on("GET", "tags/list", says(503), times=2)


def wrong(source: MemoryRegistry, tokens: LoopbackServer) -> None:
    """The first blob twice."""
    source.on("GET", "/blobs/", changed(flipped), times=2)


def guarded(source: MemoryRegistry, tokens: LoopbackServer) -> None:
    """Behind a token server."""
    challenge = f'Bearer realm="{tokens.base}/token"'
    source.on("GET", "", wants(lambda sent: sent.endswith("any"), challenge), times=float("inf"))


class Bound(NamedTuple):
    """A field of the limits, how much these answers need of it, and what is said with one less."""

    limit: str
    need: int
    said: str
    trouble: Trouble = nothing


BOUNDS = [
    Bound("manifest", len(LARGEST), "over the limit|larger than the limit"),
    Bound("manifests", sum(manifest.blob.size for manifest in MANIFESTS), "bytes of manifests"),
    Bound("manifest_values", sum(LARGEST.count(letter) for letter in b",[{"), "JSON of more than the limit"),
    Bound("json_depth", 4, "JSON nested more than 3 deep"),
    Bound("tag_page", len(TAGS), "limit"),
    Bound("tags", 3, "more than the limit of 2 tags"),
    Bound("graph_nodes", 3, "more than the limit of 2 manifests"),
    Bound("descriptors", sum(manifest.descriptors for manifest in MANIFESTS), "layers and children"),
    Bound("annotations", sum(manifest.annotated for manifest in MANIFESTS), "annotations take"),
    Bound("token_answer", len(TOKEN), "token server's answer is over the limit", guarded),
    Bound("redirects", 3, "more than 2 redirects", redirected),
    Bound("attempts", 3, "503", down),
    Bound("integrity_attempts", 3, "digest", wrong),
]


def told(limit: str, value: int, trouble: Trouble, out: Path) -> str:
    """What an export with this limit says of its failures."""
    clock = FakeClock()
    known = registries_for(clock, limits=PATIENT._replace(**{limit: value}))
    with (
        MemoryRegistry({"app": MODULE}) as source,
        LoopbackServer(lambda seen: Reply(200, {}, TOKEN)) as tokens,
    ):
        trouble(source, tokens)
        try:
            report = exported(out, f"{source.host}/app", registries=known, jobs=1)
        except BundlerError as error:
            return str(error)
    return "; ".join(failure.cause for failure in report.failures)


@pytest.mark.slow
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.limit)
def test_all_comes_at_the_limit_and_past_it_the_excess_is_named(bound: Bound, tmp_path: Path) -> None:
    assert told(bound.limit, bound.need, bound.trouble, tmp_path / "at.tar.zst") == ""
    assert re.search(bound.said, told(bound.limit, bound.need - 1, bound.trouble, tmp_path / "past.tar.zst"))
