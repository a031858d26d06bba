"""Images in the values of a Timoni Bundle file: rewritten where they were carried, listed where not."""

from __future__ import annotations

import pytest

from bundler.oci import Reference, RepositoryName
from bundler.timoni.image_rewrite import ImageRewrite, with_images_inside
from bundler.timoni.source_text import SourceText

NAMES = {
    "ghcr.io/org/app": "inside:5000/mirror/org/app",
    "docker.io/library/redis": "inside:5000/mirror/redis",
}
TAGS = {"1.0.0", "7.2"}


def inside(reference: Reference) -> RepositoryName | None:
    new = NAMES.get(reference.repository)
    return RepositoryName(new) if new and (reference.tag in TAGS or reference.digest) else None


def rewritten(values: str, ending: str = "cue") -> ImageRewrite:
    return with_images_inside(SourceText(f"bundle.{ending}", values), NAMES, inside)


def a_bundle_of(values: str) -> str:
    return f"""bundle: {{
	apiVersion: "v1alpha1"
	name:       "apps"
	instances: app: {{
		module: url: "oci://ghcr.io/org/app"
		namespace: "apps"
		values: {values}
	}}
}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('image: "ghcr.io/org/app:1.0.0"', 'image: "inside:5000/mirror/org/app:1.0.0"'),
        ('sidecarImage: "redis:7.2"', 'sidecarImage: "inside:5000/mirror/redis:7.2"'),
        ('images: ["ghcr.io/org/app:1.0.0"]', 'images: ["inside:5000/mirror/org/app:1.0.0"]'),
        ('exporter: "ghcr.io/org/app:1.0.0"', 'exporter: "inside:5000/mirror/org/app:1.0.0"'),
        (
            f'image: "ghcr.io/org/app@sha256:{"a" * 64}"',
            f'image: "inside:5000/mirror/org/app@sha256:{"a" * 64}"',
        ),
        (
            'image: {repository: "ghcr.io/org/app", tag: "1.0.0"}',
            'image: {repository: "inside:5000/mirror/org/app", tag: "1.0.0"}',
        ),
        (
            'image: {repository: *"ghcr.io/org/app" | string, tag: "1.0.0"}',
            'image: {repository: *"inside:5000/mirror/org/app" | string, tag: "1.0.0"}',
        ),
    ],
)
def test_a_carried_image_is_rewritten_where_it_stands(old: str, new: str) -> None:
    found = rewritten(a_bundle_of(f"{{{old}, replicas: 2}} // kept"))
    assert found.text == a_bundle_of(f"{{{new}, replicas: 2}} // kept")
    assert found.left == ()


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ('{image: "ghcr.io/org/app:9.9.9"}', "ghcr.io/org/app:9.9.9 was not carried"),
        ('{image: "quay.io/other:1.0.0"}', "quay.io/other:1.0.0 was not carried"),
        ('{image: {repository: "ghcr.io/org/app", tag: string @timoni(runtime:string:TAG)}}', "TAG"),
        ('{image: "ghcr.io/org/app:\\(version)"}', "not rewritten"),
        ('{args: ["--image=ghcr.io/org/app:1.0.0"]}', "still names ghcr.io/org/app"),
    ],
)
def test_what_is_not_rewritten_is_listed(values: str, cause: str) -> None:
    found = rewritten(a_bundle_of(values))
    assert found.text == a_bundle_of(values)
    assert any(cause in line for line in found.left), found.left
    assert all(line.startswith("bundle.cue:") for line in found.left)


def test_yaml_and_json_files_are_rewritten_too() -> None:
    text = (
        "bundle:\n  apiVersion: v1alpha1\n  name: apps\n  instances:\n    app:\n"
        "      module: {url: oci://ghcr.io/org/app}\n      namespace: apps\n"
        "      values:\n        image:\n          repository: ghcr.io/org/app # here\n          tag: 1.0.0\n"
    )
    found = rewritten(text, "yaml")
    assert "          repository: inside:5000/mirror/org/app # here\n" in found.text
    assert "oci://ghcr.io/org/app" in found.text
    assert found.left == ()


def test_words_that_are_no_image_stay() -> None:
    values = '{message: "see ghcr.io", url: "http://x:80", note: "a: b", image: pullPolicy: "Always"}'
    found = rewritten(a_bundle_of(values))
    assert (found.text, found.left) == (a_bundle_of(values), ())
