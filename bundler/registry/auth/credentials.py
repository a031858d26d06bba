"""Credentials of a registry: from a file of ours, the environment, docker's and podman's files.

Order: `--creds-file`, `TIMONI_BUNDLER_CREDS`, then the auth files in the order of Timoni's own
client. Secrets are never taken from argv. Source: containers-auth.json(5); docker config.json.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bundler.errors import UsageError
from bundler.oci import Prefix, RegistryName
from bundler.registry.auth import auth_document
from bundler.registry.auth.token_exchange import Credentials, secrets_of


class CredentialSources(NamedTuple):
    """Places to look for credentials. Made at the edge, from options and environment."""

    lines: Sequence[str] = ()
    """`[HOST[/PATH]] USER:PASSWORD` or `[HOST[/PATH]] TOKEN`, from a file or the environment."""
    origin_of_lines: str = ""
    """The file or variable that the lines came from, for messages."""
    auth_files: Sequence[Path] = ()
    """docker and podman files; the first that knows the host decides."""
    helpers: auth_document.HelperSettings = auth_document.HelperSettings()
    given: Credentials | None = None
    """Credentials for every host, before all others: those of a login that is to be proven."""


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
    """A finder of credentials for repositories; each file is read once, each helper asked once for a name."""

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
        if self._sources.given:
            return self._sources.given
        with self._lock:
            if credentials := _from_lines(host, path, self._sources):
                return credentials
            for file in self._sources.auth_files:
                if file not in self._documents:
                    self._documents[file] = auth_document.read_auth_file(file)
                if credentials := self._from_auth_file(host, path, file):
                    return credentials
            return None

    def _from_auth_file(self, host: RegistryName, path: str, file: Path) -> Credentials | None:
        document = self._documents[file]
        names = auth_document.names_of(host)
        helpers = auth_document.table_in(document, "credHelpers", file)
        for name in auth_document.matching_keys(names, path, helpers):
            if helpers[name]:
                return self._asked(helpers[name], name, file)
        entries = auth_document.table_in(document, "auths", file)
        for key in auth_document.matching_keys(names, path, entries):
            if credentials := auth_document.from_entry(entries[key], key, file):
                return credentials
        store = document.get("credsStore")
        return self._asked(store, names[0], file) if store else None

    def _asked(self, helper: Any, server: str, file: Path) -> Credentials | None:
        name = auth_document.helper_named(helper, file)
        if (name, server) not in self._answers:
            answer = auth_document.from_helper(name, server, file, self._sources.helpers)
            self._answers[name, server] = answer
        return self._answers[name, server]


def any_for_all_hosts(lines: Sequence[str], origin: str) -> bool:
    """Return whether a line of credentials is for any host. Raises UsageError for what is no such line."""
    return any(line.place is None for line in _all_parsed(lines, origin))


def secrets_in(lines: Sequence[str], origin: str) -> Iterator[str]:
    """Yield the secrets of all lines, also of those that no registry of this run needs.

    One may repeat what it was sent before. Raises UsageError for what is no such line.
    """
    for line in _all_parsed(lines, origin):
        yield from secrets_of(_credentials(line.secret))


def open_to_others(path: Path) -> bool:
    """Return whether other users of this machine can read a file."""
    return bool(path.stat().st_mode & 0o077)


class _Line(NamedTuple):
    place: auth_document.Place | None
    """The repositories that it is for; None for all."""
    secret: str


def _from_lines(host: RegistryName, path: str, sources: CredentialSources) -> Credentials | None:
    lines = _all_parsed(sources.lines, sources.origin_of_lines)
    names = [name.lower() for name in auth_document.names_of(host)]
    fitting = [line for line in lines if line.place is None or line.place.covers(names, path)]
    fitting.sort(key=lambda line: -len(line.place.path) if line.place else 1)
    return _credentials(fitting[0].secret) if fitting else None


def _all_parsed(lines: Sequence[str], origin: str) -> list[_Line]:
    return [
        _parsed(line.strip(), f"{origin}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _parsed(line: str, where: str) -> _Line:
    """Read `[HOST[/PATH]] USER:PASSWORD` or a token in the place of the two; passwords may have spaces."""
    first, rest = (*line.split(maxsplit=1), "")[:2]
    if rest and _is_place(first) and (":" in rest or len(rest.split()) == 1):
        return _Line(auth_document.place_of(first), rest)
    if rest and (":" not in first or "://" in first):
        next_step = "write [HOST[/PATH]] USER:PASSWORD or [HOST[/PATH]] TOKEN"
        raise UsageError(where, "not a line of credentials", next_step)
    return _Line(None, line)


def _is_place(text: str) -> bool:
    host, path = auth_document.place_of(text)
    try:
        Prefix.parse(f"{host}/{path}" if path else host)
    except ValueError:
        return False
    return True


def _credentials(text: str) -> Credentials:
    user, colon, password = text.partition(":")
    return Credentials(username=user, password=password) if colon else Credentials(bearer_token=text)
