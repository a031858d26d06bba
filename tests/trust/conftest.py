"""Keys: made once, as they are the same for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.keys import a_key


@pytest.fixture(scope="session")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key of hers."""
    return a_key(tmp_path_factory.mktemp("alice"), "key")


@pytest.fixture(scope="session")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key of his."""
    return a_key(tmp_path_factory.mktemp("bob"), "key")


@pytest.fixture(scope="session")
def mallory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key that nobody allowed."""
    return a_key(tmp_path_factory.mktemp("mallory"), "key")
