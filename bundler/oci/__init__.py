"""Digests, descriptors, manifests and references, as the OCI specifications define them. No I/O."""
