"""What Timoni says: how a module becomes an OCI artifact. No I/O."""
