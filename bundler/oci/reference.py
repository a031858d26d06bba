"""Names of things in registries: host, repository, tag, digest.

Source: distribution-spec 1.1, "Pull"; distribution/reference for the host part.
"""

import ipaddress
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from bundler.errors import UsageError
from bundler.oci.digest import Digest
from bundler.oci.grammar import Parsed, letters_of

_COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"

_HOST = f"(?:{_LABEL}(?:\\.{_LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{{1,5}})?"


SOURCE_FORM = "[oci://][HOST/]REPOSITORY[:TAG|@DIGEST]"

TARGET_FORM = "oci://HOST[/PREFIX]"


class Tag(Parsed):
    """A tag."""

    __slots__ = ()
    grammar = re.compile("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
    longest = 128
    meaning = "a tag (at most 128 letters, digits, '.', '_', '-')"


_IN_TAGS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def can_match_tag(glob: str) -> bool:
    """Return False for a glob that no tag can match: the name of a repository, a digest, a `+`."""
    return letters_of(glob) <= _IN_TAGS


class RegistryName(Parsed):
    """`host`, `host:port` or `[ipv6]:port`."""

    __slots__ = ()
    grammar = re.compile(_HOST)
    meaning = "a registry (host[:port])"

    @property
    def hostname(self) -> str:
        """Return the host without port and brackets."""
        return re.sub(r":[0-9]+\Z", "", self).strip("[]").lower()

    @property
    def loopback(self) -> bool:
        """Return whether this is a loopback address: plain http needs no permission there."""
        if self.hostname == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.hostname).is_loopback
        except ValueError:
            return False


class RepositoryPath(Parsed):
    """The path of a repository inside its registry."""

    __slots__ = ()
    grammar = re.compile(f"{_COMPONENT}(?:/{_COMPONENT})*")
    meaning = "a repository (lower-case path components)"


class RepositoryName(Parsed):
    """`host/path`: one repository of one registry."""

    __slots__ = ()
    grammar = re.compile(f"{_HOST}/{_COMPONENT}(?:/{_COMPONENT})*")
    longest = 512
    meaning = "a repository (host/path)"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raise ValueError unless host and path are what they must be, each on its own too."""
        name = super().parse(text)
        RepositoryPath.parse(name.path)
        return name

    @property
    def registry(self) -> RegistryName:
        """Return the registry."""
        return RegistryName(self.partition("/")[0])

    @property
    def path(self) -> RepositoryPath:
        """Return the path inside the registry."""
        return RepositoryPath(self.partition("/")[2])


class Reference(NamedTuple):
    """A repository, and perhaps one tag or one digest of it."""

    repository: RepositoryName
    tag: Tag | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


_USER = re.compile(r"[^/@]*/|(?!sha[0-9]+:)[^/@]*\.|[^/]*@|localhost\b|(?!sha[0-9]+:)[^/:]+:[0-9]{1,5}$")
"""What follows a user and `@`: a host with a path, a name with dots or a port, or another `@`."""

_QUERY = re.compile(r"#|[?;&][^/=]*=")


def address(text: str, form: str) -> str:
    """Return the text after `oci://`, or the whole text without a scheme.

    Raises UsageError for another scheme, for a user before the host, and for a query; neither is repeated.
    """
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme != "oci":
        raise UsageError(text, f"{scheme}:// can't be used here", f"write {form}")
    before, _, after = rest.partition("@")
    if _USER.match(after) or ("@" in rest.partition("/")[0] and ":" in before):
        cause = "a reference can't have a user or password"
        raise UsageError(rest.rpartition("@")[2], cause, f"write {form}, and use --creds-file")
    if query := _QUERY.search(rest):
        raise UsageError(rest[: query.start()], "a reference can't have a query", f"write {form}")
    return rest


DEFAULT_REGISTRY = RegistryName("ghcr.io")
"""The registry of a reference without a host, as in Timoni's module registry API."""

DOCKER_HUB = RegistryName("docker.io")


def split_registry(name: str, default: RegistryName) -> tuple[str, str]:
    """Return registry and path. A first part without `.` and `:` that is not `localhost` is a path."""
    host, _, path = name.partition("/")
    return (host, path) if is_registry(host) else (default, name)


