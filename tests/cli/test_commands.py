"""The commands as a user calls them, between two real registries."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.oci.digest import shortened
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.registries import Registries
from tests.builders import a_bundle, a_module, push_to
from tests.processes import PROGRAM
from tests.registries import RealRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]


class Places:
    """A source with a module, a place to import to, and a folder between them."""

    def __init__(self, source: RealRegistry, target: RealRegistry, path: str, folder: Path) -> None:
        self.registry = source
        self.path = path
        self.source = f"{source.host}/{path}"
        self.target = f"{target.host}/mirror"
        self.inside = RepositoryName.parse(f"{self.target}/{path}")
        self.folder = folder
        self.bundle = folder / "b.tar.zst"

    def publish(self, *versions: str, latest: str = "", size: int = 1500) -> None:
        """Push versions, and `latest` for one of them."""
        module = a_module(*versions, size=size)
        if latest:
            module.tags["latest"] = module.tags[latest]
        push_to(self.registry.base, self.path, module)


@pytest.fixture
def places(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> Places:
    """With versions 1.0.0 and 1.1.0, and latest."""
    made = Places(source_registry, target_registry, fresh("app"), tmp_path)
    made.publish("1.0.0", "1.1.0", latest="1.1.0")
    return made


def listing(folder: Path) -> list[str]:
    """Names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_0_export_verify_inspect_import(places: Places, capsys: Output) -> None:
    assert run(["export", places.source, "-o", str(places.bundle)]) == 0
    assert run(["verify", str(places.bundle)]) == 0
    assert run(["inspect", str(places.bundle)]) == 0
    assert run(["import", str(places.bundle), "--to", f"oci://{places.target}"]) == 0
    said = capsys.readouterr()
    assert "3 tags" in said.out
    assert "3 tags pushed" in said.out
    assert "blobs:" in said.err
    assert Registries().target(places.inside).digest_of(Tag("latest"))
    assert listing(places.folder) == ["b.tar.zst", "b.tar.zst.sha256"]


