"""Compact bundles: gzip layers carried as what is inside them, and made again bit for bit."""
