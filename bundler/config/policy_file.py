"""The keys of a border policy."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator
from pydantic.config import JsonDict

from bundler.config.keys import Count, FilePath, Keys, Text, Texts, from_text, never_null
from bundler.config.option import Circumstances
from bundler.config.problems import RefusedValueError
from bundler.config.reading import Found, items, read_keys
from bundler.oci.grammar import Size
from bundler.oci.reference import can_match
from bundler.trust.job import Job
from bundler.trust.policy import Demand, Identity, KeylessDemand, Policy, is_narrow


def _narrow(glob: str) -> str:
    if not is_narrow(glob):
        raise RefusedValueError("this pattern matches almost anybody", "name at least HOST/OWNER/ or @DOMAIN")
    return glob


def _matching(glob: str) -> str:
    if not can_match(glob):
        raise RefusedValueError(
            "no repository can have this name", "write a glob on HOST/REPOSITORY, without a tag"
        )
    return glob


RepositoryGlob = Annotated[Text, AfterValidator(_matching)]

JobName = Annotated[Job, from_text(lambda text, at: Job.parse(text), Job)]

IdentityGlob = Annotated[Text, AfterValidator(_narrow)]


def _without_null(schema: JsonDict) -> None:
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for key in properties.values():
        if isinstance(key, dict) and "anyOf" in key:
            never_null(key)


class RuleKeys(Keys):
    """Keys that hold something back; a null would hold nothing back, and look as if it did."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: object) -> object:
        if value is None:
            raise RefusedValueError("nothing is there", "write a value, or leave the key out")
        return value


class LimitKeys(RuleKeys):
    """Sizes and counts that may pass."""

    bundle_bytes: Size | None = None
    """Bytes of all distinct blobs together."""
    blob_bytes: Size | None = None
    """Bytes of any one blob."""
    repositories: Count | None = None
    tags: Count | None = None


class IdentityKeys(RuleKeys):
    """The identities that may have signed without a key."""

    identity: IdentityGlob
    """A glob on what the certificate says: a workflow's URL, an address; `*` also matches `/`."""
    issuer: Text
    """The URL of the OpenID Connect issuer that vouched for it, exactly."""


class KeylessKeys(RuleKeys):
    """Signatures by certificates, checked offline."""

    trusted_root: FilePath
    """Sigstore's trusted_root.json, as `cosign trusted-root create` makes it."""
    identities: Annotated[list[IdentityKeys], Field(min_length=1)]
    """One of these."""


RULES = ("sources", "targets", "mediaTypes", "limits", "require", "signers")
"""Of these keys a policy has at least one."""

ALL_MATCHING = {"sources": {"*", "/"}, "targets": {"*"}, "mediaTypes": {"*", "/"}}
"""A glob of nothing but these characters matches everything that the key is about."""

DEMANDS = ("referrers", "cosignKeys", "keyless")


def _demanding(schema: JsonDict) -> None:
    _without_null(schema)
    schema["anyOf"] = [{"required": [demand]} for demand in DEMANDS]


class DemandKeys(RuleKeys):
    """Attachments that each tag must have, except signatures and SBOMs themselves."""

    model_config = ConfigDict(json_schema_extra=_demanding)

    repositories: Annotated[list[RepositoryGlob], Field(min_length=1)]
    """Those whose HOST/REPOSITORY outside matches one of these globs; `*` also matches `/`."""
    referrers: Annotated[list[Literal["signature", "sbom", "attestation"]], Field(min_length=1)] | None = None
    """All of these kinds."""
    cosign_keys: Annotated[list[FilePath], Field(min_length=1)] | None = None
    """A signature by one of these public keys (PEM), or by one of the identities of `keyless`."""
    keyless: KeylessKeys | None = None


class SignerKeys(RuleKeys):
    """The signers who must have signed the bundle itself."""

    allowed: FilePath
    """A file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS)."""
    revoked: FilePath | None = None
    """Keys that don't count any more."""
    minimum: Count | None = None
    """Number of them; 1 if it is not given."""
    job: JobName | None = None
    """The job that the bundle must be signed for."""


class PolicyKeys(RuleKeys):
    """A border policy. What it does not speak of is allowed.

    Paths are relative to the file's own folder; in every path `${NAME}` is filled in.
    """

    version: Annotated[int, Field(ge=1, le=1)]
    """Of this format."""
    sources: Texts | None = None
    """Globs: every repository's HOST/REPOSITORY outside must match one; `*` also matches `/`."""
    targets: Texts | None = None
    """Globs: every repository's path at the target must match one."""
    media_types: Texts | None = None
    """Globs: the type of every manifest, config and layer must match one."""
    limits: LimitKeys | None = None
    require: Annotated[list[DemandKeys], Field(min_length=1)] | None = None
    signers: SignerKeys | None = None


def read_policy_file(name: str, text: str, environment: Mapping[str, str] | None = None) -> Policy:
    """Return the file's content as a value; paths in it are relative to the folder of `name`.

    Raises UsageError, with every problem that the file has.
    """
    keys, _ = read_keys(name, text, PolicyKeys, Circumstances(0, environment or {}, name), _across)
    limits, signers = keys.limits or LimitKeys(), keys.signers
    return Policy(
        sources=tuple(keys.sources or ()),
        targets=tuple(keys.targets or ()),
        media_types=tuple(keys.media_types or ()),
        bundle_bytes=limits.bundle_bytes,
        blob_bytes=limits.blob_bytes,
        repositories=limits.repositories,
        tags=limits.tags,
        demands=tuple(_demand(demand) for demand in keys.require or ()),
        allowed_signers=str(signers.allowed) if signers else None,
        revoked_keys=str(signers.revoked) if signers and signers.revoked else None,
        signatures=(signers.minimum or 1) if signers else None,
        job=signers.job if signers else None,
    )


def _across(content: dict[str, Any]) -> Found:
    """Yield demands that demand nothing: whoever wrote one believes that it holds something back."""
    if not any(_holds_back(key, content.get(key)) for key in RULES):
        yield ("version",), "the policy holds nothing back", f"write one of {', '.join(RULES)}"
    for where, demand in items(content, "require"):
        if isinstance(demand, dict) and not any(key in demand for key in DEMANDS):
            yield where, "it requires nothing", f"write one of {', '.join(DEMANDS)}"


def _holds_back(key: str, value: object) -> bool:
    """Return True unless a rule is missing, or has a glob that everything matches."""
    if not isinstance(value, list) or key not in ALL_MATCHING:
        return bool(value)
    return not any(isinstance(glob, str) and glob and set(glob) <= ALL_MATCHING[key] for glob in value)


def _demand(keys: DemandKeys) -> Demand:
    return Demand(
        tuple(keys.repositories),
        frozenset(keys.referrers or ()),
        tuple(map(str, keys.cosign_keys or ())),
        _keyless(keys.keyless) if keys.keyless else None,
    )


def _keyless(keys: KeylessKeys) -> KeylessDemand:
    identities = (Identity(key.identity, key.issuer) for key in keys.identities)
    return KeylessDemand(str(keys.trusted_root), tuple(identities))
