"""A client of plain requests, and a registry to point it at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import requests

from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.digest import Digest, sha256
from bundler.server.listener import RegistryServer
from bundler.server.served_content import ServedContent as Served
from bundler.server.writable import writable
from bundler.session import Session
from tests.builders import Content


class Client(requests.Session):
    """Asks one registry, by paths."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.trust_env = False

    def __enter__(self) -> Self:
        return self

    def request(self, method: Any, url: Any, *more: Any, **options: Any) -> requests.Response:
        """`url` is a path, as `Location` and `Link` give it too."""
        return super().request(method, f"http://{self.address}{url}", *more, **options)

    def begin(self, name: str) -> str:
        """Where to send the bytes of a new upload."""
        return self.post(f"/v2/{name}/blobs/uploads/").headers["Location"]

    def upload(self, name: str, data: bytes, digest: str = "") -> requests.Response:
        """A blob by POST and PUT."""
        return self.put(self.begin(name), params={"digest": digest or sha256(data)}, data=data)

    def put_manifest(self, name: str, reference: str, media_type: str, data: bytes) -> requests.Response:
        """A manifest."""
        return self.put(f"/v2/{name}/manifests/{reference}", data=data, headers={"Content-Type": media_type})

    def push(self, name: str, content: Content) -> None:
        """All of it: blobs, manifests by digest, tags."""
        for digest, data in content.blobs.items():
            self.upload(name, data, digest).raise_for_status()
        for digest, (media_type, data) in content.manifests.items():
            self.put_manifest(name, digest, media_type, data).raise_for_status()
        for tag, digest in content.tags.items():
            self.put_manifest(name, tag, *content.manifests[digest]).raise_for_status()

    def error(self, response: requests.Response) -> tuple[int, str]:
        """The status and the code of an error."""
        return response.status_code, response.json()["errors"][0]["code"]

    def pages(self, url: str) -> list[requests.Response]:
        """The pages of a list, as each links to the next."""
        found = []
        while url:
            found.append(self.get(url))
            found[-1].raise_for_status()
            link = re.fullmatch('<(/.*)>; rel="next"', found[-1].headers.get("Link", ""))
            url = link[1] if link else ""
        return found


@contextmanager
def served(content: Served, *, referrers: bool = True) -> Iterator[Client]:
    """A registry over some content."""
    with (
        RegistryServer(content, referrers=referrers) as server,
        Client(server.address) as client,
    ):
        yield client


@contextmanager
def writable_registry(
    path: Path, limits: Limits = DEFAULT_LIMITS, *, referrers: bool = True
) -> Iterator[Client]:
    """A registry that takes pushes into `path`."""
    with writable(path, Session(limits=limits)) as content, served(content, referrers=referrers) as client:
        yield client


def tag_digest(client: Client, name: str, tag: str) -> Digest:
    """What a tag points to."""
    response = client.head(f"/v2/{name}/manifests/{tag}")
    response.raise_for_status()
    return Digest.parse(response.headers["Docker-Content-Digest"])
