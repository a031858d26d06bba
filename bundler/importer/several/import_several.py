"""Importing several bundles: find them, order them, import each, and report all of it as one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import RepositoryEntry
from bundler.bundle.reader import Bundle, open_bundle
from bundler.bundle.stream import StatementCheck
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.errors import BundlerError, NotFoundError, UsageError
from bundler.importer import check_import, import_bundle, plan_bundle_import
from bundler.importer.destination import WHOLE, Destination
from bundler.importer.import_plan import OnConflict
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prune import Pruning, digest_of, to_prune
from bundler.importer.several.find_bundles import find_bundles
from bundler.importer.several.import_order import FoundBundle, ImportOrder, order_bundles
from bundler.importer.several.several_report import Carried, joined_report
from bundler.ledger.ledger import Ledger
from bundler.oci import Digest, RepositoryName, Tag
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
    run = _Run(destination, session, ledger, _with_departed(terms, order, destination, session), media)
    return joined_report(bundles, order, run.carried_out(order, dry_run=dry_run), session, dry_run=dry_run)


def _with_departed(
    terms: ImportTerms, order: ImportOrder, destination: Destination, session: Session
) -> ImportTerms:
    """Return the terms; what may be deleted is all that departed along the way, and did not come back.

    Where nothing is to be imported, that is what earlier imports left at the target.
    """
    if terms.prune is None:
        return terms
    fresh = order.to_import
    prune = terms.prune._replace(departed=_departed(fresh or order.lineage))
    if not fresh:
        gone = to_prune(None, destination, prune._replace(most=sys.maxsize))
        now = dict(session.each("tags to delete", gone, lambda tag: digest_of(tag, session)))
        left = {(tag.source, tag.tag) for tag, digest in now.items() if digest is not None}
        prune = prune._replace(departed=_only(prune.departed or (), left))
    return terms._replace(prune=prune)


def _departed(bundles: Iterable[FoundBundle]) -> tuple[RepositoryEntry, ...]:
    removed: dict[RepositoryName, dict[Tag | Digest, Digest]] = {}
    deselected: dict[RepositoryName, dict[Tag | Digest, Digest]] = {}
    for bundle in bundles:
        for entry in bundle.inventory.repositories:
            for departed, new in ((removed, entry.removed), (deselected, entry.deselected)):
                kept = departed.setdefault(entry.name, {})
                for name in (*entry.tags, *entry.untagged, *entry.removed, *entry.deselected):
                    kept.pop(name, None)
                kept.update(new)
    return tuple(RepositoryEntry(name, {}, (), removed[name], deselected[name]) for name in sorted(removed))


def _only(
    entries: Sequence[RepositoryEntry], left: Collection[tuple[RepositoryName, Tag]]
) -> tuple[RepositoryEntry, ...]:
    def those(entry: RepositoryEntry, names: Mapping[Tag | Digest, Digest]) -> dict[Tag | Digest, Digest]:
        return {name: digest for name, digest in names.items() if (entry.name, name) in left}

    return tuple(
        replace(entry, removed=those(entry, entry.removed), deselected=those(entry, entry.deselected))
        for entry in entries
    )


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
        if not bundles and order.lineage and self.terms.prune and any(self._left()):
            # Nothing is new, but tags may be deleted: the newest is gone through once more.
            bundles = [order.lineage[-1]]
        done: list[Carried] = []
        with ExitStack() as before:
            beside = list(self.terms.beside)
            for number, bundle in enumerate(bundles, 1):
                try:
                    report = self._imported(bundle, beside, last=number == len(bundles), dry_run=dry_run)
                    done.append(Carried(bundle, report))
                except BundlerError as error:
                    done.append(Carried(bundle, error=error))
                if done[-1].failed:
                    break
                if dry_run:
                    # What the target would have by then.
                    beside.append(before.enter_context(self._opened(bundle)))
        return done

    def _left(self) -> Iterator[object]:
        """Yield what departed and is still at the target."""
        prune = self.terms.prune
        for entry in (prune.departed or ()) if prune else ():
            yield from entry.removed
            yield from entry.deselected if prune and prune.deselected else ()

    def _opened(self, bundle: FoundBundle) -> Bundle:
        return open_bundle(bundle.path, self.session.limits, self.terms.verifier, self.media)

    def _imported(
        self, bundle: FoundBundle, beside: Sequence[Bundle], *, last: bool, dry_run: bool
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
                    beside=beside, policy=policy, prune=prune,
                )  # fmt: skip
            else:
                report = import_bundle(
                    verified, self.destination, self.session, ledger, self.terms.on_conflict,
                    beside=beside, policy=policy, prune=prune, confirm_full=self.terms.confirm_full,
                )  # fmt: skip
            return replace(report, signed=policy.signed) if policy else report
