"""The policy file: what a border lets through."""

from __future__ import annotations

from functools import partial
from typing import Any

from bundler.config.fields import Circumstances
from bundler.config.paths import beside_file
from bundler.config.policy_keys import DEMANDS, DemandKeys, KeylessKeys, LimitKeys, PolicyKeys
from bundler.config.reading import Found, items, read_keys
from bundler.trust.policy import Demand, Identity, KeylessDemand, Policy


def read_policy_file(name: str, text: str) -> Policy:
    """The file's content as a value; paths in it are relative to the folder of `name`.

    Raises UsageError, with every problem that the file has.
    """
    keys, _ = read_keys(name, text, PolicyKeys, Circumstances({}, 0), _across)
    beside, limits, signers = partial(beside_file, name), keys.limits or LimitKeys(), keys.signers
    return Policy(
        sources=tuple(keys.sources or ()),
        targets=tuple(keys.targets or ()),
        media_types=tuple(keys.media_types or ()),
        bundle_bytes=limits.bundle_bytes,
        blob_bytes=limits.blob_bytes,
        repositories=limits.repositories,
        tags=limits.tags,
        demands=tuple(_demand(name, demand) for demand in keys.require or ()),
        allowed_signers=beside(signers.allowed) if signers else None,
        revoked_keys=beside(signers.revoked) if signers else None,
        signatures=(signers.minimum or 1) if signers else None,
    )


def _across(content: dict[str, Any]) -> Found:
    """Demands that demand nothing: whoever wrote one believes that it holds something back."""
    for where, demand in items(content, "require"):
        if isinstance(demand, dict) and not any(key in demand for key in DEMANDS):
            yield where, "it requires nothing", f"write one of {', '.join(DEMANDS)}"


def _demand(name: str, keys: DemandKeys) -> Demand:
    paths = (beside_file(name, path) for path in keys.cosign_keys or ())
    return Demand(
        tuple(keys.repositories),
        frozenset(keys.referrers or ()),
        tuple(path for path in paths if path),
        _keyless(name, keys.keyless) if keys.keyless else None,
    )


def _keyless(name: str, keys: KeylessKeys) -> KeylessDemand:
    root = beside_file(name, keys.trusted_root) or ""
    return KeylessDemand(root, tuple(Identity(one.identity, one.issuer) for one in keys.identities))
