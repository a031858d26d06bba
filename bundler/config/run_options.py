"""Options of any command: registries, reports, metrics, volumes of what it reads."""

from pathlib import Path
from typing import Annotated, NamedTuple

from bundler.config.option import Argument, Circumstances, FileSection, Option
from bundler.oci import Prefix, RegistryName, parse_prefix
from bundler.trust.job import DEFAULT_JOB, Job
from bundler.workers import DEFAULT_JOBS

REGISTRIES, OUTPUT, VOLUMES, INCREMENTAL = "Registries", "Output", "Volumes", "Incremental bundles"

CREDENTIALS_VARIABLE = "TIMONI_BUNDLER_CREDS"

DEBUG_VARIABLE = "TIMONI_BUNDLER_DEBUG"


class WidthOptions(NamedTuple):
    """Number of requests at a time."""

    jobs: Annotated[
        int | None,
        Option(
            "--jobs", "-j", key="jobs", metavar="N", heading=REGISTRIES, least=1, most=128,
            help=f"Number of requests at a time. Default: {DEFAULT_JOBS}.",
        ),
    ] = None  # fmt: skip


class DebugOptions(NamedTuple):
    """Lines about requests, and their destination."""

    debug: Annotated[
        bool,
        Option(
            "--debug", heading=REGISTRIES,
            help="Write a line about each request to standard error: address, status, bytes, time, retries. "
            f"No line shows a secret. Default: only with ${DEBUG_VARIABLE}.",
        ),
    ] = False  # fmt: skip
    debug_file: Annotated[
        Path | None,
        Option("--debug-file", metavar="FILE", heading=REGISTRIES, help="Write these lines to this file."),
    ] = None


def _rate(text: str, at: Circumstances) -> int:
    """Read `2M` as bytes a second. Raises UsageError."""
    from bundler.config.texts import rate

    return rate(text)


class HostOptions(NamedTuple):
    """Files for TLS with one host."""

    host: Annotated[RegistryName, Option(key="host", help="HOST[:PORT] of a registry or token server.")]
    ca_file: Annotated[
        Path | None,
        Option(key="caFile", help="Trust these PEM certificates instead of those of caFile above."),
    ] = None
    client_cert: Annotated[
        Path | None, Option(key="clientCert", help="Show this PEM certificate. Default: clientCert above.")
    ] = None
    client_key: Annotated[
        Path | None,
        Option(key="clientKey", help="Key of clientCert, without a password. Default: in the same file."),
    ] = None


class ConnectionOptions(NamedTuple):
    """Options for connecting to registries."""

    plain_http: Annotated[
        tuple[RegistryName, ...],
        Option(
            "--plain-http", key="plainHttp", metavar="HOST", heading=REGISTRIES, adds=True,
            help="Use plain http for this HOST[:PORT]. Always used for loopback addresses. Repeatable.",
        ),
    ] = ()  # fmt: skip
    ca_file: Annotated[
        Path | None,
        Option(
            "--ca-file", key="caFile", metavar="FILE", heading=REGISTRIES,
            help="Trust these PEM certificates in addition to the system's.",
        ),
    ] = None  # fmt: skip
    token_hosts: Annotated[
        tuple[RegistryName, ...],
        Option(
            "--token-host", key="tokenHosts", metavar="HOST", heading=REGISTRIES, adds=True,
            help="Send the registry's credentials to this token server too. Repeatable. Default: only to "
            "the registry's own host.",
        ),
    ] = ()  # fmt: skip
    proxy: Annotated[
        str | None,
        Option(
            "--proxy", key="proxy", metavar="URL", heading=REGISTRIES,
            help="Reach registries through this proxy; `none` means no proxy. Default: $HTTPS_PROXY, "
            "$HTTP_PROXY, $NO_PROXY. Loopback addresses are always reached directly.",
        ),
    ] = None  # fmt: skip
    client_cert: Annotated[
        Path | None,
        Option(
            "--client-cert", key="clientCert", metavar="FILE", heading=REGISTRIES,
            help="Show this PEM certificate to registries that ask for one. Never shown to a host that a "
            "registry redirects to.",
        ),
    ] = None  # fmt: skip
    client_key: Annotated[
        Path | None,
        Option(
            "--client-key", key="clientKey", metavar="FILE", heading=REGISTRIES,
            help="Key of --client-cert, without a password. Default: in the same file.",
        ),
    ] = None  # fmt: skip
    limit_rate: Annotated[
        int | None,
        Option(
            "--limit-rate", key="limitRate", metavar="SIZE", heading=REGISTRIES, read=_rate,
            help="Send and receive at most this much in a second, such as 2M or 500KiB; all requests "
            "together. Default: no limit.",
        ),
    ] = None  # fmt: skip
    hosts: Annotated[
        tuple[HostOptions, ...],
        Option(key="hosts", adds=True, least=1, help="Files for TLS with single hosts."),
    ] = ()
    tracing: DebugOptions = DebugOptions()


class ReachOptions(NamedTuple):
    """Options for reaching registries."""

    connection: ConnectionOptions
    creds_file: Annotated[
        Path | None,
        Option(
            "--creds-file", key="credsFile", metavar="FILE", heading=REGISTRIES,
            help="Read credentials, one per line: [HOST[/PATH]] USER:PASSWORD or [HOST[/PATH]] TOKEN; `-` is "
            "standard input. "
            f"Default: ${CREDENTIALS_VARIABLE}, then the files and helpers of docker and podman.",
        ),
    ] = None  # fmt: skip


