"""The container images that the chosen modules run: read from each version, nothing guessed.

No request where the manifest names them; else one for the module's own layer, which is kept for the
bundle.
"""

from __future__ import annotations

from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, UsageError
from bundler.exporter.resolve.resolution import Resolution
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.tags import FetchRequest
from bundler.oci.addresses import is_here
from bundler.oci.content import Descriptor, Digest
from bundler.oci.manifest import TIMONI_CONTENT_TYPE, Layer, Manifest
from bundler.oci.reference import RepositoryName
from bundler.reporting.json_report import ImagesReport, failure
from bundler.selection.sources import Include
from bundler.timoni.image_fields import image_reference
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.module import CONFIG_TYPE
from bundler.timoni.module_images import ANNOTATION, ModuleImages, images_of


class _Module(NamedTuple):
    """A version, and the layer where its own files are."""

    root: Root
    manifest: Manifest
    layer: Descriptor | None


def wanted_images(reading: SourceReader, pinned: Resolution) -> list[tuple[FetchRequest, Include]]:
    """Every image that a chosen module names, once; what can't be read is said in `pinned.images`."""
    modules = [_module(root, pinned) for root in pinned.chosen if pinned.wish(root.repository).images]
    known = [module for module in modules if module is not None]
    files = _files(known, reading, pinned)
    wishes: dict[FetchRequest, Include] = {}
    for module in known:
        own = module.layer and files.get(module.layer.digest)
        found = images_of(module.manifest.annotations, own or {})
        along = pinned.wish(module.root.repository)
        carried = Include(referrers=along.referrers, platforms=along.platforms)
        wishes |= dict.fromkeys(_wanted(module, found, pinned), carried)
    # Those without a digest first: a tag names what it points to, not what somebody pinned.
    return sorted(wishes.items(), key=lambda wish: (wish[0].digest is not None, str(wish[0])))


def _module(root: Root, pinned: Resolution) -> _Module | None:
    manifest = pinned.manifests[root.digest]
    if manifest.config is None or manifest.config.blob.media_type != CONFIG_TYPE:
        return None
    if ANNOTATION in manifest.annotations:
        return _Module(root, manifest, None)
    own = [layer for layer in manifest.layers if _is_own(layer)] or list(manifest.layers[-1:])
    return _Module(root, manifest, own[0].blob if own else None)


def _is_own(layer: Layer) -> bool:
    return layer.annotations.get(TIMONI_CONTENT_TYPE) == "module"


def _files(
    modules: list[_Module], reading: SourceReader, pinned: Resolution
) -> dict[Digest, dict[str, bytes]]:
    """The CUE files of each module layer that has to be read."""
    layers = {module.layer: module.root.repository for module in modules if module.layer}
    found: dict[Digest, dict[str, bytes]] = {}
    for (layer, name), data in reading.each(
        "module layers", list(layers.items()), lambda item: reading.small_blob(*item)
    ):
        try:
            if isinstance(data, BundlerError):
                raise data
            found[layer.digest] = layer_files(data, LayerLimits())
        except BundlerError as error:
            pinned.failures.append(failure(error, f"images of {name}: layer {layer.digest}"))
    return found


def _wanted(module: _Module, found: ModuleImages, pinned: Resolution) -> list[FetchRequest]:
    item = str(module.root)
    unknown = [f"{place.place}: {place.what}: {place.reason}" for place in found.unknown]
    wishes: list[FetchRequest] = []
    for text in found.references:
        try:
            reference = image_reference(text)
        except UsageError as error:
            unknown.append(f"{text}: {error}")
            continue
        if leads_to_this_machine(reference.repository, module.root.repository):
            unknown.append(f"{text}: a module from elsewhere names this machine")
            continue
        wishes.append(FetchRequest(reference.repository, reference.tag, reference.digest))
    pinned.images.append(ImagesReport(item, found.source, found.references, tuple(unknown)))
    pinned.warnings += [f"{item}: an image is unknown: {line}" for line in unknown]
    return wishes


def leads_to_this_machine(image: RepositoryName, module: RepositoryName) -> bool:
    """Whether a module would have this machine's own services asked, which others can't reach."""
    return is_here(image.registry.hostname) and not is_here(module.registry.hostname)
