"""The base of a delta, for the commands that write a bundle again or prove it: bundles, or a registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bundler import Bundle, open_bundle
from bundler.bundle.reader import refuse_unused_folders
from bundler.bundle.wire import FrameCache
from bundler.cli.setup.registry_access import registries
from bundler.cli.terminal.progress_bars import display
from bundler.config.run_options import BaseOptions, RegistryOptions
from bundler.deltas.base_blobs import BaseRegistry
from bundler.errors import UsageError
from bundler.session import Session


class OpenedBundle(NamedTuple):
    """A bundle with what it may read of its base."""

    bundle: Bundle
    beside: tuple[Bundle, ...]
    registry: BaseRegistry | None
    session: Session


@contextmanager
def opened_with_base(
    path: Path,
    base: BaseOptions,
    access: RegistryOptions,
    volumes_in: Sequence[Path],
    *,
    quiet: bool,
) -> Iterator[OpenedBundle]:
    """Open a bundle and its base. Raises UsageError for the base of a full bundle."""
    progress, prefix = display(quiet=quiet), base.base_from
    session = Session(progress=progress)
    if prefix:
        session = Session(
            registries(access, progress, [prefix.registry]), jobs=access.jobs, progress=progress
        )
    with ExitStack() as stack:
        frames = FrameCache()
        bundle = stack.enter_context(open_bundle(path, volumes_in=volumes_in, frames=frames))
        beside = open_beside(base.beside, bundle, volumes_in, stack, flags="--with or --from", more=prefix)
        refuse_unused_folders(volumes_in, bundle, *beside)
        yield OpenedBundle(bundle, beside, BaseRegistry(prefix) if prefix else None, session)


def open_beside(
    paths: Sequence[Path],
    bundle: Bundle,
    volumes_in: Sequence[Path],
    stack: ExitStack,
    *,
    flags: str = "--with",
    more: object = None,
) -> tuple[Bundle, ...]:
    """Open the bundles that a delta builds on. Raises UsageError where any are named for a full bundle."""
    if (paths or more) and bundle.inventory.kind == "full":
        raise UsageError(flags, f"{bundle.path} is a full bundle, which has no base", "leave it out")
    frames = FrameCache()
    opened = (open_bundle(path, volumes_in=volumes_in, frames=frames) for path in paths)
    return tuple(stack.enter_context(other) for other in opened)
