"""The commands that sign and that ask for signatures, with real registries."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.oci.digest import sha256
from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry
from bundler.trust.bundle_signing import Terms, moment_at
from bundler.trust.job import DEFAULT_JOB
from bundler.trust.statement import SignedStatement
from tests.builders import Content, a_bundle, a_module, add_version
from tests.doubles import MemoryRegistry
from tests.processes import PROGRAM, bundler
from tests.registries import RealRegistry
from tests.schema_checks import valid
from tests.sweeps import LoadedProgram
from tests.trust.keys import NAME, a_key, a_signed_bundle, in_place_of_ssh_keygen, line

Output = pytest.CaptureFixture[str]


@dataclasses.dataclass
class Place:
    """A folder with keys, and a registry to export from."""

    folder: Path
    source: MemoryRegistry
    target: str = ""

    @property
    def bundle(self) -> Path:
        return self.folder / "b.tar.zst"

    @property
    def alice(self) -> Path:
        return a_key(self.folder, "alice")

    @property
    def bob(self) -> Path:
        return a_key(self.folder, "bob")

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def export(self, *options: str, out: Path | None = None) -> int:
        """Export all of it, signed by alice if `options` say so."""
        return run(["export", f"{self.source.host}/app", "-o", str(out or self.bundle), "-q", *options])

    def trusting(self, *lines: str) -> list[str]:
        """Options of those who let these in."""
        (self.folder / "signers").write_text("".join(lines) or line("alice", self.alice))
        return ["--allowed-signers", str(self.folder / "signers")]

    def imported(self, *options: str, bundle: Path | None = None) -> tuple[int, dict[str, Any]]:
        """Import it where alice is allowed; the exit code and the report."""
        report = self.folder / "report.json"
        command = ["import", str(bundle or self.bundle), "--to", self.target, "-q", "--report", str(report)]
        code = run([*command, *self.trusting(), "--state", str(self.state), *options])
        document: dict[str, Any] = json.loads(report.read_text())
        valid("report", document)
        return code, document


@pytest.fixture
def place(tmp_path: Path, target_registry: RealRegistry, fresh: Callable[[str], str]) -> Iterator[Place]:
    """A module with two versions, and where it is to go."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as source:
        yield Place(tmp_path, source, f"oci://{target_registry.host}/{fresh('to')}")


def sealed_in(path: Path) -> SignedStatement:
    """What was signed."""
    with open_bundle(path) as bundle:
        assert bundle.signed_statement
        return bundle.signed_statement


# --- export ----------------------------------------------------------------------------------------------


def test_an_export_signs_and_an_import_that_asks_for_it_takes_it(place: Place, capsys: Output) -> None:
    options = ("--job", "nightly", "--sequence", "7", "--expires", "30d")
    assert place.export("--sign-key", str(place.alice), *options) == 0
    code, report = place.imported("--require-signature")
    assert code == 0
    said = report["bundle"]["statement"]
    assert (said["job"], said["sequence"], said["previous"], said["allowed"]) == ("nightly", 7, None, [])
    assert [signer["principal"] for signer in said["signers"]] == ["alice"]
    assert "job nightly: no earlier import of it is known here" in capsys.readouterr().err
    assert json.loads((place.state / "jobs/nightly.json").read_text())["sequence"] == 7


@pytest.mark.slow
def test_the_number_grows_where_the_clock_was_set_back(place: Place) -> None:
    """Else everything that follows would look older than what was imported, and be refused."""
    store, ahead = place.folder / "store", int(time.time()) + 90 * 86_400
    numbers = []
    with Store(store):
        History(store).record(HistoryEntry(sha256(b"another night"), DEFAULT_JOB, ahead), b"")
    for number in range(3):
        add_version(place.source.repositories["app"], f"2.{number}.0")
        out = place.folder / f"{number}.tar.zst"
        assert place.export("--sign-key", str(place.alice), "--store", str(store), out=out) == 0
        numbers.append(sealed_in(out).statement.sequence)
    assert ahead < numbers[0] < numbers[1] < numbers[2] < ahead + 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.tar.zst", "directory"])
def test_the_same_export_again_leaves_the_signature(name: str, place: Place) -> None:
    out = place.folder / name
    assert place.export("--sign-key", str(place.alice), "--sequence", "7", out=out) == 0
    assert run(["sign", str(out), "--key", str(place.bob), "-q"]) == 0
    before = sealed_in(out)
    assert place.export("--sign-key", str(place.alice), out=out) == 0
    assert place.export(out=out) == 0
    assert sealed_in(out) == before
    assert len(before.signatures) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.tar.zst", "directory"])
