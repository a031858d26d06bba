"""Options of what is included with a tag, and of the signatures that modules must have.

Annotations are values here, not texts (no `from __future__ import annotations`): `fields_of` reads them.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from bundler.config import texts
from bundler.config.option import Option
from bundler.errors import UsageError
from bundler.oci.platform import Platform, parse_platform
from bundler.selection.sources import Include, older_of

INCLUDED, SIGNATURES = "Included content", "Signatures and policy"


class IncludeOptions(NamedTuple):
    """Options of what is included with a tag."""

    images: Annotated[
        bool,
        Option(
            "--with-images", heading=INCLUDED,
            help="Include the container images that the modules run.",
        ),
    ] = False  # fmt: skip
    exclude_images: Annotated[
        tuple[str, ...],
        Option(
            "--exclude-image", metavar="GLOB", heading=INCLUDED,
            help="Leave out images whose HOST/REPOSITORY:TAG matches this glob. Repeatable.",
        ),
    ] = ()  # fmt: skip
    optional_images: Annotated[
        tuple[str, ...],
        Option(
            "--optional-image", metavar="GLOB", heading=INCLUDED,
            help="Warn about images that match this glob and can't be fetched. Default: they fail. "
            "Repeatable.",
        ),
    ] = ()  # fmt: skip
    image_min_age: Annotated[
        int | None,
        Option(
            "--image-min-age", metavar="AGE", heading=INCLUDED, read=texts.age,
            help="Leave out images younger than this (72h), with a warning, if they say when they were made. "
            "Costs up to two small requests per image.",
        ),
    ] = None  # fmt: skip
    platforms: Annotated[
        tuple[Platform, ...],
        Option(
            "--platform", key="platforms", metavar="OS/ARCH", heading=INCLUDED,
            read=lambda text, at: parse_platform(text),
            help="Include only this platform of multi-platform images. Repeatable. Default: all.",
        ),
    ] = ()  # fmt: skip
    no_referrers: Annotated[
        bool,
        Option(
            "--no-referrers", heading=INCLUDED,
            help="Leave out signatures, attestations, SBOMs and everything else that refers to a tag.",
        ),
    ] = False  # fmt: skip
    require: Annotated[
        tuple[Literal["signature", "sbom", "attestation"], ...],
        Option(
            "--require", key="require", heading=INCLUDED,
            help="Fail every tag that does not have this. Repeatable.",
        ),
    ] = ()  # fmt: skip

    def include(self) -> Include:
        """Return the value that the exporter works with."""
        return Include(
            self.images,
            not self.no_referrers,
            frozenset(self.require),
            self.platforms,
            exclude_images=self.exclude_images,
            optional_images=self.optional_images,
            image_min_age=self.image_min_age,
        )

    def narrowing(self, file: Include) -> Include:
        """Return what a file includes, under what the command line says. Raises UsageError."""
        required, referrers = file.require | frozenset(self.require), file.referrers and not self.no_referrers
        if required and not referrers:
            raise UsageError(
                "--no-referrers", "the export file requires some of them", "leave one of them out"
            )
        return Include(
            file.images or self.images,
            referrers,
            required,
            self._platforms(file.platforms),
            exclude_images=tuple(dict.fromkeys((*file.exclude_images, *self.exclude_images))),
            optional_images=tuple(dict.fromkeys((*file.optional_images, *self.optional_images))),
            image_min_age=older_of(file.image_min_age, self.image_min_age),
        )

    def _platforms(self, file: tuple[Platform, ...]) -> tuple[Platform, ...]:
        if not (file and self.platforms):
            return file or self.platforms
        both = [platform for platform in self.platforms if any(other.takes(platform) for other in file)]
        both += [platform for platform in file if any(other.takes(platform) for other in self.platforms)]
        if not both:
            named = ", ".join(map(str, file))
            raise UsageError("--platform", f"the export file takes only {named}", "name one of these")
        return tuple(dict.fromkeys(both))


class ModuleSignerOptions(NamedTuple):
    """The signers of modules whose signatures count."""

    cosign_keys: Annotated[
        tuple[Path, ...],
        Option(
            "--cosign-key", key="cosignKeys", metavar="FILE", heading=SIGNATURES,
            help="Require that every module is signed by cosign with one of these public keys. Repeatable.",
        ),
    ] = ()  # fmt: skip
    trusted_root: Annotated[
        Path | None,
        Option(
            "--trusted-root", key="trustedRoot", metavar="FILE", heading=SIGNATURES,
            help="Check keyless signatures with Sigstore's trusted_root.json, without any network. Needs "
            "--certificate-identity and --certificate-oidc-issuer.",
        ),
    ] = None  # fmt: skip
    identities: Annotated[
        tuple[str, ...],
        Option(
            "--certificate-identity", key="identities", metavar="GLOB", heading=SIGNATURES,
            help="Accept keyless signatures by this identity: a workflow's URL, an address; `*` also "
            "matches `/`. Repeatable.",
        ),
    ] = ()  # fmt: skip
    issuer: Annotated[
        str | None,
        Option(
            "--certificate-oidc-issuer", key="issuer", metavar="URL", heading=SIGNATURES,
            help="Exact URL of the OpenID Connect issuer of these identities.",
        ),
    ] = None  # fmt: skip
