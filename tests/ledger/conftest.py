"""The keys of tests/trust, for signed bundles."""

from __future__ import annotations

from tests.trust.conftest import alice, bob, mallory

__all__ = ["alice", "bob", "mallory"]
