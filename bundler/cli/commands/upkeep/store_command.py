"""`timoni-bundler store`."""

import sys
from pathlib import Path
from typing import Annotated

import click

from bundler.cli.declared_command import declared
from bundler.cli.terminal import outcome, progress_bars, upkeep_text
from bundler.config.option import Argument, Option
from bundler.config.run_options import Quiet
from bundler.deltas.garbage import collect, find_garbage
from bundler.deltas.retention import Keep
from bundler.deltas.store_list import list_bundles
from bundler.errors import NotFoundError
from bundler.layout import LAYOUT_FILE
from bundler.reporting.json_report import Failure, failure, spelled
from bundler.session import Session
from bundler.store.blob_store import Store, damaged, remove

StoreArgument = Annotated[Path, Argument("DIR", path=True)]

AsJson = Annotated[bool, Option("--json", help="Print the result as JSON.")]


@click.group("store")
def command() -> None:
    """Clean up, check and list the directory that exports keep with --store.

    \b
    timoni-bundler store list /var/lib/modules              shows the bundles made from it
    timoni-bundler store gc /var/lib/modules                shows what nothing needs any more
    timoni-bundler store gc /var/lib/modules --delete       removes it
    timoni-bundler store check /var/lib/modules             reads and hashes every blob
    """


@declared("gc", command)
def gc(
    path: StoreArgument,
    *,
    delete: Annotated[bool, Option("--delete", help="Remove the blobs. Default: only show them.")] = False,
    keep: Annotated[
        int | None,
        Option("--keep", metavar="N", least=1, help="Forget all bundles of a job except the newest N."),
    ] = None,
    keep_days: Annotated[
        int | None, Option("--keep-days", metavar="DAYS", least=1, help="Forget bundles older than this.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show, and with --delete remove, blobs that no job needs.

    A job needs the content of its last bundle and of everything that it builds on. A forgotten bundle can
    no longer be a --base by its ID. Bundle files are not touched.

    \b
    timoni-bundler store gc /var/lib/modules --keep 14 --delete
    """
    with _opened(path) as store:
        garbage = find_garbage(store, Keep(keep, keep_days), Session())
        if delete:
            collect(store, garbage)
    document = {
        "deleted": delete,
        "blobs": len(garbage.blobs),
        "bytes": garbage.size,
        "forgotten": [entry.id for entry in garbage.forgotten],
    }
    if as_json:
        outcome.print_document(document, sys.stdout)
        return 0
    click.echo(upkeep_text.garbage_text(path, garbage, deleted=delete))
    return 0


@declared("list", command)
def listing(
    path: StoreArgument,
    *,
    as_json: Annotated[
        bool, Option("--json", help="Print the list as JSON (`timoni-bundler schema store-list`).")
    ] = False,
) -> int:
    """List the bundles that were made from a store, oldest first.

    For each: job, number, kind, time, tags, size, the bundles that it builds on, those that build on it,
    and the file. The store is not locked.

    \b
    timoni-bundler store list /var/lib/modules
    timoni-bundler store list /var/lib/modules --json
    """
    _check_store(path)
    listed = list_bundles(path)
    if as_json:
        outcome.print_document(spelled(listed), sys.stdout)
    else:
        click.echo(upkeep_text.store_text(listed))
    return 0


@declared("check", command)
def check(
    path: StoreArgument,
    *,
    removing: Annotated[
        bool,
        Option(
            "--remove", help="Remove damaged blobs: the next export fetches them again. Default: only show."
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Read every blob, and compare it with its digest."""
    with _opened(path) as store:
        wrong = damaged(store, Session(progress=progress_bars.display(quiet=quiet)))
        if removing:
            remove(store, (blob for blob, _ in wrong))
    failures: tuple[Failure, ...] = tuple(failure(error) for _, error in wrong)
    code = max((item.exit_code for item in failures), default=0)
    outcome.print_failures(failures, code)
    if as_json:
        outcome.print_document(
            {"damaged": [blob.digest for blob, _ in wrong], "removed": removing}, sys.stdout
        )
    else:
        click.echo(upkeep_text.damage_text(path, len(wrong), removed=removing))
    return code


def _opened(path: Path) -> Store:
    _check_store(path)
    return Store(path)


def _check_store(path: Path) -> None:
    if not (path / LAYOUT_FILE).exists():
        raise NotFoundError(
            str(path), "this directory is not a store", "name the directory given to `export --store`"
        )
