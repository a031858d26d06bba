"""The container images that the modules of a bundle run, and which of them are in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from bundler.bundle.inventory import RepositoryEntry, Root
from bundler.bundle.reader import Bundle
from bundler.errors import ContentError, UsageError, printable
from bundler.limits import Limits
from bundler.oci.content import Descriptor, Digest, read_all
from bundler.oci.graph import Manifests
from bundler.oci.manifest import TIMONI_CONTENT_TYPE, Manifest
from bundler.oci.reference import RepositoryName
from bundler.page.contents import ImageRow, ImagesPart, ImageState, Namer, UnknownImage
from bundler.progress import Progress
from bundler.timoni.image_names import image_reference
from bundler.timoni.images import ANNOTATION, ModuleImages, images_of
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.module import CONFIG_TYPE
from bundler.timoni.places import Unreadable

_LONGEST = 300
"""Characters of an image's name that are shown."""


def is_module(manifest: Manifest) -> bool:
    """Whether it is a version of a Timoni module."""
    return manifest.config is not None and manifest.config.blob.media_type == CONFIG_TYPE


def images_part(
    roots: Iterable[Root], manifests: Manifests, bundle: Bundle, progress: Progress, limits: Limits
) -> ImagesPart:
    """What these tags name, in the order of versions, and whether the bundle has it."""
    modules = [root for root in roots if is_module(manifests[root.digest])]
    read = _Layers(bundle, limits)
    namers: dict[str, list[Root]] = defaultdict(list)
    unknown: Counter[tuple[str, str]] = Counter()
    with progress.step("module images", len(modules)) as step:
        for root in modules:
            found = read.images(manifests[root.digest])
            for reference in found.references:
                namers[reference].append(root)
            unknown.update({(place.place, f"{place.what}: {place.reason}"): 1 for place in found.unknown})
            step.advance(items=1)
    carried = {entry.name: entry for entry in bundle.inventory.repositories}
    rows = (_row(reference, named, carried) for reference, named in sorted(namers.items()))
    told = (
        UnknownImage(printable(place), printable(reason), count) for (place, reason), count in unknown.items()
    )
    return ImagesPart(len(modules), tuple(rows), tuple(told))


class _Layers:
    """Reads each module layer once, and only where the manifest doesn't name the images."""

    def __init__(self, bundle: Bundle, limits: Limits) -> None:
        self._bundle = bundle
        self._limits = limits
        self._known: dict[Digest, ModuleImages] = {}

    def images(self, manifest: Manifest) -> ModuleImages:
        """The images that a module version names."""
        if ANNOTATION in manifest.annotations:
            return images_of(manifest.annotations, {})
        layer = _own_layer(manifest)
        if layer is None:
            return images_of({}, {})
        if layer.digest not in self._known:
            self._known[layer.digest] = self._read(layer)
        return self._known[layer.digest]

    def _read(self, layer: Descriptor) -> ModuleImages:
        if layer.size > self._limits.module_layer:
            return _unread(f"over the limit of {self._limits.module_layer:,} bytes")
        data = read_all(self._bundle, layer)
        try:
            return images_of({}, layer_files(data, LayerLimits()))
        except ContentError as error:
            return _unread(error.cause)


def _unread(reason: str) -> ModuleImages:
    return ModuleImages((), "none", (Unreadable("module layer", "not read", reason),))


def _own_layer(manifest: Manifest) -> Descriptor | None:
    own = [layer for layer in manifest.layers if layer.annotations.get(TIMONI_CONTENT_TYPE) == "module"]
    carried = [layer.blob for layer in own or manifest.layers[-1:] if layer.distributed]
    return carried[0] if carried else None


def _row(reference: str, named: list[Root], carried: Mapping[RepositoryName, RepositoryEntry]) -> ImageRow:
    return ImageRow(printable(reference, _LONGEST), _state(reference, carried), tuple(_namers(named)))


def _state(text: str, carried: Mapping[RepositoryName, RepositoryEntry]) -> ImageState:
    try:
        image = image_reference(text)
    except UsageError:
        return "unclear"
    entry = carried.get(image.repository)
    if entry is None:
        return "absent"
    if image.digest is None:
        return "carried" if image.tag in entry.tags else "absent"
    if image.digest in set(entry.roots()):
        return "carried"
    return "other" if image.tag in entry.tags else "absent"


def _namers(named: list[Root]) -> Iterator[Namer]:
    by_repository: dict[str, list[str]] = defaultdict(list)
    for root in named:
        by_repository[root.repository].append(root.tag or root.digest)
    for name, tags in by_repository.items():
        yield Namer(name, tags[0], tags[-1], len(tags))
