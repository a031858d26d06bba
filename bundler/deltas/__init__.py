"""Bundles that build on bundles: base, chain, state, merge, retention. Neither outside nor inside."""
