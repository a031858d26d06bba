"""The page on the format is enough to write bundles and to compute ids: a second writer agrees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import INVENTORY_FILE, Root, bundle_id, encode, encode_index, take_inventory
from bundler.bundle.reader import open_bundle
from bundler.deltas.state import full_inventory
from bundler.importer import verify_bundle
from bundler.oci.digest import Digest
from bundler.oci.graph import sparse
from bundler.oci.reference import RepositoryName, Tag
from tests.builders import (
    EMPTY_TYPE,
    SHAPES,
    Content,
    a_bundle,
    a_module,
    a_signed_module,
    add_version,
    an_index,
    index_document,
    manifest_document,
    noise,
)
from tests.bundle.second_writer import (
    ARTIFACT,
    Repository,
    Source,
    canonical,
    delta_of,
    inventory_of,
    member,
    members_of,
    write,
)
from tests.doubles import MemoryRegistry

NAME = "h.example/app"


def source_of(*contents: Content, omitted: frozenset[str] = frozenset()) -> Source:
    """The same content, for the second writer."""
    blobs = {str(digest): data for content in contents for digest, data in content.everything()}
    kinds = {str(digest): kind for content in contents for digest, (kind, _) in content.manifests.items()}
    return Source(blobs, kinds, omitted)


def repository_of(content: Content, name: str = NAME) -> Repository:
    return Repository(name, {tag: str(digest) for tag, digest in content.tags.items()})


def state_of(bundle: Path, *deltas: Path) -> list[Repository]:
    """What a target has after these bundles, by the rule on the page."""
    tags: dict[str, dict[str, str]] = {}
    for path in (bundle, *deltas):
        with open_bundle(path) as opened:
            document = json.loads(encode(opened.inventory))
        for entry in document["repositories"]:
            names = tags.setdefault(entry["name"], {})
            for name in {**entry.get("removed", {}), **entry.get("deselected", {})}:
                names.pop(name)
            names |= entry["tags"] | {digest: digest for digest in entry["untagged"]}
    return [
        Repository(
            name,
            {tag: digest for tag, digest in names.items() if tag != digest},
            tuple(sorted(tag for tag, digest in names.items() if tag == digest)),
        )
        for name, names in tags.items()
        if names
    ]


@pytest.mark.parametrize("shape", [*SHAPES, "signed module"])
def test_a_second_writer_gives_every_shape_the_same_id(shape: str) -> None:
    content = a_signed_module() if shape == "signed module" else SHAPES[shape]()
    ours = encode(full_inventory(content.roots(NAME), content.parsed()))
    assert canonical(inventory_of([repository_of(content)], source_of(content))) == ours


def odd(kind: str) -> Content:
    """Content that registries hold, and that the common shapes don't have."""
    content = Content()
    config, layer = content.add_blob(b"{}", EMPTY_TYPE), content.add_blob(b"layer", "text/plain")
    if kind == "artifact manifest":
        content.add_manifest({"mediaType": ARTIFACT, "artifactType": "x/y", "blobs": [layer, config]}, "a")
    elif kind == "build cache":
        cache = content.add_blob(b"cache", "application/vnd.buildkit.cacheconfig.v0")
        child = content.add_image("child")
        content.add_manifest(index_document(layer, child, cache), "cache")
    elif kind == "layer without a type":
        for tag, media_type in (("none", None), ("empty", "")):
            document = manifest_document(config, [{**layer, "mediaType": media_type}, layer])
            content.add_manifest(document, tag)
    else:
        document = manifest_document(config, [], annotations={"name": None}) | {"layers": None}
        content.add_manifest(document, "null")
    return content


@pytest.mark.parametrize("kind", ["artifact manifest", "build cache", "layer without a type", "nulls"])
def test_a_second_writer_gives_odd_content_the_same_id(kind: str, tmp_path: Path) -> None:
    content = odd(kind)
    (tmp_path / "b.tar.zst").write_bytes(write([repository_of(content)], source_of(content)))
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert verify_bundle(bundle).manifests.keys() == content.manifests.keys()
        assert encode(full_inventory(content.roots(NAME), content.parsed())) == encode(bundle.inventory)