def test_another_key_job_or_number_is_signed_anew(name: str, place: Place) -> None:
    out = place.folder / name
    assert place.export(out=out) == 0
    for options in (
        ["--sign-key", str(place.alice)],
        ["--sign-key", str(place.bob)],
        ["--sign-key", str(place.bob), "--job", "other"],
        ["--sign-key", str(place.bob), "--job", "third", "--sequence", "9"],
    ):
        before = out.is_file() and out.read_bytes()
        assert place.export(*options, out=out) == 0
        assert before is False or out.read_bytes() != before
    said = sealed_in(out).statement
    assert (said.job, said.sequence) == ("third", 9)
    assert run(["verify", str(out), *place.trusting(line("bob", place.bob)), "-q"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.tar.zst", "directory"])
def test_a_demand_to_expire_is_made_of_what_stands_too(name: str, place: Place) -> None:
    out, sign = place.folder / name, ("--sign-key", str(place.alice))
    assert place.export(*sign, out=out) == 0
    assert sealed_in(out).statement.expires is None
    # Later than before, earlier than before, and again much later.
    for demand in ("30d", "2d", "60d"):
        before = sealed_in(out)
        assert place.export(*sign, "--expires", demand, out=out) == 0
        signed = sealed_in(out)
        assert signed.statement.expires
        assert signed != before
        assert place.export(*sign, "--expires", demand, out=out) == 0
        assert sealed_in(out) == signed
    assert place.export(*sign, out=out) == 0
    assert sealed_in(out) == signed


def test_a_set_of_volumes_is_refused_if_it_does_not_expire(place: Place, capsys: Output) -> None:
    sign = ("--sign-key", str(place.alice), "--volume-size", "64KiB")
    assert place.export(*sign) == 0
    assert place.export(*sign) == 0
    assert place.export(*sign, "--expires", "30d") == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.tar.zst", "directory"])
def test_what_was_signed_goes_with_what_it_was_said_of(name: str, place: Place) -> None:
    out = place.folder / name
    assert place.export("--sign-key", str(place.alice), out=out) == 0
    place.source.repositories["app"] = a_module("1.0.0", "1.1.0", "1.2.0")
    assert place.export(out=out) == 0
    with open_bundle(out) as bundle:
        assert bundle.signed_statement is None


@pytest.mark.slow
def test_a_stream_is_signed_too(place: Place) -> None:
    command = ["export", f"{place.source.host}/app", "-o", "-", "--store", str(place.folder / "store"), "-q"]
    export = [*PROGRAM, *command, "--sign-key", str(place.alice)]
    taking = [*PROGRAM, "import", "-", "--to", place.target, "-q", *place.trusting()]
    with subprocess.Popen(export, stdout=subprocess.PIPE) as writing:
        ended = subprocess.run(
            [*taking, "--state", str(place.state)], stdin=writing.stdout, capture_output=True, check=False
        )
    assert (writing.returncode, ended.returncode) == (0, 0), ended.stderr
    assert (place.state / "jobs/default.json").exists()


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--sign-key", "absent"], "no such file"),
        (["--sign-key", "text"], "not an OpenSSH key"),
        (["--sequence", "3"], "nothing is signed"),
        (["--sign-key", "alice", "--job", "../x"], "is not the name of a job"),
        (["--sign-key", "alice", "--expires", "soon"], "is not a date"),
        (["--sign-key", "alice", "--expires", "2020-01-01"], "is in the past"),
        (["--sign-key", "alice", "--expires", "999999w"], "is not a time"),
    ],
)
def test_what_can_not_be_signed_is_said_before_any_request(
    options: list[str], cause: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    (place.folder / "text").write_text("hello\n")
    a_key(place.folder, "alice")
    monkeypatch.chdir(place.folder)
    assert place.export(*options) == 2
    assert cause in capsys.readouterr().err
    assert place.source.seen == []


def test_a_key_that_can_not_sign_leaves_the_older_bundle(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.export() == 0
    before = place.bundle.read_bytes()
    # It shows the key's fingerprint, and is gone when it should sign.
    script = 'case $1 in -l) exec ssh-keygen.real "$@";; esac; kill -KILL $$'
    path = in_place_of_ssh_keygen(place.folder / "bin", script)
    real = subprocess.run(["which", "ssh-keygen"], capture_output=True, text=True, check=True).stdout.strip()
    (place.folder / "bin" / "ssh-keygen.real").symlink_to(real)
    place.source.repositories["app"] = a_module("1.0.0", "1.1.0", "1.2.0")
    key = str(place.alice)
    monkeypatch.setenv("PATH", path)
    assert place.export("--sign-key", key) == 9
    assert place.bundle.read_bytes() == before


# --- sign ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_sign_and_both_are_asked_for(place: Place, capsys: Output) -> None:
    assert place.export() == 0
    assert run(["sign", str(place.bundle), "--key", str(place.alice), "--sequence", "7", "-q"]) == 0
    assert run(["sign", str(place.bundle), "--key", str(place.bob), "-q"]) == 0
    assert ", number 7, " in capsys.readouterr().out.splitlines()[-2]
    both = place.trusting(line("alice", place.alice), line("bob", place.bob))
    assert run(["verify", str(place.bundle), *both, "--require-signatures", "2", "-q"]) == 0
    assert "signed by alice (SHA256:" in capsys.readouterr().out
    assert run(["verify", str(place.bundle), *both, "--require-signatures", "3", "-q"]) == 11
    assert "2 of 3 signers" in capsys.readouterr().err


def test_signing_twice_changes_nothing(place: Place) -> None:
    assert place.export("--sign-key", str(place.alice)) == 0
    before = place.bundle.read_bytes()
    assert run(["sign", str(place.bundle), "--key", str(place.alice), "-q"]) == 0
    assert place.bundle.read_bytes() == before


def test_what_others_signed_is_changed_only_on_demand(place: Place) -> None:
    assert place.export("--sign-key", str(place.alice), "--sequence", "7") == 0
    again = ["sign", str(place.bundle), "--key", str(place.bob), "--sequence", "9", "-q"]
    assert run(again) == 2
    assert run([*again, "--replace"]) == 0
    assert sealed_in(place.bundle).statement.sequence == 9
    assert len(sealed_in(place.bundle).signatures) == 1


def replaced(place: Place, *options: str) -> int:
    return run(["sign", str(place.bundle), "--key", str(place.bob), "--replace", "-q", *options])


def test_a_replaced_statement_keeps_its_job(place: Place) -> None:
    assert place.export("--sign-key", str(place.alice), "--job", "nightly", "--sequence", "7") == 0
    assert replaced(place) == 0
    assert sealed_in(place.bundle).statement.job == "nightly"
    assert replaced(place, "--job", "weekly", "--sequence", "3") == 0
    statement = sealed_in(place.bundle).statement
    assert (statement.job, statement.sequence) == ("weekly", 3)


def test_a_replaced_statement_takes_no_lower_number(place: Place, capsys: Output) -> None:
    ahead = 1 << 60
    assert place.export("--sign-key", str(place.alice), "--job", "nightly", "--sequence", str(ahead)) == 0
    for job in ([], ["--job", "nightly"]):
        before = place.bundle.read_bytes()
        assert replaced(place, *job, "--sequence", str(ahead - 1)) == 11
        assert f"number {ahead - 1} of the job nightly would replace {ahead}" in capsys.readouterr().err
        assert place.bundle.read_bytes() == before
        # A clock that is behind the number makes none that is lower.
        assert replaced(place, *job) == 0
        assert sealed_in(place.bundle).statement.sequence == ahead


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("b.tar.zst", []),
        ("directory", []),
        ("b.compact.zst", ["--compact"]),
        ("b.tar.zst", ["--volume-size", "64KiB"]),
    ],
    ids=["file", "directory", "compact", "volumes"],
)
def test_an_export_over_a_signed_one_takes_no_lower_number(
    name: str, form: list[str], place: Place, capsys: Output
) -> None:
    out, options = place.folder / name, ("--sign-key", str(place.alice), "--job", "nightly", *form)
    assert place.export(*options, "--sequence", "7", out=out) == 0
    before = sealed_in(out)
    force = [] if "--volume-size" in form else ["--force"]
    for more in ([], force, ["--dry-run"], ["--dry-run", *force]):
        assert place.export(*options, "--sequence", "6", *more, out=out) == 11
        assert "number 6 of the job nightly would replace 7" in capsys.readouterr().err
        assert sealed_in(out) == before
    if not form or "--compact" in form:
        add_version(place.source.repositories["app"], "2.0.0")
        assert place.export(*options, "--sequence", "6", out=out) == 11
        assert sealed_in(out) == before
        assert place.export(*options, "--sequence", "8", out=out) == 0
        assert sealed_in(out).statement.sequence == 8


