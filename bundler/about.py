"""What this program is called."""

PROGRAM = "timoni-bundler"

VERSION = "0.1.0"
