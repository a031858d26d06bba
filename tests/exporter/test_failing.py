"""One failing tag costs one tag; thousands of them end the run, before they fill memory and report."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import ContentError
from tests.builders import a_module
from tests.doubles import FakeClock, MemoryRegistry, says
from tests.flows import PATIENT, exported, registries_for

MODULE = a_module("1.0.0", "1.1.0", "1.2.0", "1.3.0")
SPOILT = [("manifests/1.[123].0", 3), ("/blobs/", len(MODULE.blobs))]


@pytest.mark.parametrize(("what", "failing"), SPOILT)
def test_as_many_as_the_limit_may_fail(what: str, failing: int, clock: FakeClock, tmp_path: Path) -> None:
    with MemoryRegistry({"app": MODULE}) as registry:
        registry.on("GET", what, says(404), times=float("inf"))
        known = registries_for(clock, limits=PATIENT._replace(failures=failing))
        report = exported(tmp_path / "b.tar.zst", f"{registry.host}/app", registries=known)
    assert {failure.exit_code for failure in report.failures} == {4}


@pytest.mark.parametrize(("what", "failing"), SPOILT)
def test_one_more_ends_the_run(what: str, failing: int, clock: FakeClock, tmp_path: Path) -> None:
    with MemoryRegistry({"app": MODULE}) as registry:
        registry.on("GET", what, says(404), times=float("inf"))
        known = registries_for(clock, limits=PATIENT._replace(failures=failing - 1))
        with pytest.raises(ContentError, match=f"more than {failing - 1} items failed"):
            exported(tmp_path / "b.tar.zst", f"{registry.host}/app", registries=known)
    assert not (tmp_path / "b.tar.zst").exists()
