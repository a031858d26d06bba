"""A dry run says what the run would say, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.errors import UsageError
from bundler.exporter import OnDrift, export_bundle, output_to, plan_bundle, store_location_of
from bundler.exporter.fetch.fetch_plan import ExportPlan
from bundler.oci.reference import parse_reference
from bundler.reporting.json_report import Report
from bundler.selection.rules import Rules
from bundler.selection.sources import Selection, selection_of
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import registries_for


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A registry with one module."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as server:
        yield server


def chosen(registry: MemoryRegistry, rules: Rules = Rules()) -> Selection:  # noqa: B008  a frozen value
    return selection_of([parse_reference(f"{registry.host}/app")], rules)


def planned(selection: Selection, out: Path, on_drift: OnDrift = OnDrift.IGNORE) -> tuple[Report, ExportPlan]:
    """What a dry run says."""
    to, session = output_to(str(out)), Session(registries_for(FakeClock()))
    report, plan, _ = plan_bundle(selection, to, store_location_of(to), session, on_drift=on_drift)
    return report, plan


def carried(selection: Selection, out: Path) -> Report:
    """What the run says."""
    to, session = output_to(str(out)), Session(registries_for(FakeClock()))
    return export_bundle(selection, to, store_location_of(to), session)


def test_it_ends_with_the_code_of_the_run(registry: MemoryRegistry, tmp_path: Path) -> None:
    for rules in (Rules(), Rules(globs=("9.*",)), Rules(tags=(*Rules().tags, "9.9.9"))):  # type: ignore[arg-type]
        selection, out = chosen(registry, rules), tmp_path / f"{len(rules.globs)}{len(rules.tags)}.tar.zst"
        dry, _ = planned(selection, out)
        assert not out.exists()
        assert dry.exit_code == carried(selection, out).exit_code


def test_it_fetches_nothing_where_the_bundle_is_there(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = tmp_path / "b.tar.zst"
    assert planned(chosen(registry), out)[1].fetch_bytes
    carried(chosen(registry), out)
    report, plan = planned(chosen(registry), out)
    assert (report.unchanged, report.dry_run, plan.requests) == (True, True, 0)


def test_it_refuses_the_loss_that_the_run_refuses(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = a_bundle(tmp_path / "b.tar.zst", {"h.example/other": a_module()})
    with pytest.raises(UsageError, match="which the new one would lose or change"):
        planned(chosen(registry), out)


def test_it_counts_the_requests_about_drift(registry: MemoryRegistry, tmp_path: Path) -> None:
    plain = planned(chosen(registry), tmp_path / "b.tar.zst")[1].requests
    assert planned(chosen(registry), tmp_path / "b.tar.zst", OnDrift.WARN)[1].requests == plain + 2
