"""A delta holds what is new against its base; with the base it makes the same as a full bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler import difference, merge_bundles
from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError, IntegrityError, UsageError
from bundler.exporter import Incremental, Keep, output_to
from bundler.oci.platform import parse_platform
from bundler.selection.rules import Rules
from bundler.selection.sources import Include, Shard
from bundler.session import Session
from bundler.store.history import History
from tests.builders import (
    SHAPES,
    Content,
    a_module,
    a_signed_module,
    add_version,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import ALWAYS, MemoryRegistry, says
from tests.exporter.test_platforms import for_many_platforms
from tests.flows import exported


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A registry that changes from night to night."""
    with MemoryRegistry({"app": a_signed_module(), "redis": a_module("7.0.0", name="redis")}) as server:
        yield server


class Nights:
    """Exports of one job, each a file."""

    def __init__(self, registry: MemoryRegistry, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.names = ["app", "redis"]

    def full(self, name: str, along: Include | None = None) -> Path:
        """Everything."""
        return self.night(name, along=along)

    def night(
        self,
        name: str,
        *base: Path | str,
        along: Include | None = None,
        store: str = "store",
        rules: Rules | None = None,
        shard: Shard | None = None,
        now: int = 0,
        **incremental: object,
    ) -> Path:
        """What is new against these bases."""
        out = self.folder / f"{name}.tar.zst"
        chosen = Incremental(base=tuple(str(one) for one in base), **incremental)  # type: ignore[arg-type]
        sources = [f"{self.registry.host}/{one}" for one in self.names]
        self.report = exported(
            out,
            *sources,
            incremental=chosen,
            now=now,
            along=along or Include(),
            store=self.folder / store,
            rules=rules,
            shard=shard,
        )
        return out

    def merged(self, name: str, *bundles: Path) -> Path:
        """The full bundle of a chain."""
        out = self.folder / f"{name}.tar.zst"
        merge_bundles(bundles, output_to(str(out)), Session())
        return out


@pytest.fixture
def nights(registry: MemoryRegistry, tmp_path: Path) -> Nights:
    """Nights of the registry."""
    return Nights(registry, tmp_path)


def inventory_of(path: Path) -> Inventory:
    with open_bundle(path) as bundle:
        return bundle.inventory


@pytest.mark.slow
def test_a_delta_holds_no_blob_of_its_base(nights: Nights) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = inventory_of(nights.night("monday", base))
    assert {*delta.blobs}.isdisjoint(inventory_of(base).blobs)
    assert [set(entry.tags) for entry in delta.repositories] == [{"2.0.0"}]
    assert {blob.repository for blob in delta.required} <= {nights.registry.repository("app")}


@pytest.mark.slow
def test_base_and_deltas_merge_to_the_bytes_of_a_full_export(nights: Nights) -> None:
    app = nights.registry.repositories["app"]
    chain = [nights.full("sunday")]
    add_version(app, "2.0.0")
    chain.append(nights.night("monday", chain[-1]))
    del app.tags["1.3.0"]
    nights.registry.repositories["redis"].tags["7.0.0"] = add_version(
        nights.registry.repositories["redis"], "7.0.1"
    )
    chain.append(nights.night("tuesday", chain[-1]))
    sign_by_subject(app, app.tags["2.0.0"])
    sign_by_tag(app, app.tags["1.0.0"], "sig", "one", "another")
    chain.append(nights.night("wednesday", chain[-1]))
    full = nights.full("full")
    assert nights.merged("merged", *chain).read_bytes() == full.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_content_of_any_shape_can_come_by_a_delta(shape: str, nights: Nights) -> None:
    base = nights.full("sunday")
    nights.registry.repositories["new"] = SHAPES[shape]()
    nights.names.append("new")
    delta = nights.night("monday", base)
    assert nights.merged("merged", base, delta).read_bytes() == nights.full("full").read_bytes()


def test_nothing_new_is_no_bundle_and_ends_well(nights: Nights) -> None:
    base = nights.full("sunday")
    out = nights.night("monday", base)
    assert not out.exists()
    assert nights.report.exit_code == 0
    assert nights.report.unchanged
    assert {tag.status for entry in nights.report.repositories for tag in entry.tags} == {"present"}


@pytest.mark.slow
def test_nothing_new_is_a_bundle_where_that_is_wanted(nights: Nights) -> None:
    base = nights.full("sunday")
    delta = inventory_of(nights.night("monday", base, allow_empty=True))
    assert (delta.repositories, delta.manifests, delta.blobs) == ((), (), ())
    assert delta.state == delta.base[0]


@pytest.mark.slow
def test_the_last_bundle_of_a_job_is_a_base_by_name_and_by_id(nights: Nights) -> None:
    nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    by_name = nights.night("monday", "last")
    last = History(nights.folder / "store").entries()[0]
    by_id = nights.night("also-monday", last.id)
    assert by_name.read_bytes() == by_id.read_bytes()
    assert inventory_of(by_name).base == (last.id,)


def test_the_first_night_of_a_job_has_no_last_one(nights: Nights) -> None:
    assert inventory_of(nights.night("sunday", "last")).kind == "full"


@pytest.mark.slow
def test_two_jobs_in_one_store_build_on_their_own_nights(nights: Nights) -> None:
    nights.night("sunday", "last", job="one")
    assert inventory_of(nights.night("sunday-two", "last", job="two")).kind == "full"
    add_version(nights.registry.repositories["app"], "2.0.0")
    assert inventory_of(nights.night("monday", "last", job="one")).kind == "delta"


@pytest.mark.slow
def test_a_chain_is_found_beside_its_last_bundle(nights: Nights, tmp_path: Path) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = nights.night("monday", base)
    add_version(nights.registry.repositories["app"], "2.1.0")
    out = tmp_path / "tuesday.tar.zst"
    sources = [f"{nights.registry.host}/{name}" for name in nights.names]
    exported(out, *sources, incremental=Incremental(base=(str(delta),)), along=Include())
    assert [set(entry.tags) for entry in inventory_of(out).repositories] == [{"2.1.0"}]


@pytest.mark.slow
def test_a_base_that_builds_on_what_is_not_at_hand_is_refused(nights: Nights, tmp_path: Path) -> None:
    base = nights.full("sunday")
    missing = nights.report.bundle
    assert missing
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = nights.night("monday", base)
    base.unlink()
    source = f"{nights.registry.host}/app"
    with pytest.raises(UsageError, match=missing.id):
        exported(tmp_path / "o.tar.zst", source, incremental=Incremental(base=(str(delta),)))


@pytest.mark.slow
def test_a_tag_that_could_not_be_had_is_not_gone(nights: Nights) -> None:
    base = nights.full("sunday")
    app = nights.registry.repositories["app"]
    add_version(app, "2.0.0")
    nights.registry.on("GET", "app/manifests/1.0.0", says(500), times=ALWAYS)
    delta = nights.night("monday", base)
    assert nights.report.exit_code == 8
    assert [entry.removed for entry in inventory_of(delta).repositories] == [{}]
    held = inventory_of(nights.merged("merged", base, delta))
    assert {"1.0.0", "2.0.0"} <= set(held.repositories[0].tags)


def departed(path: Path) -> list[tuple[set[str], set[str]]]:
    """What a delta says is gone at the source, and what it says is no longer selected."""
    return [({*entry.removed}, {*entry.deselected}) for entry in inventory_of(path).repositories]


@pytest.mark.slow
def test_a_tag_gone_at_the_source_is_removed(nights: Nights) -> None:
    base = nights.full("sunday")
    digest = nights.registry.repositories["redis"].tags.pop("7.0.0")
    add_version(nights.registry.repositories["redis"], "8.0.0")
    (entry,) = inventory_of(nights.night("monday", base)).repositories
    assert (entry.removed, entry.deselected) == ({"7.0.0": digest}, {})


@pytest.mark.slow
def test_a_tag_that_left_the_selection_is_deselected(nights: Nights) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["redis"], "8.0.0")
    nights.names = ["redis"]
    delta = nights.night("monday", base, rules=Rules(newest=1))
    assert departed(delta) == [(set(), {"7.0.0"})]
    assert [tag.status for tag in nights.report.repositories[0].tags] == ["exported", "deselected"]


