"""One import carried out, with all that was said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bundler import (
    Bundle,
    BundleStream,
    Destination,
    OnConflict,
    import_bundle,
    import_stream,
    open_bundle,
    plan_bundle_import,
    verify_bundle,
)
from bundler.bundle.wire import FrameCache
from bundler.cli.import_log import ImportLog
from bundler.cli.input_files import allow_open_files
from bundler.cli.kept_receipt import Brought
from bundler.cli.options.policy_options import border_of, with_signed
from bundler.cli.options.registry_options import registries
from bundler.cli.options.rollback_options import RollbackTarget
from bundler.cli.options.trust_options import TrustOptions
from bundler.cli.terminal.display import display
from bundler.config.run_options import RegistryOptions
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.importer.import_report import planned_report
from bundler.importer.prune import to_prune, with_planned
from bundler.limits import DEFAULT_LIMITS
from bundler.reporting.json_report import Report
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.ledger.rollback_file import BeforeTags, Moved
    from bundler.ledger.statement_verifier import StatementVerifier
    from bundler.trust.policy import Policy


class ImportTask(NamedTuple):
    """One import, all that was said about it put together."""

    bundle: str
    destination: Destination
    on_conflict: OnConflict
    settings: RegistryOptions
    beside: tuple[Path, ...]
    prune: int | None
    volumes_in: tuple[Path, ...]
    trust: TrustOptions
    way_back: RollbackTarget
    arrivals: ImportLog
    policy: Policy | None


class Means(NamedTuple):
    """What an import works with."""

    beside: Sequence[Bundle]
    gate: StatementVerifier | None
    session: Session


def carried(
    task: ImportTask, gate: StatementVerifier | None, *, dry_run: bool, quiet: bool
) -> tuple[Report, Brought]:
    """Import it, or plan that; the report, and which bundle it was. Raises what stops everything."""
    progress = display(quiet=quiet)
    known = registries(task.settings, progress, [task.destination.prefix.registry])
    session = Session(known, jobs=task.settings.jobs, progress=progress)
    allow_open_files()
    with ExitStack() as stack:
        opened = partial(open_bundle, volumes_in=task.volumes_in, frames=FrameCache())
        beside = [stack.enter_context(opened(path)) for path in task.beside]
        means = Means(beside, gate, session)
        if dry_run:
            return _planned(task, means)
        report, brought = _imported(task, means)
        task.arrivals.came(brought.id, brought.inventory)
        if not report.exit_code:
            task.way_back.finish(brought.id)
        return report, brought


def _imported(task: ImportTask, means: Means) -> tuple[Report, Brought]:
    send: dict[str, Any] = {"beside": means.beside, "prune": task.prune}
    to, policy = task.destination, task.on_conflict
    if task.bundle == "-":
        if sys.stdin.isatty():
            raise UsageError("-", "standard input is a terminal", "send a bundle through a pipe")
        stream = BundleStream(_StandardInput(), DEFAULT_LIMITS, means.gate)
        send["border"] = border_of(task.policy, None)
        done = import_stream(
            stream, to, means.session, policy, before_tags=_noted(task, means, stream), **send
        )
        return done, Brought(stream.id, stream.inventory)
    with open_bundle(Path(task.bundle), judge=means.gate, volumes_in=task.volumes_in) as opened:
        border = send["border"] = border_of(task.policy, opened)
        verified = verify_bundle(opened, means.session)
        done = import_bundle(
            verified, to, means.session, policy, before_tags=_noted(task, means, opened), **send
        )
        return with_signed(done, border), Brought(opened.id, opened.inventory)


class _StandardInput:
    """The bundle that comes in by standard input. A ByteStream."""

    def read(self, size: int, /) -> bytes:
        """What has come, at once: a bundle that must not come in is refused by its first frame."""
        with local_errors(Path("standard input"), "read"):
            return os.read(sys.stdin.fileno(), size)


def _noted(task: ImportTask, means: Means, bundle: Bundle | BundleStream) -> BeforeTags:
    """What is written down before the first tag moves: that this bundle came in, and the way back."""

    def note(moved: Sequence[Moved]) -> None:
        if means.gate:
            means.gate.remember()
        task.arrivals.begins(bundle.id, bundle.inventory)
        task.way_back.write(bundle.id, moved)

    return note


def _planned(task: ImportTask, means: Means) -> tuple[Report, Brought]:
    if task.bundle == "-":
        raise UsageError("-", "a dry run of a stream would use it up", "give a file")
    with open_bundle(Path(task.bundle), judge=means.gate, volumes_in=task.volumes_in) as opened:
        border = border_of(task.policy, opened)
        verified = verify_bundle(opened, means.session)
        plan = plan_bundle_import(
            verified, task.destination, means.session, task.on_conflict, beside=means.beside, border=border
        )
        gone = to_prune(opened.inventory, task.destination, task.prune)
        report = with_planned(planned_report(opened, plan, means.session, verified.warnings), gone)
        return with_signed(report, border), Brought(opened.id, opened.inventory)
