"""Documents read by plain code, held against pydantic's reading of the same types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bundler.bundle.compacted.compact_format import BaseBlob, CompactGroup, CompactHead, CompactLayer
from bundler.bundle.inventory import PARTS, Inventory, RepositoryEntry
from bundler.errors import ContentError
from bundler.exporter.resolve.lock_file import Lock
from bundler.ledger.receipt import Receipt, ReceivedRepository
from bundler.ledger.rollback_file import MovedTag, RollbackFile
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import sha256
from bundler.oci.document import SHORT, checked, read_document
from bundler.oci.plain_reader import plain_reader

ID, OTHER = sha256(b"bundle"), sha256(b"another")
NAME = "h.example/app"
BLOB = {"mediaType": "x/y", "digest": OTHER, "size": 7}
ENTRY = {"name": NAME, "tags": {"1.0.0": ID, "latest": ID}, "untagged": [OTHER]}

DOCUMENTS: dict[type, tuple[tuple[type, ...], Any]] = {
    Inventory: (PARTS, {
        "format": 1, "kind": "delta", "manifests": [BLOB], "blobs": [BLOB, BLOB], "omitted": [ID],
        "repositories": [ENTRY | {"removed": {"0.9.0": ID, OTHER: OTHER}, "deselected": {}}],
        "base": [ID], "required": [BLOB | {"repository": NAME}], "state": ID, "baseState": None,
        "follows": [{"id": ID, "job": "nightly", "number": 3, "time": 1_700_000_000, "file": None}],
    }),
    CompactHead: ((CompactLayer, BaseBlob, CompactGroup), {
        "compact": 1, "layers": [{"blob": 0, "codec": 1, "content": 5, "recipe": 2, "header": "1f8b"}],
        "headers": [{"size": 512}], "content": [{"size": 20, "prefix": 9, "recipe": 3}],
        "base": [BLOB | {"repository": NAME, "content": 50}],
    }),
    Lock: ((RepositoryEntry,), {
        "lockVersion": 1, "selection": ID, "repositories": [ENTRY], "omitted": [], "images": [NAME],
    }),
    Receipt: ((ReceivedRepository,), {
        "receiptVersion": 1, "target": "h.example", "time": "2026-11-01T09:00:00Z", "bundles": [ID],
        "repositories": [ENTRY | {"target": NAME}], "omitted": [], "filtered": {ID: OTHER},
    }),
    RollbackFile: ((MovedTag,), {
        "rollbackVersion": 1, "bundle": ID, "target": "h.example", "done": False, "receipt": None,
        "received": [ID], "moved": [{"repository": NAME, "tag": "1.0.0", "old": ID, "new": None}],
    }),
}  # fmt: skip
"""Every kind of document, with types of its parts and every field said."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2.0, 1e3, (1 << 62) - 1, 1 << 62, "", "x", "1", "full", "1.0.0", NAME, ID,
    f"{ID}\n", "A" * 200, "ünï", [], [None], [ID], [[]], {}, {"x": 1}, {"1.0.0": ID}, {ID: ID}, {"": ID},
)  # fmt: skip


def altered(value: Any) -> Iterator[Any]:
    """Every document with one thing in it that is otherwise: left out, added, or of another value."""
    yield from VALUES
    if isinstance(value, dict):
        yield value | {"new": 1}
        for key, part in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: other} for other in altered(part))
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in altered(part))


def by_pydantic(kind: type, document: Any) -> Any:
    """What is read of a document where plain code does not read it; None for an error."""
    unread = checked(json.dumps(document).encode(), item="x", limits=DEFAULT_LIMITS)._replace(content=None)
    try:
        return read_document(kind, unread, parts=DOCUMENTS[kind][0])
    except ContentError:
        return None


def by_plain_code(kind: Any, document: Any) -> Any:
    """What plain code reads; None for what it leaves to pydantic."""
    try:
        return plain_reader(kind)(json.loads(json.dumps(document)))
    except ValueError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_plain_code_reads_only_what_pydantic_reads_too(kind: type) -> None:
    whole = DOCUMENTS[kind][1]
    assert by_plain_code(kind, whole) is not None
    for document in (whole, *altered(whole)):
        plain = by_plain_code(kind, document)
        if plain is not None:
            read = by_pydantic(kind, document)
            assert plain == read, document
            assert repr(plain) == repr(read), document  # True is no 1


def test_a_long_document_is_read_by_pydantic() -> None:
    document = DOCUMENTS[Receipt][1] | {"bundles": [ID] * (SHORT // len(ID))}
    long = checked(json.dumps(document).encode(), item="x", limits=DEFAULT_LIMITS)
    assert long.content is None
    read = read_document(Receipt, long, parts=DOCUMENTS[Receipt][0])
    assert read == by_plain_code(Receipt, document)


def test_a_type_that_plain_code_does_not_know_is_an_error() -> None:
    @dataclass
    class Odd:
        number: float

    for kind in (Odd, set[int]):
        with pytest.raises(TypeError, match="read by pydantic only"):
            plain_reader(kind)
