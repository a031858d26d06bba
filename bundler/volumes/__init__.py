"""A bundle in numbered files: format, reader, writer, parity, repair."""
