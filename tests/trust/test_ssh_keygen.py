"""ssh-keygen, the real one and bad ones in its place."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.errors import BundlerError, LocalError, TrustError, UsageError
from bundler.limits import DEFAULT_LIMITS
from bundler.trust.armor import Signature, signatures_in
from bundler.trust.ssh_keygen import Allowed, Signer
from tests.registries import require
from tests.trust.keys import NOW, a_certificate, a_key, allowed, in_place_of_ssh_keygen, keygen, line

DAY = 86_400
HASTY = DEFAULT_LIMITS._replace(helper_seconds=0.2, signing_seconds=0.2)
"""For helpers that never answer."""


def signer(key: Path, allowed: Allowed, *times: int, message: bytes = b"message") -> Signer:
    """Who signed `message`, as these signers are allowed."""
    made = keygen().sign(key, b"message")
    return keygen().signer(allowed, made, message, times or (NOW,))


def refusal(key: Path, allowed: Allowed, *times: int, message: bytes = b"message") -> str:
    """Why it doesn't count."""
    with pytest.raises(TrustError) as error:
        signer(key, allowed, *times, message=message)
    return str(error.value)


def signed_elsewhere(key: Path, namespace: str) -> Signature:
    """A signature that was made for something else."""
    command = [require("ssh-keygen"), "-Y", "sign", "-q", "-n", namespace, "-f", str(key)]
    made = subprocess.run(command, input=b"message", capture_output=True, check=True)
    return signatures_in(made.stdout)[0]


# --- whose it is ---------------------------------------------------------------------------------------


def test_a_signature_has_a_principal(alice: Path, bob: Path) -> None:
    known = allowed(line("alice@example.org", alice), line("bob", bob))
    assert signer(alice, known) == Signer("alice@example.org", keygen().fingerprint(alice))
    assert signer(bob, known).principal == "bob"


def test_a_key_that_nobody_allowed_does_not_count(alice: Path, mallory: Path) -> None:
    assert "its key is not in signers" in refusal(mallory, allowed(line("alice", alice)))


def test_other_bytes_were_not_signed(alice: Path) -> None:
    assert "incorrect signature" in refusal(alice, allowed(line("alice", alice)), message=b"another")


@pytest.mark.parametrize("namespace", ["file", "git", "timoni-bundler2"])
def test_what_was_signed_for_something_else_does_not_count(namespace: str, alice: Path) -> None:
    made = signed_elsewhere(alice, namespace)
    with pytest.raises(TrustError, match=f"made for the namespace '{namespace}'"):
        keygen().signer(allowed(line("alice", alice)), made, b"message", (NOW,))


def test_a_key_that_is_allowed_for_something_else_does_not_count(alice: Path) -> None:
    known = allowed(line("alice", alice, 'namespaces="git,file"'))
    assert "signers:1: key is not permitted for use in signature namespace" in refusal(alice, known)
    assert signer(alice, allowed(line("alice", alice, 'namespaces="git,timoni-bundler"')))


@pytest.mark.parametrize(
    ("options", "times", "counts"),
    [
        ('valid-after="20260921Z"', (NOW,), True),
        ('valid-after="20260922Z"', (NOW,), False),
        ('valid-before="20260922Z"', (NOW,), True),
        ('valid-before="20260921Z"', (NOW,), False),
        ('valid-before="20260922Z"', (NOW, NOW + DAY), False),
        ('valid-after="20260921Z"', (NOW - DAY, NOW), False),
        ('valid-after="20260921141320Z",valid-before="20260921141321Z"', (NOW,), True),
        ('valid-after="20260921141321Z"', (NOW,), False),
    ],
)
def test_a_key_counts_only_if_it_is_allowed_at_all_times(
    options: str, times: tuple[int, ...], counts: bool, alice: Path
) -> None:
    known = allowed(line("alice", alice, options))
    if counts:
        assert signer(alice, known, *times)
    else:
        assert "signers:1: key " in refusal(alice, known, *times)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Moves this process to another time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


# As POSIX writes them, so that no data of zones is needed.
AUCKLAND, BERLIN = "NZST-12NZDT,M9.5.0,M4.1.0/3", "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.mark.parametrize(("after", "counts"), [("20260922021320", True), ("20260922021321", False)])
def test_a_time_without_z_is_one_of_the_place_where_it_is_read(
    after: str, counts: bool, at: Callable[[str], None], alice: Path
) -> None:
    at(AUCKLAND)
    known = allowed(line("alice", alice, f'valid-after="{after}"'))
    assert signer(alice, known) if counts else refusal(alice, known)


def test_an_hour_that_comes_twice_is_told_apart(at: Callable[[str], None], alice: Path) -> None:
    at(BERLIN)
    first = 1_792_888_200  # 2026-10-25T00:30:00Z, half past two in summer time; an hour later, again
    known = allowed(line("alice", alice, 'valid-after="20261025010000Z"'))
    assert signer(alice, known, first + 3600)
    assert "not yet valid" in refusal(alice, known, first)


def test_a_revoked_key_does_not_count(alice: Path, bob: Path) -> None:
    revoked = alice.with_name("key.pub").read_bytes()
    known = allowed(line("alice", alice), line("bob", bob), revoked=revoked)
    assert "its key is revoked in revoked" in refusal(alice, known)
    assert signer(bob, known).principal == "bob"


def test_a_revocation_list_counts_too(alice: Path, bob: Path, tmp_path: Path) -> None:
    command = [require("ssh-keygen"), "-q", "-k", "-f", str(tmp_path / "krl"), f"{alice}.pub"]
    subprocess.run(command, check=True)
    known = allowed(line("alice", alice), line("bob", bob), revoked=(tmp_path / "krl").read_bytes())
    assert "revoked" in refusal(alice, known)
    assert signer(bob, known)


