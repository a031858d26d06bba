"""The text of `verify`, `inspect`, `ls`, `sign`, `extract` and `report`: a bundle, and who vouches for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import printable
from bundler.oci import shortened
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.bundle.contents import Contents, RepositoryContents
    from bundler.exporter.browse import RepositoryTags
    from bundler.extractor.find import Extracted
    from bundler.page.values import PageContents
    from bundler.reporting.bundle_outcome import CompactReport
    from bundler.reporting.json_report import Report, SignedReport, StatementReport
    from bundler.trust.statement import SignedStatement

COLUMNS = ("TAG", "VERSION", "DIGEST", "CREATED", "SIZE", "OWN")


def verified_text(contents: Contents, now: int, unproven: int = 0) -> str:
    """Return what `verify` found; `now` is in seconds since the epoch, `unproven` counts layers."""
    tags = sum(len(entry.tags) for entry in contents.repositories)
    size = f"{counted(contents.blobs, 'blob')}, {size_text(contents.distinct_size)}"
    status, verdict = "OK, every byte verified", "OK"
    if unproven:
        status = f"undamaged; {counted(unproven, 'layer')} not verified, because the base is not at hand"
        verdict = "undamaged"
    lines = _labelled(("bundle", contents.id), *_verdict(status, contents.statement, now))
    return "\n".join(
        [
            f"{contents.path}: {verdict}, {counted(tags, 'tag')}, {size}",
            *lines,
            *signed_lines(contents.signed),
        ]
    )


def compared_text(report: Report, target: str, bundle: str, now: int) -> str:
    """Return what `verify --against` found; `now` is in seconds since the epoch."""
    tags = sum(len(entry.tags) for entry in report.repositories)
    state = "has all of it" if report.unchanged else f"differs in {len(report.failures)} of {tags}"
    statement = report.bundle.statement if report.bundle else None
    status = "OK" if report.unchanged else "the target is not what the bundle says"
    lines = _labelled(("bundle", bundle), *_verdict(status, statement, now))
    return "\n".join([f"{target}: {state}, {counted(tags, 'tag')}", *lines, *signed_lines(report.signed)])


def tags_text(listed: RepositoryTags, *, digests: bool) -> str:
    """Return a line for each tag of a repository; with `digests`, a table."""
    if not digests:
        return "\n".join(tag.tag for tag in listed.tags)
    rows = [("TAG", "VERSION", "DIGEST", "CREATED")]
    rows += [
        (tag.tag, printable(tag.version or "-", 40), tag.digest or "-", printable(tag.created or "-", 40))
        for tag in listed.tags
    ]
    return "\n".join(aligned(rows))


def contents_text(contents: Contents, now: int, width: int = 0) -> str:
    """Return a table per repository, then the sums, then how far the bundle can be trusted.

    The tables fit into `width` columns unless that is 0; `now` is in seconds since the epoch.
    """
    lines = [line for entry in contents.repositories for line in (*_table(entry, width), "")]
    shared = contents.listed_size - contents.distinct_size
    pairs = [("bundle", contents.id)]
    if contents.kind == "delta":
        pairs += [("builds on", base) for base in contents.base]
        pairs.append(("required", f"{size_text(contents.required_size)} that the base brought"))
    pairs.append(("blobs", f"{contents.blobs}, {size_text(contents.distinct_size)} distinct"))
    pairs.append(("as listed", f"{size_text(contents.listed_size)}, of which {size_text(shared)} shared"))
    if contents.file_size is not None:
        size, whole = contents.file_size, contents.distinct_size
        part = f", {size / whole:.0%} of the distinct bytes" if whole else ""
        pairs.append(("file", size_text(size) + part))
    status = "not verified: only the manifests were read"
    return "\n".join([*lines, *_labelled(*pairs, *_verdict(status, contents.statement, now))])


def _labelled(*pairs: tuple[str, str]) -> list[str]:
    return aligned(pairs)


def _verdict(status: str, statement: StatementReport | None, now: int) -> list[tuple[str, str]]:
    """Return what `verify` and `inspect` end with: status, origin, expiry."""
    if statement is None:
        return [("status", status), ("origin", "not proven: the bundle is not signed"), ("expiry", "none")]
    number = f"{statement.job}, number {statement.sequence}, signed {statement.time}"
    origins = [f"proven: signed by {signer.principal} ({signer.key})" for signer in statement.signers]
    origins = origins or [f"not proven: claims {', '.join(statement.keys)}"]
    return [
        ("job", number),
        ("status", status),
        *(("origin", origin) for origin in origins),
        ("expiry", _expiry(statement.expires, now)),
    ]


def _expiry(expires: str | None, now: int) -> str:
    if expires is None:
        return "none"
    return f"expired on {expires}" if datetime.fromisoformat(expires).timestamp() <= now else expires


def _table(entry: RepositoryContents, width: int) -> list[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for tag in sorted(entry.tags, key=lambda tag: version_order(tag.reference)):
        cells = (tag.reference[:40], tag.version or "-", shortened(tag.digest), tag.created or "-")
        rows.append((*(printable(cell, 40) for cell in cells), size_text(tag.size), size_text(tag.own_size)))
    title = f"{entry.name}  ({counted(len(entry.tags), 'tag')}, {size_text(entry.size)})"
    table = [] if len(rows) == 1 else _fitting(rows, width - 2) if width else aligned(rows)
    table += [f"{name[:40]}  gone at the source" for name in entry.removed]
    table += [f"{name[:40]}  no longer selected" for name in entry.deselected]
    return [title, *(f"  {line}" for line in table)]


def _fitting(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """Fit a table into a width: first without the time of day, then without the least important columns."""
    day, shown = COLUMNS.index("CREATED"), list(range(len(COLUMNS)))
    table = aligned(rows)
    for dropped in (None, "VERSION", "OWN", "CREATED"):
        if max(map(len, table)) <= width:
            break
        rows = [(*row[:day], row[day][: len("2026-11-23")], *row[day + 1 :]) for row in rows]
        shown = [column for column in shown if COLUMNS[column] != dropped]
        table = aligned([tuple(row[column] for column in shown) for row in rows])
    return table


def sealed_text(path: Path, signed: SignedStatement, now: int) -> str:
    """Return what `sign` signed; `now` is in seconds since the epoch."""
    statement = signed.statement
    lines = _labelled(
        ("bundle", statement.bundle),
        ("job", f"{statement.job}, number {statement.sequence}, signed {statement.time}"),
        ("expiry", _expiry(statement.expires, now)),
    )
    return "\n".join([f"{path}: {counted(len(signed.signatures), 'signature')}", *lines])


def extracted_text(done: Extracted) -> str:
    """Return what `extract` wrote, and where."""
    what = "blob" if done.form == "oci-archive" else "file"
    line = f"{done.path}: {done.reference}, {counted(done.items, what)}, {size_text(done.size)}"
    return line if done.reference == done.digest else f"{line}\ndigest {done.digest}"


def page_text(out: str, page: PageContents, size: int) -> str:
    """Return what `report` wrote: a page of `size` bytes."""
    tags = sum(len(entry.tags) for entry in page.repositories)
    return f"{out}: a page about {counted(tags, 'tag')}, {size_text(size)}\nbundle {page.file.id}"


def signed_lines(signed: Iterable[SignedReport]) -> list[str]:
    """Return a line per signer of modules, and one for the signatures that nobody checked."""
    modules = tuple(signed)
    counts = Counter(who for module in modules for who in module.by)
    unchecked = sum(module.unchecked for module in modules)
    lines = [f"{count} signed by {who}" for who, count in counts.items()]
    return [*lines, *([f"{counted(unchecked, 'keyless signature')} not checked"] if unchecked else [])]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line per row, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def compact_lines(compact: CompactReport | None, *, every: bool) -> Iterator[str]:
    """Yield what a compact bundle saves; then what is carried as it is, or `every` share."""
    if compact is None:
        return
    percent = 100 * compact.saved // max(compact.portable_size, 1)
    sizes = f"{size_text(compact.size)} instead of {size_text(compact.portable_size)}"
    if compact.shares or not compact.missing:
        yield f"compact {sizes} portable: {percent} % saved"
    for share in compact.shares:
        carried = share.codec is None
        if every or carried:
            what = (
                "carried as they are" if carried else f"codec {share.codec}, {size_text(share.saved)} saved"
            )
            layers = f"{counted(share.layers, 'layer')}, {size_text(share.size)}"
            yield f"  {share.repository}: {layers}, by {share.producer}: {what}"
    if compact.missing:
        blobs = f"{counted(compact.missing, 'blob')} ({size_text(compact.missing_bytes)})"
        yield f"compact not in the store yet, so nothing is known of them: {blobs}"