@pytest.mark.slow
def test_a_repository_that_was_not_asked_for_stays_as_it_was(nights: Nights) -> None:
    base = nights.full("sunday")
    nights.names.remove("redis")
    assert not nights.night("monday", base).exists()
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = nights.night("tuesday", base)
    assert departed(delta) == [(set(), set())]
    held = inventory_of(nights.merged("merged", base, delta))
    assert {entry.name.path for entry in held.repositories} == {"app", "redis"}


@pytest.mark.slow
def test_shards_on_one_base_say_nothing_of_each_other(nights: Nights) -> None:
    base = nights.full("sunday")
    for content in nights.registry.repositories.values():
        add_version(content, "9.0.0")
    parts = [nights.night(f"part{part}", base, shard=Shard(part, 5)) for part in range(5)]
    deltas = [part for part in parts if part.exists()]
    # A part has as many repositories as the hash of their names gives it.
    assert all(pair == (set(), set()) for part in deltas for pair in departed(part))
    assert nights.merged("merged", base, *deltas).read_bytes() == nights.full("full").read_bytes()


@pytest.mark.slow
def test_other_platforms_than_before_are_new(nights: Nights) -> None:
    nights.registry.repositories["app"] = for_many_platforms()[0]
    amd64 = nights.full("sunday", Include(platforms=(parse_platform("linux/amd64"),)))
    both = nights.night("monday", amd64)
    assert nights.merged("merged", amd64, both).read_bytes() == nights.full("full").read_bytes()
    back = nights.night("tuesday", amd64, both, along=Include(platforms=(parse_platform("linux/amd64"),)))
    assert nights.merged("again", amd64, both, back).read_bytes() == amd64.read_bytes()


