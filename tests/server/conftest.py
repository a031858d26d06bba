"""Fixtures only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_bundle, a_module
from tests.server.client import Client, writable_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Client]:
    """A new writable registry."""
    with writable_registry(tmp_path / "registry") as client:
        yield client


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle file with one module, `ghcr.io/team/app`."""
    return a_bundle(tmp_path / "app.tar.zst", {"ghcr.io/team/app": a_module("1.0.0", "1.1.0")})
