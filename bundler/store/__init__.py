"""What stays outside from night to night: blobs, and the memory of what was made of them."""

from __future__ import annotations

from bundler.store.content import Store
from bundler.store.history import Entry, History
from bundler.store.retention import Keep, expired

__all__ = ["Entry", "History", "Keep", "Store", "expired"]
