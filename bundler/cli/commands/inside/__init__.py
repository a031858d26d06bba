"""Commands used inside: import, serve, extract."""
