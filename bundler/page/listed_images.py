"""Container images that the modules of a bundle run, and which of them are in it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bundler.bundle.inventory import RepositoryEntry, Root
from bundler.bundle.reader import Bundle
from bundler.errors import ContentError, NotFoundError, UsageError, printable
from bundler.limits import KIB, Limits
from bundler.oci import Descriptor, Digest, Manifest, Manifests, RepositoryName, read_all
from bundler.oci.manifest import TIMONI_CONTENT_TYPE
from bundler.page.values import ImageRow, ImagesPart, ImageState, Namer, UnknownImage
from bundler.selection.semver import version_order
from bundler.session import Session
from bundler.timoni.image_fields import image_reference
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.module import CONFIG_TYPE
from bundler.timoni.module_images import ANNOTATION, ModuleImages, Templates, images_of
from bundler.timoni.source_text import Unreadable

_LONGEST = 300
"""Characters of an image's name that are shown."""

_LONGEST_LIST = 64 * KIB
"""Characters of an annotation that is read for images."""

_MOST = 2_000
"""Different images, and different reasons, that are kept in memory."""


def is_module(manifest: Manifest) -> bool:
    """Return True for a version of a Timoni module."""
    return manifest.config is not None and manifest.config.blob.media_type == CONFIG_TYPE


def images_part(
    roots: Iterable[Root],
    manifests: Manifests,
    bundles: Sequence[Bundle],
    session: Session,
) -> ImagesPart:
    """Return the images that these tags name, and which of them the first of the bundles has.

    The others may have module layers that the first, a delta, leaves to them.
    """
    modules = [root for root in roots if is_module(manifests[root.digest])]
    read, images = _Layers(bundles, session.limits), _Found()
    with session.progress.step("module images", len(modules)) as step:
        for root in modules:
            images.take(root, read.images(manifests[root.digest]))
            step.advance(items=1)
    carried = {entry.name: entry for entry in bundles[0].inventory.repositories}
    rows = (
        ImageRow(printable(reference, _LONGEST), _state(reference, carried), tuple(namers.values()))
        for reference, namers in sorted(images.namers.items(), key=lambda item: _order(item[0]))
    )
    return ImagesPart(len(modules), tuple(rows), tuple(images.unknown()))


def _order(reference: str) -> tuple[object, ...]:
    """Return a sort key: by name, and each image's tags in the order of versions."""
    name, colon, tag = reference.rpartition(":")
    return (name, *version_order(tag)) if colon and "/" not in tag else (reference,)


class _Found:
    """Images that the modules name, each once, up to a limit."""

    def __init__(self) -> None:
        self.namers: dict[str, dict[str, Namer]] = {}
        self._unknown: Counter[tuple[str, str]] = Counter()

    def take(self, root: Root, images: ModuleImages) -> None:
        """Add what a tag names; tags come in the order of versions."""
        for reference in images.references:
            if reference in self.namers or len(self.namers) < _MOST:
                self._named(root, self.namers.setdefault(reference, {}))
        if not self.namers.keys() >= set(images.references):
            self._unknown[("images", f"more than {_MOST:,} names")] += 1
        for place in images.unknown:
            key = (printable(place.place), printable(f"{place.what}: {place.reason}"))
            if key in self._unknown or len(self._unknown) < _MOST:
                self._unknown[key] += 1

    def _named(self, root: Root, namers: dict[str, Namer]) -> None:
        tag = root.tag or root.digest
        namer = namers.get(root.repository) or Namer(root.repository, tag, tag, 0)
        namers[root.repository] = namer._replace(last=tag, tags=namer.tags + 1)

    def unknown(self) -> Iterator[UnknownImage]:
        """Return what can't be read."""
        for (place, reason), tags in self._unknown.items():
            yield UnknownImage(place, reason, tags)


class _Layers:
    """Images of module versions, read from each module layer once if the manifest doesn't name them."""

    def __init__(self, bundles: Sequence[Bundle], limits: Limits) -> None:
        self._homes = {blob.digest: bundle for bundle in bundles for blob in bundle.inventory.content}
        self._limits = limits
        self._of_layer: dict[Digest, ModuleImages] = {}
        self._templates = Templates()

    def images(self, manifest: Manifest) -> ModuleImages:
        """Return the images that a module version names."""
        if len(manifest.annotations.get(ANNOTATION, "")) > _LONGEST_LIST:
            return _unread(f"annotation {ANNOTATION}", f"longer than {_LONGEST_LIST:,} characters")
        if ANNOTATION in manifest.annotations:
            return images_of(manifest.annotations, {})
        layer = _own_layer(manifest)
        if layer is None:
            return images_of({}, {})
        if layer.digest not in self._of_layer:
            self._of_layer[layer.digest] = self._read(layer)
        return self._of_layer[layer.digest]

    def _read(self, layer: Descriptor) -> ModuleImages:
        if layer.size > self._limits.module_layer:
            return _unread("module layer", f"over the limit of {self._limits.module_layer:,} bytes")
        home = self._homes.get(layer.digest)
        if home is None:
            return _unread("module layer", "only the base of this delta has it; name that with `--since`")
        try:
            data = read_all(home, layer)
        except NotFoundError:
            return _unread("module layer", "it needs the base of this delta; name that with `--since`")
        try:
            return images_of({}, layer_files(data, LayerLimits()), self._templates)
        except ContentError as error:
            return _unread("module layer", error.cause)


def _unread(place: str, reason: str) -> ModuleImages:
    return ModuleImages((), "none", (Unreadable(place, "not read", reason),))


def _own_layer(manifest: Manifest) -> Descriptor | None:
    module_layers = [
        layer for layer in manifest.layers if layer.annotations.get(TIMONI_CONTENT_TYPE) == "module"
    ]
    carried = [layer.blob for layer in module_layers or manifest.layers[-1:] if layer.distributed]
    return carried[0] if carried else None


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
