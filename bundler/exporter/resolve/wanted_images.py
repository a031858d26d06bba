"""The container images that the chosen modules run: read from each version, nothing guessed.

No request where the manifest names them; else one for the module's own layer, which is kept for the
bundle.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, UsageError
from bundler.exporter.resolve.pin_tags import FetchRequest, Wish
from bundler.exporter.resolve.resolution import Findings
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.walk_indexes import ManifestGraph
from bundler.oci import Descriptor, Digest, Layer, Manifest, RepositoryName, strict_json
from bundler.oci.addresses import is_here
from bundler.oci.manifest import CREATED, TIMONI_CONTENT_TYPE
from bundler.oci.reference import DOCKER_HUB, is_meant
from bundler.reporting.bundle_outcome import ImagesReport
from bundler.reporting.json_report import Failure, failure
from bundler.selection.creation_time import created_at, rfc3339
from bundler.selection.sources import Include
from bundler.timoni.image_fields import image_reference
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.module import CONFIG_TYPE
from bundler.timoni.module_images import ANNOTATION, ModuleImages, Templates, images_of

_CONFIGURATION = frozenset({"created"})
"""The field of an image's configuration that is read."""


class _Module(NamedTuple):
    """A module version, and the layer that holds its own files; None where the manifest names the images."""

    root: Root
    manifest: Manifest
    layer: Descriptor | None


class WantedImages(NamedTuple):
    """The images of the chosen modules; what is `optional` is not needed by any of them."""

    wishes: list[Wish]
    optional: frozenset[FetchRequest]
    findings: Findings
    ages: Mapping[RepositoryName, int]
    """Seconds that the images of a repository must be old, where a module asks for that."""


ImagesOfLayers = Mapping[Digest, ModuleImages]


def find_images(chosen: Iterable[Root], graph: ManifestGraph, reader: SourceReader) -> WantedImages:
    """Return every image that a chosen module names, once; what can't be read is a finding."""
    including = (root for root in chosen if graph.include(root.repository).images)
    modules = [module for root in including if (module := _module(root, graph)) is not None]
    images, findings = _images(modules, reader)
    requested: dict[FetchRequest, None] = {}
    includes: dict[RepositoryName, Include] = {}
    needed: set[FetchRequest] = set()
    ages: dict[RepositoryName, int] = {}
    for module in modules:
        read = images.get(module.layer.digest) if module.layer else None
        include = graph.include(module.root.repository)
        requests, report = _requests(module, read or images_of(module.manifest.annotations, {}), include)
        warnings = tuple(f"{module.root}: an image is unknown: {line}" for line in report.unknown)
        findings += Findings(warnings=warnings, images=(report,))
        carried = include._replace(images=False, exclude_images=(), optional_images=(), image_min_age=None)
        requested |= dict.fromkeys(requests)
        for name in {request.repository for request in requests}:
            # What one module needs for all platforms is not narrowed by another that runs it too.
            includes[name] = includes.get(name, carried).joined(carried, narrow=False)
            if include.image_min_age is not None:
                ages[name] = max(include.image_min_age, ages.get(name, 0))
        needed |= {request for request in requests if not _matches(request, include.optional_images)}
    # Those without a digest first: a tag names what it points to, not what somebody pinned.
    ordered = sorted(requested, key=lambda request: (request.digest is not None, str(request)))
    wishes = [(request, includes[request.repository]) for request in ordered]
    return WantedImages(wishes, frozenset(requested.keys() - needed), findings, ages)


def young_images(
    images: Sequence[Root], graph: ManifestGraph, reader: SourceReader, ages: Mapping[RepositoryName, int]
) -> dict[Root, str]:
    """Return the images that are too young, each with a line; one that does not tell its age is not."""
    now = reader.session.clock()
    aged = [root for root in images if root.repository in ages]

    def second(root: Root) -> int | None:
        return _created(graph.manifests[root.digest], root.repository, reader)

    young: dict[Root, str] = {}
    for root, created in reader.each("creation times of images", aged, second):
        if isinstance(created, int) and now - created < ages[root.repository]:
            young[root] = f"{root}: left out: created {rfc3339(created)}, younger than --image-min-age"
    return young


