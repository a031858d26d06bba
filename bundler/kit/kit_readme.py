"""README.txt of a kit: the bundles in the order of import, and three steps for this very content. No I/O."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bundler.about import PROGRAM, VERSION
from bundler.bundle.inventory import Inventory
from bundler.kit.kit_names import PortableArchive, common_name
from bundler.oci import Digest
from bundler.reporting.progress import counted, size_text

README, SUMS, SIGNERS = "README.txt", "SHA256SUMS", "allowed_signers"

ANY_TARGET = "oci://REGISTRY/PREFIX"


class KitBundle(NamedTuple):
    """One bundle of a kit; of its inventory, what other bundles and people need to know."""

    id: Digest
    kind: str
    """`full` or `delta`."""
    base: tuple[Digest, ...]
    states: tuple[Digest | None, Digest | None]
    """In a delta: IDs of the full bundles that it makes, and that its bases make."""
    tags: int
    """Number of tags, and of manifests taken by digest."""
    files: tuple[str, ...] = ()
    """Every file that holds a part of it, parity volumes included; an import names the first."""

    def builds_on(self, other: KitBundle) -> bool:
        """Return True if the other bundle must be imported before this one."""
        state, base_state = other.states[0], self.states[1]
        return other.id in self.base or (base_state is not None and base_state in (other.id, state))


def kit_bundle(id_: Digest, inventory: Inventory) -> KitBundle:
    """Return what a kit says of a bundle with this inventory; its files are not known yet."""
    tags = sum(len(entry.tags) + len(entry.untagged) for entry in inventory.repositories)
    states = inventory.state, inventory.base_state
    return KitBundle(id_, inventory.kind, inventory.base, states, tags)


def in_order(bundles: Sequence[KitBundle]) -> tuple[KitBundle, ...]:
    """Return the bundles, each behind those that it builds on; apart from that, the order is kept."""
    waiting = list(bundles)
    ordered: list[KitBundle] = []
    while waiting:
        # What bundles say of their states are claims: a ring of them is taken as it is named.
        free = (bundle for bundle in waiting if not any(map(bundle.builds_on, waiting)))
        ordered.append(next(free, waiting[0]))
        waiting.remove(ordered[-1])
    return tuple(ordered)


def bases_elsewhere(bundle: KitBundle, bundles: Sequence[KitBundle]) -> tuple[Digest, ...]:
    """Return the IDs of the bundles that a delta builds on and that are not in the kit."""
    below = [other for other in bundles if bundle.builds_on(other)]
    if bundle.states[1] in {id_ for other in below for id_ in (other.id, other.states[0]) if id_}:
        return ()
    held = {other.id for other in below}
    return tuple(base for base in bundle.base if base not in held)


class KitContents(NamedTuple):
    """Everything that README.txt speaks of."""

    bundles: tuple[KitBundle, ...]
    """In the order of import."""
    archives: tuple[PortableArchive, ...]
    has_signers: bool
    target: str | None
    """`oci://HOST/PREFIX`; None if it is not known outside."""
    size: int
    """Bytes of all files of the content."""


def readme(kit: KitContents) -> str:
    """Return the text."""
    return "\n".join([*_head(kit), *_check(), *_unpack(kit), *_import(kit), *_notes(kit)]) + "\n"


def _head(kit: KitContents) -> Iterator[str]:
    tags = sum(bundle.tags for bundle in kit.bundles)
    parts = f"{counted(len(kit.bundles), 'bundle')} with {counted(tags, 'tag')}, {size_text(kit.size)}"
    yield f"A kit of {PROGRAM}: {parts}"
    yield ""
    yield "Open a shell in this folder, and follow the three steps."


def _check() -> Iterator[str]:
    yield from _step("1. Check that everything has arrived as it was sent; every line must end with OK")
    yield _command(f"sha256sum -c {SUMS}")


def _unpack(kit: KitContents) -> Iterator[str]:
    if not kit.archives:
        yield from _step(f"2. The program is not in this kit. Check that {PROGRAM} is installed here")
        yield _command(f"{PROGRAM} --version")
        return
    yield from _step("2. Unpack the program, here into your home directory; it needs neither Python nor root")
    yield _command(f'tar -xJf {common_name(kit.archives)}.tar.xz -C "$HOME"')


def _import(kit: KitContents) -> Iterator[str]:
    what = "Import, in this order" if len(kit.bundles) > 1 else "Import"
    yield from _step(f"3. {what}{'' if kit.target else f'; replace {ANY_TARGET} by your registry'}")
    program = f'"$HOME"/{common_name(kit.archives)}/{PROGRAM}' if kit.archives else PROGRAM
    signers = f" --allowed-signers {SIGNERS}" if kit.has_signers else ""
    registry = (kit.target or ANY_TARGET).removeprefix("oci://").partition("/")[0]
    yield from (f"If the registry requires a login, run this first: {program} login {registry}", "")
    for bundle in kit.bundles:
        yield _command(f"{program} import {quoted(bundle.files[0])} --to {kit.target or ANY_TARGET}{signers}")


def _notes(kit: KitContents) -> Iterator[str]:
    yield from ("", "", "What is in it", "")
    for bundle in kit.bundles:
        yield from _about(bundle, kit.bundles)
    if kit.has_signers:
        yield ""
        yield f"{SIGNERS} says whose signatures count. Compare it with a copy that did not come with"
        yield "this kit: whoever exchanges the bundles can exchange this file too."
    yield ""
    yield f"Made by {PROGRAM} {VERSION}."


def _about(bundle: KitBundle, bundles: Sequence[KitBundle]) -> Iterator[str]:
    kind = "what is new" if bundle.kind == "delta" else "everything"
    volumes = f", in {counted(len(bundle.files), 'file')}" if len(bundle.files) > 1 else ""
    yield f"{bundle.files[0]}: {kind}, {counted(bundle.tags, 'tag')}{volumes}, ID {bundle.id}"
    for other in bundles:
        if bundle.builds_on(other):
            yield f"  builds on {other.files[0]} of this kit"
    for base in bases_elsewhere(bundle, bundles):
        yield f"  builds on the bundle {base}, which is NOT in this kit:"
        yield "  it must have been imported before"


def quoted(name: str) -> str:
    """Return a file name as a shell takes it, also one that looks like an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _step(title: str) -> tuple[str, ...]:
    return ("", "", f"{title}:", "")


def _command(line: str) -> str:
    return f"    {line}"
