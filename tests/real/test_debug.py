"""`--debug`: a line about each request, and no secret in any of them."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import a_module, push_to
from tests.conftest import PASSWORD, USER
from tests.doubles import MemoryRegistry, says
from tests.registries import RealRegistry, TokenServer
from tests.schema_checks import valid

CREDS = f"{USER}:{PASSWORD}"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def out(tmp_path: Path) -> str:
    """Where a bundle goes."""
    return str(tmp_path / "b.tar.zst")


def requests_in(text: str) -> list[str]:
    """The lines about requests."""
    return re.findall(r"^timoni-bundler: request: (.*)$", text, re.MULTILINE)


def test_every_request_has_a_line(out: str, capsys: Capture) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        assert run(["export", f"{registry.host}/app", "-o", out, "--debug", "-q"]) == 0
        lines = requests_in(capsys.readouterr().err)
        assert [line.split()[:2] for line in lines[:2]] == [
            ["GET", f"{registry.base}/v2/app/tags/list"],
            ["GET", f"{registry.base}/v2/app/manifests/1.0.0:"],
        ]
        assert len(lines) == len(registry.seen)
    assert re.search(r"\(n=1000\): 200, new connection, \d+ B in \d+\.\d{3} s$", lines[0])
    assert re.search(r": 200, reused connection, \d+ B in ", lines[1])


@pytest.mark.slow
def test_a_failure_a_retry_and_a_redirect_are_told(out: str, capsys: Capture) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        registry.on("GET", "tags/list", says(503, "busy"))
        blob = registry.base + "/elsewhere?signature=very-secret"
        registry.on("GET", "blobs/", says(307, Location=blob))
        run(["export", f"{registry.host}/app", "-o", out, "--debug", "-q"])
    text = "\n".join(requests_in(capsys.readouterr().err))
    assert re.search(r"tags/list \(n=1000\): 503, ", text)
    assert re.search(r"tags/list: try 1 failed: 503 busy; the next in ", text)
    assert f": 307, leads to {registry.base}/elsewhere (...), " in text


@pytest.mark.slow
def test_a_registry_that_is_not_there_has_a_line(capsys: Capture) -> None:
    assert run(["ls", "127.0.0.1:1/app", "--debug"]) == 5
    assert "/v2/app/tags/list (n=1000): failed: connection refused, " in capsys.readouterr().err


def test_a_token_is_asked_for_in_the_open_and_not_shown(
    token_registry: RealRegistry, token_server: TokenServer, fresh: Callable[[str], str], capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TIMONI_BUNDLER_CREDS", f"{token_registry.host} {CREDS}")
    path, server = fresh("app"), token_server.base.removeprefix("http://")
    run(["ls", f"{token_registry.host}/{path}", "--token-host", server, "--debug"])
    shown = capsys.readouterr().err
    assert f"GET {token_server.base}/token (service=registry scope=repository:{path}:pull): 200, " in shown
    assert "401, " in shown
    assert re.search("eyJ|Bearer|Basic", shown) is None


def test_a_secret_that_a_registry_repeats_is_not_shown(
    out: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        monkeypatch.setenv("TIMONI_BUNDLER_CREDS", f"{registry.host} {CREDS}")
        registry.on("GET", "tags/list", says(401, **{"WWW-Authenticate": 'Basic realm="r"'}))
        registry.on("GET", "manifests", says(307, Location=f"{registry.base}/{PASSWORD}/x%20{PASSWORD}"))
        run(["export", f"{registry.host}/app", "-o", out, "--debug", "-q"])
    assert f"leads to {registry.base}/***/" in capsys.readouterr().err


def test_a_secret_that_was_sent_before_this_run_is_not_shown(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        monkeypatch.setenv("TIMONI_BUNDLER_CREDS", f"{registry.host} {CREDS}")
        registry.on("GET", "tags/list", says(403, f"{PASSWORD} may not read this"))
        assert run(["ls", f"{registry.host}/app", "--debug"]) == 3
    assert registry.seen[0].headers["Authorization"] is None
    assert PASSWORD not in capsys.readouterr().err


def test_a_file_takes_the_lines_and_only_its_owner_reads_it(
    out: str, tmp_path: Path, capsys: Capture
) -> None:
    log = tmp_path / "debug.log"
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        for _ in range(2):
            assert run(["ls", f"{registry.host}/app", "--debug-file", str(log)]) == 0
    assert requests_in(capsys.readouterr().err) == []
    lines = log.read_text().splitlines()
    assert len(lines) == 2  # of the second run: the list, and the question whether that was all
    assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z GET http://", lines[0])
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_the_file_replaces_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    assert run(["ls", "127.0.0.1:1/app", "--debug-file", str(tmp_path / "mine")]) == 2
    assert (tmp_path / "mine").read_text() == "keep"
    assert run(["ls", "127.0.0.1:1/app", "--debug-file", str(tmp_path / "none" / "log")]) == 2


@pytest.mark.parametrize(("value", "told"), [("1", True), ("0", False), ("", False)])
def test_the_environment_asks_for_it_too(
    value: str, told: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMONI_BUNDLER_DEBUG", value)
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        assert run(["ls", f"{registry.host}/app", "--log-format", "json", "-q"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["request"] * 2 * told
    for line in lines:
        valid("log-line", line)


@pytest.mark.slow
def test_an_import_tells_its_writes(
    target_registry: RealRegistry, source_registry: RealRegistry, fresh: Callable[[str], str], out: str,
    capsys: Capture,
) -> None:  # fmt: skip
    path = fresh("app")
    push_to(source_registry.base, path, a_module("1.0.0"))
    assert run(["export", f"{source_registry.host}/{path}", "-o", out, "-q"]) == 0
    assert run(["import", out, "--to", f"oci://{target_registry.host}/debugged", "--debug", "-q"]) == 0
    lines = requests_in(capsys.readouterr().err)
    assert any(re.match(r"PUT .*manifests/1\.0\.0: 201, .* B sent$", line) for line in lines)
    assert any(line.startswith("POST ") for line in lines)
