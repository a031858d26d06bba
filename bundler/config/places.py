"""Where modules come from: one repository, a preset, or all repositories of a namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from bundler.config.expansion import expanded
from bundler.config.refusal import RefusedError
from bundler.errors import UsageError
from bundler.oci.reference import RegistryName, RepositoryName, RepositoryPath, parse_reference

_PATH_GLOB = re.compile(r"[a-z0-9._/*?\[\]!-]+")


class RepositoryPattern(NamedTuple):
    """Repositories of one registry, by globs on their paths; `*` is also for `/`."""

    registry: RegistryName
    glob: str
    exclude: tuple[str, ...] = ()

    def matches(self, path: RepositoryPath) -> bool:
        """Whether the repository is meant."""
        excluded = any(fnmatchcase(path, glob) for glob in self.exclude)
        return fnmatchcase(path, self.glob) and not excluded


def repository(text: str, environment: Mapping[str, str]) -> RepositoryName:
    """`[oci://]HOST/PATH`, variables filled in. Raises RefusedError."""
    filled = expanded(text, environment)
    try:
        reference = parse_reference(filled)
    except UsageError as error:
        raise RefusedError(_shown(text, filled, error.cause), "write HOST/REPOSITORY") from None
    if reference.digest:
        raise RefusedError("a digest does not belong here", 'write it below: digests: ["sha256:..."]')
    if reference.tag:
        raise RefusedError("a tag does not belong here", f'write it below: tags: ["{reference.tag}"]')
    return reference.repository


def namespace(text: str, environment: Mapping[str, str]) -> RepositoryPattern:
    """`[oci://]HOST/GLOB`, variables filled in. Raises RefusedError."""
    filled = expanded(text, environment)
    host, _, glob = filled.removeprefix("oci://").partition("/")
    try:
        registry = RegistryName.parse(host)
    except ValueError as error:
        raise RefusedError(_shown(text, filled, str(error)), "write HOST/PATH/*") from None
    if not _PATH_GLOB.fullmatch(glob):
        raise RefusedError("no glob for paths of repositories behind the host", "write HOST/PATH/*")
    if not any(letter in glob for letter in "*?["):
        raise RefusedError("names one repository", "write HOST/PATH/* for all below it, or use `repository`")
    return RepositoryPattern(registry, glob)


def _shown(text: str, filled: str, cause: str) -> str:
    """The cause; but a value of the environment may be secret."""
    return cause if text == filled else f"with its variables filled in, {text!r} is none"