def _created(manifest: Manifest, name: RepositoryName, reader: SourceReader, depth: int = 0) -> int | None:
    """Return when an image was made, by its annotation or configuration; of an index, its first child."""
    if (stated := created_at(manifest.annotations.get(CREATED, ""))) is not None:
        return stated
    if manifest.children and depth < reader.limits.index_depth:
        child = reader.manifest(name, manifest.children[0].digest).manifest
        return _created(child, name, reader, depth + 1)
    if manifest.config is None:
        return None
    data = reader.small_blob(manifest.config.blob, name)
    document = strict_json.loads(
        data, item=f"image {name}", depth=reader.limits.json_depth, names=_CONFIGURATION
    )
    created = document.get("created") if isinstance(document, dict) else None
    return created_at(created) if isinstance(created, str) else None


def _matches(image: FetchRequest, globs: Iterable[str]) -> bool:
    """Return True if a glob matches an image under any of its names: it may have both a tag and a digest."""
    globs = tuple(globs)
    tag, digest = f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else ""
    endings = dict.fromkeys(("", tag, digest, f"{tag}{digest}"))
    return any(is_meant(f"{image.repository}{ending}", globs, DOCKER_HUB) for ending in endings)


def _module(root: Root, graph: ManifestGraph) -> _Module | None:
    manifest = graph.manifests[root.digest]
    if manifest.config is None or manifest.config.blob.media_type != CONFIG_TYPE:
        return None
    if ANNOTATION in manifest.annotations:
        return _Module(root, manifest, None)
    layers = [layer for layer in manifest.layers if _is_own(layer)] or list(manifest.layers[-1:])
    return _Module(root, manifest, layers[0].blob if layers else None)


def _is_own(layer: Layer) -> bool:
    return layer.annotations.get(TIMONI_CONTENT_TYPE) == "module"


def _images(modules: list[_Module], reader: SourceReader) -> tuple[ImagesOfLayers, Findings]:
    """Read what the CUE files of each module layer say, where the manifest doesn't."""
    layers = {module.layer: module.root.repository for module in modules if module.layer}
    images: dict[Digest, ModuleImages] = {}
    templates = Templates()
    failures: list[Failure] = []
    for (layer, name), data in reader.each(
        "module layers", list(layers.items()), lambda item: reader.small_blob(*item)
    ):
        try:
            if isinstance(data, BundlerError):
                raise data
            images[layer.digest] = images_of({}, layer_files(data, LayerLimits()), templates)
        except BundlerError as error:
            failures.append(failure(error, f"images of {name}: layer {layer.digest}"))
    return images, Findings(failures=tuple(sorted(failures, key=lambda problem: problem.item)))


def _requests(
    module: _Module, images: ModuleImages, include: Include
) -> tuple[list[FetchRequest], ImagesReport]:
    """Return what to pin for one module, and the report on its images."""
    unknown = [f"{place.place}: {place.what}: {place.reason}" for place in images.unknown]
    requests: list[FetchRequest] = []
    excluded: list[FetchRequest] = []
    for text in images.references:
        try:
            reference = image_reference(text)
        except UsageError as error:
            unknown.append(f"{text}: {error}")
            continue
        if leads_to_this_machine(reference.repository, module.root.repository):
            unknown.append(f"{text}: a module from elsewhere names this machine")
            continue
        request = FetchRequest(reference.repository, reference.tag, reference.digest)
        (excluded if _matches(request, include.exclude_images) else requests).append(request)
    left_out = tuple(map(str, excluded))
    report = ImagesReport(str(module.root), images.source, images.references, tuple(unknown), left_out)
    return requests, report


def leads_to_this_machine(image: RepositoryName, module: RepositoryName) -> bool:
    """Return whether a module would have this machine's own services asked, which others can't reach."""
    return is_here(image.registry.hostname) and not is_here(module.registry.hostname)
