"""Where an origin's credentials come from, and in which order."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import AuthError, UsageError
from bundler.oci.reference import RegistryName
from bundler.registry.auth.auth_document import HelperSettings
from bundler.registry.auth.credentials import (
    CredentialFinder,
    CredentialSources,
    any_for_all_hosts,
    auth_files,
    open_to_others,
)
from bundler.registry.auth.token_exchange import Credentials

HOST = RegistryName("registry.example:5000")
SECRET = "correct-horse"
PAIR = Credentials("carrier", SECRET)


def find_credentials(
    host: RegistryName, sources: CredentialSources, path: str = "org/app"
) -> Credentials | None:
    """What a finder made for one question answers."""
    return CredentialFinder(sources).find(host, path)


def encoded(text: str = f"carrier:{SECRET}") -> str:
    return base64.b64encode(text.encode()).decode()


def from_file(
    folder: Path, document: Any, host: RegistryName = HOST, helper_seconds: float = 20.0
) -> Credentials | None:
    """What a docker configuration with this content gives."""
    path = folder / "config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    environment = {"PATH": f"{folder}:{os.defpath}"}
    sources = CredentialSources(auth_files=[path], helpers=HelperSettings(environment, helper_seconds))
    return find_credentials(host, sources)


def helper(folder: Path, script: str, name: str = "test") -> None:
    """A credential helper on the path."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# --- lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([f"carrier:{SECRET}"], PAIR),
        ([f"{HOST} carrier:{SECRET}"], PAIR),
        ([f"REGISTRY.example:5000 carrier:{SECRET}"], PAIR),
        (["# comment", "", f"  {HOST}   carrier:{SECRET}  "], PAIR),
        (["elsewhere.example a:b", f"{HOST} carrier:{SECRET}", "c:d"], PAIR),
        ([f"{HOST} a-token"], Credentials(bearer_token="a-token")),
        ([f"{HOST} carrier:with:colons"], Credentials("carrier", "with:colons")),
        ([f"{HOST} carrier:with some spaces"], Credentials("carrier", "with some spaces")),
        (["carrier:with some spaces"], Credentials("carrier", "with some spaces")),
        ([f"{HOST} a:b", f"{HOST}/org carrier:{SECRET}", f"{HOST}/org/other c:d"], PAIR),
        ([f"{HOST}/org/app carrier:{SECRET}", f"{HOST}/org a:b", "e:f"], PAIR),
        ([f"{HOST}/org/ap a:b", f"{HOST}/or c:d", f"{HOST}/rg/app e:f"], None),
        ([f"{HOST}\tcarrier:{SECRET}"], PAIR), ([f"{HOST} \t a-token"], Credentials(bearer_token="a-token")),
        ([f"https://{HOST} carrier:{SECRET}"], PAIR), ([f"https://{HOST}/v2/ carrier:{SECRET}"], PAIR),
        ([f"oci://{HOST}/org/ carrier:{SECRET}"], PAIR), ([f"{HOST}/ carrier:{SECRET}"], PAIR),
        ([f"{HOST} carrier:a\u2028b"], Credentials("carrier", "a\u2028b")),
        (["elsewhere.example a:b"], None), (["elsewhere.example\ta:b"], None),
        (["https://elsewhere.example a:b"], None), (["oci://elsewhere.example/org a-token"], None),
        ([f"registry.example carrier:{SECRET}"], None),
        ([], None),
    ],
)  # fmt: skip
def test_a_line_gives_credentials_to_its_host_or_to_all(
    lines: list[str], expected: Credentials | None
) -> None:
    assert find_credentials(HOST, CredentialSources(lines)) == expected


@pytest.mark.parametrize(
    "line", [f"a b {SECRET}", f"*.example a:{SECRET}", f"https:// a:{SECRET}", f"ftp://h a:{SECRET}"]
)
def test_a_malformed_line_is_named_by_its_number_and_not_shown(line: str) -> None:
    """Case 110."""
    with pytest.raises(UsageError):
        any_for_all_hosts([line], "creds.txt")
    with pytest.raises(UsageError) as error:
        find_credentials(HOST, CredentialSources(["", line], "creds.txt"))
    assert error.value.item == "creds.txt:2"
    assert SECRET not in str(error.value)


