"""A value for every option that takes one, and a folder in which all of them can be meant."""

from __future__ import annotations

from pathlib import Path

import click
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundler.cli.main import program
from tests.builders import a_bundle, a_module
from tests.trust import authorities
from tests.trust.authorities import StagedAuthority
from tests.trust.keys import a_key, line
from tests.trust.sigstores import StagedSigstore

VALUES = {
    "--against": "127.0.0.1:1/x", "--allowed-signers": "allowed", "--base": "b.tar.zst",
    "--ca-file": "ca.pem", "--client-cert": "client.pem", "--client-key": "client.pem",
    "--certificate-identity": "https://github.com/org/*",
    "--certificate-oidc-issuer": "https://i.example", "--confirm": "full", "--cosign-key": "cosign.pub",
    "--creds-file": "creds", "--default-registry": "r.example", "--exclude": "x", "--exclude-image": "x",
    "--expires": "30d", "--from-file": "list.txt", "--from-timoni-bundle": "bundle.cue",
    "--full-every": "3", "--image-min-age": "3d", "--immutable": "semver", "--job": "nightly", "--jobs": "3",
    "--keep": "3",
    "--keep-days": "3", "--level": "3", "--limit-rate": "2M",
    "--lock": "lock", "--log-format": "text", "--metrics": "m.prom",
    "--min-age": "3d", "--newest": "1", "--newest-per-major": "1", "--newest-per-minor": "1",
    "--on-conflict": "skip", "--on-drift": "warn", "--only": "1", "--optional-image": "y", "--parity": "20",
    "--plain-http": "h.example", "--platform": "linux/amd64", "--policy": "policy.yaml",
    "--preset": "minimal", "--proxy": "none", "--prune": "3", "--receipt": "receipt.json",
    "--report": "report.json", "--repository": "*", "--require": "sbom", "--require-signatures": "1",
    "--revoked-keys": "alice.pub", "--rollback": "rollback.json", "--rollback-file": "undo.json",
    "--sequence": "7", "--set": "A=b", "--shard": "0/2", "--sign-key": "alice", "--since": "90d",
    "--state": "state", "--store": "store", "--tag": "1.*", "--tag-regex": "1.*",
    "--timoni-bundle": "bundle.cue", "--timoni-bundle-to": "to", "--to": "127.0.0.1:1/x",
    "--token-host": "t.example", "--trusted-root": "root.json", "--versions": "^1", "--volume-size": "1MiB",
    "--volumes-in": "to", "--with": "b.tar.zst", "--write-image-map": "map.txt",
    "--write-mirror-config": "to",
}  # fmt: skip
"""The others are flags; `--config` has another file for each side."""

CONFIG = {"export": "export.yaml", "explain": "export.yaml", "import": "import.yaml", "verify": "import.yaml"}

MODULE = '{url: "oci://h.example/app", version: "1.0.0"}'


def options_of(name: str) -> dict[str, click.Option]:
    """The options of a command by their long flags, those of a group's commands together."""
    command = program.get_command(click.Context(program), name)
    assert command
    parts = command.commands.values() if isinstance(command, click.Group) else [command]
    found = (option for part in parts for option in part.params if isinstance(option, click.Option))
    return {max(option.opts, key=len): option for option in found}


BY_METAVAR = {"FILE": "new.txt", "DIR": "to", "N": "3"}
"""For options that need no value of their own."""


def given(command: str, flag: str) -> list[str]:
    """An option with a value, if it takes one."""
    option = options_of(command)[flag]
    if option.is_flag:
        return [flag]
    if flag == "--config":
        return [flag, CONFIG[command]]
    return [flag, VALUES[flag] if flag in VALUES else BY_METAVAR[str(option.metavar)]]


def prepare(folder: Path) -> None:
    """Make every file that a value names."""
    a_bundle(folder / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    key = a_key(folder, "alice")
    (folder / "allowed").write_text(line("alice", key))
    bundle = f'bundle: {{apiVersion: "v1alpha1", name: "s", instances: app: module: {MODULE}}}'
    (folder / "bundle.cue").write_text(bundle)
    sources = "sources: [{repository: h.example/b, newest: 1, images: true}]"
    (folder / "export.yaml").write_text(f"version: 1\n{sources}\n")
    (folder / "import.yaml").write_text("version: 1\nto: oci://127.0.0.1:1/x\n")
    (folder / "policy.yaml").write_text("version: 1\nsigners: {allowed: allowed}\n")
    (folder / "creds").write_text("h.example user:\n")
    (folder / "list.txt").write_text("h.example/image:1.0\n")
    (folder / "to").mkdir()
    sigstore, authority, cosign = StagedSigstore(), StagedAuthority(), authorities.a_key().public_key()
    sigstore.trusted_root(folder / "root.json")
    (folder / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    identity = trustme.CA().issue_cert("client.example")
    identity.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    pem = cosign.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "cosign.pub").write_bytes(pem)
