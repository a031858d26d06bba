"""Settings for registries, made of options and the environment."""

import os
import re
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from bundler.about import PROGRAM
from bundler.cli.terminal.log import current_log, timestamp
from bundler.cli.terminal.progress_bars import Bars
from bundler.config import run_options
from bundler.config.run_options import CREDENTIALS_VARIABLE, ConnectionOptions, RegistryOptions
from bundler.durable import own_file
from bundler.errors import UsageError, never_show
from bundler.named_files import LONGEST, check_folder, read_at_most
from bundler.oci import RegistryName
from bundler.oci.addresses import proxy_address
from bundler.registry.auth.auth_document import HelperSettings
from bundler.registry.auth.credentials import (
    CredentialSources,
    any_for_all_hosts,
    auth_files,
    open_to_others,
    secrets_in,
)
from bundler.registry.http.exchange import TlsFiles, TransportSettings
from bundler.registry.http.rate_limit import RateLimit
from bundler.registry.registries import Registries, RegistrySettings, tls_of_hosts
from bundler.registry.settings import HostSettings
from bundler.reporting.progress import Progress


def check_stdin(bundle: str, creds_file: Path | None) -> None:
    """Raise UsageError where the bundle and the credentials would both be read from standard input."""
    if bundle == "-" and creds_file is not None and str(creds_file) == "-":
        cause = "standard input can't be both the bundle and the credentials"
        raise UsageError("--creds-file -", cause, f"use a file, or ${CREDENTIALS_VARIABLE}")


def registries(options: RegistryOptions, progress: Progress, hosts: Collection[RegistryName]) -> Registries:
    """Return what the options and the environment say of these hosts.

    Raises UsageError before any request.
    """
    credentials = _credential_sources(options.reach.creds_file, set(hosts), progress)
    return connected(options.reach.connection, credentials, progress, options.jobs)


def connected(
    options: ConnectionOptions, credentials: CredentialSources, progress: Progress, jobs: int = 1
) -> Registries:
    """Return registries that are reached as the options say. Raises UsageError before any request."""
    trace = _trace(options.tracing, progress)
    transport = TransportSettings(
        options.ca_file,
        _proxies(options.proxy),
        connections=jobs,
        trace=trace,
        client=TlsFiles(None, options.client_cert, options.client_key),
        of_hosts=tls_of_hosts((entry.host, TlsFiles(*entry[1:])) for entry in options.hosts),
        rate_limit=RateLimit(options.limit_rate) if options.limit_rate else None,
    )
    _check_tls_files(transport, progress)
    hosts = HostSettings(
        frozenset(options.plain_http), frozenset(options.token_hosts), on_retry=progress.note
    )
    if trace:
        hosts = hosts._replace(trace=trace)
    return Registries(RegistrySettings(transport, hosts, credentials))


def _check_tls_files(settings: TransportSettings, progress: Progress) -> None:
    """Raise UsageError before any request for files that can't be used; warn of an open key."""
    for files in (settings.client._replace(ca_file=settings.ca_file), *settings.of_hosts.values()):
        if files == TlsFiles():
            continue
        from bundler.registry.http.tls import tls_context

        tls_context(files)
        key = files.client_key or files.client_cert
        if key and open_to_others(key):
            progress.note(f"warning: {key}: other users can read this key; run chmod 600 on it")


def _trace(options: run_options.DebugOptions, progress: Progress) -> Callable[[str], None] | None:
    """Return who is told of requests; None for nobody. Raises UsageError, LocalError for the file."""
    if options.debug_file:
        descriptor = _trace_file(options.debug_file)
        return lambda line: _append(descriptor, f"{timestamp()} {line}\n")
    if not options.debug and os.environ.get(run_options.DEBUG_VARIABLE, "") in ("", "0"):
        return None
    if isinstance(progress, Bars):
        return lambda line: progress.note(f"{PROGRAM}: request: {line}")
    log = current_log()
    return lambda line: log.tell("request", line, "debug")


def _trace_file(path: Path) -> int:
    """Return an empty file to write lines into; an older one of this kind is emptied."""
    check_folder(path, "--debug-file")
    descriptor = own_file(path, 0o600)
    start = os.read(descriptor, 11)
    if start and not re.match(rb"\d{4}-\d\d-\d\dT", start):
        os.close(descriptor)
        raise UsageError(str(path), "--debug-file: it exists and holds something else", "choose another name")
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _append(descriptor: int, line: str) -> None:
    # A full disk must not end the run that is looked into.
    with suppress(OSError):
        os.write(descriptor, line.encode())


def _proxies(option: str | None) -> dict[str, str]:
    """Return the proxies of an option, or of the environment as Go's programs read it.

    Raises UsageError, which does not repeat what may hold a password.
    """
    if option == "none":
        return {}
    if option:
        if proxy_address(option) is None:
            raise UsageError("--proxy", "not the address of a proxy", "write http://HOST:PORT, or none")
        return {"http": option, "https": option}
    names = {kind: (f"{kind}_PROXY".upper(), f"{kind}_proxy") for kind in ("http", "https", "all", "no")}
    if "REQUEST_METHOD" in os.environ:  # a web server's: HTTP_PROXY is the header "Proxy" of a stranger
        names["http"] = ("http_proxy",) * 2
    values = {kind: next(filter(None, map(os.environ.get, both)), "") for kind, both in names.items()}
    return {kind: value for kind, value in values.items() if value}


def _credential_sources(
    creds_file: Path | None, hosts: set[RegistryName], progress: Progress
) -> CredentialSources:
    lines: list[str] = []
    origin = CREDENTIALS_VARIABLE
    if creds_file is not None:
        origin = str(creds_file)
        lines = _read_secret(creds_file).split("\n")
        if origin != "-" and open_to_others(creds_file):
            progress.note(f"warning: {origin}: other users can read these credentials; run chmod 600 on it")
    elif text := os.environ.get(CREDENTIALS_VARIABLE):
        lines = text.split("\n")
    for secret in secrets_in(lines, origin):
        never_show(secret)
    if any_for_all_hosts(lines, origin) and len(hosts) > 1:
        names = " and ".join(sorted(hosts))
        raise UsageError(
            origin,
            f"a line has no host, but several registries are used: {names}",
            "write HOST USER:PASSWORD",
        )
    return CredentialSources(lines, origin, credential_files(), HelperSettings(dict(os.environ)))


def credential_files() -> list[Path]:
    """Return the files in which docker and podman keep credentials here, in the order of reading."""
    home = os.environ.get("HOME")
    return auth_files(os.environ, Path(home) if home else None)


def login_file(authfile: Path | None) -> Path:
    """Return the file that keeps a login: the one that is read first. Raises UsageError without any."""
    files = [authfile] if authfile else credential_files()
    if not files:
        raise UsageError("--authfile", "there is no home directory to keep a login in", "name a file")
    return files[0]


def helper_settings() -> HelperSettings:
    """Return how credential helpers are run here."""
    return HelperSettings(dict(os.environ))


def _read_secret(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(LONGEST + 1) if str(path) == "-" else read_at_most(path, LONGEST)
        if len(data) > LONGEST:
            raise UsageError(str(path), "--creds-file: too large", "use a file with one credential per line")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(
            str(path), f"--creds-file: {reason}", "use a file with one credential per line"
        ) from None
