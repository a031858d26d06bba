"""The destinations of an export: a file, a directory, a stream, volumes."""
