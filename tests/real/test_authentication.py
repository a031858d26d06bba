"""Real registries that want to know who asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from bundler.__main__ import run
from bundler.errors import AuthError
from tests.builders import a_bundle, a_module, push_to
from tests.conftest import PASSWORD, USER
from tests.doubles import FakeClock
from tests.flows import exported, imported, registries_for
from tests.registries import RealRegistry, TokenServer

Fresh = Callable[[str], str]
GOOD, BAD = f"{USER}:{PASSWORD}", f"{USER}:battery-staple"


@pytest.mark.slow
def test_basic_with_the_right_password_reads_and_writes(
    htpasswd_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{path}": a_module()})
    known = registries_for(clock, creds=[f"{htpasswd_registry.host} {GOOD}"])
    assert imported(bundle, htpasswd_registry.host, registries=known).exit_code == 0
    assert (
        exported(tmp_path / "b.tar.zst", htpasswd_registry.repository(path), registries=known).exit_code == 0
    )


@pytest.mark.parametrize("creds", [[], [BAD]])
def test_basic_without_the_right_password_is_3_and_hides_it(
    creds: list[str], htpasswd_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    known = registries_for(clock, creds=creds)
    report = exported(tmp_path / "b.tar.zst", htpasswd_registry.repository(fresh("app")), registries=known)
    assert report.exit_code == 3
    assert htpasswd_registry.host in report.failures[0].item + report.failures[0].cause
    assert "battery-staple" not in str(report)


def test_credentials_of_another_host_are_not_sent(
    htpasswd_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    known = registries_for(clock, creds=[f"elsewhere.example {GOOD}"])
    report = exported(tmp_path / "b.tar.zst", htpasswd_registry.repository(fresh("app")), registries=known)
    assert report.exit_code == 3


def pushed(registry: RealRegistry, server: TokenServer, path: str, folder: Path, clock: FakeClock) -> None:
    bundle = a_bundle(folder / "a.tar.zst", {f"h.example/{path}": a_module()})
    known = registries_for(clock, creds=[GOOD], token_hosts=frozenset({server.host}))
    assert imported(bundle, registry.host, registries=known).exit_code == 0


@pytest.mark.slow
def test_a_token_server_gives_pull_to_anybody_and_push_to_users(
    token_registry: RealRegistry, token_server: TokenServer, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    pushed(token_registry, token_server, path, tmp_path, clock)
    report = exported(
        tmp_path / "b.tar.zst", token_registry.repository(path), registries=registries_for(clock)
    )
    assert report.exit_code == 0


@pytest.mark.slow
def test_one_token_per_repository_serves_a_whole_export(
    token_registry: RealRegistry, token_server: TokenServer, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    pushed(token_registry, token_server, path, tmp_path, clock)
    before = len(token_server.seen)
    exported(tmp_path / "b.tar.zst", token_registry.repository(path), registries=registries_for(clock))
    assert len(token_server.seen) == before + 1


def test_pushing_as_nobody_is_refused_and_nothing_is_there(
    token_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{path}": a_module()})
    report = imported(bundle, token_registry.host, registries=registries_for(clock))
    assert report.exit_code == 3
    assert not any(access.method == "PUT" for access in token_registry.accesses(path))


def test_a_wrong_password_at_the_token_server_is_code_3(
    token_registry: RealRegistry, token_server: TokenServer, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    known = registries_for(clock, creds=[BAD], token_hosts=frozenset({token_server.host}))
    report = exported(tmp_path / "b.tar.zst", token_registry.repository(fresh("app")), registries=known)
    assert report.exit_code == 3
    assert "401" in report.failures[0].cause


def test_a_foreign_token_server_gets_a_password_only_if_allowed(
    token_registry: RealRegistry, token_server: TokenServer, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{path}": a_module()})
    before = len(token_server.seen)
    try:
        report = imported(bundle, token_registry.host, registries=registries_for(clock, creds=[GOOD]))
        assert report.exit_code == 3
    except AuthError:
        pass
    assert not any("Authorization" in seen.headers for seen in token_server.seen[before:])


@pytest.mark.slow
def test_a_registry_with_tls_is_reached_with_its_authority(
    tls_registry: RealRegistry, authority: trustme.CA, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    path = fresh("app")
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{path}": a_module()})
    known = registries_for(clock, ca_file=tmp_path / "ca.pem")
    assert imported(bundle, tls_registry.host, registries=known).exit_code == 0
    assert exported(tmp_path / "b.tar.zst", tls_registry.repository(path), registries=known).exit_code == 0


def test_a_registry_of_an_unknown_authority_is_not_trusted(
    tls_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    report = exported(
        tmp_path / "b.tar.zst", tls_registry.repository(fresh("app")), registries=registries_for(clock)
    )
    assert report.exit_code == 5
    assert "--ca-file" in report.failures[0].next_step


def test_content_pushed_by_others_is_exported_with_a_password(
    htpasswd_registry: RealRegistry, fresh: Fresh, tmp_path: Path, clock: FakeClock
) -> None:
    path = fresh("app")
    push_to(htpasswd_registry.base, path, a_module(), auth=(USER, PASSWORD))
    known = registries_for(clock, creds=[GOOD])
    assert (
        exported(tmp_path / "b.tar.zst", htpasswd_registry.repository(path), registries=known).exit_code == 0
    )


# --- what a command line reads --------------------------------------------------------------------------


def auth_document(registry: RealRegistry, path: str = "") -> str:
    """A file as `docker login` and `podman login` write it."""
    secret = base64.b64encode(GOOD.encode()).decode()
    return json.dumps({"auths": {f"{registry.host}{path}": {"auth": secret}}})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ("REGISTRY_AUTH_FILE", "any.json"), ("DOCKER_CONFIG", "config.json"),
        ("XDG_RUNTIME_DIR", "containers/auth.json"), ("HOME", ".docker/config.json"),
        ("HOME", ".config/containers/auth.json"),
    ],
)  # fmt: skip
def test_the_files_of_docker_and_podman_are_used(
    variable: str,
    file: str,
    htpasswd_registry: RealRegistry,
    fresh: Fresh,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "login" / file
    path.parent.mkdir(parents=True)
    path.write_text(auth_document(htpasswd_registry))
    monkeypatch.setenv(variable, str(path if variable == "REGISTRY_AUTH_FILE" else tmp_path / "login"))
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{fresh('app')}": a_module("1.0.0")})
    assert run(["import", str(bundle), "--to", f"oci://{htpasswd_registry.host}", "-q"]) == 0
    path.unlink()


def test_podman_logins_by_namespace_are_told_apart(
    htpasswd_registry: RealRegistry, fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, mine, other = tmp_path / "auth.json", fresh("mine"), fresh("other")
    file.write_text(auth_document(htpasswd_registry, f"/{mine}"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    codes = []
    for path in (mine, other):
        bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{path}": a_module("1.0.0")})
        codes.append(run(["import", str(bundle), "--to", f"oci://{htpasswd_registry.host}", "-q"]))
    assert codes == [0, 3]
    file.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_creds_file_that_others_can_read_gets_a_warning(
    mode: int,
    warned: bool,
    htpasswd_registry: RealRegistry,
    fresh: Fresh,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "creds"
    file.write_text(f"{htpasswd_registry.host} {GOOD}\n")
    file.chmod(mode)
    bundle = a_bundle(tmp_path / "a.tar.zst", {f"h.example/{fresh('app')}": a_module("1.0.0")})
    command = ["import", str(bundle), "--to", f"oci://{htpasswd_registry.host}", "--creds-file", str(file)]
    assert run(command) == 0
    said = capsys.readouterr().err
    assert (f"warning: {file}: other users can read these credentials; run chmod 600 on it" in said) is warned
    assert PASSWORD not in said
    file.unlink()