def test_lines_go_before_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": encoded("other:one")}}}))
    sources = CredentialSources([f"carrier:{SECRET}"], auth_files=[tmp_path / "config.json"])
    assert find_credentials(HOST, sources) == PAIR


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded()}, PAIR),
        ({"auth": encoded(f"carrier:{SECRET}\0\0")}, PAIR),
        ({"auth": f"{encoded()[:8]}\n {encoded()[8:]}\r\n"}, PAIR),
        ({"username": "carrier", "password": SECRET}, PAIR),
        ({"auth": encoded(), "identitytoken": "it"}, Credentials(identity_token="it")),
        ({"registrytoken": "rt"}, Credentials(bearer_token="rt")),
        ({}, None),
        (None, None),
        ({"auth": ""}, None),
    ],
)
@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"http://{HOST}/v2/", f"https://{HOST}/v1/"])
def test_an_entry_of_a_docker_file_is_read_in_every_form(
    key: str, entry: dict[str, str] | None, expected: Credentials | None, tmp_path: Path
) -> None:
    assert from_file(tmp_path, {"auths": {key: entry}}) == expected


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("org-a/app", "a"), ("org-b/app", "b"), ("org-b/app/deep", "deep"), ("org-b", "b"),
        ("org-c/app", "all"), ("org", "all"), ("", "all"),
    ],
)  # fmt: skip
def test_the_longest_path_in_a_docker_file_wins(path: str, user: str, tmp_path: Path) -> None:
    keys = {"/org-a": "a", "": "all", "/org-b/app/deep": "deep", "/org-b": "b"}
    document = {"auths": {f"{HOST}{key}": {"auth": encoded(f"{name}:x")} for key, name in keys.items()}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    sources = CredentialSources(auth_files=[tmp_path / "config.json"])
    assert find_credentials(HOST, sources, path) == Credentials(user, "x")


def test_a_path_without_its_host_is_asked_anonymously(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {f"{HOST}/org-a": {"auth": encoded()}}}))
    sources = CredentialSources(auth_files=[tmp_path / "config.json"])
    assert find_credentials(HOST, sources, "org-b/app") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [("ann:secret", True), ("ann:two words", True), ("token", True), (f"{HOST} a:b", False), ("# x", False)],
)
def test_a_line_without_a_host_is_known_as_that(line: str, expected: bool) -> None:
    assert any_for_all_hosts([line], "creds.txt") is expected


