"""Layers as Go packs them, modules of them, and deltas."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.reader import open_bundle
from bundler.bundle.writer import write_bundle
from bundler.compact.codecs import GZIP_HEADER, CodecNumber, GzipRecipe, gzip_again
from bundler.deltas.departed import DeltaScope
from bundler.deltas.state import Base, delta_inventory
from bundler.reporting.progress import SILENCE
from tests.builders import TIMONI_CONFIG, TIMONI_LAYER, Content, MemoryStore, a_bundle, manifest_document
from tests.processes import bundler as run


def a_layer(files: dict[str, bytes], codec: CodecNumber = CodecNumber.GO_A, time: int = 0) -> bytes:
    """A layer as Go packs it; a rebuild of an image changes every time in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), time
            archive.addfile(member, io.BytesIO(data))
    return b"".join(gzip_again(GzipRecipe(codec, GZIP_HEADER), [buffer.getvalue()]))


def real_module(versions: int = 6) -> Content:
    """A module in which each version changes one file of twenty; two generations of Go packed it."""
    content, chance = Content(), random.Random(7)
    files = {f"templates/{number}.cue": chance.randbytes(300).hex().encode() for number in range(20)}
    for version in range(versions):
        files[f"templates/{version}.cue"] += b"// changed\n"
        codec = CodecNumber.GO_A if version < versions // 2 else CodecNumber.GO_B
        layer = content.add_blob(a_layer(files, codec), TIMONI_LAYER)
        config = content.add_blob(b'{"v":%d}' % version, TIMONI_CONFIG)
        content.add_manifest(manifest_document(config, [layer]), f"1.{version}.0")
    return content


class Night(NamedTuple):
    """A base, and a delta on it in both forms."""

    base: Path
    portable: Path
    compact: Path


def a_night(folder: Path, before: Content, after: Content) -> Night:
    """What one more night of an image carries."""
    name = "h.example/app"
    base = a_bundle(folder / "base.tar.zst", {name: before})
    with open_bundle(base) as opened:
        there = Base((opened.id,), frozenset(before.roots(name)), before.parsed())
    manifests = {**before.parsed(), **after.parsed()}
    inventory = delta_inventory(list(after.roots(name)), manifests, there, DeltaScope({}))
    portable = folder / "night.tar.zst"
    with portable.open("wb") as file:
        write_bundle(file.write, inventory, MemoryStore(before, after), SILENCE)
    compact = folder / "night.compact.zst"
    made = run("compact", str(portable), "-o", str(compact), "--with", str(base))
    assert made.returncode == 0, made.stderr
    return Night(base, portable, compact)


IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def files_of(version: int) -> dict[str, bytes]:
    """Files of an application: a package was upgraded, so its folder has another name."""
    chance = random.Random(3)
    files = {f"app/lib-1.0/{number}.py": chance.randbytes(700).hex().encode() for number in range(30)}
    files |= {
        f"app/pkg-1.{version}/{number}.py": chance.randbytes(900).hex().encode() for number in range(10)
    }
    if version:
        files["app/lib-1.0/3.py"] = files["app/lib-1.0/3.py"].replace(b"a", b"b", 9)
        files[f"app/pkg-1.{version}/4.py"] += b"# new"
        files["app/new.py"] = b"print()\n"
    return files


def an_image(*versions: int) -> Content:
    """An image with a tag for each version."""
    content = Content()
    for version in versions:
        codec = CodecNumber.GO_B if version else CodecNumber.GO_A
        layer = content.add_blob(a_layer(files_of(version), codec, 1_700_000_000 + version), IMAGE_LAYER)
        config = content.add_blob(b'{"v":%d}' % version, TIMONI_CONFIG)
        content.add_manifest(manifest_document(config, [layer]), f"1.{version}.0")
    return content


def opened(path: Path) -> CompactFile:
    """A compact file, opened."""
    bundle = open_bundle(path)
    assert isinstance(bundle, CompactFile)
    return bundle
