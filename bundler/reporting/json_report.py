"""Results of a run, as values: the JSON reports and all that the commands print come from here.

The field names and docstrings are the published schema (`schemas/`).
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any, Literal

from bundler.errors import EXIT_OK, EXIT_SOME_FAILED, BundlerError, SeveralErrors
from bundler.oci.grammar import DocumentValue, camel, document_value
from bundler.reporting.bundle_outcome import BundleOutcome, CompactReport, ImagesReport

_PART = 1 << 16
"""Characters of a text that are written at once."""


@document_value
class Failure(DocumentValue):
    """One thing that failed, and why."""

    item: str
    """The repository, tag or blob."""
    cause: str
    """The cause of the failure."""
    exit_code: int
    """The exit code that this failure alone would have."""
    next_step: str = ""
    """The next step for the user."""


def failure(error: BundlerError, item: str = "") -> Failure:
    """Return an error as a report has it; `item` says more than the error's own, if given."""
    same = item in ("", error.item) or item.startswith((f"{error.item}:", f"{error.item}@"))
    cause = error.cause if same else f"{error.item}: {error.cause}"
    return Failure(item or error.item, cause, error.exit_code, error.next_step)


def failures_of(error: BundlerError) -> tuple[Failure, ...]:
    """Return an error as a report has it; of several that were found at once, each one."""
    return tuple(failure(each) for each in (error.problems if isinstance(error, SeveralErrors) else (error,)))


Status = Literal[
    "exported", "skipped", "failed", "pushed", "present", "moved", "merged", "planned", "removed",
    "deselected", "absent",
]  # fmt: skip


@document_value
class TagReport(DocumentValue):
    """The result for one tag, or for one manifest that was taken by digest."""

    reference: str
    """The tag, or the digest."""
    status: Status
    digest: str | None = None
    """The digest that it points to."""
    reason: str = ""
    """The reason why it was skipped or failed; of an export, also the rule that took it."""
    previous: str | None = None
    """At the target: the digest that the tag pointed to before."""
    filtered_from: str | None = None
    """In an import: the digest of the whole index, where `digest` is that of a filtered one."""
    size: int | None = None
    """In an export: bytes of all that it needs, each blob once."""

    @property
    def is_there(self) -> bool:
        """Return whether the target has it as the bundle says, or would have it after a dry run."""
        return self.status in ("pushed", "present", "moved", "merged", "planned")


@document_value
class RepositoryReport(DocumentValue):
    """The result for one repository."""

    name: str
    """`host/path`."""
    tags: tuple[TagReport, ...]
    source: str | None = None
    """At the target: what it was called outside."""
    size: int | None = None
    """Of an export: bytes of all that its tags need, each blob once."""


@document_value
class SignerReport(DocumentValue):
    """A signer whose signature was proven."""

    principal: str
    """As the file of allowed signers calls them."""
    key: str
    """Fingerprint of the key."""


@document_value
class StatementReport(DocumentValue):
    """The statement of a signed bundle, and how much of it was proven."""

    job: str
    sequence: int
    time: str
    """Time of signing, by the signer's clock."""
    expires: str | None
    keys: tuple[str, ...]
    """Fingerprints of the keys that the signatures name; proven only for `signers`."""
    signers: tuple[SignerReport, ...] = ()
    """Proven signers, if that was asked for."""
    previous: int | None = None
    """In an import: the highest sequence number of the job before; null if none was known."""
    allowed: tuple[str, ...] = ()
    """In an import: what `--allow-rollback` let pass."""


@document_value
class SignedReport(DocumentValue):
    """A module whose signature was proven."""

    item: str
    """`host/path:tag`, or by digest."""
    by: tuple[str, ...]
    """Keys, by the names of their files; of a certificate: `identity (issuer)`."""
    unchecked: int = 0
    """Keyless signatures besides, that were carried and not checked: there is no trusted root."""


@document_value
class BundleReport(DocumentValue):
    """The bundle that was written or read."""

    path: str
    id: str
    """sha256 of the inventory."""
    sha256: str | None = None
    """sha256 of the file."""
    size: int | None = None
    """Bytes of the file."""
    statement: StatementReport | None = None
    """Null for a bundle without a signature; of an import, unless signatures were asked for."""
    compact: CompactReport | None = None
    """Of a compact bundle that was written: what it saves."""


@document_value
class BlobCounts(DocumentValue):
    """Distinct blobs and bytes, manifests not counted."""

    moved: int = 0
    """Fetched, or uploaded."""
    moved_bytes: int = 0
    reused: int = 0
    """Already there, or mounted: not sent over the wire."""
    reused_bytes: int = 0
    failed: int = 0


