"""One module per command, in three groups."""