def test_a_second_writer_orders_repositories_and_tags_alike() -> None:
    versions = ("1.10.0", "1.9.0", "1.9.0-rc.2", "1.9.0-rc.10", "2.0.0-alpha", "2.0.0")
    first, second = a_module(*versions, name="a"), a_module("1.0.0", "latest", "v1.0.0", name="b")
    names = {"h.example/z": first, "h.example/a": second}
    roots = [root for name, content in names.items() for root in content.roots(name)]
    inventory = full_inventory(roots, {**first.parsed(), **second.parsed()})
    written, _ = members_of(
        [repository_of(content, name) for name, content in names.items()], source_of(first, second)
    )
    assert dict(written)[INVENTORY_FILE] == encode(inventory)
    assert dict(written)["index.json"] == encode_index(inventory)


def test_a_second_writer_omits_the_same_children() -> None:
    content = an_index(4)
    children = [entry for entry in content.manifests if entry not in content.tags.values()]
    content.tags["2.0.0"] = children[2]
    omitted = frozenset(children[1:])
    manifests = {digest: sparse(manifest, omitted) for digest, manifest in content.parsed().items()}
    roots = [Root(RepositoryName(NAME), Tag(tag), digest) for tag, digest in content.tags.items()]
    ours = full_inventory(roots, manifests)
    assert set(ours.omitted) == omitted - {children[2]}
    source = source_of(content, omitted=frozenset(map(str, omitted)))
    assert canonical(inventory_of([repository_of(content)], source)) == encode(ours)


def test_a_second_writer_takes_untagged_manifests_alike() -> None:
    content = an_index()
    digest = content.tags["latest"]
    ours = take_inventory([Root(RepositoryName(NAME), None, digest)], content.parsed())
    repository = Repository(NAME, {}, (str(digest),))
    assert canonical(inventory_of([repository], source_of(content))) == encode(ours)


@pytest.mark.slow
@pytest.mark.parametrize("signed", [False, True])
def test_a_second_writer_gives_a_delta_the_same_id(tmp_path: Path, *, signed: bool) -> None:
    app, lib = a_signed_module() if signed else a_module("1.0.0", "1.1.0", "latest"), a_module("1.0.0")
    base, night = tmp_path / "a.tar.zst", tmp_path / "b.tar.zst"
    with MemoryRegistry({"app": app, "lib": lib}) as server:
        export = ["export", f"{server.host}/app", f"{server.host}/lib", "-q", "-o"]
        assert run([*export, str(base)]) == 0
        before = state_of(base)
        content = [dict(app.everything()), dict(lib.everything())]
        kinds = dict(app.manifests)
        del app.tags["1.1.0"]
        add_version(app, "1.2.0")
        app.tags["latest"] = app.tags["1.2.0"]
        assert run([*export, str(night), "--base", str(base)]) == 0
    source = source_of(app, lib)
    older = {str(digest): data for part in content for digest, data in part.items()}
    types = {str(digest): kind for digest, (kind, _) in kinds.items()}
    source = Source({**older, **source.blobs}, {**types, **source.manifests})
    after = state_of(base, night)
    with open_bundle(night) as bundle:
        assert encode(bundle.inventory) == canonical(delta_of(before, after, source))


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 3 << 20])
def test_a_bundle_of_a_second_writer_is_read_with_the_same_id(size: int, tmp_path: Path) -> None:
    content = a_module("1.0.0", "1.1.0")
    large = content.add_blob(noise("large", size))
    config = content.add_blob(b"{}", "application/vnd.example.config")
    content.add_manifest(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [large],
        },
        "2.0.0",
    )
    (tmp_path / "second.tar.zst").write_bytes(write([repository_of(content)], source_of(content)))
    ours = a_bundle(tmp_path / "ours.tar.zst", {NAME: content})
    with open_bundle(tmp_path / "second.tar.zst") as bundle, open_bundle(ours) as other:
        assert bundle.id == other.id == bundle_id(encode(other.inventory))
        assert verify_bundle(bundle).manifests.keys() == content.manifests.keys()


def test_a_second_writer_names_long_members_alike(tmp_path: Path) -> None:
    content = SHAPES["sha512"]()
    (tmp_path / "b.tar.zst").write_bytes(write([repository_of(content)], source_of(content)))
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert verify_bundle(bundle).manifests
    assert len(member("x" * 101, b"")) == 1536
    assert Digest.parse(bundle.id)
