"""One import carried out, with all that was said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import bundler
from bundler.bundle.bundle_format import COMPACT_MARK
from bundler.cli.input_files import allow_open_files, scratch_folder
from bundler.cli.option_combinations import refuse_unused
from bundler.cli.setup import import_policy, registry_access, trusted_signers
from bundler.cli.terminal.progress_bars import display
from bundler.config.run_options import RegistryOptions
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.importer import check_import
from bundler.importer.several.find_bundles import holds_several
from bundler.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from bundler.bundle.inventory import Inventory
    from bundler.ledger.ledger import Ledger
    from bundler.trust.policy import Policy
    from bundler.trust.statement_verifier import StatementVerifier


class ImportTask(NamedTuple):
    """One import, all that was said about it put together."""

    bundles: tuple[str, ...]
    destination: bundler.Destination
    on_conflict: bundler.OnConflict
    settings: RegistryOptions
    beside: tuple[Path, ...]
    prune: bundler.Pruning | None
    volumes_in: tuple[Path, ...]
    trust: trusted_signers.TrustOptions
    ledger: Ledger
    policy: Policy | None
    confirm_full: bool
    given: frozenset[str]
    """Options of the command line; what a file says is for every bundle that comes."""

    @property
    def bundle(self) -> str:
        """Return the bundle, where there is only one."""
        return self.bundles[0]


class Means(NamedTuple):
    """The means that an import works with."""

    beside: Sequence[bundler.Bundle]
    verifier: StatementVerifier | None
    session: bundler.Session


def session_of(task: ImportTask, *, quiet: bool) -> bundler.Session:
    """Return a session with the registries of the import."""
    progress = display(quiet=quiet)
    reachable = registry_access.registries(task.settings, progress, [task.destination.prefix.registry])
    return bundler.Session(reachable, jobs=task.settings.jobs, progress=progress)


def carry_out(task: ImportTask, session: bundler.Session, *, dry_run: bool) -> bundler.Report:
    """Import the bundle, or plan that, and return the report. Raises what stops everything."""
    allow_open_files()
    with ExitStack() as stack:
        opened = partial(bundler.open_bundle, volumes_in=task.volumes_in, frames=bundler.FrameCache())
        beside = [stack.enter_context(opened(path)) for path in task.beside]
        means = Means(beside, trusted_signers.verifier_of(task.trust, session.clock()), session)
        if holds_several([Path(bundle) for bundle in task.bundles]):
            return _from_several(task, means, dry_run=dry_run)
        if task.bundle != "-":
            return _from_file(task, means, dry_run=dry_run)
        if dry_run:
            raise UsageError(
                "-", "a dry run can't read a stream, because it could not be read again", "name a file"
            )
        return _from_pipe(task, means)


def _from_file(task: ImportTask, means: Means, *, dry_run: bool) -> bundler.Report:
    with bundler.open_bundle(
        Path(task.bundle), verifier=means.verifier, volumes_in=task.volumes_in
    ) as opened:
        return _carried(task, means, opened, dry_run=dry_run)


def _carried(
    task: ImportTask, means: Means, opened: bundler.Bundle, *, dry_run: bool = False
) -> bundler.Report:
    """Verify an open bundle, and import it or plan that."""
    _refuse_unused(task, opened.inventory, (opened, *means.beside))
    check = import_policy.policy_check_of(task.policy, opened)
    check_import(opened, task.destination, means.session, task.ledger)
    place = BaseRegistry(task.destination.prefix, task.destination.mapping)
    provide_base(opened, means.session, beside=means.beside, registry=place)
    verified = bundler.verify_bundle(opened, means.session)
    full = partial(bundler.import_bundle, confirm_full=task.confirm_full)
    carry = bundler.plan_bundle_import if dry_run else full
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
    return import_policy.with_signed(report, check)


def _from_several(task: ImportTask, means: Means, *, dry_run: bool) -> bundler.Report:
    terms = bundler.ImportTerms(
        task.on_conflict,
        means.verifier,
        partial(import_policy.policy_check_of, task.policy),
        means.beside,
        task.volumes_in,
        task.prune,
        task.confirm_full,
    )
    paths = [Path(bundle) for bundle in task.bundles]
    return bundler.import_several(paths, task.destination, means.session, task.ledger, terms, dry_run=dry_run)


def _refuse_unused(task: ImportTask, inventory: Inventory, bundles: Sequence[bundler.Bundle]) -> None:
    """Raise UsageError for options of the command line that this bundle leaves without effect."""
    name = "standard input" if task.bundle == "-" else task.bundle
    if not inventory.base:
        refuse_unused(task.given, ("--with", "--allow-gap"), f"{name} is a full bundle")
    if not inventory.base and not inventory.follows:
        refuse_unused(
            task.given, ("--prune",), f"{name} is a full bundle, and says nothing of tags that are gone"
        )
    if not any(bundle.volumes for bundle in bundles):
        refuse_unused(task.given, ("--volumes-in",), f"{name} is not in volumes")


def _from_pipe(task: ImportTask, means: Means) -> bundler.Report:
    if sys.stdin.isatty():
        raise UsageError("-", "standard input is a terminal", "pipe a bundle into this command")
    pipe = _StandardInput()
    if pipe.peek(len(COMPACT_MARK)) == COMPACT_MARK:
        from bundler.bundle.compacted.compact_copy import received

        with received(pipe, scratch_folder(), DEFAULT_LIMITS, means.verifier) as opened:
            return _carried(task, means, opened)
    check = import_policy.policy_check_of(task.policy, None)
    stream = bundler.BundleStream(pipe, DEFAULT_LIMITS, means.verifier)
    _refuse_unused(task, stream.open(), means.beside)
    return bundler.import_stream(
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
