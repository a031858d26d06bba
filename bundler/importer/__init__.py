"""INSIDE the gap: open → verify → plan → push. This file is the flow, and nothing else."""

from collections.abc import Sequence
from functools import partial

from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.importer.destination import Destination, Part
from bundler.importer.import_plan import OnConflict
from bundler.importer.import_report import compare_with_target, import_report, planned_report
from bundler.importer.move_tags import finish
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prepare import arrange, incoming
from bundler.importer.prune import (
    Departures,
    Gone,
    Pruning,
    prune_tags,
    to_prune,
    with_departed,
    with_planned,
)
from bundler.importer.push import ContentPush
from bundler.importer.required import AvailableContent
from bundler.importer.streaming import send_as_it_comes
from bundler.ledger.ledger import ImportRecord, Ledger
from bundler.reporting.json_report import Report
from bundler.session import Session
from bundler.verify import Verified, verify_bundle

__all__ = [
    "Destination",
    "OnConflict",
    "Part",
    "PolicyCheck",
    "Pruning",
    "Verified",
    "check_import",
    "compare_with_target",
    "import_bundle",
    "import_stream",
    "plan_bundle_import",
    "verify_bundle",
]


def check_import(bundle: Bundle, destination: Destination, session: Session, ledger: Ledger) -> None:
    """Raise what the ledger has against importing a bundle, before all of it is read; write nothing.

    `import_bundle` asks the ledger by itself; this spares the time to verify what it would refuse.
    """
    ledger.importing(incoming(bundle, destination), session, may_write=False)


def plan_bundle_import(
    verified: Verified,
    destination: Destination,
    session: Session,
    ledger: Ledger,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    policy: PolicyCheck | None = None,
    prune: Pruning | None = None,
    departures: Departures | None = None,
) -> Report:
    """Return what an import would do; the target is asked, and nothing is written."""
    bundle = verified.bundle
    if policy:
        policy.check_origin(bundle.proven)
    with ledger.importing(incoming(bundle, destination), session, may_write=False) as record:
        departures = departures or Departures.of(bundle.inventory)
        gone = to_prune(departures, destination, prune, session)
        plan = arrange(
            bundle.inventory,
            verified.manifests,
            destination,
            session,
            on_conflict=on_conflict,
            content=AvailableContent(bundle, bundle.inventory, beside),
            policy=policy,
            gone=gone,
        )
        report = with_planned(planned_report(bundle, plan, session, verified.warnings), gone)
        return record.described(with_departed(report, departures, destination, session))


def import_bundle(
    verified: Verified,
    destination: Destination,
    session: Session,
    ledger: Ledger,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    policy: PolicyCheck | None = None,
    prune: Pruning | None = None,
    confirm_full: bool = False,
    departures: Departures | None = None,
) -> Report:
    """Replay a verified bundle to a registry; what failed for single tags is in the report.

    The ledger is asked before the first write, gets the rollback file before any tag moves or is
    deleted, and remembers the import at its end. A delta takes what it leaves out from the target, or
    from the bundles `beside`. A `policy` is checked before the target is asked. `prune`: delete what a
    delta says is gone. `confirm_full`: read back and hash every blob before tags move. `departures`: what
    this bundle and those just imported before it say together.

    Raises: TrustError for a bundle that the ledger or the policy refuses. NotFoundError, before anything
    is written, for a delta whose base is missing.
    """
    bundle = verified.bundle
    if policy:
        policy.check_origin(bundle.proven)
    with ledger.importing(incoming(bundle, destination), session) as record:
        place = BaseRegistry(destination.prefix, destination.mapping)
        provide_base(bundle, session, beside=beside, registry=place)
        departures = departures or Departures.of(bundle.inventory)
        gone = to_prune(departures, destination, prune, session)
        content = AvailableContent(bundle, bundle.inventory, beside)
        plan = arrange(
            bundle.inventory,
            verified.manifests,
            destination,
            session,
            on_conflict=on_conflict,
            content=content,
            policy=policy,
            gone=gone,
            record=record,
        )
        record.begins(new=bool(plan.new))
        push = ContentPush(plan, session)
        with push.phase("blobs"):
            push.blobs(content, plan.uploads)
        return _ended(
            bundle,
            destination,
            push,
            gone,
            record,
            departures=departures,
            confirm_full=confirm_full,
            warnings=verified.warnings,
        )


def import_stream(
    stream: BundleStream,
    destination: Destination,
    session: Session,
    ledger: Ledger,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    policy: PolicyCheck | None = None,
    prune: Pruning | None = None,
    confirm_full: bool = False,
) -> Report:
    """Replay a bundle from a pipe: each blob verified before its last byte is sent, tags last.

    See `import_bundle`.
    """
    inventory = stream.open()
    if policy:
        policy.check_origin(stream.proven)
    with ledger.importing(incoming(stream, destination), session) as record:
        departures = Departures.of(inventory)
        gone = to_prune(departures, destination, prune, session)
        arranged = partial(
            arrange,
            destination=destination,
            session=session,
            on_conflict=on_conflict,
            policy=policy,
            gone=gone,
            record=record,
        )
        push = send_as_it_comes(stream, arranged, record, session, beside)
        return _ended(
            stream, destination, push, gone, record, departures=departures, confirm_full=confirm_full
        )


def _ended(
    bundle: Bundle | BundleStream,
    destination: Destination,
    push: ContentPush,
    gone: tuple[Gone, ...],
    record: ImportRecord,
    *,
    departures: Departures,
    confirm_full: bool,
    warnings: tuple[str, ...] = (),
) -> Report:
    """Move tags when all content is sent, delete those that are gone, and report it."""
    finish(push, record, fully=confirm_full)
    report = with_departed(import_report(bundle, push, warnings), departures, destination, push.session)
    return record.ends(prune_tags(report, gone, push.session, record))
