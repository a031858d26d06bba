"""Options of what an export writes: the output, incremental bundles, locks, volumes, signatures."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from bundler.config import include_options, run_options, texts
from bundler.config.option import FileSection, Option
from bundler.config.selection_options import ShardOptions

DESTINATION, INCREMENTAL = "Destination", "Incremental bundles"
REPRODUCIBILITY, SIGNATURES = "Reproducibility and sharding", include_options.SIGNATURES


class OutputOptions(NamedTuple):
    """Destination of a bundle."""

    out: Annotated[
        str | None,
        Option(
            "--output", "-o", key="output", metavar="OUT", heading=DESTINATION, path=True,
            help="Write the bundle here: NAME.tar.zst for a file, `-` for standard output, else a directory.",
        ),
    ] = None  # fmt: skip
    store: Annotated[
        Path | None,
        Option(
            "--store", key="store", metavar="DIR", heading=DESTINATION,
            help="Keep blobs here for the next run. Default: beside OUT, removed when the bundle is done.",
        ),
    ] = None  # fmt: skip
    force: Annotated[
        bool,
        Option(
            "--force", key="force", heading=DESTINATION,
            help="Replace OUT even if that loses what it holds. Default: replace it only if nothing is lost.",
        ),
    ] = False  # fmt: skip


CompactLevel = Annotated[
    int | None,
    Option(
        "--level", key="level", metavar="N", heading=DESTINATION, least=1, most=19,
        help="Compress a compact bundle at this zstd level, up to 19. Default: 3.",
    ),
]  # fmt: skip


class CompactOptions(NamedTuple):
    """The form of the bundle."""

    compact: Annotated[
        bool,
        Option(
            "--compact", key="compact", heading=DESTINATION,
            help="Write a compact bundle, NAME.compact.zst, a fraction of the size: each distinct file is "
            "stored once. `expand` turns it into NAME.tar.zst.",
        ),
    ] = False  # fmt: skip
    level: CompactLevel = None


class LockOptions(NamedTuple):
    """Options that pin an export."""

    lock: Annotated[
        Path | None,
        Option(
            "--lock", key="lock", metavar="FILE", heading=REPRODUCIBILITY,
            help="Export exactly what this lock file pins; if it does not exist, write it.",
        ),
    ] = None  # fmt: skip
    on_drift: Annotated[
        Literal["warn", "fail", "refetch"] | None,
        Option(
            "--on-drift", key="onDrift", heading=REPRODUCIBILITY,
            help="Check every tag again at the end, and do this if one has moved. Default: don't check.",
        ),
    ] = None  # fmt: skip


class IncrementalOptions(NamedTuple):
    """Bundles that build on bundles."""

    base: Annotated[
        tuple[str, ...],
        Option(
            "--base", key="base", metavar="BUNDLE|ID|RECEIPT|last", heading=INCREMENTAL, path=True, least=1,
            read=texts.base_text,
            help="Write a delta: leave out what this bundle has, or what the target of this receipt has. "
            "`last` is what this job wrote last with the same --store. Repeatable.",
        ),
    ] = ()  # fmt: skip
    allow_empty: Annotated[
        bool,
        Option(
            "--allow-empty", key="allowEmpty", heading=INCREMENTAL,
            help="Write a delta even if nothing is new. Default: write nothing.",
        ),
    ] = False  # fmt: skip
    immutable: Annotated[
        tuple[str, ...],
        Option(
            "--immutable", key="immutable", metavar="semver|GLOB", heading=INCREMENTAL,
            help="Don't ask again for tags that match and that the base or the store already has: they never "
            "move. `semver` is every version. Repeatable.",
        ),
    ] = ()  # fmt: skip
    full_every: Annotated[
        str | None,
        Option(
            "--full-every", key="fullEvery", metavar="N|DAYSd", heading=INCREMENTAL, read=texts.full_every,
            help="With --base last: begin a new chain with a full bundle after N bundles, or when its "
            "full bundle is this old (30d), so that --keep can remove the chain before. Default: "
            "never.",
        ),
    ] = None  # fmt: skip
    keep: Annotated[
        int | None,
        Option(
            "--keep", key="keep", metavar="N", heading=INCREMENTAL, least=1,
            help="Afterwards, remove this job's bundles except the newest N and those they build on. Needs "
            "--store.",
        ),
    ] = None  # fmt: skip
    keep_days: Annotated[
        int | None,
        Option(
            "--keep-days", key="keepDays", metavar="DAYS", heading=INCREMENTAL, least=1,
            help="Afterwards, remove this job's bundles older than this. With --keep, a bundle stays if "
            "either keeps it.",
        ),
    ] = None  # fmt: skip


class VolumeOptions(NamedTuple):
    """Options that cut a bundle into volumes."""

    size: Annotated[
        int | None,
        Option(
            "--volume-size", key="size", metavar="SIZE", heading="Volumes", read=texts.size,
            help="Write numbered volumes, each smaller than this (4GiB fits FAT32, 4700MB a DVD).",
        ),
    ] = None  # fmt: skip
    parity: Annotated[
        int | None,
        Option(
            "--parity", key="parity", metavar="PERCENT", heading="Volumes", least=1, most=100,
            help="With --volume-size: add this percentage of recovery volumes. Default: none.",
        ),
    ] = None  # fmt: skip


class SigningTerms(NamedTuple):
    """Terms that a signature states."""

    sequence: Annotated[
        int | None,
        Option(
            "--sequence", key="sequence", metavar="N", heading=SIGNATURES, least=0, most=(1 << 62) - 1,
            help="Sequence number of the bundle; imports refuse a number lower than the last. Default: "
            "seconds since the epoch.",
        ),
    ] = None  # fmt: skip
    expires: Annotated[
        int | None,
        Option(
            "--expires", key="expires", metavar="WHEN", heading=SIGNATURES, read=texts.deadline,
            help="Expiry of the bundle: from then on, imports refuse it (30d, 72h, 2026-12-31, "
            "2026-12-31T09:00:00Z). Default: never.",
        ),
    ] = None  # fmt: skip


class SigningOptions(NamedTuple):
    """Options that sign an export."""

    sign_key: Annotated[
        Path | None,
        Option(
            "--sign-key", key="key", metavar="KEY", heading=SIGNATURES,
            help="Sign the bundle with this OpenSSH private key, or with the agent's key of this public key.",
        ),
    ] = None  # fmt: skip
    terms: SigningTerms = SigningTerms()


class ExportSettings(NamedTuple):
    """Settings of an export: given on the command line, in export files, or in both."""

    output: OutputOptions
    form: CompactOptions
    lock: LockOptions
    shard: ShardOptions
    incremental: IncrementalOptions
    volumes: Annotated[VolumeOptions, FileSection("volumes", "Cut the bundle into volumes.")]
    signing: Annotated[SigningOptions, FileSection("signing", "Sign the bundle.")]
    signers: Annotated[
        include_options.ModuleSignerOptions,
        FileSection("moduleSigners", "Whose signatures the modules must have."),
    ]
    report: run_options.ReportOptions
    metrics: run_options.MetricsOptions
    job: run_options.JobOptions
    registries: run_options.RegistryOptions
