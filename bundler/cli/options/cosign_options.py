"""`--cosign-key`, `--trusted-root` and whom it is to prove: whose signatures on modules count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundler.errors import UsageError
from bundler.named_files import text_of

if TYPE_CHECKING:
    from bundler.trust.cosign import Key
    from bundler.trust.keyless import Keyless
    from bundler.trust.module_signers import Signers
    from bundler.trust.policy import Demand, KeylessDemand


Command = TypeVar("Command", bound=Callable[..., Any])

ROOT, IDENTITY, ISSUER = "--trusted-root", "--certificate-identity", "--certificate-oidc-issuer"


def signer_options(command: Command) -> Command:
    """Add them to a command; `gathered_demand` takes them out of its arguments."""
    path = click.Path(path_type=Path)
    options = (
        click.option("--cosign-key", metavar="FILE", type=path, multiple=True,
                     help="Every module must be signed by cosign with one of these public keys. Repeatable."),
        click.option(ROOT, metavar="FILE", type=path,
                     help="Or keyless, by one of the identities: what proves that, Sigstore's "
                          "trusted_root.json. Nothing is asked on any network."),
        click.option(IDENTITY, metavar="GLOB", multiple=True,
                     help="Who may have signed: a workflow's URL, an address; * is also for /. Repeatable."),
        click.option(ISSUER, metavar="URL", multiple=True,
                     help="Who must have vouched for these identities: the OpenID Connect issuer, exactly."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_demand(options: dict[str, Any]) -> Demand | None:
    """Take the options out of a command's arguments: what every module must have. Raises UsageError."""
    paths, root = options.pop("cosign_key"), options.pop("trusted_root")
    identities, issuers = options.pop("certificate_identity"), options.pop("certificate_oidc_issuer")
    if not (paths or root or identities or issuers):
        return None
    from bundler.trust.policy import Demand

    keyless = _keyless(root, identities, issuers) if root or identities or issuers else None
    return Demand(("*",), cosign_keys=tuple(map(str, paths)), keyless=keyless)


def _keyless(root: Path | None, identities: tuple[str, ...], issuers: tuple[str, ...]) -> KeylessDemand:
    from bundler.trust.policy import Identity, KeylessDemand, is_narrow

    given = {ROOT: root, IDENTITY: identities, ISSUER: issuers}
    if missing := [name for name, value in given.items() if not value]:
        there = next(name for name, value in given.items() if value)
        cause = f"keyless signatures are not checked without {' and '.join(missing)}"
        raise UsageError(there, cause, "give all three")
    if len(issuers) > 1:
        raise UsageError(ISSUER, "given twice", "one for all identities; a policy file can have more")
    if wide := next((one for one in identities if not is_narrow(one)), None):
        raise UsageError(f"{IDENTITY} {wide}", "almost anybody's", "name at least HOST/OWNER/ or @DOMAIN")
    return KeylessDemand(str(root), tuple(Identity(one, issuers[0]) for one in identities))


def gathered_signers(options: dict[str, Any]) -> Signers:
    """Take the options out of a command's arguments: whose signatures count. Raises UsageError."""
    from bundler.trust.module_signers import NOBODY

    demand = gathered_demand(options)
    return signers_of([demand])[demand] if demand else NOBODY


def signers_of(demands: Iterable[Demand]) -> dict[Demand, Signers]:
    """Those whom demands name, each file read once. Raises UsageError."""
    from bundler.trust.module_signers import Signers

    key, proven = cache(_key), cache(_proven)
    return {
        demand: Signers(tuple(map(key, demand.cosign_keys)), demand.keyless and proven(demand.keyless))
        for demand in demands
        if demand.signed
    }


def _key(name: str) -> Key:
    from bundler.trust.cosign import read_key

    path = Path(name)
    return read_key(path.name, text_of(path).encode())


def _proven(demand: KeylessDemand) -> Keyless:
    from bundler.trust.keyless import Keyless, read_trusted_root

    root = text_of(Path(demand.trusted_root)).encode()
    return Keyless(read_trusted_root(demand.trusted_root, root), demand.identities)
