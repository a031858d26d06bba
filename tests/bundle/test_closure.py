"""An inventory and its manifests say the same, or the bundle is refused: by verify, merge and the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import Session, merge_bundles, output_to
from bundler.bundle.closure import check_closure
from bundler.bundle.inventory import Inventory, encode, encode_index
from bundler.bundle.reader import open_bundle
from bundler.errors import ContentError, IntegrityError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import Descriptor, Digest
from bundler.oci.manifest import DOCKER_MANIFEST
from tests.builders import (
    Content,
    Document,
    a_bundle,
    a_module,
    an_index,
    framed,
    members_of,
    packed,
    sign_by_subject,
    tar_of,
)

NAME = "h.example/app"


def retyped(blob: Descriptor) -> Descriptor:
    return replace(blob, media_type="application/vnd.example.other")


LIES: dict[str, Callable[[Inventory], Inventory]] = {
    "media type of a layer": lambda found: replace(
        found, blobs=(*found.blobs[:-1], retyped(found.blobs[-1]))
    ),
    "media type of a config": lambda found: replace(found, blobs=(retyped(found.blobs[0]), *found.blobs[1:])),
    "something omitted that no index has": lambda found: replace(
        found, omitted=(Digest("sha256:" + "a" * 64),)
    ),
}


def lying(path: Path, content: Content, lie: Callable[[Inventory], Inventory]) -> Path:
    """Write a bundle whose inventory says something else than its manifests."""
    inventory = lie(packed({NAME: content})[0])
    members = [
        ("bundle.json", encode(inventory)),
        *members_of({NAME: content})[1:2],
        ("index.json", encode_index(inventory)),
        *members_of({NAME: content})[3:],
    ]
    path.write_bytes(framed(tar_of(members)))
    return path


@pytest.mark.parametrize("name", LIES)
def test_what_is_stated_twice_must_agree(name: str, tmp_path: Path) -> None:
    path = lying(tmp_path / "b.tar.zst", a_module("1.0.0"), LIES[name])
    with open_bundle(path) as bundle, pytest.raises(ContentError, match=r"media type|omitted"):
        verify_bundle(bundle)
    with pytest.raises(ContentError, match=r"media type|omitted"):
        merge_bundles([path], output_to(str(tmp_path / "merged.tar.zst")), Session())
    assert not (tmp_path / "merged.tar.zst").exists()


def test_a_child_of_an_index_has_the_media_type_that_it_states() -> None:
    content = an_index()
    inventory, _ = packed({NAME: content})
    manifests = content.parsed()
    wrong = replace(inventory, manifests=(retyped(inventory.manifests[0]), *inventory.manifests[1:]))
    check_closure(inventory, manifests, DEFAULT_LIMITS)
    with pytest.raises(ContentError, match="media type"):
        check_closure(wrong, manifests, DEFAULT_LIMITS)


def test_a_blob_has_the_size_that_its_manifest_states() -> None:
    content = a_module("1.0.0")
    inventory, _ = packed({NAME: content})
    larger = replace(inventory.blobs[0], size=inventory.blobs[0].size + 1)
    wrong = replace(inventory, blobs=(larger, *inventory.blobs[1:]))
    with pytest.raises(IntegrityError, match="needs"):
        check_closure(wrong, content.parsed(), DEFAULT_LIMITS)


@pytest.mark.parametrize("stated", [{"size": 7}, {"mediaType": DOCKER_MANIFEST}])
def test_a_subject_is_what_its_referrer_states(stated: Document, tmp_path: Path) -> None:
    content = a_module("1.0.0")
    sign_by_subject(content, content.tags["1.0.0"], stated=stated)
    path = a_bundle(tmp_path / "b.tar.zst", {NAME: content})
    with open_bundle(path) as bundle, pytest.raises(ContentError, match="it states its subject"):
        verify_bundle(bundle)
    with pytest.raises(ContentError, match="it states its subject"):
        merge_bundles([path], output_to(str(tmp_path / "merged.tar.zst")), Session())
