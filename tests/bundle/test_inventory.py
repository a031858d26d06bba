"""What is inside a bundle, in file order, and the index that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.inventory import (
    Inventory,
    Root,
    bundle_id,
    encode,
    encode_index,
    roots_of,
    schema,
    take_inventory,
)
from bundler.bundle.inventory_reader import check_index, decode
from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import strict_json
from bundler.oci.digest import Digest, sha256
from bundler.oci.reference import RepositoryName
from tests.builders import SHAPES, Content, a_module, an_index, manifest_document, packed

Document = dict[str, Any]


def inventory_of(**contents: Content) -> Inventory:
    return packed({f"h.example/{name}": content for name, content in contents.items()})[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_encoded_is_decoded(shape: str) -> None:
    inventory = inventory_of(app=SHAPES[shape]())
    assert decode(encode(inventory)) == inventory


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(["1.0.0", "1.1.0", "2.0.0", "10.0.0"]), unique=True),
    st.permutations(["a", "b", "c"]),
)
def test_the_id_depends_on_content_and_not_on_repository_order(versions: list[str], names: list[str]) -> None:
    content = a_module(*versions)
    ids = {
        bundle_id(encode(inventory_of(**dict.fromkeys(order, content))))
        for order in (names, sorted(names), list(reversed(names)))
    }
    assert len(ids) == 1


def test_vendor_layers_come_before_module_layers_by_version() -> None:
    content = a_module("1.9.0", "1.10.0")
    manifests = content.parsed()
    layers = [manifests[content.tags[tag]].layers for tag in ("1.9.0", "1.10.0")]
    blobs = [blob.digest for blob in inventory_of(app=content).blobs]
    vendor, first, second = layers[0][0], layers[0][1], layers[1][1]
    assert [blobs.index(layer.blob.digest) for layer in (vendor, first, second)] == [2, 3, 4]


def test_a_blob_of_several_tags_is_listed_once() -> None:
    inventory = inventory_of(a=a_module("1.0.0"), b=a_module("1.0.0"))
    digests = [blob.digest for blob in inventory.content]
    assert len(digests) == len(set(digests)) == 4


def test_what_was_taken_by_digest_is_a_root_without_a_tag() -> None:
    content = an_index()
    digest = content.tags["latest"]
    inventory = take_inventory([Root(RepositoryName("h.example/app"), None, digest)], content.parsed())
    assert inventory.repositories[0].untagged == (digest,)
    assert [str(root) for root in roots_of(inventory)] == [f"h.example/app@{digest}"]


def test_the_id_is_the_digest_of_the_file() -> None:
    data = encode(inventory_of(app=a_module()))
    assert bundle_id(data) == sha256(data)


def test_the_schema_describes_what_is_written() -> None:
    document = json.loads(encode(inventory_of(app=a_module())))
    described = schema()
    assert set(described["required"]) <= set(document) <= set(described["properties"])


# --- refusals ----------------------------------------------------------------------------------------


def changed(change: Callable[[Document], object]) -> bytes:
    document = json.loads(encode(inventory_of(app=a_module("1.0.0"))))
    change(document)
    return strict_json.canonical(document)


def _set(*path: str | int, value: Any) -> Callable[[Document], object]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


REFUSED: dict[str, Callable[[Document], object]] = {
    "negative size": _set("blobs", 0, "size", value=-1),
    "size as text": _set("blobs", 0, "size", value="5"),
    "size true": _set("blobs", 0, "size", value=True),
    "size 2^63": _set("blobs", 0, "size", value=1 << 63),
    "size 1.0": _set("blobs", 0, "size", value=1.0),
    "digest with a path": _set("blobs", 0, "digest", value="sha256:../../../etc/passwd"),
    "digest of 63 digits": _set("blobs", 0, "digest", value="sha256:" + "a" * 63),
    "digest in upper case": _set("blobs", 0, "digest", value="sha256:" + "A" * 64),
    "digest with newline": _set("blobs", 0, "digest", value="sha256:" + "a" * 64 + "\n"),
    "digest md5": _set("blobs", 0, "digest", value="md5:" + "a" * 32),
    "tag -rf": _set("repositories", 0, "tags", value={"-rf": "sha256:" + "a" * 64}),
    "tag with escape": _set("repositories", 0, "tags", value={"\x1b[31m": "sha256:" + "a" * 64}),
    "tag with newline": _set("repositories", 0, "tags", value={"a\nb": "sha256:" + "a" * 64}),
    "repository with dots": _set("repositories", 0, "name", value="h.example/../x"),
    "repository without host": _set("repositories", 0, "name", value="app"),
    "root that is no manifest": _set("repositories", 0, "untagged", value=["sha256:" + "a" * 64]),
    "blob twice": lambda document: document["blobs"].append(document["blobs"][0]),
    "blob that is a manifest": lambda document: document["blobs"].append(document["manifests"][0]),
    "repository twice": lambda document: document["repositories"].append(document["repositories"][0]),
    "no blobs": lambda document: document.pop("blobs"),
    "another kind": _set("kind", value="delta"),
    "format 0": _set("format", value=0),
    "format true": _set("format", value=True),
    "format as text": _set("format", value="1"),
    "repositories null": _set("repositories", value=None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_inventory_with_a_bent_field_is_refused_in_one_line(name: str) -> None:
    """Cases 66, 67, 70."""
    with pytest.raises(ContentError) as error:
        decode(changed(REFUSED[name]))
    assert error.value.item == "bundle.json"
    assert str(error.value).isprintable()


def test_a_newer_format_is_refused_naming_both_versions() -> None:
    """Case 55."""
    with pytest.raises(ContentError, match="format 2; this program reads format 1") as error:
        decode(changed(lambda document: document.update(format=2, manifests="moved elsewhere")))
    assert "newer" in error.value.next_step


def test_an_unknown_field_of_a_newer_writer_is_no_matter() -> None:
    """Case 55."""
    data = changed(_set("blobs", 0, "encoding", value="compact"))
    assert decode(data) == inventory_of(app=a_module("1.0.0"))


# --- one content, one id -----------------------------------------------------------------------------

RESPELLED: dict[str, Callable[[bytes], bytes]] = {
    "spaces": lambda data: data.replace(b'":', b'": '),
    "no newline at the end": lambda data: data.rstrip(b"\n"),
    "two newlines": lambda data: data + b"\n",
    "an escape": lambda data: data.replace(b"full", b"f\\u0075ll"),
    "unsorted keys": lambda data: (
        json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode() + b"\n"
    ),
}

SAID_OTHERWISE: dict[str, Callable[[Document], object]] = {
    "empty omitted": _set("omitted", value=[]),
    "empty removed": _set("repositories", 0, "removed", value={}),
    "empty deselected": _set("repositories", 0, "deselected", value={}),
    "empty base": _set("base", value=[]),
    "null state": _set("state", value=None),
    "no untagged": lambda document: document["repositories"][0].pop("untagged"),
    "untagged twice": lambda document: document["repositories"][0].update(
        untagged=[*document["repositories"][0]["tags"].values()] * 2
    ),
    "a repository without content": lambda document: document["repositories"].append(
        {"name": "h.example/b", "tags": {}, "untagged": []}
    ),
    "repositories not sorted": lambda document: document["repositories"].append(
        {**document["repositories"][0], "name": "h.example/aaa"}
    ),
    "omitted not sorted": _set("omitted", value=["sha256:" + "b" * 64, "sha256:" + "a" * 64]),
}


@pytest.mark.parametrize("name", RESPELLED)
def test_an_inventory_in_another_spelling_is_refused(name: str) -> None:
    data = encode(inventory_of(app=a_module("1.0.0")))
    assert RESPELLED[name](data) != data
    with pytest.raises(ContentError):
        decode(RESPELLED[name](data))


@pytest.mark.parametrize("name", SAID_OTHERWISE)
def test_one_content_has_one_inventory(name: str) -> None:
    with pytest.raises(ContentError):
        decode(changed(SAID_OTHERWISE[name]))


def test_an_unknown_field_is_no_excuse_for_another_spelling() -> None:
    document = json.loads(encode(inventory_of(app=a_module("1.0.0"))))
    document["later"] = {"b": 1, "a": 2}
    assert decode(strict_json.canonical(document)).format == 1
    with pytest.raises(ContentError):
        decode(json.dumps(document, separators=(",", ":")).encode() + b"\n")
    document["state"] = None
    with pytest.raises(ContentError):
        decode(strict_json.canonical(document))


def test_a_blob_with_two_media_types_has_that_of_its_first_place() -> None:
    content = Content()
    shared = content.add_blob(b"{}", "application/vnd.example.config")
    as_layer = {**shared, "mediaType": "application/vnd.example.layer"}
    content.add_manifest(manifest_document(shared, [as_layer]), "1.0.0")
    (blob,) = inventory_of(app=content).blobs
    assert blob.media_type == "application/vnd.example.config"


def test_a_config_is_carried_whatever_its_media_type() -> None:
    content = Content()
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    config = content.add_blob(b"config", foreign)
    content.add_manifest(manifest_document(config, []), "1.0.0")
    assert [blob.media_type for blob in inventory_of(app=content).blobs] == [foreign]


def test_an_inventory_may_have_the_limit_and_no_byte_more() -> None:
    data = encode(inventory_of(app=a_module()))
    assert decode(data, limits=DEFAULT_LIMITS._replace(inventory=len(data))).format == 1
    with pytest.raises(ContentError, match="larger than the limit"):
        decode(data, limits=DEFAULT_LIMITS._replace(inventory=len(data) - 1))


# --- index.json --------------------------------------------------------------------------------------


def test_the_index_names_every_root_for_skopeo_and_containerd() -> None:
    content = a_module("1.0.0")
    (entry,) = json.loads(encode_index(inventory_of(app=content)))["manifests"]
    assert entry["digest"] == content.tags["1.0.0"]
    assert set(entry["annotations"].values()) == {"h.example/app:1.0.0"}


EXTENDED: dict[str, Callable[[Document], object]] = {
    "another annotation": lambda entry: entry["annotations"].update({"org.example": "more"}),
    "another containerd name": lambda entry: entry["annotations"].update(
        {"io.containerd.image.name": "h.example/other:1.0.0"}
    ),
    "a platform": lambda entry: entry.update(platform={"os": "linux", "architecture": "amd64"}),
    "urls": lambda entry: entry.update(urls=["https://h.example/"]),
    "another digest": lambda entry: entry.update(digest="sha256:" + "a" * 64),
    "another size": lambda entry: entry.update(size=5),
    "another media type": lambda entry: entry.update(mediaType="text/plain"),
}


@pytest.mark.parametrize("name", EXTENDED)
def test_an_index_is_the_one_that_follows_byte_by_byte(name: str) -> None:
    inventory = inventory_of(app=a_module())
    document = json.loads(encode_index(inventory))
    EXTENDED[name](document["manifests"][0])
    with pytest.raises(ContentError, match="not the index that follows"):
        check_index(strict_json.canonical(document), inventory)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"manifests": [1]}', b'{"manifests": null}'])
def test_an_index_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ContentError):
        check_index(data, inventory_of(app=a_module()))


def test_an_index_in_another_spelling_is_refused() -> None:
    inventory = inventory_of(app=a_module())
    document = json.loads(encode_index(inventory))
    for data in (json.dumps(document).encode(), encode_index(inventory).rstrip(b"\n")):
        with pytest.raises(ContentError):
            check_index(data, inventory)


def test_a_root_more_or_less_is_refused() -> None:
    inventory = inventory_of(app=a_module())
    with pytest.raises(ContentError):
        check_index(encode_index(inventory), replace(inventory, repositories=()))
    assert Digest.parse(bundle_id(encode(inventory)))
