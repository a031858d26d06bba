"""Reading `bundle.json` and `index.json`: only what a writer of this format would have written passes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from bundler.bundle.inventory import (
    FORMAT,
    INVENTORY_FILE,
    PARTS,
    Inventory,
    Predecessor,
    RepositoryEntry,
    Required,
    bundle_id,
    encode,
    encode_index,
    plain_inventory,
)
from bundler.errors import ContentError
from bundler.layout import INDEX_FILE
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Descriptor, strict_json
from bundler.oci.document import checked, read_document
from bundler.oci.grammar import DocumentValue, camel, document_value

_LISTS: Mapping[str, type[Any]] = {
    "repositories": RepositoryEntry,
    "manifests": Descriptor,
    "blobs": Descriptor,
    "required": Required,
    "follows": Predecessor,
}
"""Types of the items of an inventory's lists."""


@document_value
class _Head(DocumentValue):
    """The field that every format has."""

    format: Any = None


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Inventory:
    """Read `bundle.json`. Raises ContentError: malformed, contradictory, or a newer format."""
    document = checked(data, Inventory, *PARTS, item=INVENTORY_FILE, limits=limits)
    head = read_document(_Head, document)
    if type(head.format) is int and head.format > FORMAT:
        cause = f"bundle format {head.format}; this program reads format {FORMAT}"
        raise ContentError(INVENTORY_FILE, cause, "use a newer timoni-bundler here")
    inventory = read_document(Inventory, document, parts=PARTS)
    if inventory.format != FORMAT:
        raise ContentError(INVENTORY_FILE, f"bundle format {inventory.format} does not exist")
    _check_consistent(inventory)
    _check_sizes(inventory, limits)
    _check_spelling(inventory, data, limits)
    return inventory


def _check_consistent(inventory: Inventory) -> None:
    _check_kind(inventory)
    _check_order(inventory)
    listed = [blob.digest for blob in (*inventory.content, *inventory.required)]
    if len(set(listed)) != len(listed):
        raise ContentError(INVENTORY_FILE, "it lists a blob twice")
    manifests = {blob.digest for blob in inventory.manifests}
    if both := manifests.intersection(inventory.omitted):
        raise ContentError(INVENTORY_FILE, f"it carries {min(both)} and lists it as omitted")
    for entry in inventory.repositories:
        _check_departed(entry)
        if missing := [digest for digest in entry.roots() if digest not in manifests]:
            raise ContentError(
                INVENTORY_FILE, f"{entry.name} has {missing[0]}, which is not among the manifests"
            )


def _check_departed(entry: RepositoryEntry) -> None:
    present = {*entry.tags, *entry.untagged}
    named = {"removed": {*entry.removed}, "deselected": {*entry.deselected}}
    for key, departed in named.items():
        if back := departed & present:
            raise ContentError(INVENTORY_FILE, f"{entry.name} lists {min(back)} as present and as {key}")
    if both := named["removed"] & named["deselected"]:
        raise ContentError(INVENTORY_FILE, f"{entry.name} lists {min(both)} as removed and as deselected")


def _check_order(inventory: Inventory) -> None:
    lists: list[tuple[str, Sequence[str]]] = [
        ("repositories", [entry.name for entry in inventory.repositories]),
        ("omitted", inventory.omitted),
        ("base", inventory.base),
        *(("untagged", entry.untagged) for entry in inventory.repositories),
    ]
    for name, items in lists:
        if any(first >= second for first, second in pairwise(items)):
            raise ContentError(INVENTORY_FILE, f"its list {name} is not sorted, or has something twice")
    for entry in inventory.repositories:
        if not (entry.tags or entry.untagged or entry.removed or entry.deselected):
            raise ContentError(INVENTORY_FILE, f"{entry.name} has nothing")


def _check_spelling(inventory: Inventory, data: bytes, limits: Limits) -> None:
    """Raise ContentError unless the bytes are the only spelling of their content: one content, one id.

    Unknown fields of a newer writer may be there, spelled as canonically as all else.
    """
    encoded = encode(inventory)
    if encoded == data:
        return
    strict_json.check_width(data, item=INVENTORY_FILE, most=limits.json_wide)
    document = strict_json.loads(
        data, item=INVENTORY_FILE, depth=limits.json_depth, values=limits.json_values
    )
    if strict_json.canonical(document) != data or strict_json.canonical(_known_of(document)) != encoded:
        raise ContentError(INVENTORY_FILE, "not spelled as canonical JSON", "carry the bundle again")


def _known_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without the fields that format 1 does not have."""
    parts = {
        "repositories": RepositoryEntry,
        "manifests": Descriptor,
        "blobs": Descriptor,
        "required": Required,
        "follows": Predecessor,
    }
    fields_of_format = _fields_of(Inventory, document)
    lists = {
        name: [_fields_of(part, item) for item in fields_of_format[name]]
        for name, part in parts.items()
        if name in fields_of_format
    }
    return fields_of_format | lists


def _fields_of(part: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    names = {camel(field.name) for field in fields(part)}
    return {name: value for name, value in document.items() if name in names}


def _check_kind(inventory: Inventory) -> None:
    if inventory.kind == "full":
        _check_full(inventory)
    if inventory.kind == "delta" and len(inventory.follows) > 1:
        raise ContentError(INVENTORY_FILE, "it is a delta, and follows more than one bundle")
    if inventory.kind == "delta" and not inventory.base:
        raise ContentError(INVENTORY_FILE, "it is a delta, but names no base")


def _check_full(inventory: Inventory) -> None:
    removes = any(entry.removed or entry.deselected for entry in inventory.repositories)
    of_delta = (inventory.base, inventory.required, inventory.base_state)
    if any(of_delta) or (not inventory.follows and (removes or inventory.state)):
        raise ContentError(INVENTORY_FILE, "it is full, but has fields of a delta")
    if inventory.follows and inventory.state != bundle_id(encode(plain_inventory(inventory))):
        raise ContentError(INVENTORY_FILE, "its state is not that of its content")


def _check_sizes(inventory: Inventory, limits: Limits) -> None:
    """Raise ContentError for manifests that take too much memory."""
    if large := [blob for blob in inventory.manifests if blob.size > limits.manifest]:
        cause = f"manifest {large[0].digest} is larger than the limit of {limits.manifest:,} bytes"
        raise ContentError(INVENTORY_FILE, cause)
    if (total := sum(blob.size for blob in inventory.manifests)) > limits.manifests:
        cause = f"{total:,} bytes of manifests, over the limit of {limits.manifests:,}"
        raise ContentError(INVENTORY_FILE, cause)


def check_index(data: bytes, inventory: Inventory) -> None:
    """Raise ContentError unless `data` is the `index.json` that follows from the inventory, byte by byte.

    A signature proves `bundle.json` alone; other tools read `index.json` once a bundle is unpacked.
    """
    if data != encode_index(inventory):
        cause = "it is not the index that follows from bundle.json"
        raise ContentError(INDEX_FILE, cause, "carry the bundle again")
