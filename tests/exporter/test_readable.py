"""No export writes what an import would refuse."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.bundle.writer import files_of
from bundler.deltas.merge import merge_bundles
from bundler.errors import ContentError
from bundler.exporter import output_to, plan_bundle, store_location_of
from bundler.limits import Limits
from bundler.oci.reference import parse_reference
from bundler.selection.sources import selection_of
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import PATIENT, exported, registries_for

FIVE = a_module("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0")
TOO_MANY = [
    (PATIENT._replace(inventory=2_000), "its bundle.json would be larger than the limit of 2,000 bytes"),
    (PATIENT._replace(json_values=60), "its bundle.json would be JSON of more than the limit of 60 values"),
    (PATIENT._replace(annotations=100), "more than the limit of 100 bytes that its manifests' annotations"),
]


@pytest.mark.parametrize(("limits", "cause"), TOO_MANY)
def test_an_unreadable_result_is_told_before_a_blob_is_fetched(
    limits: Limits, cause: str, clock: FakeClock, tmp_path: Path
) -> None:
    out = tmp_path / "b.tar.zst"
    with MemoryRegistry({"app": FIVE}) as registry:
        name = f"{registry.host}/app"
        known = partial(registries_for, clock, limits=limits)
        with pytest.raises(ContentError, match=cause):
            exported(out, name, registries=known())
        to = output_to(str(out))
        with pytest.raises(ContentError, match=cause):
            plan_bundle(selection_of([parse_reference(name)]), to, store_location_of(to), Session(known()))
        assert not [seen for seen in registry.seen if "/blobs/" in seen.path]
    assert not out.exists()


def test_bundles_too_large_for_any_reader_are_not_merged(tmp_path: Path) -> None:
    parts = [
        a_bundle(tmp_path / f"{name}.tar.zst", {f"h.example/{name}": a_module("1.0.0", "1.1.0")})
        for name in ("a", "b")
    ]
    with open_bundle(parts[0]) as one:
        limits = Limits(inventory=max(len(data) for _, data in files_of(one.inventory)))
    with pytest.raises(ContentError, match="would be larger"):
        merge_bundles(parts, output_to(str(tmp_path / "c.tar.zst")), Session(limits=limits))
    assert not (tmp_path / "c.tar.zst").exists()
