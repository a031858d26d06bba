"""The output that a person sees: bars and lines, tables, summaries, log lines, help."""
