"""Command-line options, one module per group."""
