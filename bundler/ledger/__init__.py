"""What an importing machine remembers of a target: sequences, imports, rollback, receipt."""
