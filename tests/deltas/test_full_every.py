"""With --full-every, a chain begins anew: a full bundle that also says what departed since the one before."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.bundle.inventory import encode, plain_inventory
from bundler.bundle.inventory_reader import decode
from bundler.deltas.retention import DAY, FullEvery
from bundler.errors import ContentError
from bundler.exporter import Keep
from bundler.oci import sha256
from tests.builders import Content, a_module, add_version
from tests.deltas.test_export_deltas import Nights, files, inventory_of
from tests.doubles import MemoryRegistry
from tests.schema_checks import valid


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A registry that changes from night to night."""
    with MemoryRegistry({"app": a_module("1.0.0"), "redis": a_module("7.0.0", name="redis")}) as server:
        yield server


@pytest.fixture
def nights(registry: MemoryRegistry, tmp_path: Path) -> Nights:
    """Nights of the registry."""
    return Nights(registry, tmp_path)


def app(nights: Nights) -> Content:
    return nights.registry.repositories["app"]


def a_week(nights: Nights, every: FullEvery, number: int = 7, keep: Keep | None = None) -> list[str]:
    """One new version a night; the kind of each night's bundle."""
    kinds: list[str] = []
    for night in range(1, number + 1):
        add_version(app(nights), f"3.{night}.0")
        made = nights.night(f"n{night}", "last", now=night * DAY, keep=keep or Keep(), full_every=every)
        kinds.append(inventory_of(made).kind)
    return kinds


@pytest.mark.slow
def test_every_third_bundle_is_full(nights: Nights) -> None:
    assert a_week(nights, FullEvery(3)) == ["full", "delta", "delta", "full", "delta", "delta", "full"]


@pytest.mark.slow
def test_a_chain_begins_anew_by_the_age_of_its_full_bundle(nights: Nights) -> None:
    assert a_week(nights, FullEvery(days=2), 5) == ["full", "delta", "full", "delta", "full"]


@pytest.mark.slow
def test_keep_removes_the_chain_before(nights: Nights) -> None:
    a_week(nights, FullEvery(3), 5, Keep(2))
    assert files(nights.folder) == {"n4", "n5"}
    assert nights.report.warnings == ()


def test_one_line_says_why_more_is_kept(nights: Nights) -> None:
    a_week(nights, FullEvery(9), 4, Keep(2))
    assert files(nights.folder) == {"n1", "n2", "n3", "n4"}
    assert nights.report.warnings == (
        "2 older bundles of job default are kept, because n4.tar.zst builds on them",
    )


def test_a_night_without_news_begins_no_chain(nights: Nights) -> None:
    a_week(nights, FullEvery(2), 2)
    assert not nights.night("quiet", "last", full_every=FullEvery(2)).exists()
    assert nights.report.unchanged


def test_a_new_chain_says_what_is_gone_since_the_last(nights: Nights) -> None:
    a_week(nights, FullEvery(2), 2)
    del app(nights).tags["3.1.0"]
    renewed = inventory_of(nights.night("n3", "last", full_every=FullEvery(2), now=3 * DAY))
    assert renewed.kind == "full"
    valid("bundle", json.loads(encode(renewed)))
    assert [str(tag) for entry in renewed.repositories for tag in entry.removed] == ["3.1.0"]
    before, first = renewed.follows
    assert (before.job, before.number, before.time, before.file) == ("default", 2, 2 * DAY, "n2.tar.zst")
    assert first.file == "n1.tar.zst"


@pytest.mark.slow
def test_a_new_chain_says_again_what_its_last_deltas_said(nights: Nights) -> None:
    """Who missed one of them deletes by the full bundle; of earlier chains, nothing is said again."""
    gone = {3: ["3.1.0", "3.2.0"], 4: ["3.3.0"], 9: ["3.8.0"]}
    said: dict[int, list[str]] = {}
    for night in range(1, 10):
        for tag in gone.get(night, ()):
            del app(nights).tags[tag]
        for tag in ("3.2.0",) if night == 4 else (f"3.{night}.0",):
            add_version(app(nights), tag)
        made = nights.night(f"n{night}", "last", now=night * DAY, full_every=FullEvery(4))
        said[night] = [str(tag) for entry in inventory_of(made).repositories for tag in entry.removed]
        told = [tag for entry in nights.report.repositories for tag in entry.tags if tag.status == "removed"]
        assert [tag.reference for tag in told] == gone.get(night, []), "the report has those of this night"
    assert {night: tags for night, tags in said.items() if tags} == {**gone, 5: ["3.1.0", "3.3.0"]}


def test_a_delta_that_follows_two_bundles_is_refused(nights: Nights) -> None:
    a_week(nights, FullEvery(3), 2)
    delta = inventory_of(nights.folder / "n2.tar.zst")
    forged = dataclasses.replace(delta, follows=delta.follows * 2)
    with pytest.raises(ContentError, match="it is a delta, and follows more than one bundle"):
        decode(encode(forged))


@pytest.mark.slow
def test_a_renewed_chain_merges_to_the_bytes_of_a_full_one(nights: Nights) -> None:
    a_week(nights, FullEvery(2), 4)
    merged = nights.merged("merged", nights.folder / "n3.tar.zst", nights.folder / "n4.tar.zst")
    assert merged.read_bytes() == nights.night("whole", store="other").read_bytes()


def test_the_same_command_makes_the_same_full_bundle(nights: Nights) -> None:
    a_week(nights, FullEvery(2), 3)
    made = (nights.folder / "n3.tar.zst").read_bytes()
    again = nights.night("n3", "last", now=9 * DAY, full_every=FullEvery(2))
    assert again.read_bytes() == made
    assert nights.report.unchanged


def test_a_full_bundle_that_claims_another_state_is_refused(nights: Nights) -> None:
    a_week(nights, FullEvery(2), 3)
    renewed = inventory_of(nights.folder / "n3.tar.zst")
    assert renewed.state == sha256(encode(plain_inventory(renewed)))
    forged = dataclasses.replace(renewed, state=sha256(b"another"))
    with pytest.raises(ContentError, match="its state is not that of its content"):
        decode(encode(forged))
