"""Long documents: read within bounds, and ended by the first mistake."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bundler.bundle.inventory import INVENTORY_FILE
from bundler.bundle.inventory_reader import decode
from bundler.errors import ContentError
from bundler.ledger.receipt import decode_receipt
from bundler.ledger.rollback_file import decode_rollback_file
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.repository import Repository
from tests.doubles import FakeClock, LoopbackServer, Reply
from tests.flows import registries_for

EMPTY = {"format": 1, "kind": "full", "repositories": [], "manifests": [], "blobs": []}
READERS = [
    lambda data, limits: decode(data, limits=limits),
    lambda data, limits: decode_receipt(data, "r.json", limits),
    lambda data, limits: decode_rollback_file(data, "r.json", limits),
]


def from_a_registry(respond: Callable[[Repository], object]) -> Callable[[bytes, Limits], object]:
    """A reader of what a registry answers to one question."""

    def read(data: bytes, limits: Limits) -> object:
        with LoopbackServer(lambda request: Reply(200, {"Content-Type": OCI_INDEX}, data)) as server:
            return respond(registries_for(FakeClock()).source(RepositoryName(f"{server.host}/app")))

    return read


JUDGED: dict[str, tuple[Callable[[bytes, Limits], object], str]] = {
    "manifest": (lambda data, limits: parse_manifest(data, OCI_MANIFEST, sha256(data)), "layers"),
    "index": (lambda data, limits: parse_manifest(data, OCI_INDEX, sha256(data)), "manifests"),
    "descriptor": (
        lambda data, limits: parse_manifest(b'{"config":%b}' % data, OCI_MANIFEST, sha256(data)), "digest"
    ),
    "platform": (
        lambda data, limits: parse_manifest(b'{"platform":%b}' % data, OCI_INDEX, sha256(data)), "os"
    ),
    "manifest of a registry": (
        from_a_registry(lambda repository: repository.manifest(Tag("x"))), "mediaType"
    ),
    "tag list of a registry": (from_a_registry(lambda repository: repository.tags()), "tags"),
    "referrers of a registry": (
        from_a_registry(lambda repository: repository.referrers(sha256(b""))), "manifests"
    ),
    "inventory": (READERS[0], "manifests"),
    "receipt": (READERS[1], "bundles"),
    "rollback file": (READERS[2], "moved"),
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("both", [True, False])
def test_a_key_in_another_case_is_refused_wherever_it_is_read(name: str, both: bool) -> None:
    read, key = JUDGED[name]
    document: dict[str, list[int]] = {key.upper(): [], **({key: []} if both else {})}
    with pytest.raises(ContentError, match="one key to readers that ignore case"):
        read(json.dumps(document).encode(), DEFAULT_LIMITS)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("limits", "said"),
    [({"inventory": 9}, "larger than"), ({"json_values": 2}, "2 values"), ({"json_depth": 0}, "nested")],
)
def test_over_a_limit_no_document_is_read(read: object, limits: dict[str, int], said: str) -> None:
    """Case 65."""
    assert callable(read)
    with pytest.raises(ContentError, match=said):
        read(json.dumps(EMPTY).encode(), DEFAULT_LIMITS._replace(**limits))


def test_the_first_mistake_is_told_with_its_place_and_no_other() -> None:
    with pytest.raises(ContentError) as error:
        decode(json.dumps(EMPTY | {"blobs": [{"size": 1}, {}, 7]}).encode())
    assert str(error.value) == f"{INVENTORY_FILE}: blobs.0.mediaType: Field required"


def test_a_mistake_at_the_top_is_told_so() -> None:
    with pytest.raises(ContentError, match="its top: Input should be an object"):
        decode(b"[]")


def test_of_wrong_tags_the_first_is_told() -> None:
    tags = {"1.0.0": "sha256:" + "a" * 64, "-rf": 1, "x": 2}
    document = EMPTY | {"repositories": [{"name": "h.example/a", "tags": tags}]}
    with pytest.raises(ContentError, match=r"repositories.0.tags: Value error, '-rf' is not a tag"):
        decode(json.dumps(document).encode())
