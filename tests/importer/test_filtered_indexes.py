"""Sparse indexes written with only the children that are carried: under tags, and said everywhere."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bundler.__main__ import run
from bundler.importer.filtered_indexes import FILTERED_FROM
from bundler.oci import Digest, sha256
from bundler.oci.manifest import DOCKER_LIST, OCI_INDEX
from tests.builders import (
    Content,
    Document,
    a_module,
    add_docker_image,
    index_document,
    push_to,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import MemoryRegistry
from tests.processes import PROGRAM
from tests.registries import RealRegistry, require

Fresh = Callable[[str], str]


def add_index(content: Content, tag: str, *platforms: str, name: str = "image") -> Digest:
    """Add an image for these platforms."""
    entries = [
        content.add_image(f"{name} {text}") | {"platform": {"os": "linux", "architecture": text}}
        for text in platforms
    ]
    content.add_manifest(index_document(*entries), tag)
    return content.tags[tag]


@pytest.fixture
def content() -> Content:
    """Return an image for two platforms, and a plain version beside it."""
    content = a_module("2.0.0")
    add_index(content, "1.0.0", "amd64", "arm64")
    return content


class Carried:
    """Exports of a source, and imports into a real registry below a path of its own."""

    def __init__(self, source: MemoryRegistry, target: RealRegistry, path: str, folder: Path) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.prefix, self.path = f"oci://{target.host}/{path}", f"{path}/app"
        self.bundle = folder / "b.tar.zst"

    def export(self, *options: str, platforms: tuple[str, ...] = ("amd64",)) -> None:
        """Write the bundle anew."""
        wanted = [option for text in platforms for option in ("--platform", f"linux/{text}")]
        command = ["export", f"{self.source.host}/app", "-o", str(self.bundle), "-q", "--force"]
        assert run([*command, *wanted, *options]) == 0

    def replay(self, *options: str, code: int = 0) -> dict[str, Any]:
        """Import it; return the report."""
        report = self.folder / "report.json"
        command = ["import", str(self.bundle), "--to", self.prefix, "--report", str(report), "-q"]
        assert run([*command, *options]) == code
        document: dict[str, Any] = json.loads(report.read_text())
        return document

    def served(self, reference: str) -> requests.Response:
        """Return what the target has under a name."""
        address = f"{self.target.base}/v2/{self.path}/manifests/{reference}"
        return requests.get(address, headers={"Accept": f"{OCI_INDEX}, {DOCKER_LIST}"}, timeout=60)

    def index(self, tag: str = "1.0.0") -> Document:
        """Return the index that the target has under a tag."""
        document: Document = self.served(tag).json()
        return document


@pytest.fixture
def carried(
    content: Content, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> Iterator[Carried]:
    """A source with that content, and a real target."""
    with MemoryRegistry({"app": content}) as source:
        yield Carried(source, target_registry, fresh("t"), tmp_path)


def tags_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tags of the only repository in a report."""
    return {tag["reference"]: tag for tag in report["repositories"][0]["tags"]}


def test_without_the_option_only_the_sparse_tag_is_held_back(carried: Carried) -> None:
    carried.export()
    report = carried.replay(code=8)
    statuses = {name: tag["status"] for name, tag in tags_of(report).items()}
    assert statuses == {"1.0.0": "failed", "2.0.0": "pushed"}
    (failure,) = report["failures"]
    assert failure["nextStep"].startswith("import it with --filter-indexes")


@pytest.mark.slow
def test_a_filtered_index_has_the_carried_children_only(carried: Carried, content: Content) -> None:
    whole = content.tags["1.0.0"]
    carried.export()
    tag = tags_of(carried.replay("--filter-indexes"))["1.0.0"]
    answer = carried.served("1.0.0")
    assert sha256(answer.content) == tag["digest"] != whole
    assert tag["filteredFrom"] == whole
    assert answer.json()["annotations"] == {FILTERED_FROM: whole}
    assert [entry["platform"]["architecture"] for entry in answer.json()["manifests"]] == ["amd64"]
    assert carried.served(whole).status_code == 404


