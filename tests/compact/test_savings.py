"""What a compact bundle saves: told before it is written, in the report, and on the terminal."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.compact.codecs import unknown_producer
from bundler.reporting.progress import size_text
from tests.builders import TIMONI_CONFIG, TIMONI_LAYER, Content, a_bundle, manifest_document, noise, push_to
from tests.compact.layers import real_module
from tests.registries import RealRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]


def a_foreign_module() -> Content:
    """A module whose layer no codec makes."""
    content, data = Content(), bytearray(gzip.compress(noise("foreign", 9_000), mtime=0))
    data[9] = 3  # Unix: Python says that it does not know
    layer = content.add_blob(bytes(data), TIMONI_LAYER)
    config = content.add_blob(b"{}", TIMONI_CONFIG)
    content.add_manifest(manifest_document(config, [layer]), "1.0.0")
    return content


def test_the_report_has_both_sizes_and_every_share(tmp_path: Path, capsys: Output) -> None:
    contents = {"h.example/module": real_module(), "h.example/foreign": a_foreign_module()}
    portable, out = a_bundle(tmp_path / "b.tar.zst", contents), tmp_path / "b.compact.zst"
    report = tmp_path / "report.json"
    assert run(["compact", str(portable), "-o", str(out), "--report", str(report), "-q"]) == 0
    told = json.loads(report.read_text())
    valid("report", told)
    compact = told["bundle"]["compact"]
    sizes = portable.stat().st_size, out.stat().st_size
    assert (compact["portableSize"], compact["size"], compact["saved"]) == (*sizes, sizes[0] - sizes[1])
    shares = {(share["repository"], share["codec"]): share for share in compact["shares"]}
    assert [(share, shares[share]["layers"]) for share in shares] == [
        (("h.example/foreign", None), 1),
        (("h.example/module", 1), 3),
        (("h.example/module", 2), 3),
    ]
    assert shares["h.example/foreign", None]["saved"] == 0
    assert shares["h.example/module", 2]["producer"] == "Go 1.27"
    said = capsys.readouterr().out
    assert "h.example/foreign: 1 layer, 9.0 kB, by gzip, pigz or another program with zlib: carried" in said
    assert "% saved" in said


@pytest.mark.slow
def test_a_dry_run_tells_what_the_export_then_saves(
    source_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path, capsys: Output
) -> None:
    path = fresh("module")
    push_to(source_registry.base, path, real_module())
    store = str(tmp_path / "store")
    words = ["export", f"{source_registry.host}/{path}", "--compact", "--store", store, "-q", "-o"]

    def told(out: str, *more: str) -> dict[str, object]:
        report = tmp_path / f"{len([*tmp_path.iterdir()])}.json"
        assert run([*words, str(tmp_path / out), *more, "--report", str(report)]) == 0
        document = json.loads(report.read_text())
        valid("report", document)
        found: dict[str, object] = (document if more else document["bundle"])["compact"]
        return found

    first = told("a.compact.zst", "--dry-run")
    assert (first["shares"], first["missing"]) == ([], 12)
    said = capsys.readouterr().out
    assert "not in the store yet, so nothing is known of them: 12 blobs" in said
    assert "% saved" not in said
    assert not (tmp_path / "store").exists()
    written = told("a.compact.zst")
    assert told("b.compact.zst", "--dry-run") == written
    said = capsys.readouterr().out
    assert f"{path}: 3 layers, " in said
    assert "by Go 1.7 to 1.26: codec 1, " in said
    there = {entry.name for entry in tmp_path.iterdir() if entry.suffix != ".json"}
    assert there == {"a.compact.zst", "a.compact.zst.sha256", "store"}


def test_the_page_shows_what_is_saved_and_what_stayed_as_it_is(tmp_path: Path) -> None:
    contents = {"h.example/module": real_module(), "h.example/foreign": a_foreign_module()}
    portable, small = a_bundle(tmp_path / "b.tar.zst", contents), tmp_path / "b.compact.zst"
    assert run(["compact", str(portable), "-o", str(small), "-q"]) == 0
    pages = []
    for path in (portable, small):
        assert run(["report", str(path), "-o", str(tmp_path / "page.html"), "--force", "-q"]) == 0
        pages.append((tmp_path / "page.html").read_text())
    assert "Compact form" not in pages[0]
    assert f"the portable bundle of the same content has {size_text(portable.stat().st_size)}" in pages[1]
    assert f"This file has {size_text(small.stat().st_size)}" in pages[1]
    assert "gzip, pigz or another program with zlib: carried as they are" in pages[1]
    assert "<td>Go 1.27</td>" in pages[1]


@pytest.mark.parametrize(
    ("start", "producer"),
    [
        (b"\x28\xb5\x2f\xfd\x24", "zstd"),
        (bytes(257) + b"ustar\0", "not compressed"),
        (bytes.fromhex("1f8b080000000000000300"), "gzip, pigz or another program with zlib"),
        (bytes.fromhex("1f8b0800000000000203ff"), "gzip, pigz or another program with zlib"),
        (bytes.fromhex("1f8b08000000000004ff00"), "Go at its fastest level, or like it"),
        (bytes.fromhex("1f8b08000000000000ff00"), "unknown gzip encoder, or another level of Go"),
        (b"{}", None),
        (b"", None),
        (b"\x1f\x8b", "gzip, pigz or another program with zlib"),
    ],
)
def test_a_foreign_producer_is_known_by_its_first_bytes(start: bytes, producer: str | None) -> None:
    assert unknown_producer(start) == producer
