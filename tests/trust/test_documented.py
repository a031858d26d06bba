"""The commands of docs/signing.md, and those by which docs/bundle-format.md verifies by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import a_module
from tests.documents import DOCS, commands
from tests.doubles import MemoryRegistry
from tests.registries import RealRegistry, require
from tests.trust.keys import a_key, line

SIGNING = (DOCS / "signing.md").read_text()
BY_HAND = (DOCS / "bundle-format.md").read_text().partition("## statement.json")[2]


class Shell:
    """Runs commands in one folder, with this environment's program, a home and an agent of its own."""

    def __init__(self, folder: Path, agent: str) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "HOME": str(folder), "SSH_AUTH_SOCK": agent}
        self._environment.pop("XDG_STATE_HOME", None)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(
            ["sh", "-c", command], cwd=self._folder, env=self._environment,
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Where the documented files are, as far as the pages don't make them."""
    for program in ("ssh-keygen", "ssh-add", "tar", "zstd"):
        require(program)
    a_key(tmp_path, "second_key")
    address = str(tmp_path / "agent")
    with subprocess.Popen([require("ssh-agent"), "-D", "-a", address], stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        yield Shell(tmp_path, address)
        running.terminate()


@pytest.mark.slow
def test_every_documented_command_does_what_the_page_says(
    shell: Shell, tmp_path: Path, target_registry: RealRegistry, fresh: Callable[[str], str]
) -> None:
    found = commands(SIGNING)
    assert len(found) >= 9
    with MemoryRegistry({"modules/podinfo": a_module("1.0.0")}) as source:
        for command in found:
            if "--require-signatures 2" in command:
                with (tmp_path / "allowed_signers").open("a") as file:
                    file.write(line("second@example.org", tmp_path / "second_key"))
            target = f"{target_registry.host}/{fresh('mirror')}"
            ended = shell.run(command.replace("REGISTRY", source.host).replace("TARGET/mirror", target))
            assert ended.returncode == 0, (command, ended.stderr)
    assert (tmp_path / ".local/state/timoni-bundler/jobs/nightly.json").exists()


@pytest.mark.slow
def test_a_bundle_is_verified_by_hand(shell: Shell, tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        signed = f"timoni-bundler export {source.host}/app -o modules.tar.zst -q --sign-key second_key"
        assert shell.run(signed).returncode == 0
    signers = tmp_path / "allowed_signers"
    signers.write_text(line("outside@example.org", tmp_path / "second_key"))
    found = commands(BY_HAND)
    assert len(found) == 4
    said = [shell.run(command) for command in found]
    assert [ended.returncode for ended in said] == [0, 0, 0, 0], said
    assert said[2].stdout == "outside@example.org\n"
    assert said[3].stdout.startswith('Good "timoni-bundler" signature for outside@example.org')
    (tmp_path / "bundle.json").write_text("{}")
    assert shell.run(found[1]).returncode == 1


def test_every_option_is_on_the_page() -> None:
    for option in (
        "--sign-key", "--key", "--job", "--sequence", "--expires", "--replace", "--allowed-signers",
        "--revoked-keys", "--require-signature", "--require-signatures", "--state", "--allow-rollback",
    ):  # fmt: skip
        assert option in SIGNING
