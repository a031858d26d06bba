"""Where an export goes: a file, a directory, a stream, volumes."""
