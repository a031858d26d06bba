"""Texts that people write: variables, paths, ages and times, sizes, repositories. No pydantic."""

import posixpath
import re
from calendar import monthrange, timegm
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from bundler.config.option import Circumstances
from bundler.config.problems import Problem, RefusedValueError, refuse
from bundler.errors import UsageError
from bundler.oci import Digest, Reference, RegistryName, RepositoryName, RepositoryPath, Tag
from bundler.oci.reference import DEFAULT_REGISTRY, parse_reference, split_registry
from bundler.selection.creation_time import AgedSecond
from bundler.selection.rules import Rules, check

_DOLLAR = r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})?"


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Fill in every `${NAME}`, once; `$$` is a dollar sign. Raises RefusedValueError, never with a value."""

    def value(variable: re.Match[str]) -> str:
        if variable[0] == "$$":
            return "$"
        if variable[1] is None:
            raise RefusedValueError("a $ must be part of ${NAME} or $$", "write $$ for a dollar sign")
        if variable[1] not in environment:
            raise RefusedValueError(
                f"the environment variable {variable[1]} is not set",
                f"set {variable[1]}, or write $$ for a dollar sign",
            )
        return environment[variable[1]]

    return re.sub(_DOLLAR, value, text)


STANDARD_STREAM = "-"


def beside_file(name: str, path: str) -> str:
    """Return a path as the file `name` means it: relative to its own folder. `-` stays what it is."""
    return path if path == STANDARD_STREAM else posixpath.join(posixpath.dirname(name), path)


def path_text(text: str, at: Circumstances) -> str:
    """Read a path in a file, variables filled in. Raises RefusedValueError."""
    filled = expanded(text, at.environment)
    if not filled:
        raise RefusedValueError("is empty")
    if filled.startswith("~"):
        raise RefusedValueError("~ is not expanded here", "write the whole path")
    if not filled.isprintable():
        raise RefusedValueError("the path has control characters", "remove them")
    return beside_file(at.file, filled)


def path_of(text: str, at: Circumstances) -> Path:
    """Read a path in a file. Raises RefusedValueError."""
    return Path(path_text(text, at))


def base_text(text: str, at: Circumstances) -> str:
    """Read what a delta builds on: a path, the id of a bundle, or `last`. Raises RefusedValueError."""
    named = text == "last" or Digest.grammar.fullmatch(text)
    # On the command line a path is relative to the current folder, as it stands.
    return text if named or not at.file else path_text(text, at)


_FULL_EVERY = "[1-9][0-9]{0,3}d?"


def full_every(text: str, at: Circumstances) -> str:
    """Return when a chain begins anew: `7` bundles, or `30d`. Raises RefusedValueError."""
    if not re.fullmatch(_FULL_EVERY, text):
        raise RefusedValueError(f"{text!r} is neither a number of bundles nor days", "write 7 or 30d")
    return text


_PATH_GLOB = r"[a-z0-9._/*?\[\]!-]+"


class RepositoryPattern(NamedTuple):
    """Repositories of one registry, by globs on their paths; `*` also matches `/`."""

    registry: RegistryName
    glob: str
    exclude: tuple[str, ...] = ()

    def matches(self, path: RepositoryPath) -> bool:
        """Tell if the repository is meant."""
        excluded = any(fnmatchcase(path, glob) for glob in self.exclude)
        return fnmatchcase(path, self.glob) and not excluded


def repository(text: str, at: Circumstances) -> RepositoryName:
    """Read `[oci://][HOST/]PATH`, variables filled in. Raises RefusedValueError."""
    filled = expanded(text, at.environment)
    try:
        reference = parse_reference(filled, at.default_registry or DEFAULT_REGISTRY)
    except UsageError as error:
        raise RefusedValueError(_shown(text, filled, error.cause), "write [HOST/]REPOSITORY") from None
    if reference.digest:
        raise RefusedValueError("a digest does not belong here", 'write it below: digests: ["sha256:..."]')
    if reference.tag:
        raise RefusedValueError("a tag does not belong here", f'write it below: tags: ["{reference.tag}"]')
    return reference.repository


def namespace(text: str, at: Circumstances) -> RepositoryPattern:
    """Read `[oci://][HOST/]GLOB`, variables filled in. Raises RefusedValueError."""
    filled = expanded(text, at.environment)
    host, glob = split_registry(filled.removeprefix("oci://"), at.default_registry or DEFAULT_REGISTRY)
    try:
        registry = RegistryName.parse(host)
    except ValueError as error:
        raise RefusedValueError(_shown(text, filled, str(error)), "write HOST/PATH/*") from None
    if not re.fullmatch(_PATH_GLOB, glob):
        raise RefusedValueError("there is no repository path after the host", "write HOST/PATH/*")
    if not any(letter in glob for letter in "*?["):
        raise RefusedValueError(
            "this names one repository", "write HOST/PATH/* for all below it, or use `repository`"
        )
    return RepositoryPattern(registry, glob)


def _shown(text: str, filled: str, cause: str) -> str:
    """Return the cause; but a value of the environment may be secret."""
    return cause if text == filled else f"with its variables filled in, {text!r} is none"


_AGE = "([0-9]{1,6})([smhdw])"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"

_TIME = "[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"

_MOMENT = f"{_DATE}(?:{_TIME})?"

WRITE_TIME = "write 90d, 72h or 2026-11-01"


def seconds_of(age: str) -> int:
    """Read `90d`, `72h`: one number and one unit. Raises RefusedValueError."""
    if match := re.fullmatch(_AGE, age):
        return int(match[1]) * _SECONDS[match[2]]
    raise RefusedValueError(f"{age!r} is not an age (72h, 90d, 2w; m is minutes)", "write 90d or 72h")


def moment(text: str, now: int) -> int:
    """Read an RFC 3339 date (its first second, UTC) or time (its fraction cut off), or an age before `now`.

    Raises RefusedValueError.
    """
    if re.fullmatch(_AGE, text):
        return AgedSecond.before(now, seconds_of(text))
    match = re.fullmatch(_MOMENT, text)
    if not match:
        raise RefusedValueError(
            f"{text!r} is not a date (2026-01-31), a time (2026-01-31T09:00:00Z) or an age (90d)", WRITE_TIME
        )
    year, month, day, hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3, 4, 5, 6))
    ahead = (int(match[8] or 0) * 60 + int(match[9] or 0)) * (-60 if match[7] == "-" else 60)
    if not (year > 0 and 0 < month < 13 and 0 < day <= monthrange(year, month)[1]):
        raise RefusedValueError(f"{text!r} is a day that does not exist", WRITE_TIME)
    # 60 is a leap second (RFC 3339, 5.7).
    if hour > 23 or minute > 59 or second > 60 or int(match[8] or 0) > 23 or int(match[9] or 0) > 59:
        raise RefusedValueError(f"{text!r} is a time that does not exist", WRITE_TIME)
    return timegm((year, month, day, hour, minute, second)) - ahead


def since(text: str, at: Circumstances) -> int:
    """Read a moment, or an age before now. Raises RefusedValueError."""
    return moment(text, at.now)


def until(text: str, at: Circumstances) -> int:
    """Read an age before now. Raises RefusedValueError."""
    return AgedSecond.before(at.now, seconds_of(text))


def age(text: str, at: Circumstances) -> int:
    """Read an age as seconds. Raises RefusedValueError."""
    return seconds_of(text)


def deadline(text: str, at: Circumstances) -> int:
    """Read a moment, or an age from now on. Raises RefusedValueError."""
    return at.now + seconds_of(text) if re.fullmatch(_AGE, text) else moment(text, at.now)


_SIZE = "([0-9]{1,15})([KMGT]i?)?B?"

_UNITS: dict[str, int] = {
    letter + binary: (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGT", 1)
    for binary in ("i", "")
}


def size(text: str, at: Circumstances) -> int:
    """Read `4GiB`, `700MB`, `1000000` as bytes. Raises RefusedValueError."""
    match = re.fullmatch(_SIZE, text)
    if not match:
        raise RefusedValueError(f"{text!r} is not a size", "write 4GiB, 700MB or bytes")
    return _bytes(match)


def rate(text: str) -> int:
    """Read `2M`, `500KiB` as bytes a second. Raises RefusedValueError."""
    match = re.fullmatch(_SIZE, text.upper().replace("I", "i"))
    if not match or not 8192 <= _bytes(match) <= 10**12:
        cause = f"{text!r} is not a rate from 8192 to 10^12 bytes a second"
        raise RefusedValueError(cause, "write 2M, 500KiB or bytes a second")
    return _bytes(match)


def _bytes(match: re.Match[str]) -> int:
    return int(match[1]) * (_UNITS[match[2]] if match[2] else 1)


def setting(text: str, at: Circumstances) -> str:
    """Return `NAME=VALUE`. Raises ValueError, without the value, which may be secret."""
    name, separator, _ = text.partition("=")
    if not separator or not name:
        raise ValueError("this is not NAME=VALUE")
    return text


def version_range(text: str, at: Circumstances) -> str:
    """Return the range, if it is one. Raises RefusedValueError."""
    refuse_unless_meant(Rules(versions=text))
    return text


def expression(text: str, at: Circumstances) -> str:
    """Return the regular expression, if it is one. Raises RefusedValueError."""
    refuse_unless_meant(Rules(patterns=(text,)))
    return text


def refuse_unless_meant(rules: Rules) -> None:
    """Raise RefusedValueError for rules that can't be meant."""
    try:
        check(rules)
    except UsageError as error:
        raise RefusedValueError(error.cause, error.next_step) from None


