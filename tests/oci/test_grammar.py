"""Documents as values: frozen, and made of no other values than their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, field, replace
from typing import Any

import pytest

from bundler.oci.grammar import DocumentValue, document_value


@document_value
class Note(DocumentValue):
    """A document."""

    text: str
    marks: Mapping[str, int] = field(default_factory=dict)
    number: int = 7


def test_a_document_is_made_of_its_fields_and_their_defaults() -> None:
    note = Note("a", number=8)
    assert asdict(note) == {"text": "a", "marks": {}, "number": 8}
    assert (replace(note, text="b"), repr(note)) == (Note("b", {}, 8), "Note(text='a', marks={}, number=8)")
    assert Note("a").marks is not Note("a").marks


def test_a_document_never_changes() -> None:
    note: Any = Note("a")
    with pytest.raises(FrozenInstanceError):
        note.text = "b"
    with pytest.raises(FrozenInstanceError):
        del note.text
    with pytest.raises(FrozenInstanceError):
        note.other = 1


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", {}, 1, 2), {}), (("a",), {"text": "b"}), (("a",), {"other": 1}), ((), {"number": 1})],
)
def test_other_values_than_its_fields_are_refused(values: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        Note(*values, **named)
