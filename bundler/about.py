"""The name and version of this program, and the oldest Python that runs it."""

PROGRAM = "timoni-bundler"

VERSION = "0.1.0"

OLDEST_PYTHON = (3, 11)
