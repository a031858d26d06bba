"""What signing and verifying share: ssh-keygen as this command may use it, files of keys, the clock."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bundler.errors import UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.trust.keygen import SshKeygen

_KEYS = "name a file of public keys"


def keygen() -> SshKeygen:
    """ssh-keygen with this environment; it may ask for a passphrase where somebody sits at a terminal."""
    return SshKeygen(os.environ, interactive=sys.stdin is not None and sys.stdin.isatty())


def key_file(path: Path) -> bytes:
    """A file of public keys, read once. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(DEFAULT_LIMITS.config + 1)
    except OSError as error:
        raise UsageError(str(path), error.strerror or "can't be read", _KEYS) from None
    if len(data) > DEFAULT_LIMITS.config:
        cause = f"larger than the limit of {DEFAULT_LIMITS.config:,} bytes"
        raise UsageError(str(path), cause, _KEYS)
    return data


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())
