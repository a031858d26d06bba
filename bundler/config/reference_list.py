"""Lists of references, as people and tools write them: one in a line, or many with spaces between.

`kubectl get pods -o jsonpath='{..image}'` and hauler's image lists are such. They name container images, so
that a name without a host is on Docker Hub, and a name without tag and digest is `latest`.
"""

import re
from collections.abc import Iterator

from bundler.config.problems import Problem, refuse
from bundler.errors import UsageError
from bundler.oci import Reference, RegistryName, Tag, parse_reference

LATEST = Tag("latest")

_COMMENT = re.compile(r"(?:^|\s)#.*")

_SCHEMES = ("docker-pullable://", "docker://", "oci://")
"""Prefixes that kubelets, skopeo and Timoni write."""

_IMAGE_ID = re.compile(r"(?:docker://)?sha256:[0-9a-f]{64}")

_TAG_BEFORE_DIGEST = re.compile(r":[A-Za-z0-9_][A-Za-z0-9_.-]*@sha")

_FORM = "write [HOST/]REPOSITORY[:TAG][@DIGEST]"


def references_in(text: str, name: str, default_registry: RegistryName) -> tuple[Reference, ...]:
    """Return every reference of a list once, in its order; `name` is the file's.

    Raises: UsageError with everything that is wrong in it, and for a list that names nothing.
    """
    found: dict[Reference, None] = {}
    problems: list[Problem] = []
    for line, word in _words(text):
        try:
            found[_reference(word, default_registry)] = None
        except UsageError as error:
            problems.append(Problem(line, (), f"{word[:100]}: {error.cause}", error.next_step))
    if problems:
        refuse(name, problems)
    if not found:
        raise UsageError(name, "it names nothing", f"{_FORM}, one in a line")
    return tuple(found)


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield every word that is not in a comment, with the number of its line."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        for word in re.split(r"[\s,]+", _COMMENT.sub("", line)):
            if bare := word.strip("'\""):
                yield number, bare


def _reference(word: str, default_registry: RegistryName) -> Reference:
    if _IMAGE_ID.fullmatch(word):
        raise UsageError(word, "an image ID, which names no registry", "name the image instead")
    for scheme in _SCHEMES:
        word = word.removeprefix(scheme)
    try:
        # A digest decides: Kubernetes passes over a tag beside it too.
        reference = parse_reference(_TAG_BEFORE_DIGEST.sub("@sha", word), default_registry)
    except UsageError as error:
        raise UsageError(word, error.cause, _FORM) from None
    return reference if reference.tag or reference.digest else reference._replace(tag=LATEST)
