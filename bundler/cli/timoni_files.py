"""Timoni Bundle files on disk: the modules that they name, and the same files with other addresses."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.config.selection_options import RuntimeOptions
from bundler.durable import write_whole
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError, UsageError
from bundler.named_files import text_of
from bundler.oci import Digest, Reference, RepositoryName, parse_reference
from bundler.reporting.json_report import Failure, Report, failure
from bundler.selection.rules import LATEST
from bundler.selection.sources import Include, PinnedReference, Selection
from bundler.session import Session
from bundler.timoni.bundle_file import ModuleReference, read_bundle_files, rewritten
from bundler.timoni.image_rewrite import Inside, with_images_inside
from bundler.timoni.source_text import SourceText

if TYPE_CHECKING:
    from bundler.config.import_options import NameOptions


class RuntimeValues(Mapping[str, str]):
    """Values by name; those that were asked for may be secret, and are hidden in what is printed."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._used: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self._used.add(self._values[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def hidden(self, text: str) -> str:
        """Return the text without the values in it, quoted ones too."""
        for value in sorted(filter(None, self._used), key=len, reverse=True):
            for spelled in (value, repr(value)[1:-1], ascii(value)[1:-1]):
                text = text.replace(spelled, "(a runtime value)")
        return text


def modules_of(
    paths: Sequence[Path], values: Mapping[str, str], include: Include, exclude: tuple[str, ...] = ()
) -> Selection:
    """Return a pin for every module of a Timoni Bundle; what can't be read is among the problems.

    `exclude` has globs for tags to leave out, though they are named.
    """
    files = [SourceText(str(path), text_of(path)) for path in paths]
    shown = RuntimeValues(values)
    bundle = read_bundle_files(files, shown)
    problems: list[BundlerError] = [
        ContentError(unread.place, shown.hidden(f"{unread.what} can't be read: {unread.reason}"))
        for unread in bundle.unreadable
    ]
    pins: list[PinnedReference] = []
    for module in bundle.modules:
        try:
            pins.append(_pin(module, include)._replace(exclude=exclude))
        except UsageError as error:
            cause = shown.hidden(f"module of {module.instance}: {error.cause}")
            problems.append(ContentError(module.place, cause))
    return Selection(pins=tuple(pins), problems=tuple(problems))


def _pin(module: ModuleReference, include: Include) -> PinnedReference:
    reference = parse_reference(module.url)
    # Timoni pulls `latest` with a digest by the digest alone; of a version it only compares the digest.
    by_digest = module.digest is not None and module.version == LATEST
    reference = Reference(reference.repository, None if by_digest else module.version, module.digest)
    file = re.sub(r"(:\d+)+$", "", module.place)
    strict = module.digest is not None and not by_digest
    return PinnedReference(reference, include, strict=strict, named_by=f"by {file}")


class Rewritten(NamedTuple):
    """Files with other addresses, a line for each module whose address is still the old one, the others."""

    files: Mapping[Path, bytes]
    warnings: tuple[str, ...]
    modules: tuple[ModuleReference, ...]


def rewritten_files(
    paths: Sequence[Path], names: Mapping[str, str], values: Mapping[str, str], images: Inside | None = None
) -> Rewritten:
    """Return the files of one Timoni Bundle with its modules' urls as they are at the target.

    `names` has the name at the target of every repository, both as `host/path`. With `images`, the images
    in the values are rewritten too.
    """
    urls = {f"oci://{old}": f"oci://{new}" for old, new in names.items()}
    files = [rewritten(SourceText(str(path), text_of(path)), urls) for path in paths]
    left: list[str] = []
    if images:
        for number, path in enumerate(paths):
            with_images = with_images_inside(SourceText(str(path), files[number]), names, images)
            files[number], left = with_images.text, [*left, *with_images.left]
    shown = RuntimeValues(values)
    texts = [SourceText(str(path), text) for path, text in zip(paths, files, strict=True)]
    reread = read_bundle_files(texts, shown)
    inside = set(urls.values())
    stale = [
        shown.hidden(f"{module.place}: {module.instance} still has {module.url}, which was not imported")
        for module in reread.modules
        if module.url not in inside
    ]
    shown_modules = (
        module._replace(place=shown.hidden(module.place), instance=shown.hidden(module.instance))
        for module in reread.modules
        if module.url in inside
    )
    stale += [
        shown.hidden(f"{unread.place}: {unread.what} can't be read: {unread.reason}")
        for unread in reread.unreadable
    ]
    contents = {path: text.encode() for path, text in zip(paths, files, strict=True)}
    return Rewritten(contents, (*stale, *left), tuple(shown_modules))