class RegistryOptions(NamedTuple):
    """Options for using registries."""

    width: WidthOptions
    reach: Annotated[ReachOptions, FileSection("registries", "How registries are reached.")]

    @property
    def jobs(self) -> int:
        """Return the number of requests at a time."""
        return self.width.jobs or DEFAULT_JOBS


class ReportOptions(NamedTuple):
    """Destination of the report of a run."""

    report: Annotated[
        Path | None,
        Option(
            "--report", key="report", metavar="FILE", heading=OUTPUT,
            help="Write a JSON report of what was done (`timoni-bundler schema report`).",
        ),
    ] = None  # fmt: skip


class PrintOptions(NamedTuple):
    """Options of what a run prints."""

    as_json: Annotated[
        bool,
        Option(
            "--json", heading=OUTPUT,
            help="Print the result as JSON (`timoni-bundler schema report`) instead of a summary.",
        ),
    ] = False  # fmt: skip
    quiet: Annotated[
        bool, Option("--quiet", "-q", heading=OUTPUT, help="Print only the result and errors, no progress.")
    ] = False


class DryRunOptions(NamedTuple):
    """A run that only shows."""

    dry_run: Annotated[
        bool,
        Option(
            "--dry-run", heading="Destination",
            help="Show what would be done, requests and bytes included; write nothing.",
        ),
    ] = False  # fmt: skip
    all_tags: Annotated[
        bool,
        Option("--all", heading="Destination", help="With --dry-run: show all tags, also those left out."),
    ] = False


class JobOptions(NamedTuple):
    """The name under which runs of one kind are known."""

    job: Annotated[
        Job | None,
        Option(
            "--job", key="job", metavar="NAME", heading=OUTPUT,
            help="A name for this series of runs, used in metrics, signatures and the history of a store. "
            f"Default: {DEFAULT_JOB}.",
        ),
    ] = None  # fmt: skip

    @property
    def name(self) -> Job:
        """Return the name, or the default one."""
        return self.job or DEFAULT_JOB


class MetricsOptions(NamedTuple):
    """Destination of the metrics of a run."""

    metrics: Annotated[
        Path | None,
        Option(
            "--metrics", key="metrics", metavar="FILE.prom", heading=OUTPUT,
            help="Write Prometheus metrics of this run for node_exporter's textfile collector.",
        ),
    ] = None  # fmt: skip


class SetOptions(NamedTuple):
    """Folders with volumes of a set."""

    volumes_in: Annotated[
        tuple[Path, ...],
        Option(
            "--volumes-in", key="volumesIn", metavar="DIR", heading=VOLUMES, adds=True,
            help="Look for more volumes of the set in this folder. Repeatable.",
        ),
    ] = ()  # fmt: skip


BundleArgument = Annotated[Path, Argument("BUNDLE|VOLUME|DIR", path=True)]
"""A bundle that a command reads."""

BaseBundles = Annotated[
    tuple[Path, ...],
    Option(
        "--with", metavar="BUNDLE", heading=INCREMENTAL,
        help="Read the base of the delta from this bundle. Repeatable.",
    ),
]  # fmt: skip

Quiet = Annotated[
    bool, Option("--quiet", "-q", heading=OUTPUT, help="Print only the result and errors, no progress.")
]

Force = Annotated[
    bool,
    Option(
        "--force", heading="Destination",
        help="Replace OUT even if that loses what it holds. Default: replace it only if nothing is lost.",
    ),
]  # fmt: skip


class BaseOptions(NamedTuple):
    """The base of a delta that is written again in its other form."""

    beside: BaseBundles = ()
    base_from: Annotated[
        Prefix | None,
        Option(
            "--from", metavar="oci://HOST[/PREFIX]", heading=INCREMENTAL,
            read=lambda text, at: parse_prefix(text),
            help="Read the base of the delta from this registry, under the names that `import` uses.",
        ),
    ] = None  # fmt: skip


class RewriteOptions(NamedTuple):
    """Options of the commands that write a bundle again in its other form."""

    volumes: SetOptions
    base: BaseOptions
    registry: RegistryOptions
    reported: ReportOptions
    printed: PrintOptions
    force: Force = False


def _address(text: str) -> str:
    """Return what stands behind the scheme of an address. Raises ValueError."""
    for scheme in ("https://", "http://", "oci://"):
        text = text.removeprefix(scheme)
    if "@" in text:
        raise ValueError("a user or password does not belong here")
    return text.rstrip("/")


RegistryPlace = Annotated[Prefix, Argument("HOST[/PATH]", read=lambda text, at: Prefix.parse(_address(text)))]

RegistryHost = Annotated[
    RegistryName, Argument("HOST", read=lambda text, at: RegistryName.parse(_address(text)))
]

AuthFile = Annotated[
    Path | None,
    Option(
        "--authfile", metavar="FILE",
        help="File of credentials. Default: of $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, "
        "$XDG_RUNTIME_DIR/containers/auth.json and ~/.config/containers/auth.json, login takes the first, "
        "logout all.",
    ),
]  # fmt: skip
