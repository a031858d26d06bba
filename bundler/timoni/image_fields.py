"""Names of container images, as people and modules write them. No I/O.

Source: distribution/reference, normalize.go: the short names of Docker.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple, TypeAlias

from bundler.errors import ContentError, UsageError, printable
from bundler.oci import Digest, Reference, RepositoryName, Tag
from bundler.oci.reference import DOCKER_HUB, with_registry
from bundler.timoni.cue.cue_parser import MOST_TOKENS, parse
from bundler.timoni.cue.cue_tokens import CLOSERS, NAME, OPENERS, STRING, CueToken, text_of, tokens
from bundler.timoni.cue.cue_tree import CueReference, Disjunction, Opaque, Struct
from bundler.timoni.cue.merged_tree import Declared, Node, ParsedFile, is_anything, merged
from bundler.timoni.cue.resolved import Known, Texts, Unknown, kind_of
from bundler.timoni.source_text import Places, SourceText

_LATEST = Tag("latest")


def image_reference(text: str) -> Reference:
    """Parse `[HOST/]PATH[:TAG][@DIGEST]`; `redis` is `docker.io/library/redis:latest`. Raises UsageError."""
    name, at, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    try:
        return Reference(
            RepositoryName.parse(with_registry(f"{head}{slash}{last}", DOCKER_HUB)),
            Tag.parse(tag) if colon else None if at else _LATEST,
            Digest.parse(digest) if at else None,
        )
    except ValueError as error:
        raise UsageError(text, str(error), "write [HOST/]REPOSITORY[:TAG][@DIGEST]") from error


_PARTS = ("repository", "tag", "digest")

_SCHEMA = frozenset({"type", "description", "properties", "pattern"})

_FAR = 100
"""Tokens of a field's value that are looked at."""


# Possessive is only what repeats one letter: Python before 3.11.5 goes wrong where a group fails half way.
_GAP = r"(?:\s++|//[^\n]*+)*"

_IMAGE = re.compile(rf'image"?{_GAP}[?!]?{_GAP}:{_GAP}')
"""A field `image`, or what looks like one in a string or comment."""

_GIVEN = re.compile(
    rf'(?:image|repository)"?\#*+{_GAP}[?!]?{_GAP}:{_GAP}(?!\s|//|\{{|(?:[\w$]++|"[\w$-]++")[?!]?:)|\\\#*+u',
    re.IGNORECASE,
)
"""A field that may give an image or its repository: its value is neither a struct nor one in short form.

Or an escape that may spell a letter of a label: then only the parser can tell.
"""


TextAt: TypeAlias = Callable[[Node], Known | Unknown | None]


class Image(NamedTuple):
    """A place that gives an image: its reference, or why there is none."""

    place: str
    path: str
    reference: str
    problem: str = ""


def read_cue(name: str, data: bytes) -> Node:
    """Return all that a file declares. Raises ContentError."""
    source = SourceText(name, _decoded(name, data))
    return merged([ParsedFile(parse(name, source.text), Places(source))], {})


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ContentError(name, "not UTF-8 text") from error


# --- structs ---------------------------------------------------------------------------------------


def images_below(node: Node, path: str, text: TextAt) -> Iterator[Image]:
    """Yield every image at a node or below it, and every part that may hide one; `text` reads a field."""
    yield from hidden_at(node, path, text)
    image = _image(node, path, text)
    if image:
        yield image
        return
    for label, child in node.children.items():
        yield from images_below(child, f"{path}.{label.name}" if path else label.name, text)


def certain_text() -> TextAt:
    """Return a reader of what fields hold for certain."""
    return Texts().at


def likely_text() -> TextAt:
    """Return a reader of what is written for fields, whether other parts may change it or not."""
    texts = Texts()
    return lambda node: next(iter(texts.each_at(node)), None)


def hidden_at(node: Node, path: str, text: TextAt) -> Iterator[Image]:
    """Yield the parts of a struct that may bring fields which hold an image."""
    referring = any(isinstance(fact.expression, CueReference) for fact in node.facts)
    is_struct = bool(node.children) or (referring and not isinstance(text(node), Known))
    hiding = [fact for fact in node.facts if _may_hide(fact, is_struct=is_struct)]
    for fact in (*hiding, *(doubt.fact for doubt in node.patterns)):
        yield Image(fact.place, path, "", f"images may come from {kind_of(fact)}")