# --- lists of references -------------------------------------------------------------------------------

LATEST = Tag("latest")

_LIST_COMMENT = r"(?:^|\s)#.*"

_SCHEMES = ("docker-pullable://", "docker://", "oci://")
"""Prefixes that kubelets, skopeo and Timoni write."""

_IMAGE_ID = r"(?:docker://)?sha256:[0-9a-f]{64}"

_TAG_BEFORE_DIGEST = r":[A-Za-z0-9_][A-Za-z0-9_.-]*@sha"

_LISTED_FORM = "write [HOST/]REPOSITORY[:TAG][@DIGEST]"


def references_in(text: str, name: str, default_registry: RegistryName) -> tuple[Reference, ...]:
    """Return every reference of a list once, in its order; `name` is the file's.

    What `kubectl get pods -o jsonpath='{..image}'` prints, and hauler's image lists, name container images:
    there a name without a host is on Docker Hub, and a name without tag and digest is `latest`.

    Raises: UsageError with everything that is wrong in it, and for a list that names nothing.
    """
    references: dict[Reference, None] = {}
    problems: list[Problem] = []
    for line, word in _words_of(text):
        try:
            references[_listed_reference(word, default_registry)] = None
        except UsageError as error:
            problems.append(Problem(line, (), f"{word[:100]}: {error.cause}", error.next_step))
    if problems:
        refuse(name, problems)
    if not references:
        raise UsageError(name, "it names nothing", f"{_LISTED_FORM}, one in a line")
    return tuple(references)


def _words_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield every word that is not in a comment, with the number of its line."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        for word in re.split(r"[\s,]+", re.sub(_LIST_COMMENT, "", line)):
            if bare := word.strip("'\""):
                yield number, bare


def _listed_reference(word: str, default_registry: RegistryName) -> Reference:
    if re.fullmatch(_IMAGE_ID, word):
        raise UsageError(word, "an image ID, which names no registry", "name the image instead")
    for scheme in _SCHEMES:
        word = word.removeprefix(scheme)
    try:
        # A digest decides: Kubernetes passes over a tag beside it too.
        reference = parse_reference(re.sub(_TAG_BEFORE_DIGEST, "@sha", word), default_registry)
    except UsageError as error:
        raise UsageError(word, error.cause, _LISTED_FORM) from None
    return reference if reference.tag or reference.digest else reference._replace(tag=LATEST)
