"""The credentials that docker and podman keep: entries of their files, and the helpers that these name.

Source: containers-auth.json(5); docker's `config.json` and `docker-credential-helpers`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bundler.errors import AuthError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import RegistryName
from bundler.registry.auth.token_exchange import Credentials

DOCKER_HUB = "https://index.docker.io/v1/"

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

CHECK_FILE = "check this docker or podman configuration"


class Place(NamedTuple):
    """A registry, and the first parts of the paths in it."""

    host: str
    path: str

    def covers(self, names: Sequence[str], path: str) -> bool:
        """Return whether a repository is in it; `names` are those of the repository's registry."""
        return self.host in names and f"{path}/".startswith(f"{self.path}/" if self.path else "")


def place_of(key: str) -> Place:
    """Return the place of a key such as `HOST/PATH` or `https://HOST/v1/`."""
    host, _, path = re.sub("^(?:https?|oci)://", "", key).partition("/")
    return Place(host.lower(), "" if path.strip("/") in ("v1", "v2") else path.strip("/"))


def matching_keys(names: Sequence[str], path: str, keys: Iterable[str]) -> list[str]:
    """Return the keys that are for a repository, the most particular first."""
    hosts = [place_of(name).host for name in names]
    fitting = [key for key in keys if place_of(key).covers(hosts, path)]
    return sorted(fitting, key=lambda key: (-len(place_of(key).path), key not in names))


def read_auth_file(path: Path) -> dict[str, Any]:
    """Return the document in a file; an empty one if nothing has this name. Raises UsageError."""
    try:
        return parsed_document(path.read_text(), path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        cause = f"can't read credentials: {type(error).__name__}"
        raise UsageError(str(path), cause, "make it readable, or use --creds-file") from None


def parsed_document(text: str, path: Path) -> dict[str, Any]:
    """Return the document that a text holds. Raises UsageError that shows nothing of it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's message may quote the file, and the file holds secrets.
        raise UsageError(str(path), "not valid JSON", CHECK_FILE) from None
    if not isinstance(document, dict):
        raise UsageError(str(path), "not a JSON object", CHECK_FILE)
    return document


def names_of(host: RegistryName) -> list[str]:
    """Return the names by which a file may mean this registry."""
    return [DOCKER_HUB, *sorted(DOCKER_HUB_HOSTS)] if host in DOCKER_HUB_HOSTS else [host]


def table_in(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return an object of a document; an empty one if it is absent. Raises UsageError."""
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(str(path), f"{key} is not an object", CHECK_FILE)
    return value


def from_entry(entry: object, key: str, path: Path) -> Credentials | None:
    """Return the credentials that an entry holds; None for one without a secret. Raises UsageError."""
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise UsageError(str(path), f"auths: {key}: not an object", "log in again")
    if token := entry.get("identitytoken"):
        return Credentials(identity_token=str(token))
    if token := entry.get("registrytoken"):
        return Credentials(bearer_token=str(token))
    if entry.get("auth"):
        try:
            pair = base64.b64decode("".join(str(entry["auth"]).split()), validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError):
            raise UsageError(str(path), f"auths: {key}: auth is not base64 text", "log in again") from None
        user, colon, password = pair.partition(":")
        if not colon:
            raise UsageError(str(path), f"auths: {key}: auth is not user:password", "log in again")
        return Credentials(username=user, password=password)
    if entry.get("username"):
        return Credentials(username=str(entry["username"]), password=str(entry.get("password", "")))
    return None  # docker leaves an empty entry where a helper holds the secret


_SECRETS = ("auth", "identitytoken", "registrytoken", "username", "password")
"""Keys of an entry that say who somebody is; others are kept."""


def same_place(keys: Iterable[str], names: Sequence[str], path: str) -> list[str]:
    """Return the keys that are for exactly this part of a registry, in any spelling."""
    hosts = [place_of(name).host for name in names]
    return [key for key in keys if place_of(key).host in hosts and place_of(key).path == path]


def with_credentials(entry: object, credentials: Credentials | None) -> dict[str, Any]:
    """Return an entry with these credentials; with none, where a helper holds them."""
    kept = entry if isinstance(entry, dict) else {}
    kept = {key: value for key, value in kept.items() if key not in _SECRETS}
    if credentials is None:
        return kept
    if credentials.bearer_token:
        return {"registrytoken": credentials.bearer_token, **kept}
    return {"auth": credentials.basic.removeprefix("Basic "), **kept}


# --- credential helpers ------------------------------------------------------------------------------

_BY_HAND = "run it by hand to see why"


class HelperSettings(NamedTuple):
    """Environment and time of a credential helper."""

    environment: Mapping[str, str] | None = None
    """The environment that a helper is started with."""
    seconds: float = DEFAULT_LIMITS.helper_seconds
    """Seconds that a helper may take."""


def helper_named(value: object, path: Path) -> str:
    """Return the name of a helper in a file. Raises UsageError for what can't be one."""
    if not isinstance(value, str) or "/" in value:
        raise UsageError(str(path), f"credential helper {value!r} is not a name", CHECK_FILE)
    return value


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

    name = f"docker-credential-{helper_named(helper, path)}"
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