def test_quiet_prints_the_result_alone(places: Places, capsys: Output) -> None:
    assert run(["export", places.source, "-o", str(places.bundle), "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.split()[0] for line in said.out.splitlines()] == [f"{places.bundle}:", "bundle"]


@pytest.mark.slow
def test_a_bundle_goes_through_a_pipe(places: Places) -> None:
    store = str(places.folder / "store")
    export = [*PROGRAM, "export", places.source, "-o", "-", "--store", store, "-q"]
    with subprocess.Popen(export, stdout=subprocess.PIPE) as writing:
        command = [*PROGRAM, "import", "-", "--to", places.target, "-q"]
        ended = subprocess.run(command, stdin=writing.stdout, capture_output=True, text=True, check=False)
    assert (writing.returncode, ended.returncode) == (0, 0), ended.stderr
    assert Registries().target(places.inside).digest_of(Tag("1.0.0"))


@pytest.mark.slow
def test_a_pipe_that_is_cut_leaves_no_tag(places: Places) -> None:
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    data = places.bundle.read_bytes()
    command = [*PROGRAM, "import", "-", "--to", places.target, "-q"]
    ended = subprocess.run(command, input=data[: len(data) * 2 // 3], capture_output=True, check=False)
    assert ended.returncode == 6
    assert Registries().target(places.inside).digest_of(Tag("1.0.0")) is None


def test_two_exports_give_the_same_bytes(places: Places) -> None:
    other = places.folder / "other.tar.zst"
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    assert run(["export", places.source, "-o", str(other), "-q", "-j", "1"]) == 0
    assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(places.bundle.read_bytes()).digest()


def test_a_dry_run_of_export_shows_the_plan_and_writes_nothing(places: Places, capsys: Output) -> None:
    assert run(["export", places.source, "-o", str(places.bundle), "--dry-run", "-q"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 tags in 1 repository\nfetch  ")
    assert ", in 5 requests\ndisk   " in said
    assert "\n  1.0.0   sha256:" in said  # in line with `latest`
    assert listing(places.folder) == []


@pytest.mark.slow
def test_an_import_dry_run_shows_both_digests_and_writes_nothing(places: Places, capsys: Output) -> None:
    assert run(["export", f"{places.source}:latest", "-o", str(places.bundle), "-q"]) == 0
    assert run(["import", str(places.bundle), "--to", places.target, "-q"]) == 0
    before = Registries().target(places.inside).digest_of(Tag("latest"))
    places.publish("1.2.0", latest="1.2.0")
    assert run(["export", f"{places.source}:latest", "-o", str(places.bundle), "-q", "--force"]) == 0
    capsys.readouterr()
    assert run(["import", str(places.bundle), "--to", places.target, "-q", "--dry-run"]) == 0
    assert f"would move, now {shortened(str(before))}" in capsys.readouterr().out
    assert Registries().target(places.inside).digest_of(Tag("latest")) == before


@pytest.mark.slow
def test_reports_are_what_their_schema_says(places: Places, capsys: Output) -> None:
    file = places.folder / "r.json"
    arguments = [
        "export",
        places.source,
        f"{places.source}-missing",
        "-o",
        str(places.bundle),
        "--report",
        str(file),
    ]
    assert run([*arguments, "--json", "-q"]) == 8
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(file.read_text())
    valid("report", report)
    assert report["exitCode"] == 8
    assert report["failures"][0]["exitCode"] == 4
    assert run(["import", str(places.bundle), "--to", places.target, "--json", "-q"]) == 0
    valid("report", json.loads(capsys.readouterr().out))


def test_a_run_that_fails_as_a_whole_has_a_report_too(places: Places, capsys: Output) -> None:
    assert run(["export", "not/a/registry!", "-o", str(places.bundle), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    valid("report", report)
    assert report["exitCode"] == 2


# --- what is there already ---------------------------------------------------------------------------


def test_the_same_content_is_left_alone(places: Places, capsys: Output) -> None:
    """Case 109."""
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    before = places.bundle.stat()
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert places.bundle.stat().st_mtime_ns == before.st_mtime_ns
    assert listing(places.folder) == ["b.tar.zst", "b.tar.zst.sha256"]


def test_what_would_be_lost_is_kept_unless_forced(places: Places, capsys: Output) -> None:
    """Case 109."""
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    before = places.bundle.read_bytes()
    assert run(["export", f"{places.source}:1.0.0", "-o", str(places.bundle), "-q"]) == 2
    assert ":1.1.0 and 1 more" in capsys.readouterr().err
    assert places.bundle.read_bytes() == before
    assert run(["export", f"{places.source}:1.0.0", "-o", str(places.bundle), "-q", "--force"]) == 0
    assert run(["verify", str(places.bundle), "-q"]) == 0


def test_more_of_the_same_replaces_it(places: Places) -> None:
    """Case 109."""
    assert run(["export", f"{places.source}:1.0.0", "-o", str(places.bundle), "-q"]) == 0
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    assert run(["verify", str(places.bundle), "-q"]) == 0


def test_a_file_of_something_else_is_never_overwritten(places: Places) -> None:
    """Case 109."""
    places.bundle.write_text("dear diary")
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 2
    assert places.bundle.read_text() == "dear diary"


@pytest.mark.slow
def test_a_directory_is_a_bundle_too(places: Places) -> None:
    folder = places.folder / "layout"
    assert run(["export", places.source, "-o", str(folder), "-q"]) == 0
    assert run(["verify", str(folder), "-q"]) == 0
    assert run(["export", places.source, "-o", str(folder), "-q"]) == 0
    assert run(["import", str(folder), "--to", places.target, "-q"]) == 0
    assert Registries().target(places.inside).digest_of(Tag("1.1.0"))


def test_a_store_keeps_what_the_next_run_needs(places: Places, capsys: Output) -> None:
    for night, moved in (("a", 5), ("b", 0)):
        out = str(places.folder / f"{night}.tar.zst")
        arguments = ["export", places.source, "-o", out, "--store", str(places.folder / "s"), "-q", "--json"]
        assert run(arguments) == 0
        assert json.loads(capsys.readouterr().out)["blobs"]["moved"] == moved


# --- conflicts ---------------------------------------------------------------------------------------


@pytest.fixture
def conflict(places: Places) -> Places:
    """A target whose 1.0.0 and latest are not those of the bundle."""
    module = a_module("1.0.0", name="other")
    module.tags["latest"] = module.tags["1.0.0"]
    old = a_bundle(places.folder / "old.tar.zst", {places.source: module})
    assert run(["import", str(old), "--to", places.target, "-q"]) == 0
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    return places


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "code", "moved"),
    [
        ([], 8, {"latest"}),
        (["fail"], 8, set()),
        (["skip"], 0, set()),
        (["overwrite"], 0, {"1.0.0", "latest"}),
    ],
)
def test_a_conflict_is_decided_by_policy(
    policy: list[str], code: int, moved: set[str], conflict: Places, capsys: Output
) -> None:
    """Case 99."""
    target = Registries().target(conflict.inside)
    before = {tag: target.digest_of(Tag(tag)) for tag in ("1.0.0", "latest")}
    options = ["--on-conflict", *policy] if policy else []
    assert run(["import", str(conflict.bundle), "--to", conflict.target, "-q", *options]) == code
    assert {tag for tag in before if target.digest_of(Tag(tag)) != before[tag]} == moved
    if not policy:
        assert f"there {before['1.0.0']}, in the bundle sha256:" in capsys.readouterr().err


# --- exit codes --------------------------------------------------------------------------------------


def test_2_usage(places: Places) -> None:
    assert run(["export", places.source]) == 2
    assert run(["export", "UPPER/Case", "-o", str(places.bundle)]) == 2
    assert run(["nonsense"]) == 2
    assert listing(places.folder) == []


def test_3_authentication(htpasswd_registry: RealRegistry, tmp_path: Path) -> None:
    assert run(["export", f"{htpasswd_registry.host}/a/b", "-o", str(tmp_path / "b.tar.zst"), "-q"]) == 3


def test_4_not_found_and_108_nothing_matches(places: Places) -> None:
    assert run(["export", f"{places.source}-missing", "-o", str(places.bundle), "-q"]) == 4
    assert run(["export", places.source, "--tag", "9.*", "-o", str(places.bundle), "-q"]) == 4
    assert run(["verify", str(places.bundle)]) == 4
    assert listing(places.folder) == []


def test_6_and_7_damaged_and_refused(places: Places) -> None:
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    places.bundle.write_bytes(places.bundle.read_bytes()[:-100])
    assert run(["verify", str(places.bundle), "-q"]) == 6
    places.bundle.write_text("no bundle")
    assert run(["verify", str(places.bundle), "-q"]) == 7


def test_9_this_machine(places: Places) -> None:
    (places.folder / "file").write_text("")
    assert (
        run(["export", places.source, "-o", str(places.bundle), "--store", str(places.folder / "file"), "-q"])
        == 9
    )


@pytest.mark.slow
def test_the_target_refuses(places: Places, tmp_path: Path) -> None:
    """Case 10."""
    assert run(["export", places.source, "-o", str(places.bundle), "-q"]) == 0
    serve = [*PROGRAM, "serve", str(places.bundle), "--port", "0", "-q"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().strip().removeprefix("http://")
        code = run(["import", str(places.bundle), "--to", f"{address}/other", "-q"])
        serving.terminate()
        serving.stdout.read()
    assert (code, serving.returncode) == (10, 143)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: Output) -> None:
    assert run(["completion", shell]) == 0
    assert "timoni-bundler" in capsys.readouterr().out


def test_the_version(capsys: Output) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == "timoni-bundler 0.1.0\n"
