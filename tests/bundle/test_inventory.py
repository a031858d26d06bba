"""What is inside a bundle, in file order, and the index that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.index import check_index, encode_index
from bundler.bundle.inventory import (
    Inventory,
    Root,
    bundle_id,
    decode,
    encode,
    roots_of,
    schema,
    take_inventory,
)
from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.content import Digest, sha256
from bundler.oci.reference import RepositoryName
from tests.builders import SHAPES, Content, a_module, an_index, packed

Document = dict[str, Any]


def inventory_of(**contents: Content) -> Inventory:
    return packed({f"h.example/{name}": content for name, content in contents.items()})[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_encoded_is_decoded(shape: str) -> None:
    inventory = inventory_of(app=SHAPES[shape]())
    assert decode(encode(inventory)) == inventory


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
    return json.dumps(document).encode()


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


def test_an_index_with_more_annotations_is_the_same_index() -> None:
    inventory = inventory_of(app=a_module())
    document = json.loads(encode_index(inventory))
    document["manifests"][0]["annotations"]["org.example"] = "more"
    check_index(json.dumps(document).encode(), inventory)


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b'{"manifests": [1]}', b'{"manifests": [{}]}', b'{"manifests": null}']
)
def test_an_index_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ContentError):
        check_index(data, inventory_of(app=a_module()))


@pytest.mark.parametrize("field", ["digest", "size", "mediaType"])
def test_an_index_that_says_something_else_is_refused(field: str) -> None:
    inventory = inventory_of(app=a_module())
    document = json.loads(encode_index(inventory))
    document["manifests"][0][field] = document["manifests"][1][field] if field == "digest" else 5
    with pytest.raises(ContentError, match="does not name what"):
        check_index(json.dumps(document).encode(), inventory)


def test_a_root_more_or_less_is_refused() -> None:
    inventory = inventory_of(app=a_module())
    with pytest.raises(ContentError):
        check_index(encode_index(inventory), replace(inventory, repositories=()))
    assert Digest.parse(bundle_id(encode(inventory)))
