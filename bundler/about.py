"""What this program is called."""

from __future__ import annotations

PROGRAM = "timoni-bundler"

VERSION = "0.1.0"
