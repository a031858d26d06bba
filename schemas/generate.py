"""Write the JSON Schemas: one file per document, from the types that the package works with.

usage: python schemas/generate.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, with_config

from bundler.bundle import inventory
from bundler.bundle.compacted.compact_format import compact_schema
from bundler.bundle.contents import Contents, RepositoryContents, TagContents
from bundler.cli.terminal.log_line import LogLine
from bundler.config.export_file import ExportKeys
from bundler.config.import_file import ImportKeys
from bundler.config.policy_file import PolicyKeys
from bundler.deltas.difference import Difference, RepositoryDifference, TagChange, TagState
from bundler.deltas.store_list import ListedBundle, StoreList
from bundler.exporter.browse import DescribedTag, RegistryCatalog, RepositoryTags
from bundler.exporter.resolve.lock_file import Lock
from bundler.extractor import Extracted
from bundler.ledger import sequences
from bundler.ledger.receipt import Receipt, ReceivedRepository
from bundler.ledger.rollback_file import MovedTag, RollbackFile
from bundler.oci.digest import Digest
from bundler.oci.document import adapter_of
from bundler.oci.grammar import Size, camel
from bundler.reporting.bundle_outcome import BundleOutcome, CompactReport, CompactShare, ImagesReport
from bundler.reporting.json_report import (
    BlobCounts,
    BundleReport,
    Explanation,
    Failure,
    Report,
    RepositoryExplanation,
    RepositoryReport,
    SignedReport,
    SignerReport,
    StatementReport,
    TagDecision,
    TagReport,
    TrafficReport,
)
from bundler.trust import statement

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMPARED = (Difference, RepositoryDifference, TagChange, TagState)
EXPLAINED = (Explanation, RepositoryExplanation, TagDecision)
OURS = (
    Report,
    ImagesReport,
    RepositoryReport,
    TagReport,
    BundleReport,
    BundleOutcome,
    CompactReport,
    CompactShare,
    BlobCounts,
    TrafficReport,
    Failure,
)
SIGNED = (StatementReport, SignerReport, SignedReport)
LISTED = (StoreList, ListedBundle, RepositoryTags, DescribedTag, RegistryCatalog)
SHOWN = (Contents, RepositoryContents, TagContents, Extracted, *LISTED)


class TagList(BaseModel):
    """The answer to `GET /v2/{name}/tags/list`."""

    name: str = ""
    tags: list[str] | None = Field(description="null is what some registries say for none")


class OciDescriptor(BaseModel):
    """A descriptor (image-spec 1.1, descriptor.md)."""

    mediaType: str = Field(min_length=1)
    digest: Digest
    size: Size
    annotations: dict[str, str] | None = None
    data: str | None = Field(default=None, description="the content itself, in base64")


class OciManifest(BaseModel):
    """An image manifest (image-spec 1.1, manifest.md); unknown fields are carried along untouched."""

    schemaVersion: int = Field(ge=2, le=2)
    mediaType: str | None = None
    config: OciDescriptor
    layers: list[OciDescriptor] | None = None
    annotations: dict[str, str] | None = None


class ErrorDetail(BaseModel):
    """One error of a registry."""

    code: str = ""
    message: str = ""
    detail: Any = None


class RegistryError(BaseModel):
    """The body of a registry's 4xx or 5xx answer (distribution-spec 1.1, "Error Codes")."""

    errors: list[ErrorDetail]


def _bundle() -> dict[str, Any]:
    """Return the schema of `bundle.json`: what is optional is left out where it is empty, and never null."""
    schema = _without_null(inventory.schema())
    for name in ("omitted", "base", "follows"):
        schema["properties"][name] |= {"minItems": 1, "uniqueItems": True}
        del schema["properties"][name]["default"]
    schema["$defs"]["Predecessor"] = _without_null(schema["$defs"]["Predecessor"])
    repository = schema["$defs"]["RepositoryEntry"]
    repository["required"].append("untagged")
    for name in ("removed", "deselected"):
        repository["properties"][name] |= {"minProperties": 1}
        repository["properties"][name].pop("default", None)
    return schema


def _statement() -> dict[str, Any]:
    """Return the schema of `statement.json`, as narrow as docs/bundle-format.md."""
    schema = _without_null(statement.adapter_of(statement.Statement).json_schema())
    # A bundle id is always a sha256.
    schema["properties"]["bundle"]["pattern"] = "^sha256:[a-f0-9]{64}$"
    return schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a document whose optional fields are left out, not null."""
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            kept = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            schema["properties"][name] = kept | kinds[0]
    return schema


def documents() -> dict[str, dict[str, Any]]:
    """Every schema by file name."""
    for kind in (*OURS, *SIGNED, *SHOWN, *EXPLAINED, *COMPARED, ReceivedRepository, MovedTag, LogLine):
        with_config(ConfigDict(alias_generator=camel, use_attribute_docstrings=True, extra="ignore"))(kind)
    report = TypeAdapter(Report).json_schema(mode="serialization")
    report["properties"]["exitCode"] = {"type": "integer", "description": "The program's exit code."}
    return {
        "compact.schema.json": compact_schema(),
        "bundle.schema.json": _bundle(),
        "report.schema.json": report,
        "explanation.schema.json": TypeAdapter(Explanation).json_schema(mode="serialization"),
        "log-line.schema.json": TypeAdapter(LogLine).json_schema(mode="serialization"),
        "lock.schema.json": adapter_of(Lock, inventory.RepositoryEntry).json_schema(),
        "receipt.schema.json": adapter_of(Receipt).json_schema(),
        "rollback.schema.json": adapter_of(RollbackFile).json_schema(),
        "contents.schema.json": TypeAdapter(Contents).json_schema(mode="serialization"),
        "difference.schema.json": TypeAdapter(Difference).json_schema(mode="serialization"),
        "export-file.schema.json": ExportKeys.model_json_schema(),
        "import-file.schema.json": ImportKeys.model_json_schema(),
        "policy-file.schema.json": PolicyKeys.model_json_schema(),
        "extracted.schema.json": TypeAdapter(Extracted).json_schema(mode="serialization"),
        "statement.schema.json": _statement(),
        "import-state.schema.json": statement.adapter_of(sequences.SequenceEntry).json_schema(),
        "store-list.schema.json": TypeAdapter(StoreList).json_schema(mode="serialization"),
        "repository-tags.schema.json": TypeAdapter(RepositoryTags).json_schema(mode="serialization"),
        "registry-catalog.schema.json": TypeAdapter(RegistryCatalog).json_schema(mode="serialization"),
        "tag-list.schema.json": TagList.model_json_schema(),
        "oci-manifest.schema.json": OciManifest.model_json_schema(),
        "registry-error.schema.json": RegistryError.model_json_schema(),
    }


def main() -> int:
    """Write the files; with --check only compare, and name those that are not current."""
    stale = []
    for name, schema in documents().items():
        text = json.dumps({"$schema": DIALECT, **schema}, indent=2) + "\n"
        path = HERE / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale and "--check" in sys.argv:
        print("not current, run `make schemas`:", *stale)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
