"""Attacks by bundles that have no number: what is small in the file and large for its reader."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest

from bundler.bundle.bundle_format import END_OF_ARCHIVE, padding
from bundler.bundle.inventory import descriptor
from bundler.limits import MIB
from bundler.oci.digest import Descriptor, Digest
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST
from bundler.oci.strict_json import canonical
from tests.builders import (
    Content,
    a_module,
    descriptor_of,
    document_of,
    framed,
    index_document,
    manifest_document,
    members_of,
    tar_of,
)
from tests.faults.test_d_hostile import FLOODS, MOST

NAME = "h.example/app"
Members = list[tuple[str, bytes]]
COMMANDS = (
    "verify FILE -q", "inspect FILE", "import FILE --to 127.0.0.1:1/x --dry-run -q", "stream FILE",
    "extract FILE app:1.0.0 -o OUT -q", "diff FILE FILE", "verify FILE --json -q",
    "report FILE --since FILE -o OUT.html", "merge FILE FILE -o OUT.tar.zst -q",
)  # fmt: skip
"""`stream` is what `import -` does before it asks a target."""

_SCRIPT = """
import resource, sys
from bundler.__main__ import run
from bundler.errors import BundlerError
from bundler.bundle.closure import check_closure
from bundler.verify import ManifestCollector
from bundler.bundle.stream import BundleStream
from bundler.limits import DEFAULT_LIMITS
def read_as_a_stream(name):
    try:
        stream = BundleStream(open(name, "rb"), DEFAULT_LIMITS)
        collector = ManifestCollector(stream.open(), DEFAULT_LIMITS)
        for blob, chunks in stream.blobs():
            collector.take(blob, chunks)
        check_closure(stream.inventory, collector.manifests, DEFAULT_LIMITS)
    except BundlerError as error:
        return error.exit_code
    return 0
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
name, out = sys.argv[1:3]
for command in sys.argv[3:]:
    words = [word.replace("FILE", name).replace("OUT", out) for word in command.split()]
    print("CODE", read_as_a_stream(name) if words[0] == "stream" else run(words))