def with_registry(name: str, default: RegistryName) -> str:
    """Return a repository's name with its registry; Docker Hub's short names in full.

    Source: distribution/reference, normalize.go.
    """
    host, path = split_registry(name, default) if "/" in name else (default, name)
    if host in (DOCKER_HUB, f"index.{DOCKER_HUB}"):
        host, path = DOCKER_HUB, path if "/" in path else f"library/{path}"
    return f"{host}/{path}"


_WILDCARDS = frozenset("*?[")

_IPV6 = re.compile(r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\](?::[0-9*?]+)?/")


_IN_PATHS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/")

_IN_HOSTS = _IN_TAGS | frozenset(":]")

_NO_COMPONENT = re.compile(r"(?:^|/)[./_-]")
"""The begin of a part of a path that can't be one."""


def glob_in_full(glob: str, default: RegistryName = DEFAULT_REGISTRY) -> str:
    """Return a glob on `host/path[:tag]` with the registry that a person leaves out, as in a reference.

    Where a wildcard comes first, it may stand for any registry. The address of an IPv6 host is no wildcard.
    """
    glob = glob.removeprefix("oci://")
    if _IPV6.match(glob):
        return f"[[]{glob[1:]}"
    first, slash, rest = glob.partition("/")
    last = rest if slash else first
    name, colon, tag = (last, "", "") if "/" in last else last.partition(":")
    if not slash and (is_registry(name) or _WILDCARDS.intersection(name)):
        return glob
    if _WILDCARDS.intersection(first if slash else ""):
        return f"{first}/{rest}"
    if _WILDCARDS.intersection(name):
        return f"{first}/{rest}" if is_registry(first) else f"{default}/{first}/{rest}"
    return with_registry(f"{first}/{name}" if slash else name, default) + colon + tag


def is_meant(name: str, globs: Iterable[str], default: RegistryName = DEFAULT_REGISTRY) -> bool:
    """Return whether a glob matches all of a name, `host/path[:tag]`; `*` also matches `/`.

    Hosts have no case: one in another spelling is the same.
    """
    name = _with_small_host(name)
    return any(fnmatchcase(name, _with_small_host(glob_in_full(glob, default))) for glob in globs)


def _with_small_host(name: str) -> str:
    host, slash, rest = name.partition("/")
    return f"{host.lower()}/{rest}" if slash else name


def can_match(glob: str) -> bool:
    """Return False for a glob that no repository's `host/path` can match: upper case in a path, a tag."""
    host, slash, path = glob_in_full(glob).partition("/")
    if not slash:
        return "*" in glob and letters_of(glob) <= _IN_HOSTS | _IN_PATHS
    if not letters_of(host) <= _IN_HOSTS or not letters_of(path) <= _IN_PATHS:
        return False
    return not path.endswith("/") and not _NO_COMPONENT.search(path)


def is_registry(part: str) -> bool:
    """Return whether the first part of a name is a registry; upper case can't be a path."""
    return bool(set(part) & set(".:[")) or part == "localhost" or part != part.lower()


def parse_reference(text: str, default_registry: RegistryName = DEFAULT_REGISTRY) -> Reference:
    """Parse `[oci://][HOST/]PATH[:TAG|@DIGEST]`. Raises UsageError that names the expected form."""
    rest = address(text, SOURCE_FORM)
    rest, _, digest = rest.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    name = f"{head}{slash}{last}"
    if slash or not is_registry(name):  # a registry alone is not a repository
        name = with_registry(name, default_registry)
    try:
        return Reference(
            RepositoryName.parse(name),
            Tag.parse(tag) if colon else None,
            Digest.parse(digest) if "@" in text else None,
        )
    except ValueError as error:
        raise UsageError(text, str(error), f"write {SOURCE_FORM}") from error


class Prefix(NamedTuple):
    """A registry, and perhaps a path below which repositories go."""

    registry: RegistryName
    path: RepositoryPath | None = None

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.path else self.registry

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `HOST[/PATH]`. Raises ValueError."""
        host, slash, path = text.partition("/")
        return cls(RegistryName.parse(host), RepositoryPath.parse(path) if slash else None)

    def repository(self, path: RepositoryPath) -> RepositoryName:
        """Return the repository of that path below the prefix. Raises ValueError if the name is too long."""
        return RepositoryName.parse(f"{self}/{path}")


def parse_prefix(text: str) -> Prefix:
    """Parse `[oci://]HOST[/PATH]`. Raises UsageError."""
    try:
        return Prefix.parse(address(text, TARGET_FORM).rstrip("/"))
    except ValueError as error:
        raise UsageError(text, str(error), f"write {TARGET_FORM}") from error
