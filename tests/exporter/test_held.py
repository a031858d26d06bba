"""I9. What one export reads is counted while it is read, however many threads there are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bundler.errors import ContentError
from bundler.exporter.resolve.read_budget import ReadBudget, TooMuchError
from bundler.limits import MIB, Limits
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.builders import EMPTY_TYPE, Content, a_module, manifest_document
from tests.doubles import ALWAYS, Answer, FakeClock, LoopbackServer, MemoryRegistry, Reply, Seen, Wire
from tests.flows import PATIENT, exported, registries_for
from tests.processes import PROGRAM

FEW_REFERRERS = PATIENT._replace(graph_nodes=3)


def test_equal_manifests_are_one_and_count_once() -> None:
    content = a_module("1.0.0")
    held = ReadBudget(Limits(manifests=1000))
    (one,), (same,) = content.parsed().values(), content.parsed().values()
    assert one is not same
    assert held.one(same) is held.one(same)
    assert all(held.one(one) is same for _ in range(10))


def test_a_run_ends_that_reads_more_than_it_may_hold() -> None:
    (manifest,) = a_module("1.0.0").parsed().values()
    with pytest.raises(TooMuchError, match="bytes of manifests"):
        ReadBudget(Limits(manifests=10)).one(manifest)
    with pytest.raises(TooMuchError, match="layers and children"):
        ReadBudget(Limits(descriptors=2)).one(manifest)


def test_tags_of_all_lists_together_are_limited(tmp_path: Path, clock: FakeClock) -> None:
    contents = {name: a_module("1.0.0", "1.1.0") for name in ("a", "b")}
    with MemoryRegistry(contents) as source:
        names = [f"{source.host}/{name}" for name in contents]
        known = registries_for(clock, limits=PATIENT._replace(listed=4))
        assert exported(tmp_path / "b.tar.zst", *names, registries=known).exit_code == 0
        known = registries_for(clock, limits=PATIENT._replace(listed=3))
        with pytest.raises(ContentError, match="limit of 3 tags listed"):
            exported(tmp_path / "c.tar.zst", *names, registries=known)
    assert not (tmp_path / "c.tar.zst").exists()


def test_referrers_of_all_subjects_together_are_limited(tmp_path: Path, clock: FakeClock) -> None:
    """Case 23."""

    def lists(wire: Wire, request: Seen, answer: Answer) -> bool:
        subject = urlsplit(request.target).path.rpartition("/")[2]
        listed = [
            {"mediaType": OCI_MANIFEST, "size": 7, "digest": f"sha256:{subject[-60:]}{number:04}"}
            for number in range(2)
        ]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        wire.send(request, Reply(200, {"Content-Type": OCI_INDEX}, json.dumps(document).encode()))
        return True

    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as source:
        source.on("GET", "/referrers/", lists, times=ALWAYS)
        known = registries_for(clock, limits=FEW_REFERRERS)
        with pytest.raises(ContentError, match="limit of 3 referrers listed"):
            exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known)


def _padded(reference: str) -> bytes:
    """A manifest of 4 MiB, another one for each tag."""
    empty = Content().add_blob(b"{}", EMPTY_TYPE)
    document = manifest_document(empty, [empty], annotations={"of": reference})
    data = json.dumps(document).encode()
    return data + b" " * (4 * MIB - len(data))


@pytest.mark.slow
def test_a_hundred_large_manifests_at_a_time_fit_into_the_memory(tmp_path: Path) -> None:
    """Case 17 of many tags at once: 800 MiB, if each thread held what it was sent."""
    tags = [f"v{number}" for number in range(100)]

    def respond(request: Seen) -> Reply:
        if request.path.endswith("/tags/list"):
            return Reply(200, {}, json.dumps({"tags": tags}).encode())
        return Reply(200, {"Content-Type": OCI_MANIFEST}, _padded(request.path.rpartition("/")[2]))

    with LoopbackServer(respond) as source:
        command = [*PROGRAM, "export", f"{source.host}/app", "--no-referrers", "--jobs", "100", "-q"]
        code = (
            "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True);"
            "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        shown = subprocess.run(
            [sys.executable, "-c", code, *command, "-o", str(tmp_path / "b.tar.zst")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    status, kibibytes = map(int, shown.stdout.split())
    assert status == 7
    assert kibibytes < 200 * 1024
