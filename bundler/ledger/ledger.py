"""The ledger of an importing machine: it decides what may be imported, and remembers what was.

Nothing here reads the environment, the working directory or a clock: folder and time are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

from bundler.bundle.inventory import Inventory
from bundler.durable import check_ours, make_directories, read_if_there, write_whole
from bundler.errors import ContentError, NotFoundError, TrustError, UsageError
from bundler.ledger.import_log import WHOLE_BUNDLE, ImportLog, scope_of, short_name
from bundler.ledger.receipt import (
    Receipt,
    bundles_after,
    counting,
    decode_receipt,
    encode_receipt,
    received,
    state_after_import,
    state_after_rollback,
)
from bundler.ledger.rollback_file import (
    MovedTag,
    RollbackFile,
    finish_rollback_file,
    read_rollback_file,
    write_rollback_file,
)
from bundler.ledger.sequences import SequenceEntry, Sequences, problems_of
from bundler.limits import DEFAULT_LIMITS
from bundler.named_files import check_new_folder
from bundler.oci import Digest, Prefix
from bundler.reporting.json_report import Report, StatementReport
from bundler.session import Session
from bundler.trust.bundle_signing import moment_at
from bundler.trust.job import Job
from bundler.trust.statement import Moment


def read_receipt(path: Path, target: str) -> Receipt | None:
    """Read the receipt of a target; None if there is no such file.

    Raises: UsageError for that of another target; ContentError, LocalError for what is no receipt or no file.
    """
    data = read_if_there(path, DEFAULT_LIMITS.inventory + 1)
    if data is None:
        return None
    earlier = decode_receipt(data, str(path))
    if earlier.target != target:
        raise UsageError(str(path), f"it is the receipt of {earlier.target}", "use one receipt per target")
    return earlier


class Permits(NamedTuple):
    """The things that an import may do although the ledger speaks against them."""

    older: bool = False
    """Import what is older than the last import of its job."""
    gap: bool = False
    """Import a delta although what it builds on is not known to have been imported."""
    new_job: bool = False
    """Begin a job that the ledger does not know, beside those that it knows."""


NOTHING_PERMITTED = Permits()


class Incoming(NamedTuple):
    """A bundle that is to be imported, and where."""

    id: Digest
    inventory: Inventory
    proven: StatementReport | None
    """The proven facts about its signatures; None if nobody asked."""
    target: Prefix
    selection: str = ""
    """The part of it to import, spelled out; empty for all of it."""


class Ledger:
    """The memory that an importing machine has of its targets, in one folder.

    `rollback_file` is written instead of one in the folder. `receipt` says what the target holds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rollback_file: Path | None = None,
        receipt: Path | None = None,
        permits: Permits = NOTHING_PERMITTED,
    ) -> None:
        check_ours(folder)
        check_new_folder(folder)
        self.folder = folder
        self.rollback_file = rollback_file
        self.receipt = receipt
        self.permits = permits

    def check(self, target: Prefix) -> None:
        """Raise UsageError, ContentError or LocalError for files that an import could not use or replace."""
        if self.rollback_file and self.rollback_file.exists():
            try:
                read_rollback_file(self.rollback_file)
            except ContentError as error:
                cause = f"--rollback-file: it exists, and is {error.cause}"
                raise UsageError(str(self.rollback_file), cause, "name another") from None
        if self.receipt:
            read_receipt(self.receipt, str(target))

    def permitting(self, permits: Permits) -> Ledger:
        """Return the same ledger with other permits."""
        return Ledger(self.folder, rollback_file=self.rollback_file, receipt=self.receipt, permits=permits)

    def imported(self, target: Prefix, selection: str = "") -> frozenset[Digest]:
        """Return what counts as imported to a target: ids of bundles, and of the full bundles they make.

        `selection` is the part, spelled out as in `Incoming`.
        """
        scopes, mine = ImportLog(self.folder, str(target)).scopes(), scope_of(selection)
        return frozenset(id_ for id_, scope in scopes.items() if scope in (WHOLE_BUNDLE, mine))

    def importing(self, incoming: Incoming, session: Session, *, may_write: bool = True) -> ImportRecord:
        """Open the record of an import. Raises what keeps the bundle from being imported."""
        return ImportRecord(self, incoming, session, may_write=may_write)

    def check_rollback(self, rollback: RollbackFile) -> None:
        """Raise UsageError, ContentError or LocalError for a receipt that a rollback could not correct."""
        path = self.receipt or (Path(rollback.receipt) if rollback.receipt else None)
        if path and read_receipt(path, rollback.target) is None and path == self.receipt:
            cause = "--receipt: no such file"
            raise UsageError(str(path), cause, "name the receipt that the import kept, or none")

    def rolled_back(self, rollback: RollbackFile, report: Report, session: Session) -> None:
        """Record that an import was rolled back, and correct the receipt that it kept."""
        now = moment_at(session.clock())
        log = ImportLog(self.folder, rollback.target)
        log.rolled_back(rollback.bundle, now)
        path = self.receipt or (Path(rollback.receipt) if rollback.receipt else None)
        earlier = read_receipt(path, rollback.target) if path else None
        if path is None or earlier is None:
            return
        bundles = counting((*earlier.bundles, *rollback.received), log.scopes())
        state = state_after_rollback(report, earlier)
        new = received(earlier, state, target=rollback.target, time=now, bundles=bundles)
        write_whole(path, encode_receipt(new))


