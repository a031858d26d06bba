"""Credentials of a registry: from a file of ours, the environment, docker's and podman's files.

Order: `--creds-file`, `TIMONI_BUNDLER_CREDS`, then the auth files in the order of Timoni's own
client. Secrets are never taken from argv. Source: containers-auth.json(5); docker config.json.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bundler.errors import AuthError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.reference import RegistryName
from bundler.registry.auth.token_exchange import Credentials

DOCKER_HUB = "https://index.docker.io/v1/"

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_CHECK = "check this docker or podman configuration"

_BY_HAND = "run it by hand to see why"


class CredentialSources(NamedTuple):
    """Places to look for credentials. Made at the edge, from options and environment."""

    lines: Sequence[str] = ()
    """`[HOST] USER:PASSWORD` or `[HOST] TOKEN`, from a file or the environment."""
    origin_of_lines: str = ""
    """The file or variable that the lines came from, for messages."""
    auth_files: Sequence[Path] = ()
    """docker and podman files; the first that knows the host decides."""
    environment: Mapping[str, str] | None = None
    """The environment that a credential helper is started with."""
    helper_seconds: float = DEFAULT_LIMITS.helper_seconds
    """Seconds that a credential helper may take."""


def auth_files(environment: Mapping[str, str], home: Path | None) -> list[Path]:
    """Return the files that docker and podman would read, most specific first."""
    candidates: list[Path] = []
    if path := environment.get("REGISTRY_AUTH_FILE"):
        candidates.append(Path(path))
    if path := environment.get("DOCKER_CONFIG"):
        candidates.append(Path(path) / "config.json")
    if path := environment.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(path) / "containers" / "auth.json")
    if home:
        candidates += [home / ".config/containers/auth.json", home / ".docker/config.json"]
    return candidates


def find_credentials(host: RegistryName, sources: CredentialSources) -> Credentials | None:
    """Return the credentials for one registry, or None for anonymous access.

    Raises UsageError for a malformed file, AuthError for a failing helper. Never shows a secret.
    """
    if found := _from_lines(host, sources):
        return found
    for path in sources.auth_files:
        document = _read_auth_file(path)
        if found := _from_auth_file(host, document, path, sources):
            return found
    return None


def _from_lines(host: RegistryName, sources: CredentialSources) -> Credentials | None:
    for number, line in enumerate(sources.lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2:
            where = f"{sources.origin_of_lines}:{number}"
            raise UsageError(where, "not a line of credentials", "write [HOST] USER:PASSWORD or [HOST] TOKEN")
        if len(words) == 1 or words[0].lower() == host.lower():
            return _credentials(words[-1])
    return None


def _credentials(text: str) -> Credentials:
    user, colon, password = text.partition(":")
    return Credentials(username=user, password=password) if colon else Credentials(bearer_token=text)


def _read_auth_file(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        cause = f"can't read credentials: {type(error).__name__}"
        raise UsageError(str(path), cause, "make it readable, or use --creds-file") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's message may quote the file, and the file holds secrets.
        raise UsageError(str(path), "not valid JSON", _CHECK) from None
    if not isinstance(document, dict):
        raise UsageError(str(path), "no JSON object", _CHECK)
    return document


def _from_auth_file(
    host: RegistryName, document: Mapping[str, Any], path: Path, sources: CredentialSources
) -> Credentials | None:
    names = _names(host)
    helpers = _table(document, "credHelpers", path)
    for name in names:
        if helper := helpers.get(name):
            return _from_helper(str(helper), name, path, sources)
    entries = _table(document, "auths", path)
    by_host = {
        key.removeprefix("https://").removeprefix("http://").split("/")[0]: key for key in reversed(entries)
    }
    for name in names:
        key = name if name in entries else by_host.get(name)
        if key is not None and (found := _from_entry(entries[key], key, path)):
            return found
    if store := document.get("credsStore"):
        return _from_helper(str(store), names[0], path, sources)
    return None


def _names(host: RegistryName) -> list[str]:
    """Return the names by which a file may mean this registry."""
    return [DOCKER_HUB, "docker.io", host] if host in DOCKER_HUB_HOSTS else [host]


def _table(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(str(path), f"{key} is no object", _CHECK)
    return value


def _from_entry(entry: object, key: str, path: Path) -> Credentials | None:
    if not isinstance(entry, dict):
        raise UsageError(str(path), f"auths: {key}: no object", "log in again")
    if token := entry.get("identitytoken"):
        return Credentials(identity_token=str(token))
    if token := entry.get("registrytoken"):
        return Credentials(bearer_token=str(token))
    if entry.get("auth"):
        try:
            pair = base64.b64decode(str(entry["auth"]), validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError):
            raise UsageError(str(path), f"auths: {key}: auth is not base64 text", "log in again") from None
        user, colon, password = pair.partition(":")
        if not colon:
            raise UsageError(str(path), f"auths: {key}: auth is no user:password", "log in again")
        return Credentials(username=user, password=password)
    if entry.get("username"):
        return Credentials(username=str(entry["username"]), password=str(entry.get("password", "")))
    return None  # docker leaves an empty entry where a helper holds the secret


def _from_helper(helper: str, server: str, path: Path, sources: CredentialSources) -> Credentials | None:
    import subprocess

    name = f"docker-credential-{helper}"
    if "/" in helper:
        raise UsageError(str(path), f"credential helper {helper!r} is no name", _CHECK)
    try:
        ended = subprocess.run(  # noqa: S603
            [name, "get"],
            input=server,
            capture_output=True,
            text=True,
            check=False,
            timeout=sources.helper_seconds,
            env=sources.environment,
        )
    except FileNotFoundError:
        raise AuthError(name, f"named in {path}, but not installed", "install it or log in again") from None
    except subprocess.TimeoutExpired:
        cause = f"gave no answer in {sources.helper_seconds:.0f} s"
        raise AuthError(name, cause, _BY_HAND) from None
    except (OSError, ValueError) as error:
        raise AuthError(name, f"can't be run: {type(error).__name__}", _BY_HAND) from None
    if ended.returncode:
        if "credentials not found" in (ended.stdout + ended.stderr).lower():
            return None
        raise AuthError(name, f"failed with exit code {ended.returncode}", _BY_HAND)
    return _from_helper_answer(name, ended.stdout)


def _from_helper_answer(name: str, answer: str) -> Credentials:
    try:
        document = json.loads(answer)
        user, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError):
        raise AuthError(name, "its answer is no JSON with Username and Secret", _BY_HAND) from None
    if user == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username=user, password=secret)