def test_an_export_keeps_numbers_growing_if_the_clock_does_not(place: Place) -> None:
    sign = ("--sign-key", str(place.alice))
    assert place.export(*sign, "--sequence", str(1 << 60)) == 0
    add_version(place.source.repositories["app"], "2.0.0")
    assert place.export(*sign) == 0
    assert sealed_in(place.bundle).statement.sequence == 1 << 60


@pytest.mark.slow
def test_a_converted_bundle_replaces_none_of_a_higher_number(place: Place, capsys: Output) -> None:
    compact, sign = place.folder / "b.compact.zst", ("--sign-key", str(place.alice))
    assert place.export(*sign, "--sequence", "7", "--compact", out=compact) == 0
    assert place.export(*sign, "--sequence", "8") == 0
    for force in ([], ["--force"]):
        assert run(["expand", str(compact), "-o", str(place.bundle), "-q", *force]) == 11
        assert "number 7 of the job default would replace 8" in capsys.readouterr().err
    assert sealed_in(place.bundle).statement.sequence == 8


def test_a_damaged_bundle_is_not_signed(place: Place) -> None:
    assert place.export() == 0
    data = bytearray(place.bundle.read_bytes())
    data[-300] ^= 1
    place.bundle.write_bytes(data)
    assert run(["sign", str(place.bundle), "--key", str(place.alice), "-q"]) == 6
    assert place.bundle.read_bytes() == data


