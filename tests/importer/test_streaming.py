"""A bundle from a pipe: what is read, and what is sent, do not wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.bundle.stream import BundleStream
from bundler.importer import Destination, import_stream
from bundler.importer.streaming import HELD
from bundler.ledger.ledger import Ledger
from bundler.oci.reference import parse_prefix
from bundler.reporting.json_report import Report
from bundler.session import Session
from tests.builders import Content, a_bundle, manifest_document, noise
from tests.doubles import ALWAYS, Answer, FakeClock, FaultProxy, Seen, Wire, says
from tests.flows import PATIENT, registries_for
from tests.registries import RealRegistry

pytestmark = pytest.mark.slow

Fresh = Callable[[str], str]


def two_large_layers() -> Content:
    """An image of which two layers are too large to be held in memory."""
    content = Content()
    layers = [content.add_blob(noise(f"large {number}", HELD + 1)) for number in range(2)]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    return content


def streamed(content: Content, path: str, host: str, folder: Path) -> Report:
    """Import it from a file that is read once."""
    bundle = a_bundle(folder / "b.tar.zst", {f"h.example/{path}": content})
    with bundle.open("rb") as file:
        return import_stream(
            BundleStream(file, PATIENT),
            Destination(parse_prefix(host)),
            Session(registries_for(FakeClock()), jobs=4),
            Ledger(folder / "ledger"),
        )


def test_the_next_large_blob_does_not_wait_for_an_answer(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path, both = two_large_layers(), fresh("app"), threading.Barrier(2, timeout=60)
    with FaultProxy(target_registry.host) as proxy:

        def meets(wire: Wire, request: Seen, answer: Answer) -> bool:
            if len(request.body) > HELD:
                both.wait()
            wire.send(request, answer())
            return True

        proxy.on("PUT", "/blobs/uploads/", meets, times=ALWAYS)
        assert streamed(content, path, proxy.host, tmp_path).exit_code == 0
    assert not both.broken
    assert target_registry.tags(path) == ["1.0.0"]


def test_a_large_blob_that_is_refused_does_not_stop_the_pipe(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = two_large_layers(), fresh("app")
    large = next(digest for digest, data in content.blobs.items() if len(data) > HELD)
    with FaultProxy(target_registry.host) as proxy:
        proxy.on("PUT", f"/blobs/uploads/.*{large.encoded}", says(400), times=ALWAYS)
        report = streamed(content, path, proxy.host, tmp_path)
        uploads = [len(seen.body) for seen in proxy.asked("PUT", "/blobs/uploads/")]
    assert report.exit_code == 10
    assert [size for size in uploads if size > HELD] == [HELD + 1, HELD + 1]