@pytest.mark.slow
def test_skopeo_pulls_a_filtered_index(carried: Carried, tmp_path: Path) -> None:
    carried.export()
    carried.replay("--filter-indexes")
    name = f"docker://{carried.target.host}/{carried.path}:1.0.0"
    command = [require("skopeo"), "copy", "-q", "--all", "--src-tls-verify=false", name]
    subprocess.run([*command, f"dir:{tmp_path / 'copy'}"], check=True)


@pytest.mark.slow
def test_a_second_import_of_a_filtered_index_sends_nothing(carried: Carried) -> None:
    carried.export()
    carried.replay("--filter-indexes")
    assert carried.replay("--filter-indexes")["unchanged"]


@pytest.mark.slow
def test_a_dry_run_says_which_digest_a_filtered_tag_gets(
    carried: Carried, capsys: pytest.CaptureFixture[str]
) -> None:
    carried.export()
    run(["import", str(carried.bundle), "--to", carried.prefix, "--dry-run", "-q"])
    assert "most registries refuse that: use --filter-indexes" in capsys.readouterr().err
    planned = carried.replay("--filter-indexes", "--dry-run")
    assert "1 filtered index has another digest than outside" in capsys.readouterr().err
    assert (
        tags_of(planned)["1.0.0"]["digest"] == tags_of(carried.replay("--filter-indexes"))["1.0.0"]["digest"]
    )


@pytest.mark.slow
def test_verify_compares_with_filtered_indexes(carried: Carried, capsys: pytest.CaptureFixture[str]) -> None:
    carried.export()
    carried.replay("--filter-indexes")
    compare = ["verify", str(carried.bundle), "--against", carried.prefix, "-q"]
    assert run([*compare, "--filter-indexes", "--deep"]) == 0
    capsys.readouterr()
    assert run(compare) == 8
    assert "give --filter-indexes, if it was imported with that" in capsys.readouterr().err


def test_an_import_file_can_ask_for_filtered_indexes(carried: Carried, tmp_path: Path) -> None:
    carried.export()
    file = tmp_path / "import.yaml"
    file.write_text(f"version: 1\nto: {carried.prefix}\nfilterIndexes: true\n")
    assert run(["import", str(carried.bundle), "-c", str(file), "-q"]) == 0
    assert len(carried.index()["manifests"]) == 1