def _may_hide(fact: Declared, *, is_struct: bool) -> bool:
    expression = fact.expression
    if isinstance(expression, Disjunction):
        return any(isinstance(option.value, Struct) for option in expression.options)
    if isinstance(expression, Opaque) and expression.bodies:
        return True
    return is_struct and isinstance(expression, Opaque | CueReference) and not is_anything(fact)


def _image(node: Node, path: str, text: TextAt) -> Image | None:
    """Return the image that a node is. Fields of some other thing that has a tag are not an image."""
    given = [name for name in _PARTS if node.child(name)]
    named = node.label.name.lower().endswith("image")
    repository = node.child("repository")
    if repository and not repository.children and len(given) > 1:
        return _joined(node, path, text)
    if named and given and not (repository and repository.children):
        return Image(node.place, path, "", f"it gives only {' and '.join(given)}")
    content = text(node) if named and node.facts and not node.children else None
    if isinstance(content, Known):
        return _plain(content, path)
    return None


def _joined(node: Node, path: str, text: TextAt) -> Image:
    texts = []
    for name in _PARTS:
        part = node.child(name)
        content = text(part) if part else Known("", "", Opaque("", 0, 0))
        if not isinstance(content, Known):
            reason = content.reason if isinstance(content, Unknown) else "it has no value here"
            return Image(node.place, path, "", f"{name}: {reason}")
        texts.append(content.text)
    repository, tag, digest = texts
    reference = f"{repository}{tag and ':'}{tag}{digest and '@'}{digest}"
    return checked(reference, node.place, path)


def _plain(content: Known, path: str) -> Image:
    """Return an image in one text: without a tag, the text may be about something else."""
    if ":" not in content.text and "@" not in content.text:
        problem = f"it may be an image: {printable(repr(content.text))}"
        return Image(content.place, path, "", problem)
    return checked(content.text, content.place, path)


def checked(reference: str, place: str, path: str) -> Image:
    """Return the image, if that can be the name of one."""
    try:
        image_reference(reference)
    except UsageError as error:
        return Image(place, path, "", f"no image: {error.cause}")
    return Image(place, path, reference)


# --- templates -------------------------------------------------------------------------------------


def images_in_fields(name: str, data: bytes) -> Iterator[Image]:
    """Yield the images that fields of a template give; large schemas are not parsed. Raises ContentError."""
    if b"repository" in data and _GIVEN.search(_decoded(name, data)):
        images = images_below(read_cue(name, data), "", likely_text())
        yield from (image for image in images if image.reference)


def image_lines(name: str, data: bytes) -> list[Image]:
    """Return each field `image` of a template, with its text if it is a plain one; pass over schemas.

    Raises ContentError.
    """
    if b"image" not in data:
        return []
    text = _decoded(name, data)
    if all(_opens_schema(text, field.end()) for field in _IMAGE.finditer(text)):
        return []
    template = list(islice(tokens(text), MOST_TOKENS + 1))
    if len(template) > MOST_TOKENS:
        raise ContentError(name, f"more than {MOST_TOKENS:,} tokens")
    places = Places(SourceText(name, text))
    lines = []
    for at, token in enumerate(template[:-3]):
        if _word(text, token) == "image":
            behind = at + 2 if template[at + 1].kind in {"?", "!"} else at + 1
            if template[behind].kind == ":" and not _is_schema(text, template, behind + 1):
                written = template[behind + 1]
                value = text[written.start : written.end] if written.kind == STRING else ""
                image = checked(text_of(value) or "", places.at(token.start), "image")
                lines.append(image._replace(problem=""))
    return lines


def _word(text: str, token: CueToken) -> str:
    """Return a label's name; empty for other tokens."""
    if token.kind not in {NAME, STRING} or token.end - token.start > 40:
        return ""
    return text[token.start : token.end].strip('"')


def _opens_schema(text: str, start: int) -> bool:
    """Return whether a JSON Schema begins at an offset: the tokens before it don't matter."""
    value = text[start:]
    return value.startswith("{") and _is_schema(value, list(islice(tokens(value), _FAR)), 0)


def _is_schema(text: str, template: list[CueToken], at: int) -> bool:
    """Return whether the value that begins there is a JSON Schema of a field."""
    if template[at].kind != "{":
        return False
    level, labels = 0, set[str]()
    for token, following in pairwise(template[at : at + _FAR]):
        level += (token.kind in OPENERS) - (token.kind in CLOSERS)
        if not level:
            break
        if level == 1 and following.kind == ":":
            labels.add(_word(text, token))
    return bool(labels & _SCHEMA) and not labels & set(_PARTS)
