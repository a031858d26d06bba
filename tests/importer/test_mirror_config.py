"""`import --write-mirror-config`: nodes pull images under their old names from the target."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from bundler.mirrors.mirror_files import DIGEST_SET, MirrorFiles, mirror_files
from bundler.mirrors.mirror_rules import MirrorRule, mirror_rules
from bundler.oci import RepositoryName, Tag
from tests.builders import a_module
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import exported, registries_for
from tests.processes import bundler, needs
from tests.registries import RealRegistry

_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
PLACE = re.compile(
    rf"{_HOST}(?:(?:\.{_HOST})+)?(?::[0-9]+)?(?:(?:/[a-z0-9]+(?:(?:(?:[._]|__|[-]*)[a-z0-9]+)+)?)+)?"
)
"""A source or mirror as the definition of ImageDigestMirrorSet has it."""


def files_of(names: dict[str, str], scheme: str = "https") -> MirrorFiles:
    pairs = {RepositoryName(old): RepositoryName(new) for old, new in names.items()}
    return mirror_files(mirror_rules(pairs), lambda registry: f"{scheme}://{registry}")


def test_a_registry_below_one_path_is_one_rule() -> None:
    rules = mirror_rules(
        {
            RepositoryName("ghcr.io/a/app"): RepositoryName("inside:5000/mirror/a/app"),
            RepositoryName("ghcr.io/b"): RepositoryName("inside:5000/mirror/b"),
            RepositoryName("quay.io/b"): RepositoryName("inside:5000/b"),
        }
    )
    assert rules.all == (MirrorRule("ghcr.io", "inside:5000/mirror"), MirrorRule("quay.io", "inside:5000"))


def test_containerd_asks_below_the_path_of_the_mirror() -> None:
    files = files_of({"ghcr.io/a/app": "inside:5000/mirror/a/app"}).files
    host = tomllib.loads(files["certs.d/ghcr.io/hosts.toml"])
    assert host["server"] == "https://ghcr.io"
    assert host["host"] == {
        "https://inside:5000/v2/mirror": {"capabilities": ["pull", "resolve"], "override_path": True}
    }
    plain = tomllib.loads(files_of({"ghcr.io/app": "inside/app"}).files["certs.d/ghcr.io/hosts.toml"])
    assert plain["host"] == {"https://inside": {"capabilities": ["pull", "resolve"]}}


def test_docker_hub_and_ports_have_their_own_spelling() -> None:
    files = files_of(
        {"docker.io/library/nginx": "inside/library/nginx", "old.example:8443/app": "inside/app"}
    ).files
    assert tomllib.loads(files["certs.d/docker.io/hosts.toml"])["server"] == "https://registry-1.docker.io"
    assert "certs.d/old.example_8443_/hosts.toml" in files


def test_renamed_repositories_are_mapped_one_by_one_or_refused() -> None:
    files = files_of({"ghcr.io/a/app": "inside/a-app", "ghcr.io/b": "inside/b"})
    registries = tomllib.loads(files.files["registries.conf"])["registry"]
    assert [(item["prefix"], item["mirror"][0]["location"]) for item in registries] == [
        ("ghcr.io/a/app", "inside/a-app"), ("ghcr.io/b", "inside/b")
    ]  # fmt: skip
    assert "certs.d/ghcr.io/hosts.toml" not in files.files
    (line,) = files.refused
    assert line.startswith("ghcr.io: no hosts.toml: containerd maps a registry as a whole")
    assert line.endswith("and ghcr.io/a/app and 1 more have names of their own at the target")
    (line,) = files_of({"ghcr.io/a/app": "inside/a-app"}).refused
    assert line.endswith("and ghcr.io/a/app has a name of its own at the target")


def test_a_mirror_set_is_what_its_definition_takes() -> None:
    document = yaml.safe_load(
        files_of({"ghcr.io/a/app": "inside.example:5000/mirror/a/app"}).files[DIGEST_SET]
    )
    assert (document["apiVersion"], document["kind"]) == ("config.openshift.io/v1", "ImageDigestMirrorSet")
    (mirrors,) = document["spec"]["imageDigestMirrors"]
    assert PLACE.fullmatch(mirrors["source"])
    assert all(PLACE.fullmatch(mirror) for mirror in mirrors["mirrors"])


@pytest.mark.parametrize(
    ("names", "scheme", "cause"),
    [
        ({"ghcr.io/a": "inside/a"}, "http", "it can't say that a mirror has no TLS"),
        ({"ghcr.io/a": "[fd00::1]:5000/a"}, "https", "it has no IPv6 addresses"),
    ],
)
def test_what_a_mirror_set_cannot_say_is_refused(names: dict[str, str], scheme: str, cause: str) -> None:
    files = files_of(names, scheme)
    assert DIGEST_SET not in files.files
    assert any(cause in line for line in files.refused)
    mirror = tomllib.loads(files.files["registries.conf"])["registry"][0]["mirror"][0]
    assert mirror.get("insecure", False) == (scheme == "http")


@pytest.fixture
def bundle(fresh: Callable[[str], str], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A bundle whose repository is on a host that nobody can reach any more, and its name there."""
    path = fresh("app")
    with MemoryRegistry({path: a_module("1.0.0")}) as server:
        exported(tmp_path / "app.tar.zst", f"{server.host}/{path}")
        yield tmp_path / "app.tar.zst", f"{server.host}/{path}"


