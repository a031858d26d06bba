"""Bundles of which a run left the beginning."""
