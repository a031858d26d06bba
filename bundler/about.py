"""The name and version of this program."""

PROGRAM = "timoni-bundler"

VERSION = "0.1.0"
