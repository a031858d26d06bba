"""Commands used outside: export, explain, merge."""
