"""Importing several bundles: find them, order them, import each, and report all of it as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.reader import Bundle, open_bundle
from bundler.bundle.stream import StatementCheck
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.errors import BundlerError, NotFoundError, UsageError
from bundler.importer import check_import, import_bundle, plan_bundle_import
from bundler.importer.destination import WHOLE, Destination
from bundler.importer.import_plan import OnConflict
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prune import Departures, Pruning
from bundler.importer.several.find_bundles import find_bundles
from bundler.importer.several.import_order import FoundBundle, ImportOrder, order_bundles
from bundler.importer.several.several_report import Carried, joined_report
from bundler.ledger.ledger import Ledger
from bundler.reporting.json_report import Report
from bundler.session import Session
from bundler.verify import verify_bundle


class ImportTerms(NamedTuple):
    """Terms that hold for each of several bundles."""

    on_conflict: OnConflict = OnConflict.DEFAULT
    verifier: StatementCheck | None = None
    """Who must have signed."""
    policy: Callable[[Bundle], PolicyCheck | None] = lambda bundle: None
    """The policy for one bundle."""
    beside: Sequence[Bundle] = ()
    volumes_in: tuple[Path, ...] = ()
    prune: Pruning | None = None
    """Tags that may be deleted: counted over all bundles together."""
    confirm_full: bool = False


DEFAULT_TERMS = ImportTerms()


def import_several(
    paths: Sequence[Path],
    destination: Destination,
    session: Session,
    ledger: Ledger,
    terms: ImportTerms = DEFAULT_TERMS,
    *,
    dry_run: bool = False,
) -> Report:
    """Import the bundles of files and folders in the order in which they were made, and report all as one.

    What the ledger knows as imported is skipped. A bundle whose base is missing is a failure that names the
    missing file; nothing that builds on it is imported, and nothing after a bundle that failed.
    `dry_run`: write nothing.

    Raises: UsageError for bundles of which nothing says which is newer, NotFoundError where there is none.
    """
    bundles = find_bundles(paths, session.limits, verifier=terms.verifier, volumes_in=terms.volumes_in)
    selection = "" if destination.part == WHOLE else repr(destination.part)
    order = order_bundles(bundles.bundles, ledger.imported(destination.prefix, selection))
    if ledger.rollback_file and len(order.to_import) > 1:
        cause = f"{len(order.to_import)} bundles are to be imported, and each has a rollback file of its own"
        raise UsageError("--rollback-file", cause, "leave it out: they are kept in --state")
    media = (*terms.volumes_in, *(path for path in paths if path.is_dir()))
    run = _Run(destination, session, ledger, terms, media)
    return joined_report(bundles, order, run.carried_out(order, dry_run=dry_run), session, dry_run=dry_run)


def _said_by(bundles: Iterable[FoundBundle], *, may_be_old: bool) -> Departures:
    """Return what departed along the way, and did not come back."""
    departures = Departures.of(*(bundle.inventory for bundle in bundles))
    return departures._replace(may_be_old=may_be_old or departures.may_be_old)


class _Run(NamedTuple):
    """One run over several bundles."""

    destination: Destination
    session: Session
    ledger: Ledger
    terms: ImportTerms
    media: tuple[Path, ...]

    def carried_out(self, order: ImportOrder, *, dry_run: bool) -> list[Carried]:
        """Import one bundle after the other; the first that fails is the last."""
        bundles = order.to_import
        # Where nothing is new, but tags may be deleted, the newest is gone through once more.
        repeated = not bundles and self._has_left(order)
        bundles, earlier = ([order.lineage[-1]], order.lineage[:-1]) if repeated else (bundles, ())
        done: list[Carried] = []
        with ExitStack() as before:
            beside = list(self.terms.beside)
            for number, bundle in enumerate(bundles, 1):
                departures = _said_by((*earlier, *bundles[:number]), may_be_old=repeated)
                try:
                    report = self._imported(
                        bundle, beside, departures, last=number == len(bundles), dry_run=dry_run
                    )
                    done.append(Carried(bundle, report))
                except BundlerError as error:
                    done.append(Carried(bundle, error=error))
                if done[-1].failed:
                    break
                if dry_run:
                    # What the target would have by then.
                    beside.append(before.enter_context(self._opened(bundle)))
        return done

    def _has_left(self, order: ImportOrder) -> bool:
        """Return whether tags that earlier imports left at the target may be deleted."""
        prune = self.terms.prune
        if prune is None or not order.lineage:
            return False
        departures = _said_by(order.lineage, may_be_old=True)
        return bool(departures.gone(self.destination, self.session, deselected=prune.deselected))

    def _opened(self, bundle: FoundBundle) -> Bundle:
        return open_bundle(bundle.path, self.session.limits, self.terms.verifier, self.media)

    def _imported(
        self,
        bundle: FoundBundle,
        beside: Sequence[Bundle],
        departures: Departures,
        *,
        last: bool,
        dry_run: bool,
    ) -> Report:
        ledger = self.ledger
        if dry_run and len(beside) > len(self.terms.beside):
            ledger = ledger.permitting(ledger.permits._replace(gap=True))
        prune = self.terms.prune if last else None
        with self._opened(bundle) as opened:
            if opened.id != bundle.id:
                raise NotFoundError(
                    str(bundle.path), "it was replaced meanwhile", "run the same command again"
                )
            policy = self.terms.policy(opened)
            check_import(opened, self.destination, self.session, ledger)
            place = BaseRegistry(self.destination.prefix, self.destination.mapping)
            provide_base(opened, self.session, beside=beside, registry=place)
            verified = verify_bundle(opened, self.session)
            if dry_run:
                report = plan_bundle_import(
                    verified, self.destination, self.session, ledger, self.terms.on_conflict,
                    beside=beside, policy=policy, prune=prune, departures=departures,
                )  # fmt: skip
            else:
                report = import_bundle(
                    verified, self.destination, self.session, ledger, self.terms.on_conflict,
                    beside=beside, policy=policy, prune=prune, confirm_full=self.terms.confirm_full,
                    departures=departures,
                )  # fmt: skip
            return replace(report, signed=policy.signed) if policy else report
