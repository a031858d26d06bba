"""What is loaded once for all tests of faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sweeps import LoadedProgram


@pytest.fixture(scope="session")
def program() -> Iterator[LoadedProgram]:
    """The program, ready to be struck."""
    with LoadedProgram() as loaded:
        yield loaded
