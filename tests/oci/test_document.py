"""Long documents: read within bounds, and ended by the first mistake."""

from __future__ import annotations

import json

import pytest

from bundler.bundle.inventory import INVENTORY_FILE
from bundler.bundle.inventory_reader import decode
from bundler.errors import ContentError
from bundler.ledger.receipt import decode_receipt
from bundler.ledger.rollback_file import decode_rollback
from bundler.limits import DEFAULT_LIMITS

EMPTY = {"format": 1, "kind": "full", "repositories": [], "manifests": [], "blobs": []}
READERS = [
    lambda data, limits: decode(data, limits=limits),
    lambda data, limits: decode_receipt(data, "r.json", limits),
    lambda data, limits: decode_rollback(data, "r.json", limits),
]


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
