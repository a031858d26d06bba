"""The demo: the complete process on one machine, between two embedded registries."""

import contextlib
import io
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.durable import make_directories, remove_if_there
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.layout import LAYOUT_FILE
from bundler.oci import RepositoryName, Tag, shortened
from bundler.registry.registries import Registries
from bundler.registry.target_repository import TargetRepository
from bundler.selection.semver import version_order
from bundler.server.listener import RegistryServer
from bundler.server.writable import writable
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.timoni.module import PackedModule, pack_module

Say = Callable[[str], None]

Run = Callable[[Sequence[str]], int]
"""A function that carries out a command line of the program in this process, and returns its exit code."""

FIRST_VERSION = "1.0.0"

BUNDLE = "modules.tar.zst"

LATEST = Tag("latest")


class Pair(NamedTuple):
    """A module's repository on both sides, and its tags."""

    outside: RepositoryName
    inside: RepositoryName
    tags: tuple[Tag, ...]


def run_demo(directory: Path, say: Say, run: Run, program: str = PROGRAM) -> Path:
    """Publish example modules, carry them across in a bundle, prove that they arrived; return its path.

    Everything is written below `directory`, and replaces what an earlier demo left there. `run` carries out
    the commands; `program` is the name by which they are called here. Raises: BundlerError if one fails.
    """
    bundle = directory / BUNDLE
    _clear(directory)
    with _registry(directory / "outside") as outside, _registry(directory / "inside") as inside:
        say(f"# Outside: a registry at {outside}. These versions of the example modules are published there:")
        pairs = [_publish(module, outside, inside, say) for module in _modules()]
        say("\n# Export all of them into one file:")
        _command(say, run, "export", *(pair.outside for pair in pairs), "-o", str(bundle))
        say("\n# The file has been carried inside. Is it complete, and what is in it?")
        _command(say, run, "verify", str(bundle))
        _command(say, run, "inspect", str(bundle))
        say(f"\n# Inside: another registry at {inside}. Import everything below mirror/:")
        _command(say, run, "import", str(bundle), "--to", f"oci://{inside}/mirror")
        say("\n# Compare every tag in both registries:")
        count = _proof(pairs, say)
    say(f"{count} of {count} tags have the same digest outside and inside.")
    say(f"The bundle is {bundle}: look at it with `{program} inspect {shlex.quote(str(bundle))}`.")
    return bundle


# --- the registries ----------------------------------------------------------------------------------


def _clear(directory: Path) -> None:
    make_directories(directory)
    for name in (BUNDLE, f"{BUNDLE}.sha256"):
        remove_if_there(directory / name)
    for name in ("outside", "inside"):
        # Only a registry's directory is removed: anything else is refused when it is opened.
        if (directory / name / LAYOUT_FILE).exists():
            with Store(directory / name) as store:
                store.remove()


@contextlib.contextmanager
def _registry(directory: Path) -> Iterator[str]:
    with writable(directory, Session()) as content, RegistryServer(content) as server:
        yield server.address


def _proof(pairs: list[Pair], say: Say) -> int:
    """Compare every tag on both sides, say a line for each, and return their number."""
    registries = Registries()
    asked = [(outside, inside, tag) for outside, inside, tags in pairs for tag in tags]
    for outside, inside, tag in asked:
        expected = registries.target(outside).digest_of(tag)
        seen = registries.target(inside).digest_of(tag)
        if expected is None or seen != expected:
            raise IntegrityError(f"{inside}:{tag}", f"the tag points to {seen} instead of {expected}")
        name = f"{outside.path.rpartition('/')[2]}:{tag}"
        say(f"{name:<20}  outside {shortened(expected)}  inside {shortened(seen)}")
    return len(asked)


def _command(say: Say, run: Run, *arguments: str) -> None:
    say(f"$ {shlex.join([PROGRAM, *arguments])}")
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = run(arguments)
    finally:
        for line in output.getvalue().splitlines():
            say(line)
    if code:
        raise BundlerError(f"{PROGRAM} {arguments[0]}", f"ended with exit code {code}")


# --- the modules -------------------------------------------------------------------------------------


class Module(NamedTuple):
    """An example module: the files of each version, in version order."""

    name: str
    versions: Mapping[str, Mapping[str, bytes]]


def _modules() -> Iterator[Module]:
    """Yield the example modules of the package, or of the checkout."""
    shipped: Traversable = files("bundler") / "example_modules"
    here = shipped if shipped.is_dir() else Path(__file__).parents[1] / "examples" / "modules"
    if not here.is_dir():
        raise NotFoundError(str(here), "the example modules are missing", "install the package again")
    schemas = dict(_tree(here / "schemas"))
    folders = [folder for folder in here.iterdir() if (folder / "base").is_dir()]
    for folder in sorted(folders, key=lambda folder: folder.name):
        yield Module(folder.name, _versions(folder, schemas))


def _versions(folder: Traversable, schemas: Mapping[str, bytes]) -> dict[str, Mapping[str, bytes]]:
    """Lay `base` over the schemas that all modules share, and each change over the version before it."""
    current = {**schemas, **dict(_tree(folder / "base"))}
    versions: dict[str, Mapping[str, bytes]] = {FIRST_VERSION: current}
    changes = folder / "changes"
    names = [change.name for change in changes.iterdir()] if changes.is_dir() else []
    for version in sorted(names, key=version_order):
        current = {**current, **dict(_tree(changes / version))}
        versions[version] = current
    return versions


def _tree(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _tree(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _publish(module: Module, outside: str, inside: str, say: Say) -> Pair:
    path = f"demo/modules/{module.name}"
    pair = Pair(
        RepositoryName.parse(f"{outside}/{path}"),
        RepositoryName.parse(f"{inside}/mirror/{path}"),
        (*map(Tag.parse, module.versions), LATEST),
    )
    target = Registries().target(pair.outside)
    for month, (version, content) in enumerate(module.versions.items(), start=1):
        created = f"2026-{month:02}-01T08:00:00Z"
        source = f"https://example.com/{path}"
        packed = pack_module(content, version=version, created=created, source=source, revision=f"v{version}")
        _push(target, packed, Tag(version))
    _push(target, packed, LATEST)
    say(f"{pair.outside}: {', '.join(pair.tags)}")
    return pair


def _push(target: TargetRepository, packed: PackedModule, tag: Tag) -> None:
    for blob, data in packed.blobs.items():
        if not target.has(blob):
            target.add(blob, lambda offset, data=data: [data[offset:]])  # type: ignore[misc]
    target.put_manifest(packed.manifest, tag)
