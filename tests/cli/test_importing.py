"""Names at the target, parts of a bundle, and the files that an import writes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.oci.digest import shortened
from tests.builders import a_bundle, a_module, a_signed_module, an_image
from tests.registries import RealRegistry

Output = pytest.CaptureFixture[str]
Fresh = Callable[[str], str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two modules, one of them signed, and an image of another registry."""
    contents = {
        "ghcr.example/org/modules/app": a_signed_module(),
        "ghcr.example/org/modules/db": a_module("3.0.0", name="db"),
        "docker.example/library/nginx": an_image("1.25"),
    }
    return a_bundle(tmp_path / "b.tar.zst", contents)


def names(target: RealRegistry, prefix: str) -> set[str]:
    """What the target has below a prefix, as `repository:tag`."""
    found = target.catalog()
    return {
        f"{name.removeprefix(f'{prefix}/')}:{tag}"
        for name in found
        if name.startswith(f"{prefix}/")
        for tag in target.tags(name)
    }


@pytest.mark.slow
def test_rules_give_the_names_at_the_target(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    prefix = fresh("mirror")
    (tmp_path / "import.yaml").write_text(f"""
version: 1
to: oci://{target_registry.host}/{prefix}
mapping:
  - repository: ghcr.example/org/modules/db
    to: team/database
  - prefix: ghcr.example/org/
    to: upstream/
  - registry: docker.example
    to: hub/
imageMap: images.txt
""")
    assert run(["import", str(bundle), "-c", str(tmp_path / "import.yaml"), "-q"]) == 0
    found = names(target_registry, prefix)
    versions = {name for name in found if "sha256-" not in name}
    assert versions == {
        "team/database:3.0.0",
        "hub/library/nginx:1.25",
        *(f"upstream/modules/app:1.{minor}.0" for minor in range(4)),
    }
    lines = (tmp_path / "images.txt").read_text().splitlines()
    new = f"{target_registry.host}/{prefix}/hub/library/nginx:1.25"
    assert f"docker.example/library/nginx:1.25 {new}" in lines


def test_what_is_not_allowed_is_refused_before_the_first_write(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    prefix = fresh("mirror")
    (tmp_path / "import.yaml").write_text(f'version: 1\nallow: ["{prefix}/org/*"]\nflatten: 9\n')
    command = ["import", str(bundle), "-c", str(tmp_path / "import.yaml")]
    assert run([*command, "--to", f"{target_registry.host}/{prefix}", "-q"]) == 2
    assert "docker.example/library/nginx" in capsys.readouterr().err
    assert names(target_registry, prefix) == set()


def test_two_repositories_under_one_name_are_refused(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "import.yaml").write_text("version: 1\nmapping: [{pattern: '.*', to: one}]\n")
    command = ["import", str(bundle), "-c", str(tmp_path / "import.yaml"), "-q"]
    assert run([*command, "--to", f"{target_registry.host}/{fresh('mirror')}"]) == 2
    assert "would all get this name" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (["--repository", "*/db"], {"org/modules/db:3.0.0"}),
        (["--repository", "*/app", "--newest", "1"], {"org/modules/app:1.3.0"}),
        (["--repository", "*/app", "--tag", "1.1.*"], {"org/modules/app:1.1.0"}),
    ],
)
def test_a_part_of_a_bundle_is_chosen_by_the_same_rules(
    options: list[str],
    taken: set[str],
    bundle: Path,
    target_registry: RealRegistry,
    fresh: Fresh,
    capsys: Output,
) -> None:
    prefix = fresh("mirror")
    command = ["import", str(bundle), "--to", f"{target_registry.host}/{prefix}", *options, "--json", "-q"]
    assert run(command) == 0
    assert {name for name in names(target_registry, prefix) if "sha256-" not in name} == taken
    report = json.loads(capsys.readouterr().out)
    skipped = [tag for entry in report["repositories"] for tag in entry["tags"] if tag["status"] == "skipped"]
    assert all(tag["reason"] for tag in skipped)


@pytest.mark.slow
def test_a_chosen_tag_brings_all_that_belongs_to_it(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh
) -> None:
    prefix, content = fresh("mirror"), a_signed_module()
    command = ["import", str(bundle), "--to", f"{target_registry.host}/{prefix}", "--tag", "1.2.0", "-q"]
    assert run([*command, "--repository", "*/app"]) == 0
    digest = content.tags["1.2.0"].replace(":", "-")
    found = {name.partition(":")[2] for name in names(target_registry, prefix)}
    assert {digest, f"{digest}.sig", f"{digest}.att", f"{digest}.sbom"} <= found
    assert f"{content.tags['1.0.0'].replace(':', '-')}.sig" not in found