def test_with_a_revocation_list_that_is_none_nobody_counts(alice: Path) -> None:
    assert "revoked" in refusal(alice, allowed(line("alice", alice), revoked=b"hello\n"))


@pytest.mark.parametrize("principals", ["alice", "alice,alice@work", "*@example.org", "*", "a b"])
def test_principals_may_be_several_and_patterns(principals: str, alice: Path) -> None:
    known = allowed(line(f'"{principals}"' if " " in principals else principals, alice))
    assert signer(alice, known).principal in {*principals.split(","), principals}


def test_a_certificate_counts_by_its_authority(alice: Path, tmp_path: Path) -> None:
    own = a_key(tmp_path, "own")
    known = allowed(line("carol", alice, "cert-authority"))
    made = keygen().sign(a_certificate(own, alice, "carol"), b"message")
    assert keygen().signer(known, made, b"message", (NOW,)).principal == "carol"
    assert "its key is not in signers" in refusal(own, known)


@pytest.mark.parametrize("text", ["", "\n# nobody\n", "junk\n", "alice\n", "\0\xff\n" * 999, "x" * 999_999])
def test_a_file_of_nobody_lets_nobody_in(text: str, alice: Path) -> None:
    with pytest.raises(TrustError):
        signer(alice, allowed(text))


# --- keys that sign ------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An agent's socket."""
    address = str(tmp_path / "agent")
    with subprocess.Popen([require("ssh-agent"), "-D", "-a", address], stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        yield address
        running.terminate()


def test_an_agent_signs_for_a_public_key(agent: str, tmp_path: Path) -> None:
    key = a_key(tmp_path, "key")
    environment = {**os.environ, "SSH_AUTH_SOCK": agent}
    subprocess.run([require("ssh-add"), "-q", str(key)], env=environment, check=True)
    key.unlink()
    made = keygen(SSH_AUTH_SOCK=agent).sign(tmp_path / "key.pub", b"message")
    known = allowed(line("alice", key))
    assert keygen().signer(known, made, b"message", (NOW,)).principal == "alice"


def test_without_its_agent_a_public_key_signs_nothing(tmp_path: Path) -> None:
    a_key(tmp_path, "key").unlink()
    with pytest.raises(LocalError, match="can't sign"):
        keygen().sign(tmp_path / "key.pub", b"message")


@pytest.mark.slow
def test_no_passphrase_is_asked_where_nobody_sits(tmp_path: Path) -> None:
    key = a_key(tmp_path, "key", passphrase="secret")
    asked = tmp_path / "asked"
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    askpass.chmod(0o755)
    with pytest.raises(LocalError, match=r"can't sign.*needs a terminal, or an agent"):
        keygen(SSH_ASKPASS=str(askpass), DISPLAY=":0").sign(key, b"message")
    assert not asked.exists()


@pytest.mark.slow
def test_who_wants_a_helper_for_passphrases_gets_it(tmp_path: Path) -> None:
    key = a_key(tmp_path, "key", passphrase="secret")
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho secret\n")
    askpass.chmod(0o755)
    asking = keygen(SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")
    assert asking.sign(key, b"message")


def test_what_is_no_key_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    for name, cause in (("absent", "no such file"), ("text", "not an OpenSSH key")):
        with pytest.raises(UsageError, match=cause):
            keygen().fingerprint(tmp_path / name)


# --- bad helpers ---------------------------------------------------------------------------------------


def both(folder: Path, script: str, key: Path, signature: Signature) -> list[BundlerError]:
    """What signing and verifying raise with this in place of ssh-keygen."""
    limits = HASTY if "sleep" in script else DEFAULT_LIMITS
    bad = keygen(limits, PATH=in_place_of_ssh_keygen(folder, script))
    known = allowed(line("alice", key))
    errors: list[BundlerError] = []
    for call in (
        lambda: bad.fingerprint(key),
        lambda: bad.sign(key, b"message"),
        lambda: bad.signer(known, signature, b"message", (NOW,)),
    ):
        with pytest.raises(BundlerError) as error:
            call()
        errors.append(error.value)
    return errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "cause", "codes"),
    [
        ("exec sleep 60", "gave no answer in 0 s", {9}),
        ("kill -KILL $$", "ended by signal 9", {9}),
        ("exit 1", "", {2, 9, 11}),
        ("exit 0", "", {2, 7, 11}),
        ("head -c 100000 /dev/urandom", "", {2, 7, 9, 11}),
        ("printf 'alice\\n'; printf '\\033[2J' >&2", "", {2, 7, 11}),
        ("cat; exit 0", "", {2, 7, 11}),
    ],
)
def test_a_helper_that_goes_wrong_proves_nothing(
    script: str, cause: str, codes: set[int], alice: Path, tmp_path: Path
) -> None:
    errors = both(tmp_path / "bin", script, alice, keygen().sign(alice, b"message"))
    assert {error.exit_code for error in errors} <= codes
    assert all(cause in error.cause for error in errors)
    assert all(str(error).isprintable() for error in errors)


def test_without_ssh_keygen_the_package_is_named(alice: Path, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="install OpenSSH") as error:
        keygen(PATH=str(tmp_path)).fingerprint(alice)
    assert error.value.exit_code == 9


def test_no_directory_need_be_writable(alice: Path) -> None:
    nowhere = keygen(TMPDIR="/nonexistent", HOME="/nonexistent")
    made = nowhere.sign(alice, b"message")
    assert nowhere.signer(allowed(line("alice", alice)), made, b"message", (NOW,))
