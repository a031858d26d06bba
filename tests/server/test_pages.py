"""What a browser is shown: what is there, how to pull it, and nothing from elsewhere."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.oci import RepositoryPath, Tag, parse_manifest, sha256
from bundler.oci.manifest import OCI_INDEX
from bundler.page.served_page import ServedPages
from bundler.server.listener import RegistryServer
from bundler.server.served_content import BundleContent, read_only
from bundler.server.writable import writable
from bundler.session import Session
from bundler.timoni.layer import LayerLimits, layer_readme
from tests.builders import a_bundle, a_module
from tests.doubles import Canary
from tests.page.browser import Browser, console
from tests.server.client import Client

APP = "stefanprodan/modules/podinfo"
ADDRESS = re.compile(r"""(?:src|href|action|url)\s*[=(]\s*["']?([^"'\s>)]+)""")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    """A registry of two repositories, with pages."""
    modules = {f"ghcr.io/{APP}": a_module("1.9.0", "1.10.0"), "ghcr.io/other": a_module("2.0.0")}
    bundle = a_bundle(tmp_path / "bundle.tar.zst", modules)

    with read_only(bundle, Session()) as content:
        assert isinstance(content, BundleContent)
        pages = ServedPages(content, Session(), content.bundle)
        with RegistryServer(content, pages=pages.page) as running:
            yield running


@pytest.fixture
def client(server: RegistryServer) -> Iterator[Client]:
    """Asks it."""
    with Client(server.address) as asking:
        yield asking


def test_the_first_page_is_the_report_with_links_and_lines(server: RegistryServer, client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'href="/repositories/{APP}"' in answer.text
    assert f"timoni mod pull oci://{server.address}/{APP} -v 1.10.0 -o podinfo" in answer.text
    digest = client.head(f"/v2/{APP}/manifests/1.10.0").headers["Docker-Content-Digest"]
    assert answer.text.count(digest) == 2, "beside the line that pulls it, and among all tags"
    for part in ("This file", "Size of the whole", "Every tag"):
        assert part in answer.text
    assert "Decision" not in answer.text, "that is for the paper that goes along"


def test_a_repository_has_a_page_of_tags_and_digests(server: RegistryServer, client: Client) -> None:
    page = client.get(f"/repositories/{APP}").text
    for tag in ("1.10.0", "1.9.0"):
        digest = client.head(f"/v2/{APP}/manifests/{tag}").headers["Docker-Content-Digest"]
        assert digest in page
        assert f'href="/v2/{APP}/manifests/{tag}"' in page
        assert f"-v {tag} -o podinfo" in page


def test_every_link_of_the_pages_leads_somewhere(client: Client) -> None:
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path, headers={"Accept": "*/*"})
        assert answer.status_code == 200, path
        if answer.headers["Content-Type"].startswith("text/html"):
            links = [link for link in ADDRESS.findall(answer.text) if link.startswith("/")]
            assert [link for link in ADDRESS.findall(answer.text) if not link.startswith(("/", "#"))] == []
            waiting += links
    assert len(seen) > 6


def test_the_first_page_of_a_directory_lists_repositories(tmp_path: Path) -> None:
    with writable(tmp_path / "registry", Session()) as content:
        data = b'{"schemaVersion":2,"manifests":[]}'
        manifest = parse_manifest(data, OCI_INDEX, sha256(data))
        content.put_manifest(RepositoryPath.parse("team/app"), Tag("1.0.0"), manifest)
        page = ServedPages(content, Session()).page("/", "localhost:5000")
    assert page
    assert 'href="/repositories/team/app"' in page
    assert "docker pull localhost:5000/team/app:1.0.0" in page
    assert manifest.blob.digest in page


def test_the_report_is_gathered_once_for_all_that_ask(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "bundle.tar.zst", {APP: a_module("1.0.0")})
    with read_only(path, Session()) as content:
        assert isinstance(content, BundleContent)
        pages = ServedPages(content, Session(), content.bundle)
        with ThreadPoolExecutor(4) as threads:
            asked = list(threads.map(lambda number: pages.page("/", f"host:{number % 2}"), range(8)))
    # Closed by now: what was read is kept.
    assert pages.page("/", "other:1")
    assert len({id(page) for page in asked}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/nothing", "/report", "/repositories/none", "/repositories/..%2f.."])
def test_other_paths_have_no_page(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_page_names_the_address_that_was_asked(client: Client) -> None:
    told = client.get("/", headers={"Host": "localhost:1234"}).text
    assert f"oci://localhost:1234/{APP}" in told
    odd = client.get("/", headers={"Host": 'localhost:1"><b>'})
    assert "<b>" not in odd.text


def test_the_readme_of_a_module_is_text() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("README.md", b"# podinfo\n<script>"), ("timoni.cue", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    assert layer_readme(gzip.compress(archive.getvalue()), LayerLimits()) == "# podinfo\n<script>"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_paints_the_pages_at_every_width(client: Client, tmp_path: Path, width: int) -> None:
    with Canary() as canary:
        browser = Browser(tmp_path, canary.host)
        for name, path in (("index", "/"), ("repository", f"/repositories/{APP}")):
            file = tmp_path / f"{name}.html"
            file.write_text(client.get(path).text)
            picture = browser.picture_of(file, width, 800)
            assert picture.width == width
            assert picture.painted(0, 400) > 80
            assert console(browser.run(file, "--dump-dom")) == []
        # The browser itself asks for updates; the pages ask for nothing.
        assert [seen for seen in canary.seen if client.address in seen.target] == []
