"""The keys of a border policy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from bundler.config.fields import Count, Keys, Path, Text, Texts
from bundler.config.refusal import RefusedError
from bundler.oci.grammar import Size
from bundler.trust.policy import is_narrow


def _narrow(glob: str) -> str:
    if not is_narrow(glob):
        raise RefusedError("almost anybody's", "name at least HOST/OWNER/ or @DOMAIN")
    return glob


IdentityGlob = Annotated[Text, AfterValidator(_narrow)]


class LimitKeys(Keys):
    """How much may pass."""

    bundle_bytes: Size | None = None
    """Bytes of all distinct blobs together."""
    blob_bytes: Size | None = None
    """Bytes of any one blob."""
    repositories: Count | None = None
    tags: Count | None = None


class IdentityKeys(Keys):
    """Who may have signed without a key."""

    identity: IdentityGlob
    """A glob on what the certificate says: a workflow's URL, an address; `*` is also for `/`."""
    issuer: Text
    """The URL of the OpenID Connect issuer that vouched for it, exactly."""


class KeylessKeys(Keys):
    """Signatures by certificates, checked offline."""

    trusted_root: Path
    """Sigstore's trusted_root.json, as `cosign trusted-root create` makes it."""
    identities: Annotated[list[IdentityKeys], Field(min_length=1)]
    """One of these."""


DEMANDS = ("referrers", "cosignKeys", "keyless")


class DemandKeys(Keys):
    """What versions must have along; tags that are no versions too, signatures and SBOMs themselves not."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [demand]} for demand in DEMANDS]})

    repositories: Texts
    """Those whose HOST/REPOSITORY outside matches one of these globs; `*` is also for `/`."""
    referrers: Annotated[list[Literal["signature", "sbom", "attestation"]], Field(min_length=1)] | None = None
    """All of these kinds."""
    cosign_keys: Annotated[list[Path], Field(min_length=1)] | None = None
    """A signature by one of these public keys (PEM), or by one of the identities of `keyless`."""
    keyless: KeylessKeys | None = None


class SignerKeys(Keys):
    """Who must have signed the bundle itself."""

    allowed: Path
    """A file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS)."""
    revoked: Path | None = None
    """Keys that don't count any more."""
    minimum: Count | None = None
    """So many of them; 1 if it is not said."""


class PolicyKeys(Keys):
    """A border policy. What it does not speak of is allowed. Paths are relative to the file's own folder."""

    version: Annotated[int, Field(ge=1, le=1)]
    """Of this format."""
    sources: Texts | None = None
    """Globs: every repository's HOST/REPOSITORY outside must match one; `*` is also for `/`."""
    targets: Texts | None = None
    """Globs: every repository's path at the target must match one."""
    media_types: Texts | None = None
    """Globs: the type of every manifest, config and layer must match one."""
    limits: LimitKeys | None = None
    require: Annotated[list[DemandKeys], Field(min_length=1)] | None = None
    signers: SignerKeys | None = None
