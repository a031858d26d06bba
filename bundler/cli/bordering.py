"""`--policy`, `--cosign-key`: what may come in, read from files, and made a border."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bundler.cli.files import text_of
from bundler.cli.trusting import TrustOptions
from bundler.errors import UsageError

if TYPE_CHECKING:
    from bundler.importer.border import Border
    from bundler.oci.content import BlobSource
    from bundler.trust.cosign import Key
    from bundler.trust.policy import Policy

Command = TypeVar("Command", bound=Callable[..., Any])


class BorderOptions(NamedTuple):
    """The options as they were given."""

    policy: Path | None
    cosign_key: tuple[Path, ...]


def cosign_option(command: Command) -> Command:
    """`--cosign-key`; it arrives as `cosign_key`."""
    return click.option(
        "--cosign-key",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Every module must be signed by cosign with one of these public keys. Repeatable.",
    )(command)


def border_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_border`."""
    return click.option(
        "--policy",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Refuse what this policy does not allow, all of it named at once "
        "(YAML, schemas/policy-file.schema.json).",
    )(cosign_option(command))


def keys_of(paths: Iterable[Path]) -> tuple[Key, ...]:
    """The public keys in these files. Raises UsageError."""
    if not paths:
        return ()
    from bundler.trust.cosign import read_key

    return tuple(read_key(path.name, text_of(path).encode()) for path in paths)


def gathered_border(options: dict[str, Any]) -> tuple[BorderOptions, Policy | None]:
    """Take the options out of a command's arguments; the policy as it is written. Raises UsageError."""
    found = BorderOptions(**{name: options.pop(name) for name in BorderOptions._fields})
    if not (found.policy or found.cosign_key):
        return found, None
    from bundler.trust.policy import Demand, Policy

    policy = Policy()
    if found.policy:
        from bundler.config.policy_file import read_policy_file

        policy = read_policy_file(str(found.policy), text_of(found.policy))
    if found.cosign_key:
        keys = tuple(str(path) for path in found.cosign_key)
        policy = policy._replace(demands=(*policy.demands, Demand(("*",), cosign_keys=keys)))
    return found, policy


def with_signers(trust: TrustOptions, policy: Policy | None) -> TrustOptions:
    """The options, and what the policy says of who must have signed. Raises UsageError for two lists."""
    if policy is None or policy.allowed_signers is None:
        return trust
    if trust.allowed_signers is not None:
        cause = "the policy says already whose signatures count"
        raise UsageError("--allowed-signers", cause, "leave it out, or take `signers` out of the policy")
    return trust._replace(
        allowed_signers=Path(policy.allowed_signers),
        revoked_keys=Path(policy.revoked_keys) if policy.revoked_keys else trust.revoked_keys,
        require_signatures=max(trust.require_signatures or 1, policy.signatures or 1),
    )


def border_of(policy: Policy | None, content: BlobSource | None) -> Border | None:
    """The border; `content` is None for a pipe, whose signatures come after its manifests."""
    if policy is None:
        return None
    from bundler.importer.border import Border

    names = dict.fromkeys(name for demand in policy.demands for name in demand.cosign_keys)
    if names and content is None:
        cause = "signatures on modules can't be checked while a pipe flows"
        raise UsageError("-", cause, "give a file")
    keys = dict(zip(names, keys_of([Path(name) for name in names]), strict=True))
    return Border(policy, keys, content or _Nothing())


class _Nothing:
    """Gives nothing: nothing is asked for."""

    def chunks(self, blob: object) -> Any:
        """Never called."""
        raise AssertionError(blob)
