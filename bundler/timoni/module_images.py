"""The container images that a module version needs, as far as its artifact says. No I/O.

In the order of trust: the annotation that Timoni 0.33 writes from `images.cue`, that file itself, and
`values.cue`, where older modules keep them. What only an evaluation of the templates could tell is
unknown, and said to be. Source: Timoni 0.33, cmd/timoni/mod_images.go.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Literal, NamedTuple, TypeAlias

from bundler.errors import ContentError, printable
from bundler.timoni import image_fields
from bundler.timoni.source_text import Unreadable

ANNOTATION = "sh.timoni.images"

ImagesSource: TypeAlias = Literal["annotation", "images.cue", "values.cue", "none"]

_MOST_UNKNOWN = 100
"""Unreadable places that are told of one module version: a report stays readable."""

_MOST_TEMPLATES = 10_000
"""Distinct templates whose findings are kept."""

_FILES: tuple[ImagesSource, ...] = ("images.cue", "values.cue")


class ModuleImages(NamedTuple):
    """The images of one module version: sorted, `repository[:tag][@digest]`, as the module spells them.

    `unknown` is what may be an image, and can't be read. With the source `none` and nothing unknown,
    the module runs no images.
    """

    references: tuple[str, ...]
    source: ImagesSource
    unknown: tuple[Unreadable, ...]


class Templates:
    """The images that templates name; a template that versions of a module share is read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, bytes], list[image_fields.Image]] = {}

    def images(self, name: str, data: bytes) -> list[image_fields.Image]:
        """Return the images in a template; one that can't be read is an image with a problem."""
        key = (name, sha256(data).digest())
        if key not in self._read:
            if len(self._read) >= _MOST_TEMPLATES:
                self._read.clear()
            try:
                self._read[key] = list(_in_template(name, data))
            except ContentError as error:
                self._read[key] = [image_fields.Image(name, "image", "", error.cause)]
        return self._read[key]


def images_of(
    annotations: Mapping[str, str], files: Mapping[str, bytes], templates: Templates | None = None
) -> ModuleImages:
    """Return the images that a module version names.

    `annotations` are the manifest's, `files` the module's CUE files by path; `templates` remembers what
    earlier versions had. Never raises for what a module may hold: it is unknown then.
    """
    templates = templates or Templates()
    if ANNOTATION in annotations:
        return _images("annotation", _annotated(annotations[ANNOTATION]))
    for source in _FILES:
        images = _declared(source, files)
        if images:
            more = _in_templates(files, templates) if source == "values.cue" else []
            return _images(source, [*images, *_unsure(more, images)])
    return _images("none", _unsure(_in_templates(files, templates), []))


def _images(source: ImagesSource, images: Iterable[image_fields.Image]) -> ModuleImages:
    images = list(images)
    unread = [_unreadable(image) for image in images if image.problem]
    more = len(unread) - _MOST_UNKNOWN
    if more > 0:
        place = unread[_MOST_UNKNOWN].place
        unread = [*unread[:_MOST_UNKNOWN], Unreadable(place, "images", f"{more:,} more like these")]
    references = {image.reference for image in images if not image.problem}
    return ModuleImages(tuple(sorted(references)), source, tuple(unread))


def _unreadable(image: image_fields.Image) -> Unreadable:
    return Unreadable(printable(image.place), printable(image.path), image.problem)


def _annotated(text: str) -> Iterator[image_fields.Image]:
    for name in text.split(","):
        if name.strip():
            yield image_fields.checked(name.strip(), f"annotation {ANNOTATION}", name.strip())


def _declared(name: ImagesSource, files: Mapping[str, bytes]) -> list[image_fields.Image]:
    """Return the images in the `values` of a file."""
    if name not in files:
        return []
    try:
        root = image_fields.read_cue(name, files[name])
    except ContentError as error:
        return [image_fields.Image(name, "values", "", error.cause)]
    values = root.child("values")
    # What stands beside `values` says nothing of images, except for what may change it.
    text = image_fields.certain_text()
    images = [
        *image_fields.hidden_at(root, "values", text),
        *(image_fields.images_below(values, "values", text) if values else ()),
    ]
    if not values and not images and name == "images.cue":
        return [image_fields.Image(name, "values", "", "it has no field `values`")]
    return images


# --- templates -------------------------------------------------------------------------------------


def _in_templates(files: Mapping[str, bytes], templates: Templates) -> list[image_fields.Image]:
    """Return what templates say of images: defaults, plain texts, and at least where an image is put."""
    images: list[image_fields.Image] = []
    for name in sorted(files):
        if name.startswith("templates/"):
            images += templates.images(name, files[name])
    certain = {image.place for image in images if image.reference}
    return [image for image in images if image.reference or image.place not in certain]


def _in_template(name: str, data: bytes) -> Iterator[image_fields.Image]:
    yield from image_fields.image_lines(name, data)
    yield from image_fields.images_in_fields(name, data)


def _unsure(
    templates: Iterable[image_fields.Image], images: Iterable[image_fields.Image]
) -> Iterator[image_fields.Image]:
    """Yield what templates say beyond what is known: it stays unknown, because values may change it."""
    named = {_repository(image.reference) for image in images if not image.problem}
    for image in templates:
        if image.reference and _repository(image.reference) not in named:
            shown = printable(repr(image.reference))
            yield image._replace(problem=f"a template has {shown}: name it, if it is used")
        elif not image.reference and not named:
            yield image._replace(problem=image.problem or "a template computes it")


def _repository(reference: str) -> str:
    return image_fields.image_reference(reference).repository
