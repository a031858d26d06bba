"""Blocks of code whose errors become others."""

from collections.abc import Callable
from typing import Any


class ErrorsAs:
    """A block in which errors of some kinds become those that `make` makes of them.

    No generator, because a dozen such blocks stand around each request and each blob.
    """

    def __init__(
        self,
        kinds: type[Exception] | tuple[type[Exception], ...],
        make: Callable[[Any], BaseException],
    ) -> None:
        self._kinds = kinds
        self._make = make

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and isinstance(error, self._kinds):
            raise self._make(error) from error
