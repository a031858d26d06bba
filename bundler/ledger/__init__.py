"""The memory that an importing machine has of a target: sequences, imports, rollback, receipt."""
