"""`--cosign-key`, `--trusted-root` and whom it is to prove: whose signatures on modules count."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.config.import_options import ModuleSignerOptions
from bundler.errors import UsageError
from bundler.named_files import text_of

if TYPE_CHECKING:
    from bundler.trust.cosign import Key
    from bundler.trust.keyless import Keyless
    from bundler.trust.module_signers import Signers
    from bundler.trust.policy import Demand, KeylessDemand


ROOT, IDENTITY, ISSUER = "--trusted-root", "--certificate-identity", "--certificate-oidc-issuer"


def demand_of(options: ModuleSignerOptions) -> Demand | None:
    """Return what every module must have; None if nothing is asked. Raises UsageError."""
    if options == ModuleSignerOptions():
        return None
    from bundler.trust.policy import Demand

    keyless = _keyless(options) if options._replace(cosign_keys=()) != ModuleSignerOptions() else None
    return Demand(("*",), cosign_keys=tuple(map(str, options.cosign_keys)), keyless=keyless)


def _keyless(options: ModuleSignerOptions) -> KeylessDemand:
    from bundler.trust.policy import Identity, KeylessDemand, is_narrow

    given = {ROOT: options.trusted_root, IDENTITY: options.identities, ISSUER: options.issuer}
    if missing := [name for name, value in given.items() if not value]:
        present = next(name for name, value in given.items() if value)
        cause = f"keyless signatures are not checked without {' and '.join(missing)}"
        raise UsageError(present, cause, "give all three")
    assert options.issuer is not None  # it is given
    if wide := next((identity for identity in options.identities if not is_narrow(identity)), None):
        raise UsageError(
            f"{IDENTITY} {wide}",
            "this pattern matches almost anybody",
            "name at least HOST/OWNER/ or @DOMAIN",
        )
    identities = (Identity(identity, options.issuer) for identity in options.identities)
    return KeylessDemand(str(options.trusted_root), tuple(identities))


def module_signers(options: ModuleSignerOptions) -> Signers:
    """Return whose signatures count. Raises UsageError."""
    from bundler.trust.module_signers import NOBODY

    demand = demand_of(options)
    return signers_of([demand])[demand] if demand else NOBODY


def signers_of(demands: Iterable[Demand]) -> dict[Demand, Signers]:
    """Return the signers that demands name, each file read once. Raises UsageError."""
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
