"""`timoni-bundler report`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from bundler import Bundle, open_bundle, page_of, render_page, verify_bundle
from bundler.bundle.sealing import sidecar_of
from bundler.cli.options.trust_options import complete, gate_of, gathered_trust, trust_options
from bundler.cli.options.volume_options import more_volumes
from bundler.cli.terminal.display import display
from bundler.cli.terminal.help_layout import Command
from bundler.errors import NotFoundError
from bundler.page.page_file import check_place, write_page
from bundler.page.values import LabelledFact, PageContents, Proof
from bundler.reporting.json_report import StatementReport
from bundler.reporting.progress import Progress, counted, size_text
from bundler.session import Session
from bundler.volumes.volume_sets import names_lost_volume

STDOUT = "-"


@click.command("report", cls=Command)
@click.argument("bundle", metavar="BUNDLE|VOLUME|DIR", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    "out",
    metavar="FILE.html",
    required=True,
    type=click.Path(allow_dash=True),
    help="The page; `-` is standard output.",
)
@click.option(
    "--since",
    metavar="OLD",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also tell what changed since this bundle or directory. Repeatable.",
)
@more_volumes
@click.option("--title", metavar="TEXT", default="", help="What stands on top, instead of the file's name.")
@click.option("--no-verify", is_flag=True, help="Don't check every byte first; the page says so.")
@click.option("--force", is_flag=True, help="Replace a file that is no report page.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the result and errors.")
@trust_options
def command(
    bundle: Path,
    *,
    out: str,
    since: tuple[Path, ...],
    volumes_in: tuple[Path, ...],
    title: str,
    no_verify: bool,
    force: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Write a report page: what a bundle holds, for the person who signs its transfer.

    One HTML file without scripts and without network, for a browser and for paper: which file it is,
    what to look at before signing, repositories, tags, where they come from, which have signatures,
    SBOMs and attestations, container images, sizes, and what changed. Every byte is checked first. That
    signatures go along is told, not that they are valid; the file's own is checked by --allowed-signers.

    The same bundle gives the same page: there is no date of today on it. An older page is replaced;
    any other file only with --force.

    \b
    timoni-bundler report monday.tar.zst -o report.html --since sunday.tar.zst
    """
    if out != STDOUT:
        check_place(Path(out), (bundle, *since), force=force)
    trust, progress = complete(gathered_trust(options)), display(quiet=quiet)
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(gate_of(trust))
        opened = stack.enter_context(open_bundle(bundle, judge=gate, volumes_in=volumes_in))
        # Opened after the long work only, as an inventory takes memory; a wrong name is told before.
        for path in since:
            if not path.exists() and not names_lost_volume(path):
                raise NotFoundError(str(path), "not there", "check the path")
        proof = Proof(every_byte=False, sidecar=False) if no_verify else proven(opened, progress)
        older = [stack.enter_context(open_bundle(path, volumes_in=volumes_in)) for path in since]
        said = gate.told if gate else opened.sealed.told() if opened.sealed else None
        origin, claimed = signature_of(said)
        page = page_of(
            opened, proof, since=older, title=title, origin=origin, claimed=claimed, progress=progress
        )
    return told(page, render_page(page), out)


def signature_of(said: StatementReport | None) -> tuple[list[LabelledFact], list[LabelledFact]]:
    """What the page tells of the signature on the file itself: what is proven, and what is only claimed."""
    if said is None:
        return [], []
    facts = [
        LabelledFact("Job and number", f"{said.job}, {said.sequence}"),
        LabelledFact("Signed at", said.time),
    ]
    facts += [LabelledFact("Expires", said.expires)] if said.expires else []
    if not said.signers:
        return [], [LabelledFact("Signed, not checked, by", ", ".join(said.keys)), *facts]
    by = [LabelledFact("Signed by", f"{signer.principal} ({signer.key})") for signer in said.signers]
    return [*by, *facts], []


def proven(bundle: Bundle, progress: Progress) -> Proof:
    """Check every byte. Raises what `verify` raises."""
    verify_bundle(bundle, Session(progress=progress))
    # What volumes say of the whole was compared as they were read.
    beside = bundle.volumes > 0 or sidecar_of(bundle.path).is_file()
    return Proof(every_byte=True, sidecar=bundle.sha256 is not None and beside)


def told(page: PageContents, text: str, out: str) -> int:
    """Write the page, and a line that says so; the result is the exit code."""
    if out == STDOUT:
        click.echo(text.encode(), nl=False)
        return 0
    write_page(Path(out), text)
    tags = sum(len(entry.tags) for entry in page.repositories)
    click.echo(
        f"{out}: a page of {size_text(len(text.encode()))}, {counted(tags, 'tag')}, bundle {page.file.id}"
    )
    return 0
