"""A bundle written again in its other form: compact, or portable. The content stays, byte for byte."""

from pathlib import Path
from typing import NamedTuple

from bundler.about import VERSION
from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import roots_of
from bundler.bundle.reader import Bundle
from bundler.exporter.output.outputs import output_to
from bundler.folders import check_disk
from bundler.oci.content import Digest
from bundler.oci.reference import RepositoryName
from bundler.reporting.json_report import Report, RepositoryReport, TagReport
from bundler.session import Session
from bundler.trust.statement import SignedStatement


class SameStatement(NamedTuple):
    """The statement that a bundle had: its signatures speak of the id, which stays. A StatementSource."""

    sealed: SignedStatement

    def seal(self, bundle: Digest) -> SignedStatement:
        """Return it; it speaks of `bundle`, as reading it has proven."""
        return self.sealed

    def stands_in(self, sealed: SignedStatement | None) -> bool:
        """Return True if a bundle has this very statement and these signatures."""
        return sealed == self.sealed


def convert_bundle(
    command: str, bundle: Bundle, out: Path, session: Session, *, compact: int | None, force: bool = False
) -> Report:
    """Write a bundle into `out`, compact at a zstd level or portable; every blob is verified on the way.

    Id, inventory and signatures stay. Returns the report of `command`.

    Raises: UsageError for a name that says another form or would lose what it holds, and what the
    bundle's content raises.
    """
    signing = SameStatement(bundle.sealed) if bundle.sealed else None
    output: BundleOutput = output_to(
        str(out), force=force, signing=signing, compact=compact, limits=session.limits
    )
    output.check()
    existing = output.unchanged(bundle.inventory, session.progress)
    if existing:
        output.confirm(existing)
    elif needed := output.need(bundle.inventory):
        check_disk([needed])
    written = existing or output.write(bundle.inventory, bundle, session.progress)
    tags: dict[RepositoryName, list[TagReport]] = {}
    for root in roots_of(bundle.inventory):
        carried = TagReport(root.tag or root.digest, "exported", root.digest)
        tags.setdefault(root.repository, []).append(carried)
    repositories = tuple(RepositoryReport(name, tuple(own)) for name, own in tags.items())
    return Report(command, VERSION, repositories, (), written, unchanged=existing is not None)