@document_value
class TrafficReport(DocumentValue):
    """Requests and bytes that went over the wire."""

    requests: int = 0
    """Requests sent, authentication and retries included."""
    retries: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


@document_value
class Report(DocumentValue):
    """The result of `export`, `import` or `merge`, or what `verify` found at a target."""

    command: str
    """The command's name: export, import, verify, merge; any that prints JSON, if it failed."""
    tool_version: str
    repositories: tuple[RepositoryReport, ...]
    failures: tuple[Failure, ...]
    bundle: BundleReport | None = None
    """Missing when no bundle was written."""
    blobs: BlobCounts = field(default_factory=BlobCounts)
    traffic: TrafficReport = field(default_factory=TrafficReport)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Duration of each phase."""
    warnings: tuple[str, ...] = ()
    images: tuple[ImagesReport, ...] = ()
    """Images of each module version, if images were asked for."""
    drifted: tuple[str, ...] = ()
    """Tags that point to another digest than they should: moved during the export or since its lock file,
    or another at the target."""
    unchanged: bool = False
    """True when everything was there already, and nothing was written."""
    removed: tuple[str, ...] = ()
    """In an export: older bundles of the same job that were removed."""
    gone_at_source: int = 0
    """In an import: number of tags, of the imported part, that bundles say are gone at the source."""
    no_longer_selected: int = 0
    """In an import: number of tags, of the imported part, that bundles say are no longer selected."""
    dry_run: bool = False
    """True when this is what would be done."""
    compact: CompactReport | None = None
    """In the dry run of a compact export: what the blobs that the store has would save."""
    signed: tuple[SignedReport, ...] = ()
    """Signers of each module, if signatures were asked for."""
    bundles: tuple[BundleOutcome, ...] = ()
    """In an import of several bundles: each of them."""
    report_version: Literal[1] = 1

    @property
    def exit_code(self) -> int:
        """Return 0; the failures' own code if nothing succeeded and they agree, else 8."""
        statuses = {tag.status for entry in self.repositories for tag in entry.tags}
        return exit_code_of(self.failures, done=bool(statuses - {"failed", "skipped"}))


@document_value
class TagDecision(DocumentValue):
    """One tag, and the rule that decided."""

    tag: str
    """The tag; a digest where the selection names one."""
    taken: bool
    reason: str


@document_value
class RepositoryExplanation(DocumentValue):
    """Every tag of one repository, decided."""

    name: str
    """`host/path`."""
    decisions: tuple[TagDecision, ...]


@document_value
class Explanation(DocumentValue):
    """The result of `explain`: the tags that an export would take, and why."""

    repositories: tuple[RepositoryExplanation, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0; the failures' own code if no tag is taken and they agree, else 8."""
        decisions = (decision for entry in self.repositories for decision in entry.decisions)
        return exit_code_of(self.failures, done=any(decision.taken for decision in decisions))


def exit_code_of(failures: tuple[Failure, ...], *, done: bool) -> int:
    """Return 0; the failures' own code if nothing was done and they agree, else 8."""
    codes = {item.exit_code for item in failures}
    if not codes:
        return EXIT_OK
    return codes.pop() if not done and len(codes) == 1 else EXIT_SOME_FAILED


class Phases:
    """Durations of the phases of a run; the clock is the caller's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure one."""
        start = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self._clock() - start, 3)


def as_document(report: Report) -> dict[str, Any]:
    """Return the report as it is written to JSON."""
    return {**document(report), "exitCode": report.exit_code}


def json_parts(document: dict[str, Any]) -> Iterator[str]:
    """Yield a document as indented text, part by part; values in it may be those of this module.

    A hundred thousand tags as dicts, or as one text, take many times what they take as values.
    """
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(indent=2, default=spelled).iterencode(document):
        parts.append(part)
        size += len(part)
        if size > _PART:
            yield "".join(parts)
            parts, size = [], 0
    yield "".join([*parts, "\n"])


def reported(report: Report) -> dict[str, Any]:
    """Return the report for `json_parts`."""
    return {**spelled(report), "exitCode": report.exit_code}


def spelled(value: Any) -> dict[str, Any]:
    """Return a value of these types as JSON spells it, with the values in it as they are."""
    return {camel(field.name): getattr(value, field.name) for field in dataclasses.fields(value)}


def document(value: Any) -> dict[str, Any]:
    """Return a value of these types as JSON spells it."""

    def spelled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {camel(name): item for name, item in pairs}

    return dataclasses.asdict(value, dict_factory=spelled)
