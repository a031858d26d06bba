"""`timoni-bundler serve`."""

import contextlib
import functools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import click

from bundler.cli.declared_command import declared
from bundler.cli.terminal.log import Log, current_log
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, SetOptions
from bundler.errors import UsageError
from bundler.named_files import text_of
from bundler.oci.addresses import is_here
from bundler.server.app import Pages
from bundler.server.listener import Access, RegistryServer, server_context
from bundler.server.served_content import BundleContent, ServedContent, read_only
from bundler.server.writable import writable
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.page.served_page import ServedPages

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  recognised, to warn of it


class ListenOptions(NamedTuple):
    """The address that is listened on, and who may use it."""

    host: Annotated[
        str | None,
        Option(
            "--host", metavar="ADDRESS",
            help="Listen on this address, and accept every host name. Default: 127.0.0.1, and only the "
            "host names of loopback.",
        ),
    ] = None  # fmt: skip
    port: Annotated[
        int,
        Option(
            "--port", "-p", metavar="PORT", least=0, most=65535,
            help="Listen on this port; 0 picks a free one. Default: 5000.",
        ),
    ] = 5000  # fmt: skip
    tls_cert: Annotated[
        Path | None,
        Option(
            "--tls-cert", metavar="FILE",
            help="Serve https with this certificate and its chain (PEM). Needs --tls-key.",
        ),
    ] = None  # fmt: skip
    tls_key: Annotated[
        Path | None, Option("--tls-key", metavar="FILE", help="The private key of --tls-cert (PEM).")
    ] = None
    htpasswd: Annotated[
        Path | None,
        Option(
            "--htpasswd", metavar="FILE",
            help="Answer only users of this file, with bcrypt hashes as `htpasswd -B` makes them.",
        ),
    ] = None  # fmt: skip


@declared("serve")
def command(
    content: BundleArgument,
    volumes: SetOptions,
    *,
    takes_pushes: Annotated[
        bool,
        Option("--writable", help="Accept pushes into DIR, which may be new or empty. Default: read only."),
    ] = False,
    listen: ListenOptions,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Print the address, but not a line per request.")
    ] = False,
) -> int:
    """Run a registry from a bundle or a directory until it is interrupted.

    Repositories are at their source path, without the source host. Nothing is unpacked. A browser that
    opens the address sees what is there, and how to pull it. Without --host, it listens on this machine
    only; with it, add --tls-cert and --htpasswd.

    \b
    timoni-bundler serve modules.tar.zst
    timoni-bundler serve --writable /srv/registry --port 5001
    timoni-bundler serve modules.tar.zst --host 0.0.0.0 --tls-cert tls.crt --tls-key tls.key --htpasswd users
    """
    if takes_pushes and content.is_file():
        raise UsageError(
            str(content), "a bundle file can't accept pushes", "name a directory, or remove --writable"
        )
    log, session = current_log(), Session()
    log.goes_on = False
    access = _access(listen)
    opening = writable if takes_pushes else partial(read_only, volumes_in=volumes.volumes_in)
    with contextlib.suppress(KeyboardInterrupt), opening(content, session) as opened:
        _serve(opened, listen, access, _pages(opened, session), log, quiet=quiet)
    log.tell("note", "stopped")
    return 0


def _serve(
    content: ServedContent, listen: ListenOptions, access: Access, pages: Pages, log: Log, *, quiet: bool
) -> None:
    """Print the address, and answer requests until the user interrupts."""
    host, line = listen.host, partial(log.tell, "note")
    shown = None if quiet else line
    with RegistryServer(
        content, host, listen.port, log=shown, trouble=line, access=access, pages=pages
    ) as server:
        if host and (not is_here(host) or host in _EVERY_ADDRESS):
            _warn(host, access, log)
        click.echo(server.url)
        server.serve_forever()


def _access(listen: ListenOptions) -> Access:
    """Return TLS and users as the options say. Raises UsageError."""
    tls = passwords = None
    if listen.tls_cert and listen.tls_key:
        tls = server_context(listen.tls_cert, listen.tls_key)
    if listen.htpasswd:
        from bundler.server.passwords import Passwords, read_htpasswd

        passwords = Passwords(read_htpasswd(str(listen.htpasswd), text_of(listen.htpasswd)))
    return Access(tls, passwords)


def _warn(host: str, access: Access, log: Log) -> None:
    """Say what is open where other machines can reach the address."""
    if access.passwords is None:
        log.warn(f"{host}: everybody who reaches this address can use the registry; add --htpasswd")
    if access.tls is None:
        what = "passwords and content travel" if access.passwords else "content travels"
        log.warn(f"{host}: {what} unencrypted; add --tls-cert and --tls-key")


def _pages(content: ServedContent, session: Session) -> Pages:
    """Return what browsers are shown; the templates are loaded for the first of them."""

    @functools.cache
    def pages() -> "ServedPages":
        from bundler.page.served_page import ServedPages

        bundle = content.bundle if isinstance(content, BundleContent) else None
        return ServedPages(content, session, bundle)

    return lambda path, address: pages().page(path, address)
