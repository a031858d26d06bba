"""Documents against the schemas that are published for them."""

from __future__ import annotations

import json

import jsonschema

from tests.source_code import ROOT


def valid(name: str, document: object) -> None:
    """Raise unless the document is valid by its published schema."""
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
