"""The users of the registry: a file of names and bcrypt hashes, as `htpasswd -B` writes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from binascii import Error
from collections.abc import Callable, Mapping
from threading import Lock

from bundler.errors import UsageError, printable

_LINE = re.compile(r"([^:\s]{1,255}):(\$2[aby]\$(?:0[4-9]|1[0-9])\$[./A-Za-z0-9]{53})")

_LONGEST = 72
"""Bytes of a password that bcrypt looks at."""

_REMEMBERED = 1_000

Check = Callable[[bytes, bytes], bool]


def read_htpasswd(name: str, text: str) -> dict[str, bytes]:
    """Return the hash of every user. Raises UsageError that names the line that is not one."""
    users: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            cause = "this is not a user with a bcrypt hash of a cost from 4 to 19"
            raise UsageError(f"{name}:{number}", cause, "make it with `htpasswd -B`")
        if match[1] in users:
            raise UsageError(f"{name}:{number}", f"{printable(match[1])} is there twice", "remove one")
        users[match[1]] = match[2].encode()
    if not users:
        raise UsageError(name, "it has no user", "add one with `htpasswd -B`")
    return users


class Passwords:
    """Users and their hashes. A password that was right is not hashed again. Safe for all threads."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = dict(users)
        self._check = _bcrypt()
        # A hash for users that do not exist: the answer takes as long for them.
        self._nobody = next(iter(self._users.values()))
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._lock = Lock()

    def allow(self, authorization: str | None) -> bool:
        """Return True for a header with the name and password of a user."""
        login = _basic(authorization or "")
        if login is None:
            return False
        user, password = login
        mark = hmac.digest(self._key, f"{user}:".encode() + password, hashlib.sha256)
        if mark in self._right:
            return True
        right = self._check(password, self._users.get(user, self._nobody)) and user in self._users
        if right:
            with self._lock:
                self._right[mark] = None
                while len(self._right) > _REMEMBERED:
                    del self._right[next(iter(self._right))]
        return right


def _basic(header: str) -> tuple[str, bytes] | None:
    """Return user and password of a Basic header (RFC 7617); None for anything else."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        name = user.decode()
    except (Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if colon else None


def _bcrypt() -> Check:
    """Return the comparison of a password with a hash; loaded here, because only this needs it."""
    try:
        import bcrypt
    except ImportError:
        cause = "passwords need the library bcrypt"
        raise UsageError("--htpasswd", cause, "pip install 'timoni-bundler[htpasswd]'") from None

    def check(password: bytes, hashed: bytes) -> bool:
        # As `htpasswd` and every other reader of the file cut it.
        return b"\0" not in password and bcrypt.checkpw(password[:_LONGEST], hashed)

    return check
