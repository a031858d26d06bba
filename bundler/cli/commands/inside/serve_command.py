"""`timoni-bundler serve`."""

import contextlib
from functools import partial
from typing import Annotated

import click

from bundler.cli.declared_command import declared
from bundler.cli.terminal.log import current_log
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, SetOptions
from bundler.errors import UsageError
from bundler.server.listener import RegistryServer
from bundler.server.served_content import read_only
from bundler.server.writable import writable


@declared("serve")
def command(
    content: BundleArgument,
    volumes: SetOptions,
    *,
    takes_pushes: Annotated[
        bool,
        Option("--writable", help="Accept pushes into DIR, which may be new or empty. Default: read only."),
    ] = False,
    host: Annotated[
        str | None,
        Option(
            "--host", metavar="ADDRESS",
            help="Listen on this address, and accept any host name. Default: 127.0.0.1, and names of "
            "loopback.",
        ),
    ] = None,
    port: Annotated[
        int,
        Option(
            "--port", "-p", metavar="PORT", least=0, most=65535,
            help="Listen on this port; 0 is any free one. Default: 5000.",
        ),
    ] = 5000,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Print the address, but not a line per request.")
    ] = False,
) -> int:  # fmt: skip
    """Run a registry from a bundle or a directory until it is interrupted.

    Repositories are at their source path, without the source host. Nothing is unpacked. There is no
    authentication and no TLS, so it listens on this machine only, unless --host says otherwise.

    \b
    timoni-bundler serve modules.tar.zst
    timoni-bundler serve --writable /srv/registry --port 5001
    """
    if takes_pushes and content.is_file():
        raise UsageError(
            str(content), "a bundle file can't accept pushes", "name a directory, or remove --writable"
        )
    log = current_log()
    log.goes_on = False
    line = partial(log.tell, "note")
    opening = writable if takes_pushes else partial(read_only, volumes_in=volumes.volumes_in)
    with (
        contextlib.suppress(KeyboardInterrupt),
        opening(content) as opened,
        RegistryServer(opened, host, port, log=None if quiet else line, trouble=line) as server,
    ):
        click.echo(f"http://{server.address}")
        server.serve_forever()
    log.tell("note", "stopped")
    return 0
