"""What a night builds on: the last one, a file from elsewhere, a chain or what was merged of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.deltas.base import find_base
from bundler.deltas.garbage import find_garbage
from bundler.errors import BundlerError, UsageError
from bundler.exporter import Incremental, Keep, output_to
from bundler.reporting.progress import SILENCE
from bundler.session import Session
from bundler.store.blob_store import Store
from tests.builders import a_module, add_version
from tests.deltas.test_export_deltas import DAY, Nights, files, inventory_of
from tests.doubles import MemoryRegistry, says


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    """Nights of a registry with two modules."""
    contents = {"app": a_module("1.0.0", "1.1.0"), "redis": a_module("7.0.0", name="redis")}
    with MemoryRegistry(contents) as registry:
        yield Nights(registry, tmp_path)


def news(nights: Nights, version: str) -> None:
    """A new version outside."""
    add_version(nights.registry.repositories["app"], version)


def chain(nights: Nights) -> list[Path]:
    """A full bundle and two deltas."""
    found = [nights.full("sunday")]
    for name, version in (("monday", "2.0.0"), ("tuesday", "2.1.0")):
        news(nights, version)
        found.append(nights.night(name, "last"))
    return found


# --- the same name again -----------------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False], ids=["something new", "nothing new"])
def test_the_same_night_again_makes_the_same_bytes(nights: Nights, *, new: bool) -> None:
    nights.full("sunday")
    if new:
        news(nights, "2.0.0")
    made = nights.night("monday", "last", allow_empty=True).read_bytes()
    assert nights.night("monday", "last", allow_empty=True).read_bytes() == made
    assert nights.report.unchanged


@pytest.mark.slow
def test_what_came_by_day_joins_the_night_of_the_same_name(nights: Nights) -> None:
    sunday = nights.full("sunday")
    news(nights, "2.0.0")
    nights.night("monday", "last")
    news(nights, "2.1.0")
    monday = nights.night("monday", "last", keep=Keep(1))
    (kept,) = nights.report.warnings
    assert kept.startswith("1 older bundle of job default is kept, because monday.tar.zst builds on it;")
    assert nights.merged("merged", sunday, monday).read_bytes() == nights.full("full").read_bytes()


@pytest.mark.slow
def test_a_night_that_lacked_a_tag_is_completed_under_its_name(nights: Nights) -> None:
    sunday = nights.full("sunday")
    news(nights, "2.0.0")
    news(nights, "2.1.0")
    nights.registry.on("GET", "app/manifests/2.1.0", says(500), times=6)
    nights.night("monday", "last")
    assert nights.report.exit_code == 8
    monday = nights.night("monday", "last")
    assert nights.merged("merged", sunday, monday).read_bytes() == nights.full("full").read_bytes()


def test_a_name_whose_file_was_carried_away_is_the_last_one(nights: Nights) -> None:
    night = nights.night("night", "last")
    carried = night.rename(nights.folder / "carried.tar.zst")
    news(nights, "2.0.0")
    assert inventory_of(nights.night("night", "last")).base == (id_of(carried),)


def id_of(path: Path) -> str:
    with open_bundle(path) as bundle:
        return bundle.id


@pytest.mark.slow
@pytest.mark.parametrize("force", [False, True])
def test_a_delta_does_not_replace_what_it_builds_on(nights: Nights, *, force: bool) -> None:
    nights.full("sunday")
    monday = nights.night("monday", "last", allow_empty=True)
    news(nights, "2.0.0")
    tuesday = inventory_of(nights.night("tuesday", id_of(monday)))
    with pytest.raises(UsageError, match="it is a base of the new one"):
        output_to(str(monday), force=force).unchanged(tuesday, SILENCE)


def test_what_a_delta_says_is_gone_is_not_lost_by_a_slip(nights: Nights) -> None:
    nights.full("sunday")
    kept = nights.registry.repositories["app"].tags.pop("1.0.0")
    monday = nights.night("monday", "last")
    assert inventory_of(monday).repositories[0].removed.keys() == {"1.0.0"}
    nights.registry.repositories["app"].tags["1.0.0"] = kept
    news(nights, "2.0.0")
    with pytest.raises(UsageError, match=re.escape("app:1.0.0 is gone, but the new one would not")):
        nights.night("monday", "last")


# --- merged ------------------------------------------------------------------------------------------


def test_a_merged_bundle_stands_for_the_chain_behind_it(nights: Nights) -> None:
    sunday, monday, tuesday = chain(nights)
    whole = nights.merged("whole", sunday, monday, tuesday).read_bytes()
    assert nights.merged("again", nights.merged("part", sunday, monday), tuesday).read_bytes() == whole
    assert nights.merged("twice", sunday, monday, tuesday, sunday).read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["part", "chain"])
def test_a_base_is_found_as_a_chain_or_as_what_was_merged_of_it(
    beside: str, nights: Nights, tmp_path: Path
) -> None:
    sunday, monday, tuesday = chain(nights)
    part = nights.merged("part", sunday, monday)
    away = tmp_path / "away"
    away.mkdir()
    for path in [part] if beside == "part" else [sunday, monday]:
        path.rename(away / path.name)
    last = tuesday.rename(away / tuesday.name)
    news(nights, "2.2.0")
    out = inventory_of(nights.night("wednesday", last, store="another"))
    assert [set(entry.tags) for entry in out.repositories] == [{"2.2.0"}]
    assert out.state == id_of(nights.full("full"))


def test_a_bundle_is_known_by_what_a_chain_in_the_store_makes(nights: Nights) -> None:
    sunday, monday, _ = chain(nights)
    merged = id_of(nights.merged("part", sunday, monday))
    out = inventory_of(nights.night("wednesday", merged))
    assert [set(entry.tags) for entry in out.repositories] == [{"2.1.0"}]


def test_a_bundle_that_is_its_own_base_is_not_followed_for_ever(nights: Nights) -> None:
    chain(nights)
    store = Store(nights.folder / "store")
    nights.night("empty", "last", allow_empty=True)
    empty = inventory_of(nights.folder / "empty.tar.zst")
    # Its base is lost, and what it says of that is what it says of itself.
    (store.path / ".bundles" / f"{empty.base[0].encoded}.json").unlink()
    with pytest.raises(UsageError, match="not at hand"):
        find_base(Incremental(base=("last",)), store, None, Session())


# --- from elsewhere ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_night_after_a_foreign_base_needs_only_the_store(nights: Nights, tmp_path: Path) -> None:
    *_, tuesday = chain(nights)
    news(nights, "2.2.0")
    nights.night("wednesday", tuesday, store="another")
    for path in tmp_path.glob("*.tar.zst"):
        path.unlink()
    news(nights, "2.3.0")
    out = inventory_of(nights.night("thursday", "last", store="another"))
    assert [set(entry.tags) for entry in out.repositories] == [{"2.3.0"}]
    with Store(tmp_path / "another") as store:
        assert find_garbage(store, Keep(1), Session(clock=lambda: 9 * DAY)).blobs == ()
    assert files(tmp_path) == {"thursday"}


def test_housekeeping_goes_on_where_a_base_is_not_at_hand(nights: Nights, tmp_path: Path) -> None:
    chain(nights)
    for path in (tmp_path / "store" / ".bundles").iterdir():
        if b'"kind":"full"' in path.read_bytes():
            path.unlink()
    with Store(tmp_path / "store") as store:
        assert find_garbage(store, Keep(), Session()).forgotten == ()
    with pytest.raises(BundlerError, match="not at hand"):
        nights.night("wednesday", "last")
