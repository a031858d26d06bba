"""G. Configuration and usage: cases 107 to 113. Nothing is asked and nothing created for a wrong command."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_module
from tests.doubles import LoopbackServer, MemoryRegistry
from tests.processes import PROGRAM, bundler, clean_environment


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A registry in memory that remembers who asked."""
    with MemoryRegistry({"app": a_module("1.0.0")}) as server:
        yield server


def refused(server: LoopbackServer, *arguments: str) -> str:
    """What a wrong command says; it asked nobody."""
    ended = bundler(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.asked() == []
    return ended.stderr


@pytest.mark.parametrize(
    "reference", ["{}/App", "{}", "{}/app:", "{}/app@sha256:1", "http://{}/app", "{}/app:a b", ""]
)
def test_a_bad_reference_is_2_before_any_request(
    reference: str, registry: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 107."""
    assert "write [oci://][HOST/]REPOSITORY" in refused(
        registry, "export", reference.format(registry.host), "-o", str(tmp_path / "b.tar.zst")
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["", "oci://", "host:port/x", "host/UPPER"])
def test_a_bad_target_is_2(target: str, registry: MemoryRegistry, tmp_path: Path) -> None:
    """Case 107."""
    refused(registry, "import", str(tmp_path / "b.tar.zst"), "--to", target)


def test_an_output_whose_folder_is_missing_is_2(registry: MemoryRegistry, tmp_path: Path) -> None:
    """Case 109."""
    out = tmp_path / "missing" / "b.tar.zst"
    assert f"create {out.parent}" in refused(registry, "export", f"{registry.host}/app", "-o", str(out))


def test_a_directory_of_something_else_is_2(registry: MemoryRegistry, tmp_path: Path) -> None:
    """Case 109."""
    (tmp_path / "diary.txt").write_text("dear diary")
    assert "other files" in refused(registry, "export", f"{registry.host}/app", "-o", str(tmp_path))
    (tmp_path / "d.tar.zst").mkdir()
    refused(registry, "export", f"{registry.host}/app", "-o", str(tmp_path / "d.tar.zst"))


def test_a_bundle_is_never_written_to_a_terminal(registry: MemoryRegistry, tmp_path: Path) -> None:
    """Case 109."""
    child, terminal = pty.fork()
    if child == 0:
        store = str(tmp_path / "store")
        os.execv(PROGRAM[0], [*PROGRAM, "export", f"{registry.host}/app", "-o", "-", "--store", store])
    said = os.read(terminal, 4096).decode()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert "standard output is a terminal" in said
    os.close(terminal)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_missing_or_no_pem_is_2(
    content: str | None, registry: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 111."""
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    out = str(tmp_path / "b.tar.zst")
    assert str(file) in refused(registry, "export", f"{registry.host}/app", "-o", out, "--ca-file", str(file))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("carrier:correct-horse\n", "a line has no host"),
        ("\ufeffcarrier:correct-horse\r\n", "a line has no host"),
        ("# mine\n*.example a:correct-horse\n", "creds:2: not a line of credentials"),
    ],
)  # fmt: skip
def test_credentials_that_are_not_for_two_hosts_are_2(
    text: str, cause: str, registry: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 110."""
    file = tmp_path / "creds"
    file.write_text(text)
    sources = (f"{registry.host}/app", "other.example/app")
    said = refused(registry, "export", *sources, "-o", str(tmp_path / "b.tar.zst"), "--creds-file", str(file))
    assert cause in said
    assert "correct-horse" not in said


@pytest.mark.parametrize(
    "options",
    [
        ["-o", "-", "--compact"],
        ["-o", "layout", "--store", "elsewhere"],
        ["-o", "b.tar.zst", "--jobs", "0"],
        ["-o", "b.tar.zst", "--plain-http", "not a host"],
        ["-o", "b.tar.zst", "--nonsense"],
        [],
    ],
)
def test_options_that_cannot_be_meant_are_2(options: list[str], registry: MemoryRegistry) -> None:
    """Cases 106, 112."""
    refused(registry, "export", f"{registry.host}/app", *options)


@pytest.mark.parametrize(
    "more", [{"LANG": "C"}, {"COLUMNS": "1"}, {"TERM": ""}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_poor_terminal_is_enough(more: dict[str, str], registry: MemoryRegistry, tmp_path: Path) -> None:
    """Case 113."""
    out = str(tmp_path / "b.tar.zst")
    assert bundler("export", f"{registry.host}/app", "-o", out, env=clean_environment(**more)).returncode == 0
    assert bundler("inspect", out, env=clean_environment(**more)).returncode == 0


@pytest.mark.parametrize("report", ["b.tar.zst", "b.tar.zst.sha256", "missing/r.json", "."])
def test_a_report_never_replaces_what_the_command_writes(
    report: str, registry: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 109."""
    out = tmp_path / "b.tar.zst"
    refused(registry, "export", f"{registry.host}/app", "-o", str(out), "--report", str(tmp_path / report))
    assert list(tmp_path.iterdir()) == []


def test_a_report_never_replaces_the_bundle_that_is_imported(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 109."""
    bundle = tmp_path / "b.tar.zst"
    bundle.write_bytes(b"precious")
    refused(registry, "import", str(bundle), "--to", registry.host, "--report", str(bundle))
    assert bundle.read_bytes() == b"precious"


def test_bundle_and_credentials_can_not_share_the_pipe(
    registry: MemoryRegistry,
) -> None:
    """Case 112."""
    assert "both" in refused(registry, "import", "-", "--to", registry.host, "--creds-file", "-")


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "-o", "x.tar.zst", "--config"),
        ("export", "-o", "x.tar.zst", "--from-timoni-bundle"),
        ("export", "127.0.0.1:1/app", "-o", "x.tar.zst", "--creds-file"),
        ("verify", "x.tar.zst", "--policy"),
    ],
)
def test_a_file_without_end_is_read_no_further_than_its_limit(arguments: tuple[str, ...]) -> None:
    """Case 106."""
    command = ["sh", "-c", 'ulimit -v 800000; exec "$@"', "sh", *PROGRAM, *arguments, "/dev/zero"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "larger than" in ended.stderr or "too large" in ended.stderr