@pytest.mark.slow
def test_a_delta_is_within_a_tenth_of_its_new_blobs(nights: Nights) -> None:
    base = nights.full("sunday")
    for version in ("9.0.0", "9.0.1", "9.0.2"):
        add_version(nights.registry.repositories["app"], version, size=40_000)
    delta = nights.night("monday", base)
    assert delta.stat().st_size < 1.1 * sum(blob.size for blob in inventory_of(delta).blobs)


def test_a_merge_that_lacks_a_base_names_it(nights: Nights) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = nights.night("monday", base)
    with pytest.raises(UsageError, match="name that bundle before"):
        merge_bundles([delta], output_to(str(nights.folder / "m.tar.zst")), Session())
    assert not (nights.folder / "m.tar.zst").exists()


def test_deltas_in_the_wrong_order_are_named_by_their_files(nights: Nights) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    delta = nights.night("monday", base)
    out = output_to(str(nights.folder / "m.tar.zst"))
    named = re.escape(f"{delta}: needs {base} (sha256:")
    with pytest.raises(UsageError, match=f"{named}.*name it before {re.escape(str(delta))}"):
        merge_bundles([delta, base], out, Session())
    with (
        open_bundle(delta) as first,
        open_bundle(base) as second,
        pytest.raises(UsageError, match=f"{named}.*name it before"),
    ):
        difference(first, second)


@pytest.mark.slow
def test_diff_asks_for_the_base_of_a_delta(nights: Nights) -> None:
    base = nights.full("sunday")
    add_version(nights.registry.repositories["app"], "2.0.0")
    monday = nights.night("monday", base)
    add_version(nights.registry.repositories["app"], "3.0.0")
    tuesday = nights.night("tuesday", monday)
    with open_bundle(base) as full, open_bundle(monday) as older, open_bundle(tuesday) as newer:
        with pytest.raises(UsageError, match="is a delta; name a full bundle, or merge it"):
            difference(older, newer)
        with pytest.raises(UsageError, match=f"needs bundle {older.id}; name that bundle as OLD"):
            difference(full, newer)


@pytest.mark.slow
def test_shards_merge_to_the_whole(nights: Nights) -> None:
    nights.names = ["app"]
    one = nights.full("one")
    nights.names = ["redis"]
    two = nights.full("two")
    nights.names = ["app", "redis"]
    assert nights.merged("merged", two, one).read_bytes() == nights.full("full").read_bytes()


@pytest.mark.slow
def test_a_merge_over_itself_is_unchanged_over_more_is_refused(nights: Nights) -> None:
    base = nights.full("sunday")
    target = output_to(str(nights.folder / "m.tar.zst"))
    merge_bundles([base], target, Session())
    assert merge_bundles([base], target, Session()).unchanged
    add_version(nights.registry.repositories["app"], "2.0.0")
    del nights.registry.repositories["app"].tags["1.0.0"]
    delta = nights.night("monday", base)
    with pytest.raises(UsageError, match="would lose or change"):
        merge_bundles([base, delta], target, Session())


# --- immutable tags ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("api", [False, True], ids=["by tags", "by API"])
def test_known_versions_are_not_asked_for_again(nights: Nights, *, api: bool) -> None:
    nights.registry.referrers = api
    base = nights.full("sunday")
    nights.registry.seen.clear()
    out = nights.night("monday", base, immutable=("semver",))
    assert not out.exists()
    more = nights.registry.asked("GET", "last=")
    movable = [
        tag
        for content in nights.registry.repositories.values()
        for tag in content.tags
        if not re.fullmatch(r"[0-9.]+", tag)
    ]
    assert len(nights.registry.asked()) == len(nights.names) + len(movable) + len(more)
    assert all(seen.path.endswith("/tags/list") for seen in more)


