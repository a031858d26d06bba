"""A bundle written again in its other form: compact, or portable. The content stays, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.bundle_output import BundleOutput, SourceOnBase
from bundler.bundle.reader import Bundle
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.deltas.merge import written_report
from bundler.errors import UsageError
from bundler.exporter.output.outputs import output_to
from bundler.folders import check_disk
from bundler.oci import Digest
from bundler.reporting.json_report import Report
from bundler.session import Session
from bundler.trust.bundle_signing import refuse_lower
from bundler.trust.statement import SignedStatement, Statement

if TYPE_CHECKING:
    from bundler.bundle.compacted.base_index import BaseLayers


class SameStatement(NamedTuple):
    """The statement that a bundle had: its signatures speak of the id, which stays. A StatementSource."""

    signed_statement: SignedStatement

    def seal(self, bundle: Digest, replaced: Statement | None = None) -> SignedStatement:
        """Return it; it speaks of `bundle`, as reading it has proven."""
        return self.signed_statement

    def follow(self, replaced: Statement) -> None:
        """Raise TrustError if its number is lower than that of the same job which it would replace."""
        refuse_lower(replaced, self.signed_statement.statement.job, self.signed_statement.statement.sequence)

    def resumes(self, signed: SignedStatement | None, replaced: Statement | None) -> bool:
        """Return True for this very statement."""
        return self.stands_in(signed)

    def stands_in(self, signed: SignedStatement | None) -> bool:
        """Return True if a bundle has this very statement and these signatures."""
        return signed == self.signed_statement


def convert_bundle(
    command: str,
    bundle: Bundle,
    out: Path,
    session: Session,
    *,
    compact: int | None,
    force: bool = False,
    scratch: Path | None = None,
    beside: Sequence[Bundle] = (),
    registry: BaseRegistry | None = None,
) -> Report:
    """Write a bundle into `out`, compact at a zstd level or portable; every blob is verified on the way.

    Id, inventory and signatures stay. `scratch` is a folder for temporary files, for a compact bundle that
    goes into a pipe. The base of a delta is in the bundles `beside`, or in `registry`: a portable delta is
    compacted against it, and a compact one reads it. Returns the report of `command`.

    Raises: UsageError for a name that says another form or would lose what it holds, NotFoundError for a
    compact delta whose base is not there, and what the bundle's content raises.
    """
    signing = SameStatement(bundle.signed_statement) if bundle.signed_statement else None
    output: BundleOutput = output_to(
        str(out), force=force, signing=signing, compact=compact, scratch=scratch, limits=session.limits
    )
    if output.is_store:
        raise UsageError(output.name, "the result is a file", "use a name that ends in .tar.zst")
    output.check()
    existing = output.unchanged(bundle.inventory, session.progress)
    if existing:
        output.confirm(existing)
    elif needed := output.need(bundle.inventory):
        check_disk([needed])
    if not existing:
        provide_base(bundle, session, beside=beside, registry=registry)

    def layers() -> BaseLayers | None:
        from bundler.exporter.output.old_content import layers_below

        return layers_below(bundle, session, beside, registry)

    source = SourceOnBase(bundle, layers)
    written = existing or output.write(bundle.inventory, source, session.progress)
    return written_report(command, bundle.inventory, written, unchanged=existing is not None)