class ImportRecord:
    """One import in the ledger: checked when it is opened, written before tags move, and at its end."""

    def __init__(self, ledger: Ledger, incoming: Incoming, session: Session, *, may_write: bool) -> None:
        self._ledger = ledger
        self._incoming = incoming
        self._session = session
        self._log = ImportLog(ledger.folder, str(incoming.target))
        self._sequences = Sequences(ledger.folder / "jobs", may_write=may_write)
        self._statement = incoming.proven
        self._lock = Lock()
        try:
            ledger.check(incoming.target)
            self._receipt = read_receipt(ledger.receipt, str(incoming.target)) if ledger.receipt else None
            self._check_sequence()
            self._check_gap()
        except BaseException:
            self._sequences.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sequences.close()

    @property
    def _now(self) -> Moment:
        return moment_at(self._session.clock())

    # --- before the first write ------------------------------------------------------------------

    def _check_sequence(self) -> None:
        """Raise TrustError for a bundle that is older than the last of its job, or of an unknown job."""
        proven = self._incoming.proven
        if proven is None:
            return
        last = self._sequences.last(Job(proven.job))
        problems = dict(problems_of(proven, self._incoming.id, last))
        if problems and not self._ledger.permits.older:
            cause = next(iter(problems.values()))
            raise TrustError(f"job {proven.job}", cause, "use --allow-rollback to import it anyway")
        if last is None and not self._ledger.permits.new_job and (jobs := self._sequences.jobs()):
            cause = f"no bundle of this job was imported before; known jobs: {', '.join(jobs)}"
            raise TrustError(f"job {proven.job}", cause, "use --new-job if this job is new")
        previous = last.sequence if last else None
        self._statement = replace(proven, previous=previous, allowed=(*proven.allowed, *problems))

    def _check_gap(self) -> None:
        """Raise NotFoundError for a delta if what it builds on is known not to have been imported.

        What a bundle in between brought need not be missed by this one: its tags would be lost silently.
        """
        inventory, target = self._incoming.inventory, self._incoming.target
        if inventory.kind != "delta" or self._ledger.permits.gap or self._log.is_empty():
            return
        scopes, mine = self._log.scopes(), scope_of(self._incoming.selection)
        enough = {id_ for id_, scope in scopes.items() if scope in (WHOLE_BUNDLE, mine)}
        if inventory.base_state in enough or enough.issuperset(inventory.base):
            return
        missing = [id_ for id_ in inventory.base if id_ not in enough]
        names = " and ".join(missing)
        if all(id_ in scopes for id_ in missing):
            cause = f"this delta builds on bundle {names}, of which only a part was imported to {target}"
            next_step = "import the rest of that bundle first, or use --allow-gap for a delta on this receipt"
            raise NotFoundError("import", cause, next_step)
        cause = (
            f"this delta builds on bundle {names}, which was not imported to {target} from here, "
            "or not since an older one was"
        )
        raise NotFoundError(
            "import", cause, "import it first, or use --allow-gap if the target has its content"
        )

    # --- while it writes -------------------------------------------------------------------------

    @property
    def may_have_left_blobs(self) -> bool:
        """Return True if an import to this target broke off: what seems not to exist there may have blobs."""
        return self._log.broke_off()

    def begins(self, *, new: bool) -> None:
        """Record that the target is about to be written to; `new`: repositories that did not exist."""
        if new or self._log.is_empty():
            self._log.begins(self._incoming.id, self._incoming.inventory, self._now)

    def moves(self, moved: Sequence[MovedTag]) -> None:
        """Record the tags that are about to be moved or deleted. Called from any thread."""
        with self._lock:
            self._remember_sequence()
            self._log.moves(self._incoming.id, self._incoming.inventory, self._now)
            self._write_rollback_file(moved)

    def _remember_sequence(self) -> None:
        """Keep the sequence number: from now on nothing older is imported. It never falls."""
        signed = self._statement
        if signed and (signed.previous is None or signed.sequence > signed.previous):
            entry = SequenceEntry(Job(signed.job), signed.sequence, self._incoming.id, Moment(signed.time))
            self._sequences.remember(entry)

    def _write_rollback_file(self, moved: Sequence[MovedTag]) -> None:
        path = self._ledger.rollback_file
        if path is None:
            if not any(tag.old for tag in moved):
                return
            path = self._own_rollback_file
            make_directories(path.parent)
            count = sum(tag.old is not None for tag in moved)
            deleted = all(tag.new is None for tag in moved)
            what = f"{count} tag{'s' if count > 1 else ''} will be {'deleted' if deleted else 'moved'}"
            self._session.progress.note(f"{what}; to undo: import --rollback {path}")
        receipt = str(self._ledger.receipt) if self._ledger.receipt else None
        bundles = self._receipt.bundles if self._receipt else ()
        target = str(self._incoming.target)
        new = RollbackFile(1, self._incoming.id, target, (), receipt=receipt, received=bundles)
        write_rollback_file(path, new, moved)

    @property
    def _own_rollback_file(self) -> Path:
        name = f"rollback-{self._incoming.id.encoded[:12]}-{short_name(str(self._incoming.target))}.json"
        return self._ledger.folder / name

    # --- at its end ------------------------------------------------------------------------------

    def ends(self, report: Report) -> Report:
        """Record what became of the import; return its report with what is known of the bundle."""
        id_, inventory, whole = self._incoming.id, self._incoming.inventory, not report.exit_code
        scope = scope_of(self._incoming.selection)
        self._log.ends(id_, inventory, self._now, scope=scope, whole=whole)
        path = self._ledger.rollback_file or self._own_rollback_file
        if whole:
            finish_rollback_file(path, id_, str(self._incoming.target))
        if self._ledger.receipt:
            self._write_receipt(self._ledger.receipt, report)
        return self.described(report)

    def _write_receipt(self, path: Path, report: Report) -> None:
        inventory, earlier = self._incoming.inventory, self._receipt
        new = received(
            earlier,
            state_after_import(inventory, report, earlier),
            target=str(self._incoming.target),
            time=self._now,
            bundles=bundles_after(earlier, inventory, self._incoming.id, self._log.scopes()),
            omitted=inventory.omitted,
        )
        write_whole(path, encode_receipt(new))

    def described(self, report: Report) -> Report:
        """Return a report with what was proven of the bundle; what was permitted is a warning."""
        signed = self._statement
        if signed is None or report.bundle is None:
            return report
        warnings = [f"job {signed.job}: imported by --allow-rollback: {what}" for what in signed.allowed]
        if signed.previous is None:
            warnings.append(f"job {signed.job}: no earlier import of it is known here")
        bundle = replace(report.bundle, statement=signed)
        return replace(report, bundle=bundle, warnings=(*report.warnings, *warnings))