def test_a_stream_takes_the_same_part(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = fresh("mirror")
    with bundle.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        command = ["import", "-", "--to", f"{target_registry.host}/{prefix}", "--repository", "*/db", "-q"]
        assert run(command) == 0
    assert names(target_registry, prefix) == {"org/modules/db:3.0.0"}


def test_nothing_selected_is_not_found(bundle: Path, target_registry: RealRegistry, capsys: Output) -> None:
    assert run(["import", str(bundle), "--to", target_registry.host, "--tag", "nothing", "-q"]) == 4
    assert "nothing in the bundle is selected" in capsys.readouterr().err


@pytest.mark.slow
def test_timoni_bundle_files_come_out_with_the_addresses_inside(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    text = '// keep me\nbundle: instances: app: module: {{url: "oci://{}", version: "1.0.0"}} // and me\n'
    text += 'bundle: instances: other: module: url: "oci://ghcr.example/somebody/else"\n'
    prefix = fresh("mirror")
    (tmp_path / "stack.cue").write_text(text.format("ghcr.example/org/modules/app"))
    (tmp_path / "inside").mkdir()
    command = ["import", str(bundle), "--to", f"{target_registry.host}/{prefix}", "-q"]
    files = ["--timoni-bundle", str(tmp_path / "stack.cue"), "--timoni-bundle-to", str(tmp_path / "inside")]
    assert run([*command, *files]) == 0
    inside = f"{target_registry.host}/{prefix}/org/modules/app"
    assert (tmp_path / "inside" / "stack.cue").read_text() == text.format(inside)
    assert "stack.cue:3: other still has oci://ghcr.example/somebody/else" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rewritten_file_is_checked_against_the_target(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    url = "ghcr.example/org/modules/db"
    prefix = fresh("mirror")
    command = ["import", "--to", f"{target_registry.host}/{prefix}", "-q"]
    earlier, other = a_module("2.0.0", name="db"), a_module("9.9.9").tags["9.9.9"]
    assert run([*command, str(a_bundle(tmp_path / "earlier.tar.zst", {url: earlier}))]) == 0
    pins = {
        "brought": '"3.0.0"',
        "earlier": f'"2.0.0", digest: "{earlier.tags["2.0.0"]}"',
        "absent": '"4.0.0"',
        "floating": '"latest"',
        "pinned": f'"latest", digest: "{other}"',
        "changed": f'"2.0.0", digest: "{other}"',
    }
    lines = [f'\t{name}: module: {{url: "oci://{url}", version: {pin}}}' for name, pin in pins.items()]
    (tmp_path / "stack.cue").write_text("\n".join(["bundle: instances: {", *lines, "}\n"]))
    (tmp_path / "inside").mkdir()
    files = ["--timoni-bundle", str(tmp_path / "stack.cue"), "--timoni-bundle-to", str(tmp_path / "inside")]
    capsys.readouterr()
    assert run([*command, str(bundle), *files, "--json"]) == 8
    inside = f"oci://{target_registry.host}/{prefix}/org/modules/db"
    failures = json.loads(capsys.readouterr().out)["failures"]
    found = {failure["item"].rsplit("stack.cue:")[1]: failure["cause"] for failure in failures}
    assert found == {
        "4": f"absent needs {inside}:4.0.0, which the target does not have",
        "5": f"floating needs {inside}:latest, which the target does not have",
        "6": f"pinned needs {inside}@{other}, which the target does not have",
        "7": f"{inside}:2.0.0 is {earlier.tags['2.0.0']} at the target, not {other}",
    }
    assert inside in (tmp_path / "inside" / "stack.cue").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ["--timoni-bundle", "stack.cue"],
        ["--timoni-bundle-to", "."],
        ["--timoni-bundle", "nowhere.cue", "--timoni-bundle-to", "."],
        ["--write-image-map", "nowhere/images.txt"],
        ["--versions", "no range"],
    ],
)
def test_what_can_t_be_written_is_2_before_any_work(
    options: list[str], bundle: Path, target_registry: RealRegistry, capsys: Output
) -> None:
    assert run(["import", str(bundle), "--to", target_registry.host, *options]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_dry_run_shows_old_and_new_digest_of_what_would_move(
    bundle: Path, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    to = f"{target_registry.host}/{fresh('mirror')}"
    assert run(["import", str(bundle), "--to", to, "-q", "--repository", "*/db"]) == 0
    other = a_module("3.0.0", name="other")
    changed = a_bundle(tmp_path / "c.tar.zst", {"ghcr.example/org/modules/db": other})
    capsys.readouterr()
    assert run(["import", str(changed), "--to", to, "-q", "--dry-run", "--on-conflict", "overwrite"]) == 0
    text = capsys.readouterr().out
    old = a_module("3.0.0", name="db").tags["3.0.0"]
    assert f"{shortened(other.tags['3.0.0'])}  would move, now {shortened(old)}" in text
