"""Logins are kept as podman and docker keep them, and nothing else in their files changes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import AuthError, LocalError, UsageError
from bundler.oci import Prefix
from bundler.registry.auth.auth_document import HelperSettings
from bundler.registry.auth.credentials import CredentialFinder, CredentialSources
from bundler.registry.auth.kept_logins import forget_login, keep_login
from bundler.registry.auth.token_exchange import Credentials

HOST, PART = Prefix.parse("h.example:5000"), Prefix.parse("h.example:5000/team/apps")
HUB = Prefix.parse("docker.io")
PAIR, OTHER = Credentials("carrier", "pä:ss wörd"), Credentials("other", "word")
TOKEN = Credentials(bearer_token="a-long-token")
FOREIGN = {
    "auths": {"else.example": {"auth": "eDp5", "email": "x@y"}},
    "HttpHeaders": {"n": 1.5},
    "big": 10**30,
}

HELPER = """#!/bin/sh
# Keeps what it is given in a folder, a file for each server.
case $1 in
  store) read -r text; name=$(printf %s "$text" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/' | tr / _)
         printf %s "$text" > "$KEPT/$name" ;;
  get) read -r server; name=$(printf %s "$server" | tr / _)
       [ -e "$KEPT/$name" ] || { echo "credentials not found in native keychain"; exit 1; }
       cat "$KEPT/$name" ;;
  erase) read -r server; rm "$KEPT/$(printf %s "$server" | tr / _)" ;;
esac
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a file of credentials, in a folder that is not there yet."""
    return tmp_path / "containers" / "auth.json"


@pytest.fixture
def helpers(tmp_path: Path) -> HelperSettings:
    """A helper `test`, which keeps its secrets in a folder."""
    program, kept = tmp_path / "bin" / "docker-credential-test", tmp_path / "kept"
    program.parent.mkdir()
    kept.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return HelperSettings({"PATH": path, "KEPT": str(kept)})


def kept(file: Path, place: Prefix, settings: HelperSettings | None = None) -> Credentials | None:
    """What a later run finds."""
    sources = CredentialSources(auth_files=[file], helpers=settings or HelperSettings())
    return CredentialFinder(sources).find(place.registry, place.path or "")


def written(file: Path, document: Any) -> Path:
    """The file with a document in it."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize("credentials", [PAIR, TOKEN], ids=["password", "token"])
@pytest.mark.parametrize("place", [HOST, PART, HUB], ids=str)
def test_a_login_is_found_again_and_forgotten(place: Prefix, credentials: Credentials, file: Path) -> None:
    assert keep_login(file, place, credentials, HelperSettings()) == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept(file, place) == credentials
    assert forget_login(file, place, HelperSettings())
    assert kept(file, place) is None
    assert not forget_login(file, place, HelperSettings())


def test_a_part_of_a_registry_has_a_login_of_its_own(file: Path) -> None:
    keep_login(file, HOST, OTHER, HelperSettings())
    keep_login(file, PART, PAIR, HelperSettings())
    assert kept(file, PART._replace(path=None)) == OTHER
    assert kept(file, Prefix.parse(f"{PART}/podinfo")) == PAIR
    assert forget_login(file, PART, HelperSettings())
    assert kept(file, PART) == OTHER


def test_a_new_login_replaces_the_old_one_in_any_spelling(file: Path) -> None:
    written(file, {"auths": {"https://h.example:5000/v1/": {"auth": "eDp5", "email": "x@y"}}})
    keep_login(file, HOST, PAIR, HelperSettings())
    (entry,) = json.loads(file.read_text())["auths"].values()
    assert entry["email"] == "x@y"
    assert kept(file, HOST) == PAIR


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@given(st.dictionaries(st.text().filter(lambda key: not key.startswith(("auths", "cred"))), json_values))
def test_everything_else_in_the_file_stays(tmp_path_factory: pytest.TempPathFactory, more: Any) -> None:
    file = tmp_path_factory.mktemp("file") / "config.json"
    document = {**more, **FOREIGN}
    written(file, document)
    keep_login(file, HOST, PAIR, HelperSettings())
    forget_login(file, HOST, HelperSettings())
    assert json.loads(file.read_text()) == document
    assert list(json.loads(file.read_text())) == list(document)


@pytest.mark.parametrize(
    ("name", "key"), [("config.json", "https://index.docker.io/v1/"), ("a.json", "docker.io")]
)
def test_docker_hub_has_the_name_that_the_files_owner_uses(name: str, key: str, tmp_path: Path) -> None:
    keep_login(tmp_path / name, HUB, PAIR, HelperSettings())
    assert list(json.loads((tmp_path / name).read_text())["auths"]) == [key]


def test_a_link_is_followed_and_stays(file: Path, tmp_path: Path) -> None:
    written(file, FOREIGN)
    link = tmp_path / "auth.json"
    link.symlink_to(Path("containers") / "auth.json")
    keep_login(link, HOST, PAIR, HelperSettings())
    assert link.is_symlink()
    assert kept(file, HOST) == PAIR
    with pytest.raises(UsageError, match="not a file of credentials; name another one"):
        keep_login(tmp_path, HOST, PAIR, HelperSettings())
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(LocalError, match="a link that leads to itself"):
        keep_login(loop, HOST, PAIR, HelperSettings())


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": [1]}', "\xff"])
def test_a_malformed_file_is_named_and_stays_as_it_is(text: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"auth\.json"):
        keep_login(file, HOST, PAIR, HelperSettings())
    assert file.read_bytes() == text.encode("latin-1")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("document", [{"credHelpers": {str(HOST): "test"}}, {"credsStore": "test"}], ids=str)
def test_the_helper_that_the_file_names_keeps_the_secret(
    document: Any, file: Path, helpers: HelperSettings
) -> None:
    written(file, {**document, "auths": {str(HOST): {"auth": "eDp5"}}})
    assert keep_login(file, HOST, PAIR, helpers) == "docker-credential-test"
    assert json.loads(file.read_text()) == {**document, "auths": {str(HOST): {}}}
    assert kept(file, HOST, helpers) == PAIR
    with pytest.raises(UsageError, match=r"keeps one login for h\.example:5000; name another file"):
        keep_login(file, PART, PAIR, helpers)
    with pytest.raises(UsageError, match="and this is a token"):
        keep_login(file, HOST, TOKEN, helpers)
    assert forget_login(file, HOST, helpers)
    assert kept(file, HOST, helpers) is None
    assert not forget_login(file, HOST, helpers)


def test_a_failing_helper_leaves_the_file_as_it_is(file: Path, helpers: HelperSettings) -> None:
    written(file, {"credsStore": "absent"})
    with pytest.raises(AuthError, match="docker-credential-absent"):
        keep_login(file, HOST, PAIR, helpers)
    assert json.loads(file.read_text()) == {"credsStore": "absent"}
