"""Commands that carry modules: export, explain, import, merge, extract, serve."""
