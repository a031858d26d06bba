"""Real OpenSSH keys, what they sign, and who is allowed to."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bundler.bundle.inventory import bundle_id, encode
from bundler.bundle.sealing import write_sidecar
from bundler.bundle.writer import write_bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.reporting.progress import SILENCE
from bundler.trust.bundle_signing import Signing, Terms
from bundler.trust.ssh_keygen import Allowed, SshKeygen
from bundler.trust.statement import Moment, SignedStatement
from tests.builders import Content, a_module, packed
from tests.registries import require

NOW = 1_790_000_000
"""2026-09-21T14:13:20Z: when the tests sign and verify."""
AT = Moment("2026-09-21T14:13:20Z")
NAME = "h.example/app"


def a_key(folder: Path, name: str, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A key pair; made once for each folder and name."""
    path = folder / name
    if not path.exists():
        command = [require("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def a_certificate(
    key: Path, authority: Path, principal: str, name: str = "certified", validity: str = "always:forever"
) -> Path:
    """A certificate of a key, in a file beside it; what is to sign by it."""
    public = key.with_name(f"{name}.pub")
    public.write_text(key.with_name(f"{key.name}.pub").read_text())
    key.with_name(name).write_bytes(key.read_bytes())
    key.with_name(name).chmod(0o600)
    command = [require("ssh-keygen"), "-q", "-s", str(authority), "-I", name, "-n", principal]
    command += ["-V", validity, str(public)]
    subprocess.run(command, check=True)
    return key.with_name(f"{name}-cert.pub")


def line(principal: str, key: Path, options: str = "") -> str:
    """A line of a file of allowed signers."""
    public = key.with_name(f"{key.name}.pub").read_text().strip()
    return f"{principal} {options + ' ' if options else ''}{public}\n"


def allowed(*lines: str, revoked: bytes | None = None) -> Allowed:
    """A file of allowed signers, as it is read."""
    return Allowed("signers", "".join(lines).encode(), "revoked", revoked)


def keygen(limits: Limits = DEFAULT_LIMITS, **environment: str) -> SshKeygen:
    """ssh-keygen with nothing of this machine but its path, and its time zone."""
    own = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return SshKeygen({**own, **environment}, limits=limits)


def signing(key: Path, terms: Terms = Terms(sequence=7), now: int = NOW) -> Signing:  # noqa: B008  a value
    """A key that signs."""
    return Signing(keygen(), key, terms, now)


def a_signed_bundle(
    path: Path, key: Path, terms: Terms = Terms(sequence=7), *,  # noqa: B008  a value
    now: int = NOW, contents: Mapping[str, Content] | None = None
) -> SignedStatement:  # fmt: skip
    """A bundle file with its sidecar, signed; what was signed."""
    inventory, store = packed(contents or {NAME: a_module("1.0.0", size=300)})
    sealed = signing(key, terms, now).seal(bundle_id(encode(inventory)))
    with path.open("wb") as file:
        written = write_bundle(file.write, inventory, store, SILENCE, sealed)
    write_sidecar(path, written.sha256)
    return sealed


def in_place_of_ssh_keygen(folder: Path, script: str) -> str:
    """A PATH on which ssh-keygen is this shell script."""
    folder.mkdir(exist_ok=True)
    program = folder / "ssh-keygen"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
