"""Credential helpers of docker and podman: programs that keep secrets elsewhere than in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bundler.errors import AuthError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.registry.auth.auth_document import CHECK_FILE
from bundler.registry.auth.token_exchange import Credentials

_BY_HAND = "run it by hand to see why"


class HelperSettings(NamedTuple):
    """How credential helpers are run."""

    environment: Mapping[str, str] | None = None
    """The environment that a helper is started with."""
    seconds: float = DEFAULT_LIMITS.helper_seconds
    """Seconds that a helper may take."""


def from_helper(helper: str, server: str, path: Path, settings: HelperSettings) -> Credentials | None:
    """Return the credentials that a helper named in `path` has; None if it has none.

    Raises: UsageError for what is not a helper's name. AuthError for a helper that fails.
    """
    answer = _called(helper, "get", server, path, settings)
    return None if answer is None else _from_answer(f"docker-credential-{helper}", answer)


def keep_by_helper(
    helper: str, server: str, credentials: Credentials, path: Path, settings: HelperSettings
) -> None:
    """Have a helper keep a user and a password. Raises UsageError, AuthError."""
    document = {"ServerURL": server, "Username": credentials.username, "Secret": credentials.password}
    _called(helper, "store", json.dumps(document), path, settings)


def forget_by_helper(helper: str, server: str, path: Path, settings: HelperSettings) -> bool:
    """Have a helper forget a registry; return False if it knows none. Raises UsageError, AuthError."""
    if from_helper(helper, server, path, settings) is None:
        return False
    _called(helper, "erase", server, path, settings)
    return True


def _called(helper: str, action: str, text: str, path: Path, settings: HelperSettings) -> str | None:
    """Return what a helper answers; None if it knows nothing of the registry."""
    import subprocess

    name = f"docker-credential-{helper}"
    if "/" in helper:
        raise UsageError(str(path), f"credential helper {helper!r} is not a name", CHECK_FILE)
    try:
        ended = subprocess.run(  # noqa: S603
            [name, action],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=settings.seconds,
            env=settings.environment,
        )
    except FileNotFoundError:
        raise AuthError(name, f"named in {path}, but not installed", "install it or log in again") from None
    except subprocess.TimeoutExpired:
        cause = f"gave no answer in {settings.seconds:.0f} s"
        raise AuthError(name, cause, _BY_HAND) from None
    except (OSError, ValueError) as error:
        raise AuthError(name, f"can't be run: {type(error).__name__}", _BY_HAND) from None
    if ended.returncode:
        if "credentials not found" in (ended.stdout + ended.stderr).lower():
            return None
        raise AuthError(name, f"failed with exit code {ended.returncode}", _BY_HAND)
    return ended.stdout


def _from_answer(name: str, answer: str) -> Credentials:
    try:
        document = json.loads(answer)
        user, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError):
        raise AuthError(name, "its answer is not JSON with Username and Secret", _BY_HAND) from None
    if user == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username=user, password=secret)
