"""What the command line says beside a file: restrictions are added, choices replace those of the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler import Part
from bundler.__main__ import run
from bundler.cli.input_files import part_of
from bundler.config.import_file import ConfiguredPart, ImportFile
from bundler.config.include_options import IncludeOptions
from bundler.config.selection_options import SelectOptions, TagOptions
from bundler.errors import UsageError
from bundler.oci.platform import parse_platform
from bundler.selection.rules import Rules
from bundler.selection.sources import Include
from tests.builders import a_bundle, a_module
from tests.doubles import MemoryRegistry
from tests.registries import RealRegistry

Output = pytest.CaptureFixture[str]

VERSIONS = ("1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0")


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module with four versions."""
    with MemoryRegistry({"app": a_module(*VERSIONS)}) as server:
        yield server


def explained(
    registry: MemoryRegistry, tmp_path: Path, keys: str, options: list[str], capsys: Output
) -> set[str]:
    """The tags that are taken of a source with these keys, beside these options."""
    file = tmp_path / "export.yaml"
    file.write_text(f"version: 1\nsources: [{{repository: {registry.host}/app{keys}}}]\n")
    assert run(["explain", "-c", str(file), *options, "--json", "-q"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["repositories"]
    return {decision["tag"] for decision in entry["decisions"] if decision["taken"]}


@pytest.mark.parametrize(
    ("keys", "options", "taken"),
    [
        ('versions: "^1"', ["--exclude", "1.1.*"], {"1.0.0"}),
        ('versions: "^1", exclude: ["1.0.*"]', ["--exclude", "2.*"], {"1.1.0"}),
        ('versions: "^1"', ["--tag", "2.*"], {"2.0.0"}),
        ('versions: "^1", exclude: ["1.0.*"]', ["--versions", "<2"], {"1.1.0"}),
        ("newest: 1", ["--newest", "2"], {"1.1.0", "2.0.0"}),
        ('versions: "^1"', ["--prereleases"], {"1.0.0", "1.1.0", "1.2.0-rc.1"}),
    ],
)
def test_restrictions_are_added_and_choices_replace_the_file_s(
    keys: str, options: list[str], taken: set[str], registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    assert explained(registry, tmp_path, f", {keys}", options, capsys) == taken


def test_what_the_command_line_requires_holds_for_a_file(registry: MemoryRegistry, tmp_path: Path) -> None:
    file, out = tmp_path / "export.yaml", tmp_path / "b.tar.zst"
    file.write_text(f"version: 1\nsources: [{{repository: {registry.host}/app, tags: ['1.0.0']}}]\n")
    assert run(["export", "-c", str(file), "-o", str(out), "-q", "--require", "signature"]) != 0
    assert not out.exists()
    assert run(["export", "-c", str(file), "-o", str(out), "-q"]) == 0


def test_a_platform_of_the_command_line_narrows_a_file_s() -> None:
    amd, arm, both = parse_platform("linux/amd64"), parse_platform("linux/arm64"), ("linux/arm64",)
    options = IncludeOptions(platforms=(arm,))
    assert options.narrowing(Include(platforms=(amd, arm))).platforms == (arm,)
    assert options.narrowing(Include()).platforms == (arm,)
    with pytest.raises(UsageError, match="takes only linux/amd64"):
        options.narrowing(Include(platforms=(amd,)))
    assert str(arm) in both


def test_what_is_left_out_can_t_be_required_by_a_file() -> None:
    with pytest.raises(UsageError, match="--no-referrers"):
        IncludeOptions(no_referrers=True).narrowing(Include(require=frozenset({"sbom"})))


FILE = ImportFile("import.yaml", select=ConfiguredPart(("*/app",), Rules(versions="^1", exclude=("x",))))


@pytest.mark.parametrize(
    ("select", "tags", "part"),
    [
        ((), TagOptions(), Part(("*/app",), Rules(versions="^1", exclude=("x",)))),
        ((), TagOptions(exclude=("y",)), Part(("*/app",), Rules(versions="^1", exclude=("x", "y")))),
        ((), TagOptions(globs=("2.*",)), Part(("*/app",), Rules(globs=("2.*",), exclude=("x",)))),
        (("*/db",), TagOptions(), Part(("*/db",), Rules(versions="^1", exclude=("x",)))),
    ],
)
def test_an_option_beside_an_import_file_keeps_the_rest(
    select: tuple[str, ...], tags: TagOptions, part: Part
) -> None:
    assert part_of(SelectOptions(select), tags, FILE) == part


def test_verify_against_a_target_takes_the_part_of_the_file(
    target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    bundle = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", "2.0.0")}))
    to, file = f"{target_registry.host}/{fresh('mirror')}", tmp_path / "import.yaml"
    file.write_text(f"version: 1\nto: oci://{to}\nselect: {{versions: '^1'}}\n")
    assert run(["import", bundle, "-c", str(file), "-q"]) == 0
    assert run(["verify", bundle, "-c", str(file), "-q"]) == 0
    assert run(["verify", bundle, "--against", to, "-q"]) == 8
    assert run(["verify", bundle, "--against", to, "--versions", "^1", "-q"]) == 0
    assert run(["verify", bundle, "--against", to, "--tag", "2.*", "-q"]) != 0


STACK = """
bundle: {
	apiVersion: "v1alpha1"
	name:       "stack"
	instances: app: module: {
		url:     string @timoni(runtime:string:MODULE)
		version: "1.0.0"
	}
}
"""


def test_runtime_values_come_from_the_environment_on_request(
    registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    (tmp_path / "bundle.cue").write_text(STACK)
    monkeypatch.setenv("MODULE", f"oci://{registry.host}/app")
    line = [
        "export",
        "--from-timoni-bundle",
        str(tmp_path / "bundle.cue"),
        "-o",
        str(tmp_path / "b.tar.zst"),
        "-q",
    ]
    assert run(line) == 7
    assert registry.asked() == []
    assert "MODULE" in capsys.readouterr().err
    assert run([*line, "--runtime-from-env"]) == 0


@pytest.mark.parametrize(
    "secret", ["correct horse", "correct\nhorse", "correct\thorse", 'h\u00f6rse\'s "horse"']
)
def test_a_runtime_value_that_is_no_url_is_not_printed(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    (tmp_path / "bundle.cue").write_text(STACK)
    monkeypatch.setenv("MODULE", secret)
    line = ["export", "--from-timoni-bundle", str(tmp_path / "bundle.cue"), "-o", str(tmp_path / "b.tar.zst")]
    assert run([*line, "--runtime-from-env"]) != 0
    assert run([*line, "--set", f"MODULE=oci://{secret}/a"]) != 0
    said = capsys.readouterr()
    assert "horse" not in said.err + said.out


def test_defaults_of_a_file_reach_its_timoni_bundles(registry: MemoryRegistry, tmp_path: Path) -> None:
    (tmp_path / "bundle.cue").write_text(STACK)
    file = tmp_path / "export.yaml"
    file.write_text(
        "version: 1\noutput: b.tar.zst\ndefaults: {require: [signature]}\n"
        f"timoniBundles: [{{files: [bundle.cue], set: {{MODULE: 'oci://{registry.host}/app'}}}}]\n"
    )
    assert run(["export", "-c", str(file), "-q"]) != 0
    file.write_text(file.read_text().replace("defaults: {require: [signature]}\n", ""))
    assert run(["export", "-c", str(file), "-q"]) == 0


@pytest.mark.parametrize(
    ("source", "options", "named"),
    [
        ("app:1.0.0", ["--newest", "1"], "--newest"),
        ("app:1.0.0", ["--tag", "1.*"], "--tag"),
        ("app:1.0.0", ["--min-age", "3d"], "--min-age"),
        ("app@sha256:" + "0" * 64, ["--since", "3d"], "--since"),
    ],
)
def test_a_rule_beside_a_named_tag_is_refused_by_name(
    source: str, options: list[str], named: str, registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    assert run(["explain", f"{registry.host}/{source}", *options, "-q"]) == 2
    assert f"error: {named}: " in capsys.readouterr().err
    assert registry.asked() == []


def test_images_are_excluded_and_optional_by_glob_on_both_sides() -> None:
    line = IncludeOptions(images=True, exclude_images=("*/a*",), optional_images=("*/b*",))
    file = Include(images=True, exclude_images=("*/c*",))
    found = line.narrowing(file)
    assert (found.exclude_images, found.optional_images) == (("*/c*", "*/a*"), ("*/b*",))
    assert line.include().exclude_images == ("*/a*",)


@pytest.mark.parametrize(
    ("keys", "options", "named"),
    [
        ("prereleases: true", [], "prereleases"),
        ("globs: ['1.*']", ["--prereleases"], "--prereleases"),
        ("images: false", ["--exclude-image", "*/redis*"], "--exclude-image"),
        ("newest: 1", ["--optional-image", "*"], "--optional-image"),
        (
            "referrers: false",
            ["--cosign-key", "k.pem", "-o", "b.tar.zst"],
            "--no-referrers with --cosign-key",
        ),
    ],
)
def test_what_changes_no_source_of_a_file_is_refused(
    keys: str, options: list[str], named: str, registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    file = tmp_path / "export.yaml"
    file.write_text(f"version: 1\nsources: [{{repository: {registry.host}/app, {keys}}}]\n")
    command = "export" if "-o" in options else "explain"
    assert run([command, "-c", str(file), *options, "-q"]) == 2
    assert f"error: {named}: " in capsys.readouterr().err
    assert registry.asked() == []


AMD, ARM = parse_platform("linux/amd64"), parse_platform("linux/arm64")


def test_a_platform_limit_holds_for_a_repository_named_twice() -> None:
    limited, plain = Include(images=True, platforms=(AMD,)), Include()
    assert limited.joined(plain).platforms == plain.joined(limited).platforms == (AMD,)
    assert limited.joined(Include(platforms=(ARM,))).platforms == (AMD, ARM)


def test_an_image_of_two_modules_has_what_either_needs() -> None:
    limited, plain = Include(platforms=(AMD,)), Include()
    assert limited.joined(plain, narrow=False).platforms == ()
    assert limited.joined(Include(platforms=(ARM,)), narrow=False).platforms == (AMD, ARM)
