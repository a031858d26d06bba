"""The container images of modules: carried with them, named where they can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bundler.bundle.inventory import roots_of
from bundler.bundle.reader import open_bundle
from bundler.exporter.resolve.wanted_images import leads_to_this_machine
from bundler.oci.manifest import OCI_INDEX
from bundler.oci.reference import RepositoryName, Tag
from bundler.reporting.json_report import Report
from bundler.selection.sources import Include
from bundler.timoni.module import CONFIG_TYPE, pack_module
from tests.builders import (
    Content,
    a_module,
    add_docker_image,
    an_image,
    document_of,
    dumped,
    manifest_document,
    sign_by_tag,
)
from tests.doubles import ALWAYS, MemoryRegistry, says
from tests.flows import exported, imported
from tests.server.client import writable_registry

ALONG = Include(images=True)
VALUES = b"""package main

values: {
	image: {
		repository: "%s/hub/nginx"
		digest:     ""
		tag:        "1.25"
	}
}
"""


def a_timoni_module(files: Mapping[str, bytes], version: str = "1.0.0") -> Content:
    """A module as Timoni packs it."""
    packed = pack_module(
        {"timoni.cue": b"package main\n", **files},
        version=version,
        created="2026-01-01T00:00:00Z",
        source="https://example.com",
        revision="main@sha1:0",
    )
    content = Content()
    content.blobs |= {blob.digest: data for blob, data in packed.blobs.items()}
    content.add_bytes(packed.manifest.data, packed.manifest.blob.media_type, version)
    return content


def annotated(images: str, version: str = "1.0.0") -> Content:
    """A module whose manifest names its images."""
    content = a_module(version)
    digest = content.tags[version]
    layers = content.parsed()[digest].layers
    document = manifest_document(
        content.add_blob(dumped({"v": version}), CONFIG_TYPE),
        [document_of(layer.blob) for layer in layers],
        annotations={"sh.timoni.images": images},
    )
    del content.manifests[digest]
    content.add_bytes(dumped(document), document["mediaType"], version)
    return content


def carried(bundle: Path) -> set[str]:
    """Every root of a bundle without its host."""
    with open_bundle(bundle) as opened:
        return {str(root).partition("/")[2] for root in roots_of(opened.inventory)}


def run(server: MemoryRegistry, folder: Path, along: Include = ALONG, now: int = 0) -> Report:
    """Export the module with its images."""
    return exported(folder / "b.tar.zst", f"{server.host}/app", along=along, now=now)


def test_annotated_images_are_carried_without_reading_the_module(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25"), "hub/redis": an_image("7")}) as server:
        names = f"{server.host}/hub/nginx:1.25,{server.host}/hub/redis:7"
        server.repositories["app"] = annotated(names)
        report = run(server, tmp_path)
    assert report.exit_code == 0
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", "hub/nginx:1.25", "hub/redis:7"}
    assert (report.images[0].source, report.images[0].unknown) == ("annotation", ())
    assert report.images[0].images == tuple(sorted(names.split(",")))


def test_images_of_values_cue_cost_one_fetch_of_the_layer(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = a_timoni_module({"values.cue": VALUES % server.host.encode()})
        report = run(server, tmp_path)
        fetched = [seen.path for seen in server.asked("GET", "/v2/app/blobs/")]
    assert report.images[0].source == "values.cue"
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", "hub/nginx:1.25"}
    assert len(fetched) == len(set(fetched))


def test_what_can_t_be_read_is_said_and_nothing_is_guessed(tmp_path: Path) -> None:
    template = b"package templates\n\n#Deployment: spec: containers: [{image: #config.image.reference}]\n"
    with MemoryRegistry({"app": a_timoni_module({"templates/deployment.cue": template})}) as server:
        report = run(server, tmp_path)
    assert report.exit_code == 0
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0"}
    assert report.images[0].unknown
    assert any("an image is unknown" in warning for warning in report.warnings)


def test_an_image_that_is_gone_is_a_failure_of_its_own(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25,{server.host}/hub/gone:1")
        report = run(server, tmp_path)
        assert [item.item for item in report.failures] == [f"{server.host}/hub/gone:1"]
    assert report.exit_code == 8
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", "hub/nginx:1.25"}


def test_an_excluded_image_is_not_asked_for(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25,{server.host}/hub/gone:1")
        report = run(server, tmp_path, Include(images=True, exclude_images=("*/hub/gone",)))
        assert not server.asked("", "hub/gone")
    assert report.exit_code == 0
    assert report.images[0].excluded == (f"{server.host}/hub/gone:1",)
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", "hub/nginx:1.25"}


@pytest.mark.parametrize("ending", ["", ":1.25", "@sha256:*", ":1.25@sha256:*"])
def test_an_image_is_excluded_by_any_of_its_names(tmp_path: Path, ending: str) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        digest = server.repositories["hub/nginx"].tags["1.25"]
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25@{digest}")
        report = run(server, tmp_path, Include(images=True, exclude_images=(f"*/hub/nginx{ending}",)))
    assert len(report.images[0].excluded) == 1
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0"}


@pytest.mark.parametrize("gone", ["manifests/1.25", "blobs/"])
def test_an_optional_image_that_is_gone_is_a_warning(tmp_path: Path, gone: str) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        server.on("GET", f"hub/nginx/{gone}", says(404), times=ALWAYS)
        report = run(server, tmp_path, Include(images=True, optional_images=("*:1.25",)))
    assert report.exit_code == 0
    assert any("nginx:1.25" in line and "it is optional" in line for line in report.warnings)
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0"}


DAY = 86_400


@pytest.mark.slow
@pytest.mark.parametrize("told_by", ["annotation", "config", "index"])
@pytest.mark.parametrize(("days", "taken"), [(6, False), (7, True)])
def test_a_young_image_is_left_out_with_a_warning(
    tmp_path: Path, told_by: str, days: int, taken: bool
) -> None:
    with MemoryRegistry({"hub/nginx": an_image_made_in_1970(told_by)}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        report = run(server, tmp_path, Include(images=True, image_min_age=7 * DAY), now=days * DAY)
    assert report.exit_code == 0
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", *(["hub/nginx:1.25"] if taken else [])}
    told = "hub/nginx:1.25: left out: created 1970-01-01T00:00:00Z, younger than --image-min-age"
    assert any(told in line for line in report.warnings) != taken


def test_an_image_that_tells_no_age_is_taken(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image_made_in_1970("nothing")}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        report = run(server, tmp_path, Include(images=True, image_min_age=7 * DAY))
    assert (report.exit_code, report.warnings) == (0, ())
    assert carried(tmp_path / "b.tar.zst") == {"app:1.0.0", "hub/nginx:1.25"}


def an_image_made_in_1970(told_by: str) -> Content:
    """An image that says when it was made in one of three places, or nowhere."""
    made, content = "1970-01-01T00:00:00Z", Content()
    kind = "application/vnd.oci.image.config.v1+json"
    config = content.add_blob(dumped({} if told_by in ("annotation", "nothing") else {"created": made}), kind)
    told = {"org.opencontainers.image.created": made} if told_by == "annotation" else {}
    document = manifest_document(config, [], annotations=told)
    data = dumped(document)
    if told_by != "index":
        content.add_bytes(data, document["mediaType"], "1.25")
        return content
    content.add_bytes(data, document["mediaType"], "child")
    child = {"mediaType": document["mediaType"], "digest": content.tags.pop("child"), "size": len(data)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}
    content.add_bytes(dumped(index), OCI_INDEX, "1.25")
    return content


def test_a_pinned_image_is_taken_by_its_digest_under_its_tag(tmp_path: Path) -> None:
    image = an_image("1.25")
    old = image.tags["1.25"]
    add_docker_image(image, "newer", "1.25")
    with MemoryRegistry({"hub/nginx": image}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25@{old}")
        assert run(server, tmp_path).exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        (entry,) = (entry for entry in opened.inventory.repositories if entry.name.path == "hub/nginx")
    assert entry.tags == {Tag("1.25"): old}


def test_one_tag_that_two_versions_pin_to_two_digests_keeps_both(tmp_path: Path) -> None:
    image = an_image("1.25")
    old = image.tags["1.25"]
    add_docker_image(image, "newer", "1.25")
    new = image.tags["1.25"]
    with MemoryRegistry({"hub/nginx": image}) as server:
        first = annotated(f"{server.host}/hub/nginx:1.25@{old}", "1.0.0")
        second = annotated(f"{server.host}/hub/nginx:1.25@{new}", "2.0.0")
        both = Content(
            first.tags | second.tags, first.manifests | second.manifests, first.blobs | second.blobs
        )
        server.repositories["app"] = both
        assert run(server, tmp_path).exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        (entry,) = (entry for entry in opened.inventory.repositories if entry.name.path == "hub/nginx")
    assert set(entry.roots()) == {old, new}


@pytest.mark.slow
def test_images_and_their_signatures_arrive_with_the_module(tmp_path: Path) -> None:
    image = an_image("1.25")
    sign_by_tag(image, image.tags["1.25"])
    with MemoryRegistry({"hub/nginx": image}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        run(server, tmp_path)
    with writable_registry(tmp_path / "target") as client:
        report = imported(tmp_path / "b.tar.zst", client.address)
        assert report.exit_code == 0
        names = {entry.name.partition("/")[2]: len(entry.tags) for entry in report.repositories}
    assert names == {"app": 1, "hub/nginx": 2}


@pytest.mark.parametrize("optional", [False, True])
def test_what_is_required_of_modules_is_required_of_images(optional: bool, tmp_path: Path) -> None:
    globs = ("*/nginx*",) if optional else ()
    include = Include(images=True, require=frozenset({"signature"}), optional_images=globs)
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        module = server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        sign_by_tag(module, module.tags["1.0.0"])
        report = run(server, tmp_path, include)
    failed = () if optional else (f"{server.host}/hub/nginx:1.25",)
    assert tuple(failure.item for failure in report.failures) == failed
    assert any("nginx:1.25: it has no signature" in line for line in report.warnings) is optional
    assert "hub/nginx:1.25" not in carried(tmp_path / "b.tar.zst")


def test_without_the_wish_no_image_is_looked_for(tmp_path: Path) -> None:
    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = annotated(f"{server.host}/hub/nginx:1.25")
        report = run(server, tmp_path, Include())
    assert (carried(tmp_path / "b.tar.zst"), report.images) == ({"app:1.0.0"}, ())


def test_a_dry_run_reads_the_module_and_writes_nothing(tmp_path: Path) -> None:
    from bundler.__main__ import run as command

    with MemoryRegistry({"hub/nginx": an_image("1.25")}) as server:
        server.repositories["app"] = a_timoni_module({"values.cue": VALUES % server.host.encode()})
        out = str(tmp_path / "b.tar.zst")
        assert command(["export", f"{server.host}/app", "--with-images", "--dry-run", "-o", out]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "module", "leads_here"),
    [
        ("127.0.0.1:2375/x", "ghcr.io/org/app", True),
        ("localhost/x", "ghcr.io/org/app", True),
        ("docker.io/library/nginx", "ghcr.io/org/app", False),
        ("127.0.0.1:5000/x", "localhost:5000/app", False),
    ],
)
def test_a_module_from_elsewhere_can_t_have_this_machine_asked(
    image: str, module: str, leads_here: bool
) -> None:
    assert leads_to_this_machine(RepositoryName.parse(image), RepositoryName.parse(module)) is leads_here
