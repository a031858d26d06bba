"""D. Bundles that the wrong people made: case 74, at the command line, against a target that keeps count."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.__main__ import run
from bundler.trust.armor import signatures_in
from bundler.trust.bundle_signing import Terms
from bundler.trust.job import Job
from bundler.trust.statement import SignedStatement
from tests.builders import a_bundle, a_module, framed, members_of, tar_of
from tests.doubles import Canary
from tests.processes import PROGRAM
from tests.registries import require
from tests.trust.keys import NAME, a_key, a_signed_bundle, line, signing

CONTENTS = {NAME: a_module("1.0.0")}


class Border(NamedTuple):
    """A target that only counts who asks, and who is allowed to send there."""

    target: Canary
    folder: Path
    alice: Path
    mallory: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "b.tar.zst"

    def arguments(self, bundle: str) -> list[str]:
        return [
            "import", bundle, "--to", f"{self.target.host}/mirror", "-q",
            "--allowed-signers", str(self.folder / "signers"), "--state", str(self.folder / "state"),
        ]  # fmt: skip


@pytest.fixture
def border(tmp_path: Path) -> Iterator[Border]:
    """Where alice is allowed."""
    alice, mallory = a_key(tmp_path, "alice"), a_key(tmp_path, "mallory")
    (tmp_path / "signers").write_text(line("alice", alice))
    with Canary() as target:
        yield Border(target, tmp_path, alice, mallory)


def unsigned(border: Border) -> None:
    a_bundle(border.bundle, CONTENTS)


def of_another_key(border: Border) -> None:
    a_signed_bundle(border.bundle, border.mallory, contents=CONTENTS)


def of_another_bundle(border: Border) -> None:
    sealed = a_signed_bundle(border.bundle, border.alice, contents=CONTENTS)
    first, *others = members_of({NAME: a_module("6.6.6")})
    border.bundle.write_bytes(framed(tar_of([first, *sealed.files(), *others])))


def of_another_statement(border: Border) -> None:
    sealed = a_signed_bundle(border.bundle, border.alice, contents=CONTENTS)
    other = signing(border.alice, Terms(Job("other"), 8)).seal(sealed.statement.bundle)
    _written(border, sealed._replace(encoded=other.encoded))


def in_another_namespace(border: Border) -> None:
    sealed = a_signed_bundle(border.bundle, border.alice, contents=CONTENTS)
    command = [require("ssh-keygen"), "-Y", "sign", "-q", "-n", "git", "-f", str(border.alice)]
    made = subprocess.run(command, input=sealed.encoded, capture_output=True, check=True)
    _written(border, sealed._replace(signatures=signatures_in(made.stdout)))


def _written(border: Border, sealed: SignedStatement) -> None:
    first, *others = members_of(CONTENTS)
    border.bundle.write_bytes(framed(tar_of([first, *sealed.files(), *others])))


CASES: dict[Callable[[Border], None], str] = {
    unsigned: "not signed, but a signature is required",
    of_another_key: "its key is not in ",
    of_another_bundle: "it is about another bundle",
    of_another_statement: "incorrect signature",
    in_another_namespace: "made for the namespace 'git', not timoni-bundler",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("way", ["file", "stream"])
def test_a_wrong_signature_is_11_and_the_target_hears_nothing(
    case: Callable[[Border], None], way: str, border: Border
) -> None:
    """Case 74."""
    case(border)
    with border.bundle.open("rb") as file:
        ended = subprocess.run(
            [*PROGRAM, *border.arguments("-" if way == "stream" else str(border.bundle))],
            stdin=file, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 11, ended.stderr
    assert CASES[case] in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert border.target.seen == []
    assert not (border.folder / "state").exists()


def test_of_a_stream_nothing_is_read_behind_what_was_refused(border: Border) -> None:
    """Case 74."""
    unsigned(border)
    data = border.bundle.read_bytes()
    end = data.rindex(b"\x28\xb5\x2f\xfd")  # the last frame never comes
    with subprocess.Popen(
        [*PROGRAM, *border.arguments("-")], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin
        running.stdin.write(data[:end])
        running.stdin.flush()
        assert running.wait(300) == 11


def test_without_ssh_keygen_nothing_comes_in(border: Border, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 74."""
    a_signed_bundle(border.bundle, border.alice, contents=CONTENTS)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert run(border.arguments(str(border.bundle))) == 9
    assert border.target.seen == []
