"""What people write down: the export file and the import file. Text in, values out; no I/O."""
