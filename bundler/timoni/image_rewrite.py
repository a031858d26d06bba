"""A Timoni Bundle file with the images of its values at another registry. No I/O.

Only a text that stands in the file, and that is an image which was carried, is rewritten. Whatever else
still names such an image is reported.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from bundler.errors import UsageError, printable
from bundler.oci import Reference, RepositoryName
from bundler.timoni.bundle_file import instances_of, replaced
from bundler.timoni.cue.cue_tree import Expression, Text
from bundler.timoni.cue.merged_tree import Node, merged
from bundler.timoni.cue.resolved import Known, Texts, Unknown
from bundler.timoni.documents import parsed
from bundler.timoni.image_fields import image_reference
from bundler.timoni.source_text import SourceText

Inside = Callable[[Reference], RepositoryName | None]
"""Returns the repository at the target of an image that was carried; None for any other."""


class ImageRewrite(NamedTuple):
    """The text with other images, and a line for each place that was left as it is."""

    text: str
    left: tuple[str, ...]


class _Place(NamedTuple):
    """A value that gives an image: the field of its repository, and the whole reference."""

    field: Node
    name: str
    reference: str
    """Empty if it is not certain."""
    problem: str = ""


def with_images_inside(file: SourceText, names: Mapping[str, str], inside: Inside) -> ImageRewrite:
    """Return the file with the images in the values of its instances rewritten.

    `names` has the repositories at the target by their names outside, `host/path`. Raises ContentError.
    """
    texts = Texts()
    changes: dict[Expression, tuple[str, str]] = {}
    left: list[str] = []
    for instance in instances_of(merged([parsed(file)], {})):
        values = instance.child("values")
        for place in _places(values, texts) if values else ():
            problem = place.problem or _change(place, texts, inside, changes)
            if problem:
                left.append(f"{place.field.place}: {place.name}: not rewritten: {problem}")
    text = replaced(file, changes)
    return ImageRewrite(text, (*left, *_still_named(file.name, text, names)))


def _places(node: Node, texts: Texts) -> Iterator[_Place]:
    """Yield every value at a node or below it that gives an image, or may give one."""
    repository = node.child("repository")
    parts = [part for name in ("tag", "digest") if (part := node.child(name))]
    if repository and not repository.children and parts:
        yield _joined(node, repository, texts)
        return
    text = texts.at(node) if node.facts and not node.children else None
    if isinstance(text, Known) and (_is_named(node) or ":" in text.text or "@" in text.text):
        yield _Place(node, node.label.name, text.text)
    elif isinstance(text, Unknown) and _is_named(node):
        yield _Place(node, node.label.name, "", text.reason)
    for child in node.children.values():
        yield from _places(child, texts)


def _is_named(node: Node) -> bool:
    return node.label.name.lower().endswith("image")


def _joined(node: Node, repository: Node, texts: Texts) -> _Place:
    words: list[str] = []
    for name, mark in (("repository", ""), ("tag", ":"), ("digest", "@")):
        part = node.child(name)
        text = texts.at(part) if part else None
        if isinstance(text, Unknown):
            return _Place(repository, f"{node.label.name}.{name}", "", text.reason)
        words += [mark, text.text] if text and text.text else []
    return _Place(repository, f"{node.label.name}.repository", "".join(words))


def _change(place: _Place, texts: Texts, inside: Inside, changes: dict[Expression, tuple[str, str]]) -> str:
    """Note the change of one place; return why there is none, or nothing for what is no image."""
    try:
        reference = image_reference(place.reference)
    except UsageError as error:
        return error.cause if _is_named(place.field) and place.reference else ""
    new = inside(reference)
    if new is None:
        named = _is_named(place.field) or place.name.endswith(".repository")
        return f"{printable(place.reference)} was not carried" if named else ""
    literals = [
        literal
        for literal in texts.each_at(place.field)
        if isinstance(literal.written, Text) and literal.fixed and place.reference.startswith(literal.text)
    ]
    if not literals:
        return f"{printable(place.reference)} does not stand here as a text"
    for literal in literals:
        changes[literal.written] = (literal.text, f"{new}{_behind_repository(literal.text)}")
    return ""


def _behind_repository(text: str) -> str:
    """Return the tag and digest of a written image, with their marks."""
    head, at, digest = text.partition("@")
    _, colon, tag = head.rpartition("/")[2].partition(":")
    return f"{colon}{tag}{at}{digest}"


def _still_named(name: str, text: str, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each line of the result that still names a repository outside."""
    for old in names:
        named = re.compile(rf"(?<!oci://)(?<![\w./-]){re.escape(old)}(?![\w/-]|\.\w)")
        for number, line in enumerate(text.splitlines(), 1):
            if named.search(line):
                yield f"{name}:{number}: still names {old}"
