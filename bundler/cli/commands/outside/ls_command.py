"""`timoni-bundler ls`."""

import sys
from typing import Annotated

import click

from bundler import Session, list_tags, parse_reference
from bundler.cli.declared_command import declared
from bundler.cli.setup.registry_access import registries
from bundler.cli.terminal import bundle_text, outcome, progress_bars
from bundler.config.option import Argument, Circumstances, Option
from bundler.config.run_options import Quiet, RegistryOptions
from bundler.oci import DEFAULT_REGISTRY, RepositoryName
from bundler.reporting.json_report import document


def _repository(text: str, at: Circumstances) -> RepositoryName:
    """Read `[HOST/]REPOSITORY`. Raises ValueError, UsageError."""
    reference = parse_reference(text, at.default_registry or DEFAULT_REGISTRY)
    if reference.tag or reference.digest:
        raise ValueError("all tags are listed, and one is named")
    return reference.repository


@declared("ls")
def command(
    repository: Annotated[RepositoryName, Argument("[HOST/]REPOSITORY", read=_repository)],
    *,
    digests: Annotated[
        bool,
        Option(
            "--digests", "-d",
            help="Also show digest, version and creation time: one request per tag. Default: only names.",
        ),
    ] = False,
    as_json: Annotated[
        bool, Option("--json", help="Print the result as JSON (`timoni-bundler schema repository-tags`).")
    ] = False,
    quiet: Quiet = False,
    registry: RegistryOptions,
) -> int:  # fmt: skip
    """Show the tags of a repository: versions in their order, then other tags by name.

    \b
    timoni-bundler ls ghcr.io/stefanprodan/modules/podinfo
    timoni-bundler ls ghcr.io/stefanprodan/modules/podinfo --digests
    """
    progress = progress_bars.display(quiet=quiet)
    reachable = registries(registry, progress, [repository.registry])
    listed = list_tags(repository, Session(reachable, jobs=registry.jobs, progress=progress), digests=digests)
    if as_json:
        outcome.print_document(document(listed), sys.stdout)
    elif listed.tags:
        click.echo(bundle_text.tags_text(listed, digests=digests))
    return outcome.print_failures(listed.failures, listed.exit_code)
