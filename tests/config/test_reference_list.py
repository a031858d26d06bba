"""Lists of references as kubectl, hauler and people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.texts import references_in
from bundler.errors import CollectedError, UsageError
from bundler.oci import RegistryName
from bundler.oci.reference import DOCKER_HUB

DIGEST = f"sha256:{'a' * 64}"
KUBECTL = (
    "nginx:1.27 registry.k8s.io/pause:3.9 nginx:1.27 ghcr.io/stefanprodan/podinfo:6.5.0\n"
    f"docker-pullable://nginx@{DIGEST}"
)
HAULER = "\ufeff# images of the release\r\nrancher/fleet:v0.9.0   # the agent\r\n\r\nlocalhost:5000/app\r\n"


def read(text: str, default: RegistryName = DOCKER_HUB) -> list[str]:
    """The references as they are named afterwards."""
    return [str(reference) for reference in references_in(text, "list.txt", default)]


def test_what_kubectl_prints_is_a_list() -> None:
    assert read(KUBECTL) == [
        "docker.io/library/nginx:1.27",
        "registry.k8s.io/pause:3.9",
        "ghcr.io/stefanprodan/podinfo:6.5.0",
        f"docker.io/library/nginx@{DIGEST}",
    ]


def test_a_list_has_comments_empty_lines_and_any_line_ends() -> None:
    assert read(HAULER) == ["docker.io/rancher/fleet:v0.9.0", "localhost:5000/app:latest"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("oci://ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("'busybox'", "docker.io/library/busybox:latest"),
        (f"nginx:1.27@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
    ],
)
def test_a_name_is_read_as_a_kubelet_reads_it(word: str, expected: str) -> None:
    assert read(word) == [expected]


def test_names_without_a_host_may_be_elsewhere() -> None:
    assert read("team/app:1", RegistryName("registry.internal")) == ["registry.internal/team/app:1"]


def test_everything_that_is_wrong_is_named_with_its_line() -> None:
    with pytest.raises(CollectedError) as refused:
        read(f"nginx:1\n{DIGEST}\na//b:1 https://host/app\n")
    lines = str(refused.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["list.txt:2", "list.txt:3", "list.txt:3"]
    assert "an image ID, which names no registry" in lines[0]


@pytest.mark.parametrize("text", ["", "\n# nothing\n"])
def test_a_list_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="it names nothing"):
        read(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert read(text)
