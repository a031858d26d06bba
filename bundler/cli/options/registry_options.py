"""The options that commands share, and what they become: settings for registries."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bundler.bundle.sealing import sidecar_of
from bundler.errors import UsageError
from bundler.named_files import LONGEST, check_folder, read_at_most
from bundler.oci.reference import RegistryName
from bundler.registry.auth.credentials import CredentialSources, auth_files
from bundler.registry.http.exchange import TransportSettings, tls_context
from bundler.registry.registries import Registries, RegistrySettings
from bundler.registry.settings import HostSettings
from bundler.reporting.progress import Progress
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.config.file_values import RegistryChoices


Command = TypeVar("Command", bound=Callable[..., Any])

CREDENTIALS_VARIABLE = "TIMONI_BUNDLER_CREDS"


class RegistryOptions(NamedTuple):
    """The options of commands that speak to registries."""

    jobs: int | None
    plain_http: tuple[str, ...]
    ca_file: Path | None
    creds_file: Path | None
    token_host: tuple[str, ...]
    proxy: str | None


def registry_options(command: Command) -> Command:
    """Add them to a command; they arrive as one `registry` argument by `gathered`."""
    options = (
        click.option("--jobs", "-j", metavar="N", type=click.IntRange(1, 128), default=None,
                     help=f"Requests under way at a time.  [default: {DEFAULT_JOBS}]"),
        click.option("--plain-http", metavar="HOST", multiple=True,
                     help="Speak plain http to this host[:port]. Loopback needs no leave. Repeatable."),
        click.option("--ca-file", metavar="FILE", type=click.Path(path_type=Path),
                     help="Trust these PEM certificates besides the system's."),
        click.option("--creds-file", metavar="FILE", type=click.Path(path_type=Path),
                     help="Lines of [HOST] USER:PASSWORD or [HOST] TOKEN; - reads standard input. Also "
                          f"${CREDENTIALS_VARIABLE}, then docker's and podman's files and helpers."),
        click.option("--token-host", metavar="HOST", multiple=True,
                     help="A token server elsewhere that may see the registry's credentials. Repeatable."),
        click.option("--proxy", metavar="URL",
                     help="Reach registries through this proxy; `none` for none. Default: $HTTPS_PROXY, "
                          "$HTTP_PROXY, $NO_PROXY. Loopback is always reached directly."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """`--quiet`, `--json`, `--report`."""
    options = (
        click.option("--report", metavar="FILE", type=click.Path(path_type=Path),
                     help="Write a JSON report of what was done (schemas/report.schema.json)."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, no summary."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def check_report(report: Path | None, *others: str | Path | None) -> None:
    """Raise UsageError before any work where the report can't be written, or would replace `others`."""
    if report is None:
        return
    check_folder(report, "--report")
    if report.is_dir():
        raise UsageError(str(report), "--report: a directory has this name", "name a file")
    there = report.resolve()
    taken = {Path(other).resolve() for other in others if other not in (None, "-")}
    if not taken.isdisjoint({there, *there.parents}) or there in {sidecar_of(path) for path in taken}:
        raise UsageError(str(report), "--report would write into what the command works on", "name another")


def check_stdin(bundle: str, creds_file: Path | None) -> None:
    """Raise UsageError where the bundle and the credentials would both be read from standard input."""
    if bundle == "-" and creds_file is not None and str(creds_file) == "-":
        cause = "standard input can't be both the bundle and the credentials"
        raise UsageError("--creds-file -", cause, f"use a file, or ${CREDENTIALS_VARIABLE}")


def gathered(options: dict[str, Any]) -> RegistryOptions:
    """Take the registry options out of a command's arguments."""
    return RegistryOptions(**{name: options.pop(name) for name in RegistryOptions._fields})


def with_choices(options: RegistryOptions, choices: RegistryChoices, jobs: int | None) -> RegistryOptions:
    """The options, and what an export file says where the command line says nothing."""
    return RegistryOptions(
        options.jobs or jobs,
        (*options.plain_http, *choices.plain_http),
        options.ca_file or _path(choices.ca_file),
        options.creds_file or _path(choices.creds_file),
        (*options.token_host, *choices.token_hosts),
        options.proxy or choices.proxy,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def registries(options: RegistryOptions, progress: Progress, hosts: Collection[RegistryName]) -> Registries:
    """What the options and the environment say of these hosts. Raises UsageError before any request."""
    if options.ca_file:
        tls_context(options.ca_file)
    return Registries(
        RegistrySettings(
            TransportSettings(
                options.ca_file, _proxies(options.proxy), connections=options.jobs or DEFAULT_JOBS
            ),
            HostSettings(_hosts(options.plain_http), _hosts(options.token_host), on_retry=progress.note),
            _credential_sources(options.creds_file, set(hosts)),
        )
    )


def _hosts(names: tuple[str, ...]) -> frozenset[str]:
    try:
        return frozenset(RegistryName.parse(name) for name in names)
    except ValueError as error:
        raise UsageError("--plain-http or --token-host", str(error), "write host or host:port") from error


def _proxies(option: str | None) -> dict[str, str]:
    if option == "none":
        return {}
    environment: dict[str, str] = urllib.request.getproxies_environment()
    return {"http": option, "https": option} if option else environment


def _credential_sources(creds_file: Path | None, hosts: set[RegistryName]) -> CredentialSources:
    lines: list[str] = []
    origin = CREDENTIALS_VARIABLE
    if creds_file is not None:
        origin = str(creds_file)
        lines = _read_secret(creds_file).splitlines()
    elif text := os.environ.get(CREDENTIALS_VARIABLE):
        lines = text.splitlines()
    if len(hosts) > 1 and any(len(line.split()) == 1 and line[0] != "#" for line in lines):
        names = " and ".join(sorted(hosts))
        raise UsageError(origin, f"a line names no host, and there are {names}", "write HOST USER:PASSWORD")
    home = os.environ.get("HOME")
    files = auth_files(os.environ, Path(home) if home else None)
    return CredentialSources(lines, origin, files, dict(os.environ))


def _read_secret(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(LONGEST + 1) if str(path) == "-" else read_at_most(path, LONGEST)
        if len(data) > LONGEST:
            raise UsageError(str(path), "--creds-file: too large", "name a file of lines")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(str(path), f"--creds-file: {reason}", "name a file of lines") from None