CHANGES = "write,openat,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,unlinkat"


@pytest.mark.parametrize(("name", "least"), [("b.tar.zst", 10), ("directory", 10)])
@pytest.mark.parametrize("signatures", [0, 1])
def test_killed_while_it_signs_it_leaves_a_whole_bundle(
    name: str, least: int, signatures: int, place: Place, program: LoadedProgram
) -> None:
    alice, bob, box = str(place.alice), str(place.bob), place.folder / "box"
    box.mkdir()
    assert place.export(*(["--sign-key", alice] if signatures else []), out=box / name) == 0

    def fresh(number: object) -> Path:
        folder = place.folder / str(number)
        subprocess.run(["cp", "-a", box, folder], check=True)
        return folder

    folder = fresh("listed")
    points = program.points_of(folder, "sign", str(folder / name), "--key", bob, "-q", calls=CHANGES)
    for number, point in enumerate(points):
        folder = fresh(number)
        sign = ("sign", str(folder / name), "--key", bob, "-q")
        killed = program.struck(folder, point, "signal=KILL", *sign)
        assert killed == (-signal.SIGKILL, ""), point
        assert run(["verify", str(folder / name), "-q"]) == 0, point
        assert run([*sign]) == 0, point
        assert run(["verify", str(folder / name), *place.trusting(line("bob", place.bob)), "-q"]) == 0
        assert not [left.name for left in folder.rglob("*.tmp")], point
    assert len(points) >= least


# --- verify, inspect -------------------------------------------------------------------------------------


def test_a_signature_that_nobody_has_proven_is_called_so(place: Place, capsys: Output) -> None:
    assert place.export("--sign-key", str(place.alice)) == 0
    for command in ("verify", "inspect"):
        assert run([command, str(place.bundle)]) == 0
        assert "not proven: claims SHA256:" in capsys.readouterr().out


