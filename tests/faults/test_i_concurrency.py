"""I. Several runs at once: cases 132 to 137, as far as one store, one output and one target go."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.builders import a_bundle, a_module
from tests.doubles import MemoryRegistry, stall_after
from tests.processes import PROGRAM, bundler
from tests.registries import RealRegistry


@contextmanager
def stalled_export(out: Path) -> Iterator[tuple[MemoryRegistry, subprocess.Popen[str]]]:
    """An export that holds its store and waits for a blob that does not come."""
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        registry.on("GET", "/blobs/", stall_after(10), times=3)
        command = [*PROGRAM, "export", f"{registry.host}/app", "-o", str(out), "-q"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            while not registry.asked("GET", "/blobs/"):
                assert running.poll() is None
            yield registry, running
            running.kill()


def test_a_second_export_to_one_output_is_9_and_names_the_first(tmp_path: Path) -> None:
    """Case 132."""
    out = tmp_path / "b.tar.zst"
    with stalled_export(out) as (registry, running):
        second = bundler("export", f"{registry.host}/app", "-o", str(out), "-q")
        assert second.returncode == 9
        assert f"process {running.pid}" in second.stderr


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    """Case 133."""
    out = tmp_path / "b.tar.zst"
    with stalled_export(out) as (registry, running):
        running.kill()
        running.wait()
        again = bundler("export", f"{registry.host}/app", "-o", str(out), "-q")
        assert again.returncode == 0, again.stderr


def test_two_imports_of_one_bundle_both_end_well(
    target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    """Case 134."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", "1.1.0", "1.2.0")})
    command = [*PROGRAM, "import", str(bundle), "--to", f"{target_registry.host}/{fresh('to')}", "-q"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0), ("", 0)]


def test_a_blob_that_many_tags_need_is_fetched_once(tmp_path: Path) -> None:
    """Case 137."""
    module = a_module(*(f"1.{number}.0" for number in range(20)))
    with MemoryRegistry({"app": module, "copy": module}) as registry:
        sources = (f"{registry.host}/app", f"{registry.host}/copy")
        assert bundler("export", *sources, "-o", str(tmp_path / "b.tar.zst"), "-q").returncode == 0
        asked = [request.target.rpartition("/")[2] for request in registry.asked("GET", "/blobs/")]
    assert len(asked) == len(set(asked))
