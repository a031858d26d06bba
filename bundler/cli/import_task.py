"""One import carried out, with all that was said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler import (
    Bundle,
    BundleStream,
    Destination,
    OnConflict,
    Pruning,
    import_bundle,
    import_stream,
    open_bundle,
    plan_bundle_import,
    verify_bundle,
)
from bundler.bundle.format import COMPACT_MARK
from bundler.bundle.wire import FrameCache
from bundler.cli.input_files import allow_open_files, scratch_folder
from bundler.cli.option_combinations import refuse_unused
from bundler.cli.setup.import_policy import border_of, with_signed
from bundler.cli.setup.registry_access import registries
from bundler.cli.setup.trusted_signers import TrustOptions, verifier_of
from bundler.cli.terminal.progress_bars import display
from bundler.config.run_options import RegistryOptions
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.importer import check_import
from bundler.importer.several.find_bundles import holds_several
from bundler.importer.several.import_several import ImportTerms, import_several
from bundler.limits import DEFAULT_LIMITS
from bundler.reporting.json_report import Report
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.bundle.inventory import Inventory
    from bundler.ledger.ledger import Ledger
    from bundler.trust.policy import Policy
    from bundler.trust.statement_verifier import StatementVerifier


class ImportTask(NamedTuple):
    """One import, all that was said about it put together."""

    bundles: tuple[str, ...]
    destination: Destination
    on_conflict: OnConflict
    settings: RegistryOptions
    beside: tuple[Path, ...]
    prune: Pruning | None
    volumes_in: tuple[Path, ...]
    trust: TrustOptions
    ledger: Ledger
    policy: Policy | None
    confirm_full: bool
    said: frozenset[str]
    """Options of the command line; what a file says is for every bundle that comes."""

    @property
    def bundle(self) -> str:
        """The bundle, where it is one."""
        return self.bundles[0]


class Means(NamedTuple):
    """The means that an import works with."""

    beside: Sequence[Bundle]
    verifier: StatementVerifier | None
    session: Session


def session_of(task: ImportTask, *, quiet: bool) -> Session:
    """Return a session with the registries of the import."""
    progress = display(quiet=quiet)
    known = registries(task.settings, progress, [task.destination.prefix.registry])
    return Session(known, jobs=task.settings.jobs, progress=progress)


def carry_out(task: ImportTask, session: Session, *, dry_run: bool) -> Report:
    """Import the bundle, or plan that, and return the report. Raises what stops everything."""
    allow_open_files()
    with ExitStack() as stack:
        opened = partial(open_bundle, volumes_in=task.volumes_in, frames=FrameCache())
        beside = [stack.enter_context(opened(path)) for path in task.beside]
        means = Means(beside, verifier_of(task.trust, session.clock()), session)
        if holds_several([Path(bundle) for bundle in task.bundles]):
            return _from_several(task, means, dry_run=dry_run)
        if task.bundle != "-":
            return _from_file(task, means, dry_run=dry_run)
        if dry_run:
            raise UsageError(
                "-", "a dry run can't read a stream, because it could not be read again", "name a file"
            )
        return _from_pipe(task, means)


def _from_file(task: ImportTask, means: Means, *, dry_run: bool) -> Report:
    with open_bundle(Path(task.bundle), judge=means.verifier, volumes_in=task.volumes_in) as opened:
        return _carried(task, means, opened, dry_run=dry_run)


def _carried(task: ImportTask, means: Means, opened: Bundle, *, dry_run: bool = False) -> Report:
    """Verify an open bundle, and import it or plan that."""
    _refuse_unused(task, opened.inventory, (opened, *means.beside))
    check = border_of(task.policy, opened)
    check_import(opened, task.destination, means.session, task.ledger)
    place = BaseRegistry(task.destination.prefix, task.destination.mapping)
    provide_base(opened, means.session, beside=means.beside, registry=place)
    verified = verify_bundle(opened, means.session)
    full = partial(import_bundle, confirm_full=task.confirm_full)
    carry = plan_bundle_import if dry_run else full
    report = carry(
        verified,
        task.destination,
        means.session,
        task.ledger,
        task.on_conflict,
        beside=means.beside,
        policy=check,
        prune=task.prune,
    )
    return with_signed(report, check)


def _from_several(task: ImportTask, means: Means, *, dry_run: bool) -> Report:
    terms = ImportTerms(
        task.on_conflict,
        means.verifier,
        partial(border_of, task.policy),
        means.beside,
        task.volumes_in,
        task.prune,
        task.confirm_full,
    )
    paths = [Path(bundle) for bundle in task.bundles]
    return import_several(paths, task.destination, means.session, task.ledger, terms, dry_run=dry_run)


def _refuse_unused(task: ImportTask, inventory: Inventory, bundles: Sequence[Bundle]) -> None:
    """Raise UsageError for options of the command line that this bundle leaves without effect."""
    name = "standard input" if task.bundle == "-" else task.bundle
    if not inventory.base:
        refuse_unused(task.said, ("--with", "--allow-gap"), f"{name} is a full bundle")
    if not inventory.base and not inventory.follows:
        refuse_unused(
            task.said, ("--prune",), f"{name} is a full bundle, and says nothing of tags that are gone"
        )
    if not any(bundle.volumes for bundle in bundles):
        refuse_unused(task.said, ("--volumes-in",), f"{name} is not in volumes")


def _from_pipe(task: ImportTask, means: Means) -> Report:
    if sys.stdin.isatty():
        raise UsageError("-", "standard input is a terminal", "pipe a bundle into this command")
    pipe = _StandardInput()
    if pipe.peek(len(COMPACT_MARK)) == COMPACT_MARK:
        from bundler.bundle.compacted.compact_copy import received

        with received(pipe, scratch_folder(), DEFAULT_LIMITS, means.verifier) as opened:
            return _carried(task, means, opened)
    check = border_of(task.policy, None)
    stream = BundleStream(pipe, DEFAULT_LIMITS, means.verifier)
    _refuse_unused(task, stream.open(), means.beside)
    return import_stream(
        stream,
        task.destination,
        means.session,
        task.ledger,
        task.on_conflict,
        beside=means.beside,
        policy=check,
        prune=task.prune,
        confirm_full=task.confirm_full,
    )


class _StandardInput:
    """The bundle that comes in by standard input. A ByteStream."""

    def __init__(self) -> None:
        self._start = b""

    def peek(self, size: int) -> bytes:
        """Return the first bytes, and leave them to be read; fewer only if there are no more."""
        while len(self._start) < size and (data := self._come(size)):
            self._start += data
        return self._start[:size]

    def read(self, size: int, /) -> bytes:
        """Return what has come, at once: a refused bundle is refused by its first frame."""
        data, self._start = self._start[:size], self._start[size:]
        return data or self._come(size)

    def _come(self, size: int) -> bytes:
        with local_errors(Path("standard input"), "read"):
            return os.read(sys.stdin.fileno(), size)