def _carried(report: Report) -> Inside:
    """Return a look-up of images that are at the target now, by tag or by digest."""
    names: dict[tuple[str, str], str] = {}
    for entry in report.repositories:
        for tag in entry.tags:
            if entry.source and tag.is_there:
                names[entry.source, tag.reference] = entry.name
                names |= {(entry.source, tag.digest): entry.name} if tag.digest else {}

    def inside(image: Reference) -> RepositoryName | None:
        name = names.get((image.repository, image.digest or image.tag or ""))
        return RepositoryName(name) if name else None

    return inside


def missing_at_target(
    modules: Sequence[ModuleReference], report: Report, session: Session
) -> tuple[Failure, ...]:
    """Return a failure for every module that Timoni could not pull from the target.

    What the report says is there is not asked for; of all else, one HEAD for each reference.
    """
    answers: dict[PulledReference, Digest | str | BundlerError | None] = {
        (entry.name, tag.reference): tag.digest
        for entry in report.repositories
        for tag in entry.tags
        if tag.is_there
    }

    def asked(reference: PulledReference) -> Digest | None:
        pulled = parse_reference(f"{reference[0]}{_joined(reference[1])}")
        return session.registries.target(pulled.repository).digest_of(pulled.digest or pulled.tag or LATEST)

    unknown = list(dict.fromkeys(pulled for module in modules if (pulled := _pulled(module)) not in answers))
    answers.update(session.each("checking the Timoni Bundle files", unknown, asked))
    problems = ((module.place, _problem(module, answers[_pulled(module)])) for module in modules)
    return tuple(failure(error, place) for place, error in problems if error)


PulledReference = tuple[str, str]
"""A repository as `host/path`, and the tag or digest that Timoni asks it for."""


def _pulled(module: ModuleReference) -> PulledReference:
    """Return what Timoni asks for: `latest` with a digest is pulled by the digest alone."""
    by_digest = module.digest if module.version == LATEST else None
    return str(module.repository), by_digest or module.version


def _joined(reference: str) -> str:
    return f"@{reference}" if ":" in reference else f":{reference}"


def _problem(module: ModuleReference, answer: Digest | str | BundlerError | None) -> BundlerError | None:
    if isinstance(answer, BundlerError):
        return answer
    if answer is None:
        address = f"{module.url}{_joined(_pulled(module)[1])}"
        cause = f"{module.instance} needs {address}, which the target does not have"
        return NotFoundError(module.place, cause, "export and import that version too")
    if module.digest not in (None, answer):
        cause = f"{module.url}:{module.version} is {answer} at the target, not {module.digest}"
        return IntegrityError(module.place, cause, "import the bundle that has it")
    return None


def write_rewritten(
    written: NameOptions, to: Path, runtime: RuntimeOptions, report: Report, session: Session
) -> Report:
    """Write the files with the addresses at the target into a folder; return what is to be said of them."""
    names = {entry.source: entry.name for entry in report.repositories if entry.source}
    images = _carried(report) if written.rewrite_images else None
    files = rewritten_files(written.timoni_bundles, names, runtime_values(runtime), images)
    for file, data in () if report.dry_run else files.files.items():
        write_whole(to / file.name, data)
    missing = missing_at_target(files.modules, report, session)
    return dataclasses.replace(
        report,
        failures=(*report.failures, *missing),
        warnings=(*report.warnings, *files.warnings),
        traffic=session.registries.traffic.report(),
    )


def runtime_values(options: RuntimeOptions) -> Mapping[str, str]:
    """Return values for `@timoni(runtime:...)` attributes: what --set says, perhaps also the environment."""
    values = dict(os.environ) if options.from_environment else {}
    settings = (setting.partition("=") for setting in options.settings)
    return values | {name: value for name, _, value in settings}