@pytest.mark.slow
def test_a_known_version_that_moved_is_taken_as_it_was(nights: Nights) -> None:
    base = nights.full("sunday")
    tags = nights.registry.repositories["app"].tags
    tags["1.0.0"] = tags["1.3.0"]
    assert not nights.night("monday", base, immutable=("semver",)).exists()
    assert inventory_of(nights.night("tuesday", base)).repositories[0].tags.keys() == {"1.0.0"}


def test_without_a_base_the_store_knows_the_versions(nights: Nights) -> None:
    full = nights.full("sunday")
    nights.registry.seen.clear()
    again = nights.night("again", immutable=("semver",))
    assert again.read_bytes() == full.read_bytes()
    assert not nights.registry.asked("GET", r"manifests/1\.")


# --- retention ---------------------------------------------------------------------------------------

DAY = 86_400


def files(folder: Path) -> set[str]:
    return {path.name.removesuffix(".tar.zst") for path in folder.glob("*.tar.zst")}


@pytest.mark.slow
def test_old_bundles_go_but_never_what_a_kept_one_builds_on(nights: Nights) -> None:
    app = nights.registry.repositories["app"]
    for number in range(6):
        add_version(app, f"3.{number}.0")
        base = ("last",) if number not in (0, 3) else ()
        nights.night(f"n{number}", *base, now=number * DAY, keep=Keep(2))
    # n5 builds on n4, and that on n3, which is full: nobody needs what is older.
    assert files(nights.folder) == {"n3", "n4", "n5"}
    assert not (nights.folder / "n2.tar.zst.sha256").exists()
    assert len(History(nights.folder / "store").entries()) == 3


@pytest.mark.slow
def test_bundles_go_by_age(nights: Nights) -> None:
    app = nights.registry.repositories["app"]
    for number in range(4):
        add_version(app, f"3.{number}.0")
        nights.night(f"n{number}", now=number * DAY, keep=Keep(days=2))
    assert files(nights.folder) == {"n2", "n3"}
    assert nights.report.removed == (str(nights.folder / "n1.tar.zst"),)


@pytest.mark.slow
def test_a_clock_that_was_wrong_for_a_night_costs_no_bundle(nights: Nights) -> None:
    """Started without a battery, a machine is in 1970 until it asks for the time."""
    app = nights.registry.repositories["app"]
    for number, day in enumerate((100, 0, 101)):
        add_version(app, f"3.{number}.0")
        nights.night(f"n{number}", now=day * DAY, keep=Keep(days=2))
    assert files(nights.folder) == {"n0", "n1", "n2"}


def test_a_file_that_is_not_what_the_job_wrote_is_left_alone(nights: Nights) -> None:
    first = nights.night("n0", now=0)
    add_version(nights.registry.repositories["app"], "3.0.0")
    first.write_bytes(b"something of somebody else's")
    nights.night("n1", now=DAY, keep=Keep(1))
    assert first.read_bytes() == b"something of somebody else's"
    assert any("not removed" in warning for warning in nights.report.warnings)


@pytest.mark.slow
def test_nothing_is_removed_while_the_newest_bundle_is_damaged(nights: Nights) -> None:
    nights.night("n0", now=0)
    add_version(nights.registry.repositories["app"], "3.0.0")
    newest = nights.night("n1", now=DAY)
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    with pytest.raises(IntegrityError, match="no older one was removed"):
        nights.night("n2", "last", now=9 * DAY, keep=Keep(1))
    assert files(nights.folder) == {"n0", "n1"}


@pytest.mark.slow
def test_an_empty_repository_of_content_is_no_trouble(nights: Nights) -> None:
    nights.registry.repositories["none"] = Content()
    nights.names.append("none")
    base = nights.full("sunday")
    assert not nights.night("monday", base).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["[1", '{"bundles":[{"id":"\\ud83d"}]}', '{"bundles":[' + "[]," * 200_000 + "1]}"]
)
def test_a_damaged_journal_is_said(text: str, nights: Nights) -> None:
    nights.full("sunday")
    (nights.folder / "store" / ".journal.json").write_text(text)
    with pytest.raises(BundlerError, match="journal"):
        nights.night("monday", "last")
