"""`timoni-bundler report`."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import click

from bundler import Bundle, Session, open_bundle, page_of, render_page, verify_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.bundle.sealing import sidecar_of
from bundler.cli.declared_command import declared
from bundler.cli.setup.trusted_signers import TrustOptions, complete, verifier_of
from bundler.cli.terminal import bundle_text, progress_bars
from bundler.config.import_options import SignatureOptions
from bundler.config.option import Option
from bundler.config.run_options import BundleArgument, Quiet, SetOptions
from bundler.deltas.base_blobs import provide_base
from bundler.errors import NotFoundError
from bundler.page.page_file import check_place, write_page
from bundler.page.values import LabelledFact, PageContents, Proof
from bundler.reporting.json_report import StatementReport
from bundler.volumes.volume_sets import names_lost_volume

STDOUT = "-"


class PageOptions(NamedTuple):
    """Options of the page."""

    out: Annotated[
        str,
        Option(
            "--output",
            "-o",
            metavar="FILE.html",
            path=True,
            help="Write the page here; `-` is standard output.",
        ),
    ]
    since: Annotated[
        tuple[Path, ...],
        Option(
            "--since", metavar="OLD", help="Show what changed since this bundle or directory. Repeatable."
        ),
    ] = ()
    title: Annotated[
        str, Option("--title", metavar="TEXT", help="Title of the page. Default: the file's name.")
    ] = ""
    no_verify: Annotated[
        bool, Option("--no-verify", help="Don't check every byte first; the page says so.")
    ] = False
    force: Annotated[bool, Option("--force", help="Replace a file even if it is not a report page.")] = False


@declared("report")
def command(
    bundle: BundleArgument,
    volumes: SetOptions,
    *,
    options: PageOptions,
    quiet: Quiet = False,
    signatures: SignatureOptions,
) -> int:
    """Write a page about a bundle for the person who approves its transfer.

    It is one HTML file without scripts, for a browser and for paper: which file it is, what to look at
    before signing, repositories, tags and where they come from, signatures, SBOMs and attestations,
    container images, sizes, and what changed. Every byte is checked first. The page shows which modules
    have signatures, not whether these are valid; --allowed-signers checks the bundle's own.

    The same bundle gives the same page, because it does not contain today's date. An older page is
    replaced; any other file only with --force.

    \b
    timoni-bundler report monday.tar.zst -o report.html --since sunday.tar.zst
    """
    if options.out != STDOUT:
        check_place(Path(options.out), (bundle, *options.since), force=options.force)
    trust, session = complete(TrustOptions(*signatures)), Session(progress=progress_bars.display(quiet=quiet))
    verifier = verifier_of(trust, session.clock())
    with open_bundle(bundle, verifier=verifier, volumes_in=volumes.volumes_in) as opened:
        page = _page(opened, options, volumes.volumes_in, session)
    return _write(page, render_page(page), options.out)


def _page(bundle: Bundle, options: PageOptions, volumes_in: Sequence[Path], session: Session) -> PageContents:
    """Check the bundle, open the older ones, and gather what the page shows."""
    if not options.since:
        refuse_unused_folders(volumes_in, bundle)
    # Opened after the long work only, as an inventory takes memory; a wrong name is told before.
    for path in options.since:
        if not path.exists() and not names_lost_volume(path):
            raise NotFoundError(str(path), "not there", "check the path")
    unchecked = Proof(every_byte=False, sidecar=False)
    proof = unchecked if options.no_verify else proven(bundle, session, options.since, volumes_in)
    origin, claimed = signature_of(
        bundle.proven or (bundle.signed_statement.report() if bundle.signed_statement else None)
    )
    with contextlib.ExitStack() as stack:
        older = [stack.enter_context(open_bundle(path, volumes_in=volumes_in)) for path in options.since]
        refuse_unused_folders(volumes_in, bundle, *older)
        return page_of(
            bundle, proof, session, since=older, title=options.title, origin=origin, claimed=claimed
        )


def signature_of(statement: StatementReport | None) -> tuple[list[LabelledFact], list[LabelledFact]]:
    """Return the facts about the signature on the file itself: the proven, and the only claimed ones."""
    if statement is None:
        return [], []
    facts = [
        LabelledFact("Job and number", f"{statement.job}, {statement.sequence}"),
        LabelledFact("Signed at", statement.time),
    ]
    facts += [LabelledFact("Expires", statement.expires)] if statement.expires else []
    if not statement.signers:
        return [], [LabelledFact("Signed, not checked, by", ", ".join(statement.keys)), *facts]
    by = [LabelledFact("Signed by", f"{signer.principal} ({signer.key})") for signer in statement.signers]
    return [*by, *facts], []


def proven(
    bundle: Bundle, session: Session, since: Sequence[Path] = (), volumes_in: Sequence[Path] = ()
) -> Proof:
    """Check every byte; a compact delta reads its base in the older bundles. Raises what `verify` raises."""
    with contextlib.ExitStack() as stack:
        if bundle.is_compact and since:
            older = [stack.enter_context(open_bundle(path, volumes_in=volumes_in)) for path in since]
            provide_base(bundle, session, beside=older)
    verified = verify_bundle(bundle, session)
    # What volumes say of the whole was compared as they were read.
    beside = bundle.volumes > 0 or sidecar_of(bundle.path).is_file()
    return Proof(
        every_byte=not verified.unproven,
        sidecar=bundle.sha256 is not None and beside,
        unproven=verified.unproven,
    )


def _write(page: PageContents, text: str, out: str) -> int:
    """Write the page, and a line that says so; the result is the exit code."""
    if out == STDOUT:
        click.echo(text.encode(), nl=False)
        return 0
    write_page(Path(out), text)
    click.echo(bundle_text.page_text(out, page, len(text.encode())))
    return 0
