"""Progress while a run lasts, and the report when it is over. No I/O."""
