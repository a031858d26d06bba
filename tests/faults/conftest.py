"""The source of the tests that interrupt an export everywhere."""

from collections.abc import Iterator

import pytest

from tests.builders import Content
from tests.doubles import MemoryRegistry


@pytest.fixture
def host() -> Iterator[str]:
    """A registry with two tags, of one config and one layer each."""
    content = Content()
    for tag in ("1.0.0", "1.1.0"):
        content.add_image(tag, tag)
    with MemoryRegistry({"app": content}) as registry:
        yield registry.host
