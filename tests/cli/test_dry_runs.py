"""A dry run says what the run would say, ends with its exit code, and leaves everything as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.limits import MIB
from bundler.store.blob_store import Store
from tests.builders import a_bundle, a_module, sign_by_tag
from tests.doubles import MemoryRegistry
from tests.processes import small_disk
from tests.registries import RealRegistry
from tests.trust.keys import a_key, line

Output = pytest.CaptureFixture[str]


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module with two versions, of which one is signed."""
    content = a_module("1.0.0", "1.1.0")
    sign_by_tag(content, content.tags["1.0.0"])
    with MemoryRegistry({"app": content}) as server:
        yield server


def everything(folder: Path) -> dict[str, bytes | None]:
    """All files and folders below a folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def said(command: list[str], capsys: Output) -> tuple[int, list[str]]:
    """The exit code, and the errors and warnings."""
    code = run(command)
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if re.match("timoni-bundler: (error|warning)|  ", line)]


def a_file(path: Path) -> None:
    path.write_text("something")


def a_link(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    path.symlink_to("elsewhere")


EXPORTS: dict[str, tuple[Callable[[Path], object], list[str], int]] = {
    # what is prepared, options, exit code
    "all is well": (lambda folder: None, [], 0),
    "the lock file has no folder": (lambda folder: None, ["--lock", "none/lock"], 2),
    "the lock file is a folder": (lambda folder: (folder / "lock").mkdir(), ["--lock", "lock"], 9),
    "the lock file is rubbish": (lambda folder: a_file(folder / "lock"), ["--lock", "lock"], 7),
    "a lock file is not written": (lambda folder: None, ["--lock", "lock", "--require", "signature"], 8),
    "the store is a file": (lambda folder: a_file(folder / "store"), ["--store", "store"], 9),
    "the store is below a file": (lambda folder: a_file(folder / "a"), ["--store", "a/store"], 9),
    "the store is a link": (lambda folder: a_link(folder / "store"), ["--store", "store"], 9),
    "the store of OUT is a link": (lambda folder: a_link(folder / "b.tar.zst.store"), [], 9),
    "the report has no folder": (lambda folder: None, ["--report", "none/report.json"], 2),
    "the bundle is a folder": (lambda folder: (folder / "b.tar.zst").mkdir(), [], 2),
    "the bundle is rubbish": (lambda folder: a_file(folder / "b.tar.zst"), [], 2),
    "a version would be lost": (
        lambda folder: a_bundle(folder / "b.tar.zst", {"h.example/other": a_module()}), [], 2
    ),
    "what is required is missing": (lambda folder: None, ["--require", "signature"], 8),
    "no tag matches": (lambda folder: None, ["--tag", "9.*"], 4),
    "the base is missing": (lambda folder: None, ["--base", "none.tar.zst"], 4),
    "the key is missing": (lambda folder: None, ["--sign-key", "none"], 2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", EXPORTS)
def test_a_dry_export_says_what_the_export_says(
    case: str, registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    prepare, options, code = EXPORTS[case]
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    before = everything(tmp_path)
    command = ["export", f"{registry.host}/app", "-o", "b.tar.zst", "-q", *options]
    dry = said([*command, "--dry-run"], capsys)
    assert everything(tmp_path) == before
    assert dry == said(command, capsys)
    assert dry[0] == code


def test_a_dry_export_finds_the_store_in_use(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    command = ["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
    command += ["--store", str(tmp_path / "store")]
    with Store(tmp_path / "store"):
        dry = said([*command, "--dry-run"], capsys)
        assert dry == said(command, capsys)
        assert dry[0] == 9
    assert said([*command, "--dry-run"], capsys) == (0, [])


def test_a_dry_run_keeps_the_report_and_metrics_of_the_last_run(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    report, metrics = tmp_path / "report.json", tmp_path / "export.prom"
    command = ["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
    command += ["--report", str(report), "--metrics", str(metrics)]
    assert run([*command, "--dry-run"]) == 0
    assert json.loads(report.read_text())["dryRun"] is True
    assert run([*command, "--tag", "9.*", "--dry-run"]) == 4
    assert json.loads(report.read_text())["exitCode"] == 4
    assert run(command) == 0
    before, counted = report.read_bytes(), metrics.read_bytes()
    capsys.readouterr()
    for options in ([], ["--tag", "9.*"], ["--base", "none.tar.zst"], ["--lock", str(tmp_path / "no/lock")]):
        run([*command, *options, "--dry-run"])
        assert (report.read_bytes(), metrics.read_bytes()) == (before, counted)
        assert "a dry run does not replace the report of a run" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("where", ["out", "store", "both"])
def test_a_dry_export_finds_too_small_a_disk(where: str, tmp_path: Path, capsys: Output) -> None:
    disk = tmp_path / "disk"
    out, store = (disk if where in (name, "both") else tmp_path for name in ("out", "store"))
    with MemoryRegistry({"app": a_module(size=MIB)}) as registry, small_disk(disk, MIB):
        command = ["export", f"{registry.host}/app", "-o", str(out / "b.tar.zst"), "-q"]
        command += ["--store", str(store / "store")]
        dry = said([*command, "--dry-run"], capsys)
        assert list(disk.iterdir()) == []
        for code, (text,) in (dry, said(command, capsys)):
            assert (code, "bytes are needed" in text) == (9, True)


@pytest.mark.slow
def test_a_dry_import_keeps_every_file_of_the_last_run(
    target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path, capsys: Output
) -> None:
    bundles = [
        a_bundle(tmp_path / f"{name}.tar.zst", {"h.example/app": a_module("1.0.0", name=name)})
        for name in "ab"
    ]
    files = ["--report=r.json", "--receipt=receipt.json", "--rollback-file=undo.json", "--metrics=m.prom"]
    files += ["--write-image-map=map.txt", "--write-mirror-config=mirrors", "--state=state"]
    options = [f"{flag}={tmp_path / name}" for flag, _, name in (file.partition("=") for file in files)]
    options += ["--to", f"oci://{target_registry.host}/{fresh('dry')}", "-q"]
    for bundle in bundles:
        assert run(["import", str(bundle), *options, "--on-conflict", "overwrite"]) == 0
    before = everything(tmp_path)
    undo = str(tmp_path / "undo.json")
    for words in (
        [str(bundles[0])],
        [str(bundles[0]), "--on-conflict", "overwrite"],
        [str(bundles[0]), "--tag", "9.*"],
        [str(tmp_path / "none.tar.zst")],
        [str(bundles[0]), "--prune", "3"],
    ):
        run(["import", *words, *options, "--dry-run"])
        assert everything(tmp_path) == before
    rest = [option for option in options[:4] if "rollback" not in option]
    rollback = ["import", "--rollback", undo, *rest, options[6], "-q", "--dry-run"]
    assert [run(rollback), run([*rollback, "--log-format", "json"])] == [0, 0]
    assert everything(tmp_path) == before
    capsys.readouterr()


@pytest.mark.slow
def test_a_dry_export_names_the_bundles_that_are_not_kept(
    registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["export", f"{registry.host}/app", "-q", "--store", "store", "--keep", "1"]
    for number, tag in enumerate(["1.0.0", "1.1.0"]):
        assert run([*command, "--tag", tag, "-o", f"{number}.tar.zst"]) == 0
    for out, options in (("2.tar.zst", []), ("2.tar.zst", []), ("1.tar.zst", ["--tag", "1.1.0"])):
        capsys.readouterr()
        before, line = everything(tmp_path), [*command, "-o", out, *options]
        assert run([*line, "--dry-run"]) == 0
        shown = set(re.findall("^remove (.*)$", capsys.readouterr().out, re.MULTILINE))
        assert everything(tmp_path) == before
        assert run([*line, "--report", "r.json"]) == 0
        assert shown == set(json.loads(Path("r.json").read_text())["removed"])
    assert not Path("2.tar.zst").exists()


STACK = """
bundle: {
	apiVersion: "v1alpha1"
	name:       "stack"
	instances: app: module: {
		url:     "oci://h.example/app"
		version: "%s"
	}
}
"""

IMPORTS: dict[str, tuple[Callable[[Path], object], list[str], int]] = {
    "all is well": (lambda folder: None, [], 0),
    "a file names a version that is missing": (
        lambda folder: (folder / "stack.cue").write_text(STACK % "9.0.0"), ["--timoni-bundle", "stack.cue"], 8
    ),
    "a file names a version that comes": (
        lambda folder: (folder / "stack.cue").write_text(STACK % "1.0.0"), ["--timoni-bundle", "stack.cue"], 0
    ),
    "nothing is selected": (lambda folder: None, ["--tag", "9.*"], 4),
    "a mirror has no TLS": (lambda folder: None, ["--write-mirror-config", "mirrors"], 0),
    "the receipt is another file": (lambda folder: a_file(folder / "r.json"), ["--receipt", "r.json"], 7),
    "the rollback file is another file": (
        lambda folder: a_file(folder / "r.json"), ["--rollback-file", "r.json"], 2
    ),
    "the state is a file": (lambda folder: a_file(folder / "state"), [], 9),
    "the state is a link": (lambda folder: a_link(folder / "state"), [], 9),
    "nobody signed": (
        lambda folder: (folder / "allowed").write_text(line("alice", a_key(folder, "alice"))),
        ["--allowed-signers", "allowed"], 11,
    ),
    "the policy refuses it": (
        lambda folder: (folder / "p.yaml").write_text("version: 1\nsources: ['x/*']\n"),
        ["--policy", "p.yaml"], 7,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", IMPORTS)
def test_a_dry_import_says_what_the_import_says(
    case: str,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    prepare, options, code = IMPORTS[case]
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    (tmp_path / "to").mkdir()
    options = [*options, "--timoni-bundle-to", "to"] if "--timoni-bundle" in options else options
    a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    to = f"oci://{target_registry.host}/{fresh('dry')}"
    before = everything(tmp_path)
    command = ["import", "b.tar.zst", "--to", to, "--state", "state", "-q", *options]
    dry = said([*command, "--dry-run"], capsys)
    assert everything(tmp_path) == before
    assert dry == said(command, capsys)
    assert dry[0] == code


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fail", "skip", "overwrite", None])
def test_a_dry_import_says_which_tags_conflict(
    how: str | None,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
    capsys: Output,
) -> None:
    to = ["--to", f"oci://{target_registry.host}/{fresh('dry')}", "--state", str(tmp_path / "state"), "-q"]
    first = a_bundle(tmp_path / "a.tar.zst", {"h.example/app": a_module("1.0.0")})
    other = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", name="other")})
    assert run(["import", str(first), *to]) == 0
    command = ["import", str(other), *to, *(["--on-conflict", how] if how else [])]
    dry = said([*command, "--dry-run"], capsys)
    assert dry == said(command, capsys)
