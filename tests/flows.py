"""The two flows as tests call them: with a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bundler.bundle.reader import open_bundle
from bundler.exporter import Incremental, OnDrift, export_bundle, output_to, store_location_of
from bundler.importer import Destination, OnConflict, Part, Pruning, import_bundle, verify_bundle
from bundler.importer.destination import WHOLE
from bundler.ledger.ledger import Ledger
from bundler.limits import Limits
from bundler.mapping import KEPT, Mapping
from bundler.oci.reference import parse_prefix, parse_reference
from bundler.registry.auth.credentials import CredentialSources
from bundler.registry.http.exchange import TransportSettings
from bundler.registry.registries import Registries, RegistrySettings
from bundler.registry.settings import HostSettings
from bundler.reporting.json_report import Report
from bundler.selection.rules import Rules
from bundler.selection.sources import ALONE, Include, Shard, selection_of
from bundler.session import Session
from tests.doubles import FakeClock
from tests.leaks import assert_none_in

SILENCE = Limits(connect_timeout=30.0, read_timeout=1.0)
"""Time-outs for answers that never come; nobody who answers is given so little time."""
ALONE_TONIGHT = Incremental()
PATIENT = Limits(connect_timeout=30.0, read_timeout=60.0)


def registries_for(
    clock: FakeClock,
    *,
    limits: Limits = PATIENT,
    creds: Sequence[str] = (),
    ca_file: Path | None = None,
    token_hosts: frozenset[str] = frozenset(),
) -> Registries:
    """Registries whose waiting costs no time; `creds` are lines of a credentials file."""
    return Registries(
        RegistrySettings(
            TransportSettings(ca_file, limits=limits),
            HostSettings(limits=limits, clock=clock, sleep=clock.sleep, token_hosts=token_hosts),
            CredentialSources(creds, "the test"),
        )
    )


def exported(
    out: Path,
    *references: str,
    registries: Registries | None = None,
    store: Path | None = None,
    globs: tuple[str, ...] = (),
    along: Include = ALONE,
    rules: Rules | None = None,
    shard: Shard | None = None,
    on_drift: OnDrift = OnDrift.IGNORE,
    lock: Path | None = None,
    incremental: Incremental = ALONE_TONIGHT,
    now: int = 0,
    jobs: int = 4,
) -> Report:
    """Export these references into `out`."""
    target = output_to(str(out))
    named = (parse_reference(text) for text in references)
    selection = selection_of(named, rules or Rules(globs=globs), along)._replace(shard=shard)
    session = Session(registries or registries_for(FakeClock()), jobs=jobs, clock=lambda: now)
    location = store_location_of(target, store)
    report = export_bundle(
        selection, target, location, session, incremental=incremental, on_drift=on_drift, lock=lock
    )
    assert_none_in(str(report), "the report")
    return report


def imported(
    bundle: Path,
    prefix: str,
    *,
    registries: Registries | None = None,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    mapping: Mapping = KEPT,
    part: Part = WHOLE,
    beside: Sequence[Path] = (),
    prune: int | None = None,
    ledger: Ledger | None = None,
    confirm_full: bool = False,
    jobs: int = 4,
) -> Report:
    """Verify a bundle and import it below `prefix`; without a ledger, on a machine that is new to it."""
    with open_bundle(bundle) as opened, ExitStack() as stack:
        ledger = ledger or Ledger(Path(stack.enter_context(TemporaryDirectory())))
        verified = verify_bundle(opened)
        known = registries or registries_for(FakeClock())
        destination = Destination(parse_prefix(prefix), mapping, part)
        others = [stack.enter_context(open_bundle(path)) for path in beside]
        session = Session(known, jobs=jobs)
        report = import_bundle(
            verified,
            destination,
            session,
            ledger,
            on_conflict,
            beside=others,
            prune=Pruning(prune) if prune else None,
            confirm_full=confirm_full,
        )
    assert_none_in(str(report), "the report")
    return report
