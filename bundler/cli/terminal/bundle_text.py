"""The text of `verify`, `inspect`, `sign` and `extract`: what a bundle holds and what it says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bundler.cli.terminal.display import aligned
from bundler.errors import printable
from bundler.oci.content import shortened
from bundler.reporting.progress import counted, size_text
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.bundle.contents import Contents, RepositoryContents
    from bundler.extractor.find import Extracted
    from bundler.reporting.json_report import Report, SignedReport, StatementReport
    from bundler.trust.statement import SignedStatement

COLUMNS = ("TAG", "VERSION", "DIGEST", "CREATED", "SIZE", "OWN")


def verified_text(contents: Contents) -> str:
    """What `verify` found."""
    tags = sum(len(entry.tags) for entry in contents.repositories)
    size = f"{counted(contents.blobs, 'blob')}, {size_text(contents.distinct_size)}"
    signed = f", {signed_text(contents.statement)}" if contents.statement else ""
    line = f"{contents.path}: OK, {counted(tags, 'tag')}, {size}, bundle {contents.id}{signed}"
    return "\n".join([line, *signed_lines(contents.signed)])


def compared_text(report: Report, target: str, bundle: str) -> str:
    """What `verify --against` found."""
    tags = sum(len(entry.tags) for entry in report.repositories)
    state = "has all of it" if report.unchanged else f"differs in {len(report.failures)} of {tags}"
    line = f"{target}: {state}, {counted(tags, 'tag')}, bundle {bundle}"
    return "\n".join([line, *signed_lines(report.signed)])


def contents_text(contents: Contents, width: int = 0) -> str:
    """A table per repository, in `width` columns of a terminal if that is not 0, and the sums."""
    lines = [line for entry in contents.repositories for line in (*_table(entry, width), "")]
    shared = contents.listed_size - contents.distinct_size
    lines.append(f"bundle     {contents.id}")
    if contents.kind == "delta":
        lines += [f"builds on  {base}" for base in contents.base]
        lines.append(f"required   {size_text(contents.required_size)} that the base brought")
    if contents.statement:
        lines.append(f"statement  {signed_text(contents.statement)}")
    lines.append(f"blobs      {contents.blobs}, {size_text(contents.distinct_size)} distinct")
    lines.append(f"as listed  {size_text(contents.listed_size)}, of which {size_text(shared)} shared")
    if contents.file_size is not None:
        size, whole = contents.file_size, contents.distinct_size
        lines.append(
            f"file       {size_text(size)}" + (f", {size / whole:.0%} of the distinct bytes" if whole else "")
        )
    return "\n".join(lines)


def _table(entry: RepositoryContents, width: int) -> list[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for tag in sorted(entry.tags, key=lambda tag: version_order(tag.reference)):
        cells = (tag.reference[:40], tag.version or "-", shortened(tag.digest), tag.created or "-")
        rows.append((*(printable(cell, 40) for cell in cells), size_text(tag.size), size_text(tag.own_size)))
    title = f"{entry.name}  ({counted(len(entry.tags), 'tag')}, {size_text(entry.size)})"
    table = [] if len(rows) == 1 else _fitting(rows, width - 2) if width else aligned(rows)
    table += [f"{gone[:40]}  removed" for gone in entry.removed]
    return [title, *(f"  {line}" for line in table)]


def _fitting(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """The table; on a narrow terminal with the day alone, then without what says least."""
    day, shown = COLUMNS.index("CREATED"), list(range(len(COLUMNS)))
    table = aligned(rows)
    for dropped in (None, "VERSION", "OWN", "CREATED"):
        if max(map(len, table)) <= width:
            break
        rows = [(*row[:day], row[day][: len("2026-11-23")], *row[day + 1 :]) for row in rows]
        shown = [column for column in shown if COLUMNS[column] != dropped]
        table = aligned([tuple(row[column] for column in shown) for row in rows])
    return table


def sealed_text(sealed: SignedStatement) -> str:
    """What was signed, and how often."""
    said = sealed.statement
    until = f", expires {said.expires}" if said.expires else ""
    count = f"{len(sealed.signatures)} signature{'s' if len(sealed.signatures) > 1 else ''}"
    return f"job {said.job}, sequence {said.sequence}, {said.time}{until}, {count}"


def extracted_text(done: Extracted) -> str:
    """One line: what is where."""
    what = "blobs" if done.form == "oci-archive" else "files"
    digest = "" if done.reference == done.digest else f", {done.digest}"
    return f"{done.path}: {done.reference}{digest}, {done.items} {what}, {size_text(done.size)}"


def signed_lines(signed: Iterable[SignedReport]) -> list[str]:
    """A line for each who signed modules; one for the signatures of which nobody knows."""
    every = tuple(signed)
    counts = Counter(who for one in every for who in one.by)
    unchecked = sum(one.unchecked for one in every)
    lines = [f"{count} signed by {who}" for who, count in counts.items()]
    return [*lines, *([f"{unchecked} keyless besides, not checked"] if unchecked else [])]


def signed_text(said: StatementReport) -> str:
    """What a bundle says of itself, and whether anybody has proven that."""
    text = f"job {said.job}, sequence {said.sequence}, {said.time}"
    text += f", expires {said.expires}" if said.expires else ""
    if said.signers:
        return f"{text}, signed by " + ", ".join(
            f"{signer.principal} ({signer.key})" for signer in said.signers
        )
    return f"{text}, signed, not proven, by {', '.join(said.keys)}"