def test_a_stream_can_be_filtered_too(carried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    carried.export()
    with carried.bundle.open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(stream.raw)))
        assert run(["import", "-", "--to", carried.prefix, "--filter-indexes", "-q"]) == 0
    assert len(carried.index()["manifests"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sign", [sign_by_tag, sign_by_subject])
def test_signatures_of_the_whole_index_are_named_as_lost(
    sign: Callable[[Content, Digest], Digest],
    carried: Carried,
    content: Content,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signature = sign(content, content.tags["1.0.0"])
    carried.export()
    report = carried.replay("--filter-indexes")
    (line,) = [text for text in report["warnings"] if "is lost for the filtered one" in text]
    assert f"{carried.path}:1.0.0" in line
    assert signature in line or str(content.tags["1.0.0"]).replace(":", "-") in line
    assert line in capsys.readouterr().err


@pytest.mark.slow
def test_signatures_of_a_child_are_not_named_as_lost(carried: Carried, content: Content) -> None:
    child = json.loads(content.manifests[content.tags["1.0.0"]][1])["manifests"][0]["digest"]
    sign_by_tag(content, Digest(child))
    carried.export()
    assert not [text for text in carried.replay("--filter-indexes")["warnings"] if "is lost" in text]


def test_an_image_map_has_no_filtered_digest_as_a_name(
    carried: Carried, content: Content, tmp_path: Path
) -> None:
    carried.export()
    report = carried.replay("--filter-indexes", "--write-image-map", str(tmp_path / "map"))
    lines = (tmp_path / "map").read_text().splitlines()
    whole, digest = content.tags["1.0.0"], tags_of(report)["1.0.0"]["digest"]
    old, new = f"{carried.source.host}/app", f"{carried.target.host}/{carried.path}"
    assert lines[0] == f"# {old}:1.0.0 is filtered: {whole} is {digest} here"
    assert f"{old}:1.0.0 {new}:1.0.0" in lines
    assert [line for line in lines if "@" in line] == [
        f"{old}@{content.tags['2.0.0']} {new}@{content.tags['2.0.0']}"
    ]


@pytest.mark.slow
def test_a_receipt_of_filtered_indexes_is_a_base_without_news(
    carried: Carried, content: Content, tmp_path: Path
) -> None:
    sign_by_subject(content, content.tags["1.0.0"])
    carried.export()
    report = carried.replay("--filter-indexes", "--receipt", str(tmp_path / "receipt.json"))
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    whole = content.tags["1.0.0"]
    assert receipt["filtered"] == {tags_of(report)["1.0.0"]["digest"]: whole}
    assert receipt["repositories"][0]["tags"]["1.0.0"] == whole
    night = str(tmp_path / "night.tar.zst")
    command = ["export", f"{carried.source.host}/app", "--platform", "linux/amd64", "-o", night, "-q"]
    assert run([*command, "--base", str(tmp_path / "receipt.json")]) == 0
    assert not Path(night).exists()


@pytest.mark.slow
def test_a_rollback_corrects_the_receipt_of_a_filtered_index(
    carried: Carried, content: Content, tmp_path: Path
) -> None:
    receipt, back = tmp_path / "receipt.json", tmp_path / "back.json"
    content.tags["latest"] = content.tags["1.0.0"]
    carried.export()
    first = content.tags["latest"]
    carried.replay("--filter-indexes", "--receipt", str(receipt))
    content.tags["latest"] = add_index(content, "3.0.0", "amd64", "arm64", name="new")
    carried.export()
    carried.replay("--filter-indexes", "--receipt", str(receipt), "--rollback-file", str(back))
    assert run(["import", "--rollback", str(back), "-q"]) == 0
    assert json.loads(receipt.read_text())["repositories"][0]["tags"]["latest"] == first


@pytest.mark.slow
def test_one_more_platform_moves_a_filtered_tag(carried: Carried, content: Content) -> None:
    add_index(content, "3.0.0", "amd64", "arm64", "s390x", name="third")
    del content.tags["1.0.0"]
    carried.export()
    carried.replay("--filter-indexes")
    carried.export(platforms=("amd64", "arm64"))
    report = carried.replay("--filter-indexes")
    assert tags_of(report)["3.0.0"]["status"] == "moved"
    assert len(carried.index("3.0.0")["manifests"]) == 2


def test_a_whole_index_at_the_target_is_not_replaced(carried: Carried, content: Content) -> None:
    push_to(carried.target.base, carried.path, content)
    carried.export()
    report = carried.replay("--filter-indexes")
    assert report["unchanged"]
    assert carried.index()["manifests"][1]["platform"]["architecture"] == "arm64"


def test_another_index_under_the_tag_is_a_conflict(carried: Carried) -> None:
    other = Content()
    add_index(other, "1.0.0", "amd64", name="other")
    push_to(carried.target.base, carried.path, other)
    carried.export()
    report = carried.replay("--filter-indexes", code=8)
    assert "the tag exists with another digest" in report["failures"][0]["cause"]


def test_an_index_named_by_digest_keeps_its_digest(carried: Carried, content: Content) -> None:
    whole = content.tags["1.0.0"]
    command = ["export", f"{carried.source.host}/app@{whole}", "--platform", "linux/amd64", "-q"]
    assert run([*command, "-o", str(carried.bundle)]) == 0
    report = carried.replay("--filter-indexes", code=10)
    assert report["failures"][0]["item"].endswith(f"@{whole}")


@pytest.mark.slow
def test_indexes_of_filtered_indexes_follow(carried: Carried, content: Content) -> None:
    inner = add_index(content, "inner", "amd64", "arm64", name="inner")
    entry = {"mediaType": OCI_INDEX, "digest": str(inner), "size": len(content.manifests[inner][1])}
    content.add_manifest(index_document(entry, annotations={"kept": "as it is"}), "outer")
    carried.export()
    tags = tags_of(carried.replay("--filter-indexes"))
    outer = carried.index("outer")
    assert [child["digest"] for child in outer["manifests"]] == [tags["inner"]["digest"]]
    assert outer["annotations"]["kept"] == "as it is"


@pytest.mark.slow
def test_a_docker_list_is_filtered_as_well(carried: Carried, content: Content) -> None:
    entries = [
        add_docker_image(content, text) | {"platform": {"os": "linux", "architecture": text}}
        for text in ("amd64", "arm64")
    ]
    content.add_manifest({**index_document(*entries), "mediaType": DOCKER_LIST}, "docker")
    carried.export()
    carried.replay("--filter-indexes")
    answer = carried.served("docker")
    assert (answer.headers["Content-Type"], len(answer.json()["manifests"])) == (DOCKER_LIST, 1)


@pytest.mark.slow
def test_a_filtered_tag_that_is_gone_is_pruned(carried: Carried, content: Content, tmp_path: Path) -> None:
    carried.export()
    base = tmp_path / "base.tar.zst"
    carried.bundle.rename(base)
    assert run(["import", str(base), "--to", carried.prefix, "--filter-indexes", "-q"]) == 0
    del content.tags["1.0.0"]
    carried.export("--base", str(base))
    report = carried.replay("--filter-indexes", "--prune", "1")
    assert tags_of(report)["1.0.0"]["status"] == "removed"
    assert carried.served("1.0.0").status_code == 404


@pytest.mark.slow
def test_a_program_that_is_run_says_what_helps(carried: Carried) -> None:
    carried.export()
    command = [*PROGRAM, "import", str(carried.bundle), "--to", carried.prefix, "-q"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert "sparse index" in done.stderr
    assert "--filter-indexes" in done.stderr


# --- further cases ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_tag_of_a_carried_child_makes_its_index_fuller(carried: Carried, content: Content) -> None:
    child = json.loads(content.manifests[content.tags["1.0.0"]][1])["manifests"][1]["digest"]
    content.tags["2.5.0"] = Digest(child)
    carried.export()
    carried.replay("--filter-indexes")
    assert len(carried.index()["manifests"]) == 2
    assert sha256(carried.served("1.0.0").content) == content.tags["1.0.0"]


@pytest.mark.slow
def test_two_tags_of_one_index_get_one_filtered_index(carried: Carried, content: Content) -> None:
    content.tags["latest"] = content.tags["1.0.0"]
    carried.export()
    tags = tags_of(carried.replay("--filter-indexes"))
    assert tags["latest"]["digest"] == tags["1.0.0"]["digest"]


def test_a_part_of_a_bundle_is_filtered_too(carried: Carried) -> None:
    carried.export()
    report = carried.replay("--filter-indexes", "--tag", "1.*")
    assert tags_of(report)["1.0.0"]["status"] == "pushed"


@pytest.mark.slow
def test_a_delta_of_a_new_index_is_filtered(carried: Carried, content: Content, tmp_path: Path) -> None:
    carried.export()
    base = tmp_path / "base.tar.zst"
    carried.bundle.rename(base)
    assert run(["import", str(base), "--to", carried.prefix, "--filter-indexes", "-q"]) == 0
    add_index(content, "3.0.0", "amd64", "arm64", name="third")
    carried.export("--base", str(base))
    assert tags_of(carried.replay("--filter-indexes"))["3.0.0"]["status"] == "pushed"
    assert len(carried.index("3.0.0")["manifests"]) == 1
    verify = ["verify", str(carried.bundle), "--against", carried.prefix, "--filter-indexes", "-q"]
    assert run(verify) == 0


@pytest.mark.slow
def test_a_bundle_without_sparse_indexes_is_imported_as_ever(carried: Carried, content: Content) -> None:
    carried.export(platforms=())
    report = carried.replay("--filter-indexes")
    assert not any(tag["filteredFrom"] for tag in tags_of(report).values())
    assert sha256(carried.served("1.0.0").content) == content.tags["1.0.0"]


@pytest.mark.slow
def test_a_timoni_bundle_that_pins_the_whole_index_fails(
    carried: Carried, content: Content, tmp_path: Path
) -> None:
    carried.export()
    (tmp_path / "out").mkdir()
    file, whole = tmp_path / "bundle.cue", content.tags["1.0.0"]
    module = f'module: {{url: "oci://{carried.source.host}/app", version: "1.0.0", digest: "{whole}"}}'
    file.write_text(
        f'bundle: {{apiVersion: "v1alpha1", name: "b", instances: {{app: {{{module}, namespace: "n"}}}}}}\n'
    )
    options = ["--timoni-bundle", str(file), "--timoni-bundle-to", str(tmp_path / "out")]
    report = carried.replay("--filter-indexes", *options, code=8)
    assert f"not {whole}" in report["failures"][0]["cause"]