def inspected(folder: Path, image: str) -> dict[str, object]:
    """What skopeo finds under an old name, with the registries.conf that was written."""
    needs(shutil.which("skopeo") is not None, "skopeo")
    done = subprocess.run(
        ["skopeo", "inspect", "--registries-conf", str(folder / "registries.conf"), "--raw", f"docker://{image}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/mirror"])
def test_skopeo_reads_the_image_by_its_old_name(
    bundle: tuple[Path, str], target_registry: RealRegistry, tmp_path: Path, prefix: str
) -> None:
    file, name = bundle
    to, folder = f"{target_registry.host}{prefix}", tmp_path / "mirrors"
    done = bundler("import", str(file), "--to", to, "-q", "--write-mirror-config", str(folder))
    assert done.returncode == 0, done.stderr
    assert "no ImageDigestMirrorSet" in done.stderr
    # The name that modules have, on a host that does not exist here.
    conf = folder / "registries.conf"
    conf.write_text(conf.read_text().replace(name.partition("/")[0], "ghcr.io"))
    by_tag = inspected(folder, f"ghcr.io/{name.partition('/')[2]}:1.0.0")
    assert by_tag["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    source = registries_for(FakeClock()).source(RepositoryName(f"{to}/{name.partition('/')[2]}"))
    digest = source.digest_of(Tag("1.0.0"))
    assert inspected(folder, f"ghcr.io/{name.partition('/')[2]}@{digest}") == by_tag


@pytest.mark.slow
def test_a_receipt_makes_the_configuration_complete(
    bundle: tuple[Path, str], target_registry: RealRegistry, tmp_path: Path
) -> None:
    file, name = bundle
    folder, receipt = tmp_path / "mirrors", tmp_path / "receipt.json"
    command = ["import", str(file), "--to", target_registry.host, "-q", "--receipt", str(receipt)]
    assert bundler(*command).returncode == 0
    config = tmp_path / "import.yaml"
    config.write_text(f"version: 1\nmirrorConfig: {folder}\nreceipt: {receipt}\n")
    done = bundler("import", str(file), "-c", str(config), "--to", target_registry.host, "-q")
    assert done.returncode == 0, done.stderr
    assert name.partition("/")[0] in (folder / "registries.conf").read_text()


@pytest.mark.slow
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mirrors").write_text("")
    done = bundler(
        "import", "x.tar.zst", "--to", "localhost:1", "--write-mirror-config", str(tmp_path / "mirrors")
    )
    assert done.returncode == 2
    assert "this is not a folder" in done.stderr


@pytest.mark.slow
def test_configuration_of_others_stays_and_old_one_goes(
    bundle: tuple[Path, str], target_registry: RealRegistry, tmp_path: Path
) -> None:
    file, name = bundle
    folder = tmp_path / "mirrors"
    command = ["import", str(file), "--to", target_registry.host, "-q", "--write-mirror-config", str(folder)]
    assert bundler(*command).returncode == 0
    (written,) = folder.glob("certs.d/*/hosts.toml")
    old, other = folder / "certs.d/old.example/hosts.toml", folder / "certs.d/other.example/hosts.toml"
    for path, text in ((old, written.read_text()), (other, 'server = "https://other.example"')):
        path.parent.mkdir()
        path.write_text(text)
    written.write_text("# mine")
    again = bundler(*command)
    assert again.returncode == 0, again.stderr
    assert f"{written}: not written, as another program wrote this file" in again.stderr
    assert (written.read_text(), other.exists(), old.exists()) == ("# mine", True, False)
    assert name.partition("/")[0] in (folder / "registries.conf").read_text()


@pytest.mark.slow
def test_images_of_timoni_bundle_files_are_rewritten(
    bundle: tuple[Path, str], target_registry: RealRegistry, tmp_path: Path
) -> None:
    file, name = bundle
    apps, out = tmp_path / "apps.cue", tmp_path / "out"
    out.mkdir()
    values = f'{{image: "{name}:1.0.0", other: image: "quay.io/x/y:1"}}'
    apps.write_text(
        'bundle: {apiVersion: "v1alpha1", name: "apps", instances: app: {\n'
        f'\tmodule: {{url: "oci://{name}", version: "1.0.0"}}\n\tnamespace: "a"\n\tvalues: {values}\n}}}}\n'
    )
    command = ["import", str(file), "--to", target_registry.host, "-q", "--timoni-bundle", str(apps)]
    done = bundler(*command, "--timoni-bundle-to", str(out), "--rewrite-images")
    assert done.returncode == 0, done.stderr
    inside = f"{target_registry.host}/{name.partition('/')[2]}"
    assert f'image: "{inside}:1.0.0", other: image: "quay.io/x/y:1"' in (out / "apps.cue").read_text()
    assert "not rewritten: quay.io/x/y:1 was not carried" in done.stderr
    alone = bundler("import", str(file), "--to", target_registry.host, "--rewrite-images")
    assert alone.returncode == 2
