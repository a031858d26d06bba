"""Bundles written again in their other form, and the base of a delta that is written or proven."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import bundler
from bundler import Bundle, FrameCache, Session, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.cli.input_files import scratch_folder
from bundler.cli.setup.report_file import check_report
from bundler.cli.terminal import outcome, progress_bars, summaries
from bundler.config.run_options import BaseOptions, RegistryOptions, RewriteOptions
from bundler.deltas.base_blobs import BaseRegistry
from bundler.errors import BundlerError, UsageError
from bundler.oci import Prefix


def rewritten(command: str, path: Path, out: Path, options: RewriteOptions, *, compact: int | None) -> int:
    """Write a bundle again, compact at a zstd level or portable; return the exit code of the command."""
    report, summary = None, ""
    base, quiet = options.base, options.printed.quiet
    try:
        creds_file = options.registry.reach.creds_file
        check_report(options.reported.report, str(out), path, *base.beside, creds_file)
        report = options.reported.report
        session = _session(base, options.registry, quiet=quiet)
        volumes_in = options.volumes.volumes_in
        with ExitStack() as stack:
            bundle = stack.enter_context(open_bundle(path, volumes_in=volumes_in))
            beside = open_beside(base.beside, bundle, volumes_in, stack, registry=base.base_from)
            refuse_unused_folders(volumes_in, bundle, *beside)
            done = bundler.convert_bundle(
                command,
                bundle,
                out,
                session,
                compact=compact,
                force=options.force,
                scratch=scratch_folder() if str(out) == "-" else None,
                beside=beside,
                registry=BaseRegistry(base.base_from) if base.base_from else None,
            )
            summary = summaries.export_summary(done)
    except BundlerError as error:
        done = outcome.failed_report(command, error)
    stream = sys.stderr if str(out) == "-" else sys.stdout
    return outcome.conclude(
        done, summary=summary, file=report, as_json=options.printed.as_json, stream=stream
    )


def _session(base: BaseOptions, access: RegistryOptions, *, quiet: bool) -> Session:
    progress, prefix = progress_bars.display(quiet=quiet), base.base_from
    if prefix is None:
        return Session(progress=progress)
    from bundler.cli.setup.registry_access import registries

    return Session(registries(access, progress, [prefix.registry]), jobs=access.jobs, progress=progress)


def open_beside(
    paths: Sequence[Path],
    bundle: Bundle,
    volumes_in: Sequence[Path],
    stack: ExitStack,
    *,
    registry: Prefix | None = None,
) -> tuple[Bundle, ...]:
    """Open the bundles that a delta builds on. Raises UsageError where a base is named for a full bundle."""
    if (paths or registry) and bundle.inventory.kind == "full":
        flag = "--with" if paths else "--from"
        raise UsageError(flag, f"{bundle.path} is a full bundle, which has no base", "leave it out")
    frames = FrameCache()
    opened = (open_bundle(path, volumes_in=volumes_in, frames=frames) for path in paths)
    return tuple(stack.enter_context(other) for other in opened)
