"""What the OCI specifications say: digests, descriptors, manifests, references. No I/O."""
