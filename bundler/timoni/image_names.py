"""Names of container images, as people and modules write them. No I/O.

Source: distribution/reference, normalize.go: the short names of Docker.
"""

from __future__ import annotations

from bundler.errors import UsageError
from bundler.oci.content import Digest
from bundler.oci.reference import Reference, RepositoryName, Tag

_DOCKER = "docker.io"
_LATEST = Tag("latest")


def image_reference(text: str) -> Reference:
    """`[HOST/]PATH[:TAG][@DIGEST]`; `redis` is `docker.io/library/redis:latest`. Raises UsageError."""
    name, at, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    try:
        return Reference(
            RepositoryName.parse(_with_host(f"{head}{slash}{last}")),
            Tag.parse(tag) if colon else None if at else _LATEST,
            Digest.parse(digest) if at else None,
        )
    except ValueError as error:
        raise UsageError(text, str(error), "write [HOST/]REPOSITORY[:TAG][@DIGEST]") from error


def _with_host(name: str) -> str:
    host, slash, path = name.partition("/")
    if not slash or not (set(host) & set(".:[") or host == "localhost" or host != host.lower()):
        host, path = _DOCKER, name
    if host in {_DOCKER, f"index.{_DOCKER}"}:
        host, path = _DOCKER, path if "/" in path else f"library/{path}"
    return f"{host}/{path}"
