"""Credentials of a registry: from a file of ours, the environment, docker's and podman's files.

Order: `--creds-file`, `TIMONI_BUNDLER_CREDS`, then the auth files in the order of Timoni's own
client. Secrets are never taken from argv. Source: containers-auth.json(5); docker config.json.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bundler.errors import AuthError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import Prefix, RegistryName
from bundler.registry.auth.token_exchange import Credentials

DOCKER_HUB = "https://index.docker.io/v1/"

DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_CHECK = "check this docker or podman configuration"

_BY_HAND = "run it by hand to see why"


class CredentialSources(NamedTuple):
    """Places to look for credentials. Made at the edge, from options and environment."""

    lines: Sequence[str] = ()
    """`[HOST[/PATH]] USER:PASSWORD` or `[HOST[/PATH]] TOKEN`, from a file or the environment."""
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


class CredentialFinder:
    """Finds the credentials of repositories; each file is read once, each helper asked once for a name."""

    def __init__(self, sources: CredentialSources) -> None:
        self._sources = sources
        self._documents: dict[Path, Mapping[str, Any]] = {}
        self._answers: dict[tuple[str, str], Credentials | None] = {}
        self._lock = threading.Lock()

    def find(self, host: RegistryName, path: str = "") -> Credentials | None:
        """Return the credentials for a repository, or None for anonymous access.

        The entry whose path is the longest part of `path` decides. Raises UsageError for a malformed file,
        AuthError for a failing helper. Never shows a secret.
        """
        with self._lock:
            if credentials := _from_lines(host, path, self._sources):
                return credentials
            for file in self._sources.auth_files:
                if file not in self._documents:
                    self._documents[file] = _read_auth_file(file)
                if credentials := self._from_auth_file(host, path, file):
                    return credentials
            return None

    def _from_auth_file(self, host: RegistryName, path: str, file: Path) -> Credentials | None:
        document = self._documents[file]
        names = _names(host)
        helpers = _table(document, "credHelpers", file)
        for name in _matching(names, path, helpers):
            return self._asked(str(helpers[name]), name, file)
        entries = _table(document, "auths", file)
        for key in _matching(names, path, entries):
            if credentials := _from_entry(entries[key], key, file):
                return credentials
        store = document.get("credsStore")
        return self._asked(str(store), names[0], file) if store else None

    def _asked(self, helper: str, server: str, file: Path) -> Credentials | None:
        if (helper, server) not in self._answers:
            self._answers[helper, server] = _from_helper(helper, server, file, self._sources)
        return self._answers[helper, server]


def names_no_host(line: str) -> bool:
    """Return whether a line of credentials is for any host."""
    return not _skipped(line) and _parsed(line.strip(), "").place is None


def open_to_others(path: Path) -> bool:
    """Return whether other users of this machine can read a file."""
    return bool(path.stat().st_mode & 0o077)


class _Line(NamedTuple):
    place: _Place | None
    """The repositories that it is for; None for all."""
    secret: str


class _Place(NamedTuple):
    """A registry, and the first parts of the paths in it."""

    host: str
    path: str

    def covers(self, names: Sequence[str], path: str) -> bool:
        """Return whether a repository is in it; `names` are those of the repository's registry."""
        return self.host in names and f"{path}/".startswith(f"{self.path}/" if self.path else "")


def _place(key: str) -> _Place:
    """Return the place of a key such as `HOST/PATH` or `https://HOST/v1/`."""
    host, _, path = key.removeprefix("https://").removeprefix("http://").partition("/")
    return _Place(host.lower(), "" if path.strip("/") in ("v1", "v2") else path.strip("/"))


def _matching(names: Sequence[str], path: str, keys: Iterable[str]) -> list[str]:
    """Return the keys that are for a repository, the most particular first."""
    hosts = [_place(name).host for name in names]
    fitting = [key for key in keys if _place(key).covers(hosts, path)]
    return sorted(fitting, key=lambda key: (-len(_place(key).path), key not in names))


def _from_lines(host: RegistryName, path: str, sources: CredentialSources) -> Credentials | None:
    lines = [
        _parsed(line.strip(), f"{sources.origin_of_lines}:{number}")
        for number, line in enumerate(sources.lines, 1)
        if not _skipped(line)
    ]
    names = [name.lower() for name in _names(host)]
    fitting = [line for line in lines if line.place is None or line.place.covers(names, path)]
    fitting.sort(key=lambda line: -len(line.place.path) if line.place else 1)
    return _credentials(fitting[0].secret) if fitting else None


def _skipped(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _parsed(line: str, where: str) -> _Line:
    """Read `[HOST[/PATH]] USER:PASSWORD` or a token in the place of the two; passwords may have spaces."""
    first, _, rest = line.partition(" ")
    rest = rest.strip()
    if rest and _is_place(first) and (":" in rest or " " not in rest):
        return _Line(_place(first), rest)
    if ":" not in first and rest:
        next_step = "write [HOST[/PATH]] USER:PASSWORD or [HOST[/PATH]] TOKEN"
        raise UsageError(where, "not a line of credentials", next_step)
    return _Line(None, line)


def _is_place(text: str) -> bool:
    try:
        Prefix.parse(text)
    except ValueError:
        return False
    return True


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
        raise UsageError(str(path), "not a JSON object", _CHECK)
    return document


def _names(host: RegistryName) -> list[str]:
    """Return the names by which a file may mean this registry."""
    return [DOCKER_HUB, *sorted(DOCKER_HUB_HOSTS)] if host in DOCKER_HUB_HOSTS else [host]


def _table(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(str(path), f"{key} is not an object", _CHECK)
    return value


def _from_entry(entry: object, key: str, path: Path) -> Credentials | None:
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


def _from_helper(helper: str, server: str, path: Path, sources: CredentialSources) -> Credentials | None:
    import subprocess

    name = f"docker-credential-{helper}"
    if "/" in helper:
        raise UsageError(str(path), f"credential helper {helper!r} is not a name", _CHECK)
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
        raise AuthError(name, "its answer is not JSON with Username and Secret", _BY_HAND) from None
    if user == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username=user, password=secret)
