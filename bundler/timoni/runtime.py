"""Timoni's attributes on fields: `@timoni(runtime:TYPE:NAME)` takes a value from the environment. No I/O.

As Timoni does it: the first `@timoni` attribute counts, the value replaces whatever stands there, and
without a value the field stays as it is. Source: Timoni 0.33, internal/engine/runtime_injector.go.
"""

from __future__ import annotations

from collections.abc import Iterable

_OPENING = "@timoni("


def variable_of(attributes: Iterable[str]) -> tuple[str, str]:
    """The type and the name of the variable that a field's value may come from; empty for none."""
    first = next((text for text in attributes if text.startswith(_OPENING)), "")
    parts = first.removeprefix(_OPENING).removesuffix(")").split(":")
    if len(parts) == 3 and parts[0] == "runtime":
        return parts[1], parts[2]
    return "", ""
