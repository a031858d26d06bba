"""`login` and `logout` against real registries: what is kept was accepted, and is used afterwards."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import a_module, push_to
from tests.conftest import PASSWORD, USER
from tests.registries import RealRegistry, TokenServer, require

Says = Callable[[str], None]


@pytest.fixture
def authfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is read first; nothing else says who we are."""
    file = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TIMONI_BUNDLER_CREDS")
    return file


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Gives a text to standard input."""

    def says(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return says


@pytest.mark.slow
def test_a_login_is_proven_kept_used_and_removed(
    htpasswd_registry: RealRegistry, fresh: Callable[[str], str], authfile: Path, stdin: Says, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path, host = fresh("app"), htpasswd_registry.host
    push_to(htpasswd_registry.base, path, a_module("1.0.0"), (USER, PASSWORD))
    export = ["export", f"{host}/{path}", "-o", str(tmp_path / "b.tar.zst"), "-q"]
    assert run(export) == 3
    stdin(f"{PASSWORD}\n")
    assert run(["login", host, "-u", USER, "--password-stdin"]) == 0
    assert f"logged in to {host} as {USER}; kept in {authfile}" in capsys.readouterr().out
    assert run(export) == 0
    assert run(["logout", host]) == 0
    assert json.loads(authfile.read_text()) == {"auths": {}}
    assert run(["logout", host]) == 4


def test_skopeo_reads_the_same_login(
    htpasswd_registry: RealRegistry, fresh: Callable[[str], str], authfile: Path, stdin: Says
) -> None:
    path, host = fresh("app"), htpasswd_registry.host
    push_to(htpasswd_registry.base, path, a_module("1.0.0"), (USER, PASSWORD))
    inspect = [require("skopeo"), "inspect", "--tls-verify=false", "--raw", f"docker://{host}/{path}:1.0.0"]
    assert subprocess.run(inspect, capture_output=True, check=False).returncode != 0
    stdin(PASSWORD)
    assert run(["login", f"{host}/{path.partition('/')[0]}", "-u", USER, "--password-stdin"]) == 0
    assert subprocess.run(inspect, capture_output=True, check=False).returncode == 0
    assert run(["ls", f"{host}/{path}"]) == 0


def test_a_wrong_password_is_not_kept(
    htpasswd_registry: RealRegistry, authfile: Path, stdin: Says, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin("wrong-horse\n")
    assert run(["login", htpasswd_registry.host, "-u", USER, "--password-stdin"]) == 3
    assert "login refused: wrong user name or password" in capsys.readouterr().err
    assert not authfile.exists()


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("wrong-horse", 3)])
def test_a_token_server_proves_a_login_to_a_part(
    password: str, code: int, token_registry: RealRegistry, token_server: TokenServer, authfile: Path,
    stdin: Says,
) -> None:  # fmt: skip
    stdin(password)
    server = token_server.base.removeprefix("http://")
    asked = ["login", f"{token_registry.host}/team", "-u", USER, "--password-stdin", "--token-host", server]
    assert run(asked) == code
    assert authfile.exists() is (code == 0)


def test_a_token_server_elsewhere_gets_no_password_unasked(
    token_registry: RealRegistry, authfile: Path, stdin: Says, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin(PASSWORD)
    assert run(["login", token_registry.host, "-u", USER, "--password-stdin"]) == 3
    assert "use --token-host" in capsys.readouterr().err
    assert not authfile.exists()


def test_a_registry_that_asks_for_no_login_is_told(
    source_registry: RealRegistry, authfile: Path, stdin: Says, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin(PASSWORD)
    assert run(["login", source_registry.host, "-u", USER, "--password-stdin"]) == 0
    assert "these credentials were not checked" in capsys.readouterr().err
    assert authfile.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), PASSWORD),
        (("--password-stdin",), PASSWORD),
        (("--password-stdin", "-u", "a:b"), PASSWORD),
        (("--password-stdin", "-u", USER), ""),
        (("--password-stdin", "-u", USER), "two\nlines"),
        (("--password-stdin", "--token", "-u", USER), PASSWORD),
    ],
    ids=str,
)
def test_what_is_no_login_is_refused_before_any_request(
    arguments: tuple[str, ...], text: str, authfile: Path, stdin: Says
) -> None:
    stdin(text)
    assert run(["login", "127.0.0.1:1", *arguments]) == 2
    assert not authfile.exists()


def test_a_user_in_the_address_is_refused_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["login", f"{USER}:{PASSWORD}@127.0.0.1:1", "--password-stdin"]) == 2
    assert PASSWORD not in capsys.readouterr().err


@pytest.mark.slow
def test_a_person_is_asked_and_the_password_is_not_shown(
    htpasswd_registry: RealRegistry, authfile: Path
) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "bundler", "login", htpasswd_registry.host])
    shown = b""
    for prompt, answer in ((b"Username: ", USER), (b"Password: ", PASSWORD)):
        while not shown.endswith(prompt):
            shown += os.read(terminal, 1)
        os.write(terminal, f"{answer}\n".encode())
    while chunk := read_or_end(terminal):
        shown += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    assert PASSWORD.encode() not in shown
    assert f"logged in to {htpasswd_registry.host} as {USER}".encode() in shown
    assert authfile.exists()


def read_or_end(terminal: int) -> bytes:
    """The next bytes; none when the program has ended."""
    try:
        return os.read(terminal, 1000)
    except OSError:
        return b""
