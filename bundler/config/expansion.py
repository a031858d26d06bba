"""`${NAME}` in a text becomes a value of the environment; `$$` is a dollar sign."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bundler.config.refusal import RefusedError

_DOLLAR = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})?")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """The text with every variable filled in, once. Raises RefusedError, which never shows a value."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if found[1] is None:
            raise RefusedError("a $ that is neither ${NAME} nor $$", "write $$ for a dollar sign")
        if found[1] not in environment:
            raise RefusedError(
                f"the environment has no {found[1]}", f"set {found[1]}, or write $$ for a dollar sign"
            )
        return environment[found[1]]

    return _DOLLAR.sub(value, text)
