"""The modules that a Timoni Bundle file names, and the same file with other addresses. No I/O.

A Timoni Bundle is one value in one or several files, CUE, YAML or JSON. Only what is certain is
taken; the rest is named with its reason. Source: Timoni 0.33, schemas/timoni.sh/core/v1alpha1/bundle.cue.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bundler.errors import ContentError, UsageError, printable
from bundler.oci import Digest, RepositoryName, Tag, parse_reference
from bundler.oci.reference import is_registry
from bundler.timoni.cue.cue_tokens import words_of
from bundler.timoni.cue.cue_tree import Expression, Label, Text
from bundler.timoni.cue.merged_tree import Node, ParsedFile, merged
from bundler.timoni.cue.resolved import Known, Texts, Unknown, kind_of
from bundler.timoni.documents import ending_of, parsed
from bundler.timoni.source_text import SourceText, Unreadable

LATEST = Tag("latest")

_BUNDLE, _INSTANCES = "bundle", "instances"

_REMOTE, _LOCAL = "oci://", "file://"


class ModuleReference(NamedTuple):
    """The module of one instance. With a digest and the version `latest`, Timoni pulls by digest."""

    instance: str
    url: str
    version: Tag
    digest: Digest | None
    place: str

    @property
    def repository(self) -> RepositoryName:
        """Return the repository that the url names."""
        return parse_reference(self.url).repository


class Skipped(NamedTuple):
    """An instance that needs nothing from a registry."""

    place: str
    what: str
    reason: str


class BundleModules(NamedTuple):
    """The modules of one Timoni Bundle, in the order of its files."""

    modules: tuple[ModuleReference, ...]
    skipped: tuple[Skipped, ...]
    unreadable: tuple[Unreadable, ...]


def read_bundle_files(files: Sequence[SourceText], values: Mapping[str, str]) -> BundleModules:
    """Return the modules of the Timoni Bundle that the files make together; `values` are runtime values.

    Raises ContentError for a file that can't be one, or is over a limit.
    """
    root = merged([_bundle(file, len(files)) for file in files], values)
    bundle = root.child(_BUNDLE)
    if bundle is None:
        raise _no_bundle(*files)
    instances = bundle.child(_INSTANCES) or Node(Label(_INSTANCES), bundle, bundle.place)
    texts = Texts()
    modules = [module for node in _regular(instances) if not node.optional for module in _module(node, texts)]
    return BundleModules(
        tuple(module for module in modules if isinstance(module, ModuleReference)),
        tuple(module for module in modules if isinstance(module, Skipped)),
        (*_elsewhere(instances), *(module for module in modules if isinstance(module, Unreadable))),
    )


def _bundle(file: SourceText, files: int) -> ParsedFile:
    """Parse one file. Only a CUE file among others may say nothing of the bundle itself."""
    document = parsed(file)
    if (files == 1 or ending_of(file) != "cue") and not merged([document], {}).child(_BUNDLE):
        raise _no_bundle(file)
    return document


def _no_bundle(*files: SourceText) -> ContentError:
    names = ", ".join(file.name for file in files)
    return ContentError(names, f"not a Timoni Bundle: it has no field `{_BUNDLE}`", "name one")


def _regular(instances: Node) -> list[Node]:
    return [node for label, node in instances.children.items() if label.regular]


def instances_of(root: Node) -> list[Node]:
    """Return the instances of a Timoni Bundle that the file spells out."""
    bundle = root.child(_BUNDLE)
    instances = bundle.child(_INSTANCES) if bundle else None
    return _regular(instances) if instances else []


def _elsewhere(instances: Node) -> list[Unreadable]:
    """Return the places that may give more instances than the files spell out."""
    doubts = [*instances.doubts_from_above(), *instances.own_doubts()]
    what = f"{_BUNDLE}.{_INSTANCES}"
    if not doubts and not instances.children:
        return [Unreadable(instances.place, what, "there are none")]
    facts = [doubt.fact for doubt in doubts]
    return [Unreadable(fact.place, what, f"more instances may come from {kind_of(fact)}") for fact in facts]


# --- one instance ----------------------------------------------------------------------------------


def _module(instance: Node, texts: Texts) -> Sequence[ModuleReference | Skipped | Unreadable]:
    """Return the reference, or all that is unreadable about it."""
    what = f"instance {printable(instance.label.name)}"
    module = instance.child("module") or Node(Label("module"), instance, instance.place)
    url, version = _url(module, texts), _version(module, texts)
    digest = _digest(module, version, texts)
    if isinstance(url, Known) and url.text.startswith(_LOCAL):
        return [Skipped(url.place, what, "its module is a local folder, not in a registry")]
    if isinstance(url, Unknown) or isinstance(version, Unknown) or isinstance(digest, Unknown):
        fields = {"url": url, "version": version, "digest": digest}
        return [
            Unreadable(value.place, f"{what}: module.{field}", value.reason)
            for field, value in fields.items()
            if isinstance(value, Unknown)
        ]
    return [ModuleReference(instance.label.name, url.text, version, digest, url.place)]


def _text(module: Node, name: str, texts: Texts) -> Known | Unknown | None:
    return texts.at(module.child(name) or Node(Label(name), module, module.place))


def _url(module: Node, texts: Texts) -> Known | Unknown:
    url = _text(module, "url", texts)
    if url is None:
        return Unknown(module.place, "there is none")
    if isinstance(url, Unknown) or url.text.startswith(_LOCAL):
        return url
    problem = _problem(url.text)
    return Unknown(url.place, problem) if problem else url


def _version(module: Node, texts: Texts) -> Tag | Unknown:
    text = _text(module, "version", texts)
    if not isinstance(text, Known):
        return text or LATEST
    try:
        return Tag.parse(text.text)
    except ValueError as error:
        return Unknown(text.place, str(error))


def _digest(module: Node, version: Tag | Unknown, texts: Texts) -> Digest | Unknown | None:
    text = _text(module, "digest", texts)
    # Next to a version, a digest only checks: that there may be one is no obstacle.
    if isinstance(text, Unknown) and version != LATEST and not module.child("digest"):
        return None
    if not isinstance(text, Known) or not text.text:
        return text if isinstance(text, Unknown) else None
    try:
        return Digest.parse(text.text)
    except ValueError as error:
        return Unknown(text.place, str(error))


def _problem(url: str) -> str:
    """Return why Timoni would not find a module at that address; empty if it would."""
    shown = printable(repr(url))
    if not url.startswith(_REMOTE):
        return f"{shown} is no oci:// address"
    try:
        reference = parse_reference(url)
    except UsageError:
        return f"{shown} is not oci://HOST/REPOSITORY"
    if reference.tag or reference.digest:
        return f"{shown}: tag and digest have their own fields, version and digest"
    if not is_registry(url.removeprefix(_REMOTE).partition("/")[0]):
        return f"{shown} names no registry, so Timoni asks docker.io: write oci://index.docker.io/..."
    return ""


# --- other addresses -------------------------------------------------------------------------------


def rewritten(text: SourceText, urls: Mapping[str, str]) -> str:
    """Return the same file with other module urls: those in `urls`, each where it is written as a text.

    Every other character stays. A url that comes from elsewhere by a reference becomes a text in its
    place; one that a `let`, an expression or the environment gives stays as it is, so read the result
    to know. Raises ContentError as reading does, UsageError for an address that no module can have.
    """
    for url in urls.values():
        problem = _problem(url)
        if problem:
            raise UsageError(printable(url), problem, "name a module as oci://HOST/REPOSITORY")
    bundle = merged([parsed(text)], {}).child(_BUNDLE)
    instances = bundle.child(_INSTANCES) if bundle else None
    texts = Texts()
    old_urls = {
        url.written: url.text
        for node in (_regular(instances) if instances else [])
        for url in _declared_urls(node, texts)
        if url.text in urls and url.text != urls[url.text]
    }
    return replaced(text, {written: (old, urls[old]) for written, old in old_urls.items()})


def _declared_urls(instance: Node, texts: Texts) -> list[Known]:
    """Return the urls of an instance that stand in the file, or in a field that nothing else can change."""
    module = instance.child("module")
    url = module.child("url") if module else None
    declared = texts.each_at(url) if url else []
    return [text for text in declared if isinstance(text.written, Text) or (text.fixed and not text.default)]


def replaced(file: SourceText, changes: Mapping[Expression, tuple[str, str]]) -> str:
    """Return the file with other texts in some places: the old one and the new one of each."""
    parts, at = [], 0
    write = as_yaml if ending_of(file) == "yaml" else as_cue
    for place in sorted(changes, key=lambda place: place.start):
        old, new = changes[place]
        parts += [file.text[at : place.start], write(file.text[place.start : place.end], old, new)]
        at = place.end
    return "".join([*parts, file.text[at:]])


def as_cue(written: str, old: str, new: str) -> str:
    """Write CUE and JSON: between the quotes that are there; a reference becomes a plain string."""
    words = words_of(written)
    if words is None:
        return f'"{new}"'
    return written[: words.start] + new + written[words.end :]


def as_yaml(written: str, old: str, new: str) -> str:
    """Write YAML in the style that is there, unless the old url had escapes or the new one needs quotes."""
    before, is_there, after = written.rpartition(old)
    bare = not after and "\n" not in before and not before.endswith(("'", '"'))
    if is_there and not (bare and "[" in new):
        return f"{before}{new}{after}"
    properties = before if is_there else written[: written.find('"')]
    return f'{properties}"{new}"'
