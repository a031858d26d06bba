"""Logins that are kept between runs, in the files and helpers of docker and podman."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from bundler.durable import WholeFile, make_directories, read_if_there, whole_file
from bundler.errors import LocalError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import Prefix
from bundler.oci.reference import DOCKER_HUB
from bundler.registry.auth import auth_document
from bundler.registry.auth.auth_document import HelperSettings
from bundler.registry.auth.token_exchange import Credentials

MOST_LINKS = 40
"""Links that are followed to a file."""


class _Helper(NamedTuple):
    name: str
    server: str
    """The registry as the helper knows it."""

    def keeps(self, place: Prefix) -> bool:
        """Return True if it keeps a login for exactly this place."""
        return auth_document.place_of(self.server).path == (place.path or "")


def keep_login(file: Path, place: Prefix, credentials: Credentials, settings: HelperSettings) -> str:
    """Keep the credentials of a registry or a part of it; return where: the file, or the helper it names.

    Everything else in the file stays. Only its owner can read it afterwards.

    Raises: UsageError for a malformed file, and for what its helper can't keep. AuthError for a helper that
    fails. LocalError.
    """
    file = _followed(file)
    make_directories(file.parent)
    with whole_file(file) as written:
        document = _document(file)
        helper = _helper_for(document, place, file)
        if helper:
            _check_helper(helper, place, credentials, file)
            auth_document.keep_by_helper(helper.name, helper.server, credentials, file, settings)
        entries = auth_document.table_in(document, "auths", file)
        for key in _entries_of(document, place, file) or [_usual_key(place, file)]:
            kept = None if helper else credentials
            entries[key] = auth_document.with_credentials(entries.get(key), kept)
        _write(written, {**document, "auths": entries})
    return f"docker-credential-{helper.name}" if helper else str(file)


def forget_login(file: Path, place: Prefix, settings: HelperSettings) -> bool:
    """Remove what a file and its helper keep for exactly this place; return False if that is nothing.

    Raises: UsageError for a malformed file. AuthError for a helper that fails. LocalError.
    """
    file = _followed(file)
    helper = _helper_for(_document(file), place, file)
    forgotten = False
    if helper and helper.keeps(place):
        forgotten = auth_document.forget_by_helper(helper.name, helper.server, file, settings)
    if not _entries_of(_document(file), place, file):
        return forgotten
    with whole_file(file) as written:
        document = _document(file)
        gone = _entries_of(document, place, file)
        entries = auth_document.table_in(document, "auths", file)
        _write(written, {**document, "auths": {key: entries[key] for key in entries if key not in gone}})
    return True


def _check_helper(helper: _Helper, place: Prefix, credentials: Credentials, file: Path) -> None:
    """Raise UsageError for what this helper can't keep."""
    cause = ""
    if not helper.keeps(place):
        cause = f"docker-credential-{helper.name}, named in {file}, keeps one login for {place.registry}"
    elif credentials.bearer_token:
        cause = f"docker-credential-{helper.name} keeps users with passwords, and this is a token"
    if cause:
        raise UsageError(str(place), cause, "name another file with --authfile")


def check_login_file(file: Path) -> None:
    """Raise UsageError or LocalError for a file that can't keep logins, before anybody types a password."""
    _document(_followed(file))


def _followed(file: Path) -> Path:
    """Return the file that a link leads to: it is replaced, and not the link.

    Raises: UsageError for what is there and is not a file. LocalError for a link to itself.
    """
    for _ in range(MOST_LINKS):
        if not file.is_symlink():
            if file.exists() and not file.is_file():
                raise UsageError(str(file), "not a file of credentials", "name another one with --authfile")
            return file
        file = file.parent / os.readlink(file)  # noqa: PTH115  pathlib's would drop `..`
    raise LocalError(str(file), "a link that leads to itself", "name another file with --authfile")


def _document(file: Path) -> dict[str, Any]:
    data = read_if_there(file, DEFAULT_LIMITS.config + 1)
    if data is None or not data.strip():
        return {}
    if len(data) > DEFAULT_LIMITS.config:
        raise UsageError(str(file), "larger than any file of credentials", "check that it is the right file")
    try:
        return auth_document.parsed_document(data.decode(), file)
    except UnicodeDecodeError:
        raise UsageError(str(file), "not a text file", auth_document.CHECK_FILE) from None


def _helper_for(document: dict[str, Any], place: Prefix, file: Path) -> _Helper | None:
    """Return the helper that is asked for this place, if the file names one."""
    names = auth_document.names_of(place.registry)
    helpers = auth_document.table_in(document, "credHelpers", file)
    for key in auth_document.matching_keys(names, place.path or "", helpers):
        return _Helper(str(helpers[key]), key)
    store = document.get("credsStore")
    return _Helper(str(store), names[0]) if store else None


def _entries_of(document: dict[str, Any], place: Prefix, file: Path) -> list[str]:
    """Return the keys of exactly this place."""
    entries = auth_document.table_in(document, "auths", file)
    return auth_document.same_place(entries, auth_document.names_of(place.registry), place.path or "")


def _usual_key(place: Prefix, file: Path) -> str:
    """Return the key for a place that has none yet; docker knows Docker Hub by an address of its own only."""
    if place.registry not in auth_document.DOCKER_HUB_HOSTS:
        return str(place)
    if place.path is None and file.name == "config.json":
        return auth_document.DOCKER_HUB
    return str(place._replace(registry=DOCKER_HUB))


def _write(file: WholeFile, document: dict[str, Any]) -> None:
    file.permit(0o600)
    file.write(json.dumps(document, indent="\t").encode() + b"\n")
