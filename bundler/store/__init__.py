"""Storage that stays outside from night to night: blobs, and the memory of what was made of them."""

from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry

__all__ = ["History", "HistoryEntry", "Store"]
