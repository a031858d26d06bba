"""`timoni-bundler serve`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.help_layout import Command
from bundler.cli.terminal.log import current_log
from bundler.errors import UsageError
from bundler.server.listener import RegistryServer
from bundler.server.served_content import read_only
from bundler.server.writable import writable


@click.command("serve", cls=Command)
@click.argument("content", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@click.option(
    "--writable", "takes_pushes", is_flag=True, help="Accept pushes into DIR; it may be new or empty."
)
@more_volumes
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    "-p",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="0 for any free one.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the address, and no line per request.")
def command(
    content: Path,
    host: str,
    port: int,
    *,
    takes_pushes: bool,
    volumes_in: tuple[Path, ...],
    quiet: bool,
) -> int:
    """Run a registry straight off a bundle or a directory, until it is interrupted.

    Repositories are found at their source path, without the source host. Nothing is unpacked. There is
    no authentication and no TLS: it listens on this machine only, unless --host says otherwise.

    \b
    timoni-bundler serve modules.tar.zst
    timoni-bundler serve --writable /srv/registry --port 5001
    """
    if takes_pushes and content.is_file():
        raise UsageError(
            str(content), "a bundle file takes no pushes", "give a directory, or leave --writable out"
        )
    line = partial(current_log().tell, "note")
    opening = writable if takes_pushes else partial(read_only, volumes_in=volumes_in)
    with (
        opening(content) as opened,
        RegistryServer(opened, host, port, log=None if quiet else line, trouble=line) as server,
    ):
        click.echo(f"http://{server.address}")
        server.serve_forever()
    return 0
