"""Options of an import: the target, deltas, names, rollback, and whom it trusts."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from bundler.config.include_options import SIGNATURES, ModuleSignerOptions
from bundler.config.option import FileSection, Option
from bundler.config.run_options import (
    INCREMENTAL,
    JobOptions,
    MetricsOptions,
    RegistryOptions,
    ReportOptions,
    SetOptions,
)
from bundler.oci import Prefix, parse_prefix

DESTINATION, ROLLBACK = "Destination", "Rollback"
NAMES = "Image and module names"


class TargetOptions(NamedTuple):
    """Destination of an import."""

    to: Annotated[
        Prefix | None,
        Option(
            "--to", key="to", metavar="oci://HOST[/PREFIX]", heading=DESTINATION,
            read=lambda text, at: parse_prefix(text),
            help="Import to this registry. Source paths are kept below PREFIX, source hosts are dropped.",
        ),
    ] = None  # fmt: skip
    on_conflict: Annotated[
        Literal["fail", "skip", "overwrite"] | None,
        Option(
            "--on-conflict", key="onConflict", heading=DESTINATION,
            help="Fail for, skip or overwrite a tag that exists with another digest. Default: move "
            "`latest`, fail for any other.",
        ),
    ] = None  # fmt: skip
    confirm: Annotated[
        Literal["quick", "full"] | None,
        Option(
            "--confirm", key="confirm", heading=DESTINATION,
            help="Read back manifests, and the first byte of blobs whose digest the target did not name when "
            "they were sent (quick), or before tags move all bytes of every blob (full). Default: quick.",
        ),
    ] = None  # fmt: skip


class IndexOptions(NamedTuple):
    """Treatment of indexes that `export --platform` made sparse."""

    filter_indexes: Annotated[
        bool,
        Option(
            "--filter-indexes", key="filterIndexes", heading=DESTINATION,
            help="At the target, a sparse index (export --platform) has only the children that the bundle "
            "carries. Its digest changes, and signatures of the whole index do not hold for it.",
        ),
    ] = False  # fmt: skip


class ConfigOptions(NamedTuple):
    """The import file."""

    config: Annotated[
        Path | None,
        Option(
            "--config", "-c", metavar="FILE",
            help="Read an import file (YAML; `timoni-bundler schema import-file`).",
        ),
    ] = None  # fmt: skip


class DeltaOptions(NamedTuple):
    """Options for importing a delta."""

    beside: Annotated[
        tuple[Path, ...],
        Option(
            "--with", key="with", metavar="BUNDLE", heading=INCREMENTAL,
            help="Take what the target lacks from this bundle, on which the delta builds. Repeatable.",
        ),
    ] = ()  # fmt: skip
    allow_gap: Annotated[
        bool,
        Option(
            "--allow-gap", heading=INCREMENTAL,
            help="Import a delta even if a bundle that it builds on was not imported from this machine.",
        ),
    ] = False  # fmt: skip
    prune: Annotated[
        int | None,
        Option(
            "--prune", key="prune", metavar="MOST", heading=INCREMENTAL, least=1,
            help="After a delta, delete the tags that are gone at the source, unless there are more than "
            "this. Default: delete nothing.",
        ),
    ] = None  # fmt: skip
    prune_deselected: Annotated[
        bool,
        Option(
            "--prune-deselected", key="pruneDeselected", heading=INCREMENTAL,
            help="With --prune, also delete tags that are only no longer selected.",
        ),
    ] = False  # fmt: skip


class NameOptions(NamedTuple):
    """Files with the names that images and modules have at the target."""

    image_map: Annotated[
        Path | None,
        Option(
            "--write-image-map", key="imageMap", metavar="FILE", heading=NAMES,
            help="Write a line OLD NEW for every tag and digest that the target has now.",
        ),
    ] = None  # fmt: skip
    mirror_config: Annotated[
        Path | None,
        Option(
            "--write-mirror-config", key="mirrorConfig", metavar="DIR", heading=NAMES,
            help="Write into this folder what nodes need to pull images under their old names from the "
            "target: for containerd, CRI-O, podman and OpenShift.",
        ),
    ] = None  # fmt: skip
    timoni_bundles: Annotated[
        tuple[Path, ...],
        Option(
            "--timoni-bundle", key="timoniBundles", metavar="FILE", heading=NAMES,
            help="Rewrite the module urls of this Timoni Bundle file. Repeatable.",
        ),
    ] = ()  # fmt: skip
    rewrite_images: Annotated[
        bool,
        Option(
            "--rewrite-images", key="rewriteImages", heading=NAMES,
            help="Also rewrite images in the values of Timoni Bundle files, if they are literals and were "
            "imported; list the others.",
        ),
    ] = False  # fmt: skip
    timoni_bundles_to: Annotated[
        Path | None,
        Option(
            "--timoni-bundle-to", key="timoniBundlesTo", metavar="DIR", heading=NAMES,
            help="Write the rewritten Timoni Bundle files into this folder, under the same names.",
        ),
    ] = None  # fmt: skip


class ReceiptOptions(NamedTuple):
    """Record of the target for the other side."""

    receipt: Annotated[
        Path | None,
        Option(
            "--receipt", key="receipt", metavar="FILE", heading=INCREMENTAL,
            help="Record here what the target holds; take the file back outside and use it as `--base` "
            "(`timoni-bundler schema receipt`).",
        ),
    ] = None  # fmt: skip


class RollbackOptions(NamedTuple):
    """The way back from an import."""

    rollback_file: Annotated[
        Path | None,
        Option(
            "--rollback-file", key="rollbackFile", metavar="FILE", heading=ROLLBACK,
            help="Before any tag moves, write here what each tag pointed to. Default: in --state, if a tag "
            "that exists moves.",
        ),
    ] = None  # fmt: skip
    rollback: Annotated[
        Path | None,
        Option(
            "--rollback", metavar="FILE", heading=ROLLBACK,
            help="Instead of importing: move every tag back to what this rollback file says.",
        ),
    ] = None  # fmt: skip


class SignatureOptions(NamedTuple):
    """The signers of bundles whose signatures count."""

    allowed_signers: Annotated[
        Path | None,
        Option(
            "--allowed-signers", key="allowed", metavar="FILE", heading=SIGNATURES,
            help="Require a signature by one of these (ssh-keygen(1), ALLOWED SIGNERS).",
        ),
    ] = None  # fmt: skip
    revoked_keys: Annotated[
        Path | None,
        Option(
            "--revoked-keys", key="revoked", metavar="FILE", heading=SIGNATURES,
            help="Ignore signatures by these keys: a key revocation list, or public keys.",
        ),
    ] = None  # fmt: skip
    require_signatures: Annotated[
        int | None,
        Option(
            "--require-signatures", key="minimum", metavar="N", heading=SIGNATURES, least=1, most=16,
            help="Number of allowed signers that must have signed. Default: 1.",
        ),
    ] = None  # fmt: skip


class OrderOptions(NamedTuple):
    """Order in which bundles may be imported."""

    require_signature: Annotated[
        bool,
        Option(
            "--require-signature", heading=SIGNATURES,
            help="Refuse unsigned bundles; --allowed-signers implies this.",
        ),
    ] = False  # fmt: skip
    state: Annotated[
        Path | None,
        Option(
            "--state", key="state", metavar="DIR", heading=INCREMENTAL,
            help="Directory for state kept between imports: which bundles were imported, the last sequence "
            "number of every job, rollback files. Default: $XDG_STATE_HOME/timoni-bundler, else "
            "~/.local/state/timoni-bundler.",
        ),
    ] = None  # fmt: skip
    allow_rollback: Annotated[
        bool,
        Option(
            "--allow-rollback", heading=SIGNATURES,
            help="Import a bundle even if it is older than the last one, or has expired; the report says so.",
        ),
    ] = False  # fmt: skip
    new_job: Annotated[
        bool,
        Option(
            "--new-job", heading=SIGNATURES,
            help="Import a signed job that is new to --state, next to those it already has.",
        ),
    ] = False  # fmt: skip


class PolicyOptions(NamedTuple):
    """Policy of what may come in."""

    policy: Annotated[
        Path | None,
        Option(
            "--policy", key="policy", metavar="FILE", heading=SIGNATURES,
            help="Refuse whatever this policy does not allow, and report every violation (YAML, "
            "`timoni-bundler schema policy-file`).",
        ),
    ] = None  # fmt: skip


class ImportSettings(NamedTuple):
    """Settings of an import: given on the command line, in an import file, or in both."""

    target: TargetOptions
    indexes: IndexOptions
    delta: DeltaOptions
    volumes: SetOptions
    names: NameOptions
    receipt: ReceiptOptions
    rollback: RollbackOptions
    policy: PolicyOptions
    module_signers: Annotated[
        ModuleSignerOptions, FileSection("moduleSigners", "Whose signatures the modules must have.")
    ]
    signers: Annotated[SignatureOptions, FileSection("signers", "Who must have signed the bundle itself.")]
    order: OrderOptions
    report: ReportOptions
    metrics: MetricsOptions
    job: JobOptions
    registries: RegistryOptions
