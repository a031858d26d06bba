"""Referrers, fallback tags, cosign tags: how they are named, and what they prove."""