@pytest.mark.parametrize(("mode", "expected"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_known_as_that(mode: int, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "creds.txt").touch(mode=0o600)
    (tmp_path / "creds.txt").chmod(mode)
    assert open_to_others(tmp_path / "creds.txt") is expected


def test_a_helper_is_asked_once_for_all_repositories(tmp_path: Path) -> None:
    helper(tmp_path, f"echo >> {tmp_path}/asked; echo '{ANSWER}'")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    environment = {"PATH": f"{tmp_path}:{os.defpath}"}
    finder = CredentialFinder(
        CredentialSources(auth_files=[tmp_path / "config.json"], helpers=HelperSettings(environment))
    )
    assert [finder.find(HOST, path) for path in ("a", "b")] == [PAIR, PAIR]
    assert (tmp_path / "asked").read_text() == "\n"


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io"])
def test_docker_hub_is_known_by_all_its_names(name: str, key: str, tmp_path: Path) -> None:
    document = {"auths": {key: {"auth": encoded()}}}
    assert from_file(tmp_path, document, RegistryName(name)) == PAIR


@pytest.mark.parametrize("helper_name", [None, ""])
def test_a_helper_without_a_name_is_none(helper_name: object, tmp_path: Path) -> None:
    entry = {"auths": {HOST: {"auth": encoded()}}, "credHelpers": {HOST: helper_name}}
    assert from_file(tmp_path, entry) == PAIR


def test_an_entry_of_another_port_is_not_ours(tmp_path: Path) -> None:
    assert from_file(tmp_path, {"auths": {"registry.example": {"auth": encoded()}}}) is None


@pytest.mark.parametrize(
    "document",
    [
        "", "no json", "[]", "null", '"x"', {"auths": [1]}, {"credHelpers": 5}, {"auths": {HOST: []}},
        {"credsStore": 5}, {"credHelpers": {HOST: ["x"]}},
        {"auths": {HOST: {"auth": "!!!"}}}, {"auths": {HOST: {"auth": encoded(SECRET)}}},
        {"auths": {HOST: {"auth": base64.b64encode(b"\xff\xfe").decode()}}}, "[" * 100_000,
    ],
)  # fmt: skip
def test_a_malformed_file_is_named_and_shows_no_secret(document: Any, tmp_path: Path) -> None:
    """Case 110."""
    with pytest.raises(UsageError) as error:
        from_file(tmp_path, document)
    assert "config.json" in error.value.item
    assert SECRET not in str(error.value)


def test_a_file_that_is_no_text_is_a_usage_error(tmp_path: Path) -> None:
    """Case 110."""
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match="can't read credentials"):
        find_credentials(HOST, CredentialSources(auth_files=[tmp_path / "config.json"]))


def test_the_first_file_that_knows_the_host_decides(tmp_path: Path) -> None:
    for number, user in enumerate(("", "carrier", "later")):
        entry = {"auths": {HOST: {"username": user, "password": SECRET}}}
        (tmp_path / f"creds-{number}.json").write_text(json.dumps(entry))
    paths = [tmp_path / "absent.json", *(tmp_path / f"creds-{number}.json" for number in range(3))]
    assert find_credentials(HOST, CredentialSources(auth_files=paths)) == PAIR


def test_files_are_looked_for_where_docker_and_podman_do() -> None:
    environment = {"REGISTRY_AUTH_FILE": "/a.json", "DOCKER_CONFIG": "/d", "XDG_RUNTIME_DIR": "/x"}
    assert [str(path) for path in auth_files(environment, Path("/home/me"))] == [
        "/a.json",
        "/d/config.json",
        "/x/containers/auth.json",
        "/home/me/.config/containers/auth.json",
        "/home/me/.docker/config.json",
    ]
    assert auth_files({}, None) == []


# --- helpers -----------------------------------------------------------------------------------------

ANSWER = json.dumps({"ServerURL": "x", "Username": "carrier", "Secret": SECRET})


@pytest.mark.parametrize("document", [{"credHelpers": {HOST: "test"}}, {"credsStore": "test"}])
def test_a_helper_is_asked_for_the_host(document: dict[str, Any], tmp_path: Path) -> None:
    helper(tmp_path, f"""read server; test "$server" = {HOST} && test "$1" = get && echo '{ANSWER}'""")
    assert from_file(tmp_path, document) == PAIR


def test_a_helpers_token_user_means_an_identity_token(tmp_path: Path) -> None:
    helper(tmp_path, """echo '{"Username": "<token>", "Secret": "it"}'""")
    assert from_file(tmp_path, {"credsStore": "test"}) == Credentials(identity_token="it")


def test_a_helper_that_knows_nothing_means_anonymous(tmp_path: Path) -> None:
    helper(tmp_path, "echo 'credentials not found in native keychain'; exit 1")
    assert from_file(tmp_path, {"credsStore": "test"}) is None


@pytest.mark.parametrize(
    "script",
    [f"echo {SECRET}; exit 3", f"echo '{SECRET}'", "echo '[]'", "true", f"echo {SECRET} >&2; kill -9 $$"],
)
def test_a_failing_helper_is_named_and_what_it_said_is_not_shown(script: str, tmp_path: Path) -> None:
    """Case 110."""
    helper(tmp_path, script)
    with pytest.raises(AuthError) as error:
        from_file(tmp_path, {"credHelpers": {HOST: "test"}})
    assert error.value.item == "docker-credential-test"
    assert SECRET not in str(error.value)


def test_a_missing_helper_is_named_with_the_file_that_wants_it(tmp_path: Path) -> None:
    """Case 110."""
    with pytest.raises(AuthError, match=r"config\.json, but not installed"):
        from_file(tmp_path, {"credsStore": "absent"})


def test_a_hanging_helper_ends(tmp_path: Path) -> None:
    """Case 110."""
    helper(tmp_path, "exec sleep 30")
    with pytest.raises(AuthError, match="gave no answer"):
        from_file(tmp_path, {"credsStore": "test"}, helper_seconds=0.2)


@pytest.mark.parametrize("name", ["../evil", "/bin/sh", "a/b"])
def test_a_helper_is_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        from_file(tmp_path, {"credsStore": name})