def test_what_they_say_in_json_is_what_the_schema_says(place: Place, capsys: Output) -> None:
    assert place.export("--sign-key", str(place.alice)) == 0
    capsys.readouterr()
    for command in (["inspect"], ["verify", "-q", *place.trusting()]):
        assert run([*command, str(place.bundle), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        valid("contents", document)
        assert document["statement"]["keys"]
        assert len(document["statement"]["signers"]) == (command[0] == "verify")


@pytest.mark.parametrize(
    "options",
    [
        ["--require-signature"],
        ["--require-signatures", "2"],
        ["--allow-rollback"],
        ["--revoked-keys", "signers"],
        ["--allowed-signers", "absent"],
        ["--allowed-signers", "."],
        ["--allowed-signers", "signers", "--revoked-keys", "absent"],
        ["--allowed-signers", "signers", "--require-signatures", "0"],
    ],
)
def test_half_said_is_refused_before_any_work(
    options: list[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.trusting()
    monkeypatch.chdir(place.folder)
    assert run(["import", "absent.tar.zst", "--to", "localhost:1", *options]) == 2


# --- no replay -------------------------------------------------------------------------------------------


def numbered(place: Place, number: int, *versions: str) -> Path:
    """A bundle of these versions, signed under this number."""
    out = place.folder / f"{number}.tar.zst"
    a_bundle(out, {NAME: a_module(*versions)})
    sign = ["sign", str(out), "--key", str(place.alice), "--sequence", str(number), "-q"]
    assert run(sign) == 0
    return out


def test_verify_says_that_a_statement_has_expired(place: Place, capsys: Output) -> None:
    out = place.folder / "b.tar.zst"
    a_signed_bundle(out, place.alice, Terms(sequence=7, expires=moment_at(2)), now=1)
    assert run(["verify", str(out)]) == 0
    said = capsys.readouterr().err
    assert "the statement expired at 1970-01-01T00:00:02Z; nobody checked its signatures" in said


@pytest.mark.slow
def test_what_is_older_is_refused_unless_that_is_wanted(place: Place, capsys: Output) -> None:
    old, new = numbered(place, 6, "1.0.0"), numbered(place, 7, "1.0.0", "1.1.0")
    assert place.imported(bundle=new)[0] == 0
    code, report = place.imported(bundle=old)
    assert code == 11
    assert "older than what was imported: number 7 (" in capsys.readouterr().err
    assert report["failures"][0]["exitCode"] == 11
    code, report = place.imported("--allow-rollback", bundle=old)
    assert code == 0
    assert report["bundle"]["statement"]["allowed"] == ["older"]
    assert report["bundle"]["statement"]["previous"] == 7
    assert "imported by --allow-rollback: older" in capsys.readouterr().err
    assert place.imported(bundle=old)[0] == 11
    assert place.imported(bundle=new)[0] == 0


@pytest.mark.slow
def test_where_a_policy_names_the_signers_the_options_say_more(place: Place, capsys: Output) -> None:
    old, new = numbered(place, 6, "1.0.0"), numbered(place, 7, "1.0.0", "1.1.0")
    place.trusting()
    policy = place.folder / "policy.yaml"
    policy.write_text("version: 1\nsigners: {allowed: signers}\n")
    own = ["--to", place.target, "-q", "--policy", str(policy), "--state", str(place.state)]

    def code(bundle: Path, *options: str) -> int:
        return run(["import", str(bundle), *own, *options])

    assert code(new, "--require-signature") == 0
    assert [code(old), code(old, "--allow-rollback")] == [11, 0]
    assert code(new, "--require-signatures", "2") == 11
    revoked = ("--revoked-keys", f"{place.alice}.pub")
    assert code(new, *revoked) == 11
    policy.write_text("version: 1\nsigners: {allowed: signers, revoked: signers}\n")
    assert code(new, *revoked) == 2
    assert "the policy already lists revoked keys" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stream_is_remembered_as_well(place: Place) -> None:
    old, new = numbered(place, 6, "1.0.0"), numbered(place, 7, "1.1.0")
    options = ["-q", *place.trusting(), "--state", str(place.state)]
    codes = []
    for path in (new, old):
        with path.open("rb") as file:
            codes.append(bundler("import", "-", "--to", place.target, *options, stdin=file).returncode)
    assert codes == [0, 11]


@pytest.mark.slow
def test_a_dry_run_is_refused_like_an_import_and_not_remembered(place: Place) -> None:
    old, new = numbered(place, 6, "1.0.0"), numbered(place, 7, "1.1.0")
    assert place.imported("--dry-run", bundle=new)[0] == 0
    assert not place.state.exists()
    assert place.imported(bundle=new)[0] == 0
    assert place.imported("--dry-run", bundle=old)[0] == 11


@pytest.mark.slow
def test_what_failed_for_some_tags_is_remembered_too(place: Place) -> None:
    first, second = numbered(place, 6, "1.0.0"), place.folder / "7.tar.zst"
    assert place.imported(bundle=first)[0] == 0
    moved = Content()
    moved.add_image("another", "1.0.0")
    moved.add_image("more", "1.1.0")
    a_bundle(second, {NAME: moved})
    assert run(["sign", str(second), "--key", str(place.alice), "--sequence", "7", "-q"]) == 0
    assert place.imported(bundle=second)[0] == 8
    assert place.imported(bundle=first)[0] == 11
    assert place.imported("--on-conflict", "overwrite", bundle=second)[0] == 0


@pytest.mark.slow
def test_the_state_lies_at_home_unless_it_is_said_where(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = numbered(place, 6, "1.0.0")
    command = ["import", str(bundle), "--to", place.target, "-q", *place.trusting()]
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(place.folder / "home"))
    assert run(command) == 0
    assert (place.folder / "home/.local/state/timoni-bundler/jobs/default.json").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "xdg"))
    assert run(command) == 0
    assert (place.folder / "xdg/timoni-bundler/jobs/default.json").exists()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    assert run(command) == 2


def test_a_state_that_can_not_be_written_is_9_before_any_request(place: Place) -> None:
    place.state.write_text("a file")
    assert place.imported(bundle=numbered(place, 6, "1.0.0"))[0] == 9