# Not ru_maxrss: that counts what the parent held before this program was started.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("PEAK", int(peak.split()[1]) * 1024)
"""


def told(path: Path, *commands: str) -> tuple[list[int], int, str]:
    """The codes of these commands, one after the other in one process; its peak of memory; its errors."""
    arguments = [str(path), str(path.with_suffix(".out")), *commands]
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, check=True, timeout=1000
    )
    assert "Traceback" not in ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    codes = [int(line[1]) for line in lines if line and line[0] == "CODE"]
    return codes, int(ended.stdout.split("PEAK")[1]), ended.stderr


# --- documents that are right, and too much -------------------------------------------------------------


def whole(
    repositories: dict[str, dict[str, Digest]], manifests: list[tuple[str, bytes]], blobs: list[bytes]
) -> bytes:
    """A bundle of these, consistent in itself, whatever it is good for."""
    held = [(descriptor_of(data, media_type), data) for media_type, data in manifests]
    others = [(descriptor_of(data), data) for data in blobs]
    sizes = {blob.digest: blob for blob, _ in held}
    inventory = {
        "format": 1, "kind": "full",
        "manifests": [descriptor(blob) for blob, _ in held],
        "blobs": [descriptor(Descriptor("x", blob.digest, blob.size)) for blob, _ in others],
        "repositories": [
            {"name": name, "tags": dict(sorted(tags.items())), "untagged": []}
            for name, tags in sorted(repositories.items())
        ],
    }  # fmt: skip
    names = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
    entries = [
        {**descriptor(sizes[digest]), "annotations": dict.fromkeys(names, f"{name}:{tag}")}
        for name, tags in sorted(repositories.items())
        for tag, digest in sorted(tags.items())
    ]
    files = [
        ("bundle.json", canonical(inventory)),
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}\n'),
        ("index.json", canonical(index_document(*entries))),
    ]
    return framed(tar_of([*files, *((blob.digest.path, data) for blob, data in (*held, *others))]))


def _many_layers(number: int = 0, count: int = 36_000) -> bytes:
    """A manifest of almost 4 MiB, all of whose layers are one blob."""
    layer = {"mediaType": "x", "digest": descriptor_of(b"").digest, "size": 0}
    return canonical(manifest_document({**layer, "x": number}, [layer] * count))


def manifests_full_of_layers() -> bytes:
    manifests = [(OCI_MANIFEST, _many_layers(number)) for number in range(16)]
    digests = [descriptor_of(data).digest for _, data in manifests]
    return whole({NAME: {f"1.{number}.0": digest for number, digest in enumerate(digests)}}, manifests, [b""])


def as_much_as_is_allowed() -> bytes:
    """64 MiB of manifests, with the layers that they may have."""
    full = [(OCI_MANIFEST, _many_layers(number)) for number in range(2)]
    blank = [(OCI_MANIFEST, _many_layers(9 + number, 1) + b" " * 4_180_000) for number in range(14)]
    tags = {f"1.{number}.0": descriptor_of(data).digest for number, (_, data) in enumerate([*full, *blank])}
    return whole({NAME: tags}, [*full, *blank], [b""])


def one_manifest_of_many_repositories() -> bytes:
    manifest = _many_layers(count=30_000)
    digest = descriptor_of(manifest).digest
    names = {f"h.example/r{number}": {"1.0.0": digest} for number in range(20_000)}
    return whole(names, [(OCI_MANIFEST, manifest)], [b""])


def one_manifest_of_many_tags() -> bytes:
    manifest = _many_layers(count=30_000)
    digest = descriptor_of(manifest).digest
    tags = {f"1.{number}.0": digest for number in range(20_000)}
    return whole({NAME: tags}, [(OCI_MANIFEST, manifest)], [b""])


def many_tags_of_many_blobs() -> bytes:
    """Every tag names the same manifest, all of whose layers are other blobs."""
    blobs = [b"", *(str(number).encode() for number in range(10_000))]
    empty, *layers = [document_of(descriptor_of(blob, "x")) for blob in blobs]
    manifest = canonical(manifest_document(empty, layers))
    tags = {f"1.{number}.0": descriptor_of(manifest).digest for number in range(20_000)}
    return whole({NAME: tags}, [(OCI_MANIFEST, manifest)], blobs)


def one_manifest_of_many_indexes() -> bytes:
    """Every tag an index of its own, and below each the same manifest."""
    manifest = _many_layers(count=30_000)
    child = document_of(descriptor_of(manifest, OCI_MANIFEST))
    indexes = [canonical(index_document(child, x=number)) for number in range(20_000)]
    tags = {f"1.{number}.0": descriptor_of(data).digest for number, data in enumerate(indexes)}
    return whole({NAME: tags}, [(OCI_MANIFEST, manifest), *((OCI_INDEX, data) for data in indexes)], [b""])


def a_billion_laughs() -> bytes:
    """Indexes of eight levels, each with a hundred times the one below."""
    empty = {"mediaType": "x", "digest": descriptor_of(b"").digest, "size": 0}
    documents = [(OCI_MANIFEST, canonical(manifest_document(empty, [])))]
    for _ in range(8):
        media_type, data = documents[-1]
        entry = document_of(descriptor_of(data, media_type))
        documents.append((OCI_INDEX, canonical(index_document(*[entry] * 100))))
    return whole({NAME: {"1.0.0": descriptor_of(documents[-1][1]).digest}}, documents, [b""])


def annotations_of_wide_letters() -> bytes:
    """One letter that takes four bytes makes all of its text take four for each."""
    empty = {"mediaType": "x", "digest": descriptor_of(b"").digest, "size": 0}
    text = "a" * 3_900_000 + "\U0001f600"
    manifests = [
        json.dumps(manifest_document(empty, [], annotations={"a": f"{number}{text}"}), ensure_ascii=False)
        for number in range(15)
    ]
    encoded = [(OCI_MANIFEST, manifest.encode()) for manifest in manifests]
    tags = {f"1.{number}.0": descriptor_of(data).digest for number, (_, data) in enumerate(encoded)}
    return whole({NAME: tags}, encoded, [b""])


def annotations_of_few_letters() -> bytes:
    """Names and values of a few bytes take two hundred in memory."""
    empty = {"mediaType": "x", "digest": descriptor_of(b"").digest, "size": 0}
    said = {f"{number:x}": "" for number in range(99_000)}
    documents = [manifest_document(empty, [], annotations=said, x=number) for number in range(15)]
    encoded = [(OCI_MANIFEST, canonical(document)) for document in documents]
    tags = {f"1.{number}.0": descriptor_of(data).digest for number, (_, data) in enumerate(encoded)}
    return whole({NAME: tags}, encoded, [b""])


ALLOWED: dict[str, Callable[[], bytes]] = {
    "as much as is allowed": as_much_as_is_allowed,
    "many tags": one_manifest_of_many_tags,
    "many tags of many blobs": many_tags_of_many_blobs,
    "a billion laughs": a_billion_laughs,
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "manifests full of layers": manifests_full_of_layers,
    "many repositories": one_manifest_of_many_repositories,
    "many indexes": one_manifest_of_many_indexes,
    "wide annotations": annotations_of_wide_letters,
    "short annotations": annotations_of_few_letters,
}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of a name, made once for all commands that read it."""
    folder = tmp_path_factory.mktemp("shared")

    @cache
    def write(name: str) -> Path:
        path = folder / f"{name}.tar.zst".replace(" ", "-")
        path.write_bytes((ALLOWED | REFUSED)[name]())
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS[:2], *COMMANDS[-4:]])
@pytest.mark.parametrize("name", [*ALLOWED, *REFUSED])
def test_shared_content_is_read_in_bounded_time_and_memory(
    name: str, command: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "b.tar.zst"
    path.hardlink_to(written(name))
    assert path.stat().st_size < 4 * MIB
    codes, peak, said = told(path, command)
    assert codes == [0 if name in ALLOWED else 7], said
    assert peak < MOST


def numbers_beyond_all() -> bytes:
    """Blobs whose sizes add up to more than 2^63."""
    layers = [
        {"mediaType": "x", "digest": f"sha256:{number:064x}", "size": (1 << 62) - 1} for number in range(9)
    ]
    data = canonical(manifest_document(layers[0], layers[1:]))
    members = members_of({NAME: a_module("1.0.0")})
    document = json.loads(members[0][1])
    digest = descriptor_of(data).digest
    document |= {"blobs": layers, "manifests": [document_of(descriptor_of(data, OCI_MANIFEST))]}
    document["repositories"][0]["tags"] = {"1.0.0": digest}
    return framed(tar_of([("bundle.json", canonical(document)), *members[1:2], *members[2:]]))


def annotations_by_the_million() -> bytes:
    members = members_of({NAME: a_module("1.0.0")})
    document = json.loads(members[2][1])
    document["manifests"][0]["annotations"] |= {f"a{number}": "" for number in range(1_000_000)}
    members[2] = ("index.json", canonical(document))
    return framed(tar_of(members))


def _inventory_of(field: bytes) -> bytes:
    document = b'{"format":1,"kind":"full",%s}' % field
    return framed(tar_of([("bundle.json", document), *members_of({NAME: a_module("1.0.0")})[1:]]))


def mistakes_by_the_hundred_thousand() -> bytes:
    """Blobs that are none."""
    return _inventory_of(b'"repositories":[],"manifests":[],"blobs":[%s{}]' % (b"{}," * 199_000))


def names_that_are_none() -> bytes:
    tags = b",".join(b'"%x":1' % number for number in range(78_000))
    entries = b",".join(b'{"name":"h.example/a%d","tags":{%s}}' % (number, tags) for number in range(5))
    return _inventory_of(b'"repositories":[%s],"manifests":[],"blobs":[]' % entries)


def names_of_one_repository() -> bytes:
    """More than a repository may have tags."""
    tags = b",".join(b'"%x":1' % number for number in range(390_000))
    entry = b'{"name":"h.example/app","tags":{%s}}' % tags
    return _inventory_of(b'"repositories":[%s],"manifests":[],"blobs":[]' % entry)


def values_by_the_million() -> bytes:
    """Nothing takes more memory for its bytes than an empty list."""
    return _inventory_of(b'"repositories":[],"manifests":[],"blobs":[],"x":[%s[]]' % (b"[]," * 5_000_000))


def as_many_values_as_may_be() -> bytes:
    """Each of them a name of its own, one of them of a letter that makes all of the text wide."""
    names = b",".join(b'"%x":0' % number for number in range(390_000))
    wide = "\U0001f600".encode() + b"x" * 9_000_000
    return _inventory_of(b'"repositories":[],"manifests":[],"blobs":[],"x":{%s},"y":"%s"' % (names, wide))


def a_manifest_of_gigabytes() -> bytes:
    """Spaces behind it, of which a thousand fit into a byte."""
    members = members_of({NAME: a_module("1.0.0")})
    document = json.loads(members[0][1])
    document["manifests"][0]["size"] = 8 << 30
    return framed(tar_of([("bundle.json", canonical(document)), *members[1:]]))


def _flood(name: str) -> bytes:
    return FLOODS[name](members_of({NAME: a_module("1.0.0")}))


HUGE: dict[str, Callable[[], bytes]] = {
    "numbers beyond all": numbers_beyond_all,
    "annotations by the million": annotations_by_the_million,
    "a manifest of gigabytes": a_manifest_of_gigabytes,
    "mistakes by the hundred thousand": mistakes_by_the_hundred_thousand,
    "names that are none": names_that_are_none,
    "names of one repository": names_of_one_repository,
    "values by the million": values_by_the_million,
    "as many values as may be": as_many_values_as_may_be,
    **{name: partial(_flood, name) for name in FLOODS},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_every_command_refuses_what_is_huge_in_flat_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.zst"
    path.write_bytes(HUGE[name]())
    codes, peak, said = told(path, *COMMANDS)
    # What is behind the inventory only readers of all of it see.
    read_all = [codes[0], *codes[2:4]]
    assert set(read_all) <= {6, 7}, (codes, said)
    assert set(codes) <= {0, 6, 7}, (codes, said)
    assert peak < MOST


# --- names ---------------------------------------------------------------------------------------------

LOOK_ALIKES = [
    "\uff0e\uff0e/x", "\u2025/x", "bundle.json\u200b", "bundle\u2024json", "index.j\u017fon",
    "\u212andex.json", "blobs\uff0fsha256\uff0fx", "caf\u00e9", "cafe\u0301",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_member_name_that_normalises_to_another_is_refused(name: str, tmp_path: Path) -> None:
    members = members_of({NAME: a_module("1.0.0")})
    entry = tarfile.TarInfo(name)
    entry.size = len(members[3][1])
    odd = entry.tobuf(tarfile.USTAR_FORMAT, "utf-8") + members[3][1] + padding(entry.size)
    stream = tar_of(members[:3])[: -len(END_OF_ARCHIVE)] + odd + tar_of(members[4:])
    path = tmp_path / "b.tar.zst"
    path.write_bytes(framed(stream))
    codes, _, _ = told(path, *COMMANDS[:1])
    assert codes == [7]
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.tar.zst"]


def test_the_content_of_these_tests_is_a_bundle(tmp_path: Path) -> None:
    content = Content()
    config = content.add_blob(b"{}", "x")
    content.add_manifest(manifest_document(config, []), "1.0.0")
    (digest, (media_type, data)) = next(iter(content.manifests.items()))
    (tmp_path / "b.tar.zst").write_bytes(whole({NAME: {"1.0.0": digest}}, [(media_type, data)], [b"{}"]))
    assert told(tmp_path / "b.tar.zst", *COMMANDS[:2])[0] == [0, 0]
