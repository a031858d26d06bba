"""Who must have signed a bundle, and which bundle may be imported after which."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.bundle.inventory import Inventory
from bundler.errors import BundlerError, LocalError, TrustError, UsageError
from bundler.ledger.ledger import ImportRecord, Incoming, Ledger, Permits
from bundler.oci.digest import Digest, sha256
from bundler.oci.reference import parse_prefix
from bundler.reporting.json_report import BundleReport, Report, StatementReport
from bundler.session import Session
from bundler.trust.bundle_signing import Terms, moment_at
from bundler.trust.job import Job
from bundler.trust.statement import SignedStatement
from bundler.trust.statement_verifier import Requirement, StatementVerifier
from tests.faults.test_attacks_local import FOREIGN
from tests.schema_checks import valid
from tests.trust.keys import NOW, a_certificate, a_key, allowed, keygen, line, signing

ONE, OTHER = sha256(b"one"), sha256(b"other")
HOUR = 3600


NO_CONTENT = Inventory(1, "full", (), (), ())


class Border:
    """Imports to one place that remembers what came in."""

    def __init__(self, folder: Path, *lines: str, signers: int = 1) -> None:
        self.folder = folder
        self._requirement = Requirement(allowed(*lines), signers)

    def proven(
        self, sealed: SignedStatement | None, now: int = NOW, *, allow_rollback: bool = False
    ) -> StatementReport:
        """What its signatures prove."""
        return StatementVerifier(keygen(), self._requirement, now=now, allow_expired=allow_rollback)(sealed)

    def record(
        self,
        sealed: SignedStatement | None,
        now: int = NOW,
        *,
        allow_rollback: bool = False,
        new_job: bool = False,
        may_write: bool = True,
    ) -> ImportRecord:
        """One import, begun."""
        proven = self.proven(sealed, now, allow_rollback=allow_rollback)
        assert sealed
        incoming = Incoming(
            sealed.statement.bundle, NO_CONTENT, proven, parse_prefix("oci://registry.internal")
        )
        ledger = Ledger(self.folder, permits=Permits(older=allow_rollback, new_job=new_job))
        return ledger.importing(incoming, Session(clock=lambda: now), may_write=may_write)

    def crossed(
        self,
        sealed: SignedStatement | None,
        now: int = NOW,
        *,
        allow_rollback: bool = False,
        new_job: bool = False,
    ) -> StatementReport:
        """An import that comes to its end."""
        report = Report("import", "0", (), (), BundleReport("b.tar.zst", ONE))
        with self.record(sealed, now, allow_rollback=allow_rollback, new_job=new_job) as record:
            record.moves([])
            done = record.ends(report).bundle
        assert done
        assert done.statement
        return done.statement

    def refused(self, sealed: SignedStatement | None, now: int = NOW) -> str:
        """Why it does not come in."""
        with pytest.raises(TrustError) as error, self.record(sealed, now):
            pass
        return str(error.value)

    def state(self, job: str = "default") -> Path:
        """Where the last import of a job is remembered."""
        return self.folder / "jobs" / f"{job}.json"


@pytest.fixture
def border(tmp_path: Path, alice: Path) -> Border:
    """Where alice is allowed."""
    return Border(tmp_path / "state", line("alice", alice))


def number(key: Path, sequence: int, bundle: Digest = ONE, job: str = "default") -> SignedStatement:
    """A statement of this sequence number."""
    return signing(key, Terms(Job(job), sequence)).seal(bundle)


# --- who -----------------------------------------------------------------------------------------------


def test_what_is_not_signed_does_not_come_in(border: Border) -> None:
    assert "not signed, but a signature is required" in border.refused(None)


@pytest.mark.slow
def test_two_of_three_are_enough_where_two_are_asked_for(
    alice: Path, bob: Path, mallory: Path, tmp_path: Path
) -> None:
    lines = (line("alice", alice), line("bob", bob), line("carol", a_key(tmp_path, "carol")))
    border = Border(tmp_path / "state", *lines, signers=2)
    one = number(alice, 7)
    stranger = signing(mallory, Terms()).join(one)
    assert "1 of 2 signers: nobody else has signed it" in border.refused(one)
    assert "1 of 2 signers: signature by SHA256:" in border.refused(stranger)
    told = border.crossed(signing(bob, Terms()).join(stranger))
    assert [signer.principal for signer in told.signers] == ["alice", "bob"]
    assert len(told.keys) == 3


def test_one_who_signs_with_two_keys_is_one(alice: Path, bob: Path, tmp_path: Path) -> None:
    border = Border(tmp_path, line("alice", alice), line("alice", bob), signers=2)
    assert "1 of 2 signers" in border.refused(signing(bob, Terms()).join(number(alice, 7)))


def test_a_signature_given_twice_counts_once(alice: Path, bob: Path, tmp_path: Path) -> None:
    border = Border(tmp_path, line("alice", alice), line("bob", bob), signers=2)
    sealed = number(alice, 7)
    assert "1 of 2" in border.refused(sealed._replace(signatures=sealed.signatures * 2))


@pytest.mark.slow
def test_one_key_with_two_names_by_certificates_is_one_signer(alice: Path, bob: Path, tmp_path: Path) -> None:
    own = a_key(tmp_path, "own")
    lines = (line("*", bob, "cert-authority"), line("erin", own))
    border = Border(tmp_path / "state", *lines, signers=2)
    carol, dave = (a_certificate(own, bob, name, name) for name in ("carol", "dave"))
    sealed = signing(own, Terms()).join(signing(dave, Terms()).join(number(carol, 7)))
    assert len(sealed.signatures) == 3
    assert "1 of 2 signers: nobody else has signed it" in border.refused(sealed)
    other = signing(a_certificate(alice, bob, "alice"), Terms()).join(sealed)
    told = border.crossed(other)
    assert [signer.principal for signer in told.signers] == ["carol", "alice"]


def test_a_certificate_signs_a_statement_once_a_new_one_again(alice: Path, tmp_path: Path) -> None:
    own = a_key(tmp_path, "own")
    certificate = a_certificate(own, alice, "carol")
    sealed = number(certificate, 7)
    assert signing(certificate, Terms()).join(sealed) is sealed
    assert signing(certificate).stands_in(sealed)
    renewed = signing(a_certificate(own, alice, "carol", "renewed"), Terms()).join(sealed)
    assert len(renewed.signatures) == 2


def test_signatures_of_another_statement_do_not_count(border: Border, alice: Path) -> None:
    other = number(alice, 8)
    assert "incorrect signature" in border.refused(number(alice, 7)._replace(signatures=other.signatures))


def test_a_key_out_of_use_can_not_sign_for_the_past(alice: Path, tmp_path: Path) -> None:
    border = Border(tmp_path, line("alice", alice, 'valid-before="20260921Z"'))
    dated_back = signing(alice, now=NOW - 30 * 24 * HOUR).seal(ONE)
    assert "key has expired" in border.refused(dated_back)
    assert border.crossed(dated_back, NOW - 29 * 24 * HOUR).signers


def test_a_key_not_in_use_yet_can_not_have_signed(alice: Path, tmp_path: Path) -> None:
    border = Border(tmp_path, line("alice", alice, 'valid-after="20260921Z"'))
    assert "not yet valid" in border.refused(signing(alice, now=NOW - 30 * 24 * HOUR).seal(ONE))


@pytest.mark.parametrize("validity", ["20260101:20260201", "20270101:20270201"])
def test_a_certificate_that_is_not_valid_now_does_not_sign(
    validity: str, alice: Path, tmp_path: Path
) -> None:
    certificate = a_certificate(a_key(tmp_path, "own"), alice, "carol", validity=validity)
    with pytest.raises(UsageError, match=r"its certificate (expired at|is not valid before) 202"):
        signing(certificate)


@pytest.mark.parametrize("of", ["a host", "nobody"])
def test_a_certificate_that_nobody_accepts_does_not_sign(of: str, alice: Path, tmp_path: Path) -> None:
    key = a_key(tmp_path, "own")
    command = ["ssh-keygen", "-q", "-s", str(alice), "-I", of, *(["-h", "-n", "h"] if of == "a host" else [])]
    subprocess.run([*command, str(key.with_name("own.pub"))], check=True)
    with pytest.raises(UsageError, match=r"its certificate (is that of a host|names no principal)"):
        signing(key.with_name("own-cert.pub"))


def test_an_empty_revocation_list_is_refused(alice: Path, tmp_path: Path) -> None:
    lists = {}
    for name, keys in (("empty", ""), ("full", a_key(tmp_path, "own").with_name("own.pub").read_text())):
        (tmp_path / "keys").write_text(keys)
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", tmp_path / name, tmp_path / "keys"], check=True)
        lists[name] = allowed(line("alice", alice), revoked=(tmp_path / name).read_bytes())
    StatementVerifier(keygen(), Requirement(lists["full"]), now=NOW)
    with pytest.raises(UsageError, match="it lists no keys"):
        StatementVerifier(keygen(), Requirement(lists["empty"]), now=NOW)


@pytest.mark.parametrize("text", [b"", b"\n# nobody yet\n", b" \t\r\n\x0c\n", b"\t# nobody\r\n \r\n"])
def test_a_list_of_revoked_keys_without_any_is_refused(text: bytes, alice: Path) -> None:
    with pytest.raises(UsageError, match="it lists no keys"):
        StatementVerifier(keygen(), Requirement(allowed(line("alice", alice), revoked=text)), now=NOW)


# --- when ----------------------------------------------------------------------------------------------


def test_an_expired_statement_does_not_come_in(border: Border, alice: Path) -> None:
    sealed = signing(alice, Terms(expires=moment_at(NOW + HOUR))).seal(ONE)
    assert "expired at 2026-09-21T15:13:20Z" in border.refused(sealed, NOW + HOUR)
    assert border.crossed(sealed, NOW + HOUR - 1).signers
    told = border.crossed(sealed, NOW + HOUR, allow_rollback=True)
    assert told.allowed == ("expired",)


def test_the_first_import_knows_no_other(border: Border, alice: Path) -> None:
    told = border.crossed(number(alice, 7))
    assert told.previous is None
    document = json.loads((border.state()).read_text())
    assert document == {"job": "default", "sequence": 7, "bundle": ONE, "time": moment_at(NOW)}
    valid("import-state", document)


def test_an_older_one_is_refused_with_both_numbers(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7))
    assert f"older than what was imported: number 7 ({moment_at(NOW)}), here is 6" in border.refused(
        number(alice, 6)
    )
    assert border.crossed(number(alice, 8)).signers


def test_the_same_one_may_come_again(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7))
    told = border.crossed(number(alice, 7))
    assert told.previous == 7


def test_another_one_of_the_same_number_is_refused(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7))
    assert f"another bundle with sequence number 7 was imported before: {ONE}" in border.refused(
        number(alice, 7, OTHER)
    )


@pytest.mark.slow
def test_an_allowed_rollback_is_told_and_allows_no_other(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7))
    told = border.crossed(number(alice, 5), allow_rollback=True)
    assert (told.previous, told.allowed) == (7, ("older",))
    assert "older than what was imported: number 7" in border.refused(number(alice, 6))


@pytest.mark.slow
def test_an_unknown_job_is_refused_unless_it_is_said_to_be_new(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7, job="nightly"))
    weekly = number(alice, 1, job="weekly")
    assert "known jobs: nightly; use --new-job" in border.refused(weekly)
    assert border.crossed(weekly, new_job=True).signers
    assert border.crossed(number(alice, 8, job="nightly")).signers
    assert border.crossed(weekly).signers


def test_who_is_not_allowed_leaves_nothing_in_the_state(border: Border, mallory: Path) -> None:
    border.refused(number(mallory, 1 << 61))
    assert not border.folder.exists()


def test_an_import_that_comes_to_no_end_is_not_remembered(border: Border, alice: Path) -> None:
    with border.record(number(alice, 7)):
        pass
    assert border.crossed(number(alice, 6)).signers


def test_looking_writes_nothing(border: Border, alice: Path) -> None:
    with border.record(number(alice, 7), may_write=False):
        pass
    assert not border.folder.exists()


# --- the state -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_import_of_a_job_is_9_while_the_first_runs(border: Border, alice: Path) -> None:
    running = pytest.raises(LocalError, match="another import of the job default is running")
    with border.record(number(alice, 7)), border.record(number(alice, 8, job="other")), running:
        border.record(number(alice, 8))
    assert border.crossed(number(alice, 8)).signers


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", "\0" * 100, '{"job": "default"', "[" * 10_000, "x" * 20_000],
    ids=lambda text: text[:9] or "empty",
)
def test_a_damaged_state_is_no_empty_state(text: str, border: Border, alice: Path) -> None:
    border.state().parent.mkdir(parents=True)
    (border.state()).write_text(text)
    with pytest.raises(BundlerError) as error:
        border.record(number(alice, 7))
    assert error.value.exit_code == 9
    assert "default.json" in str(error.value)


def test_the_state_of_another_job_is_no_state(border: Border, alice: Path) -> None:
    border.crossed(number(alice, 7))
    (border.state()).rename(border.state("nightly"))
    with pytest.raises(LocalError, match="the state of another job, default"):
        border.crossed(number(alice, 7, job="nightly"))


def test_what_can_not_be_looked_at_is_no_empty_state(border: Border, alice: Path) -> None:
    border.state().parent.mkdir(parents=True)
    os.mkfifo(border.state())
    with pytest.raises(BundlerError) as error:
        border.crossed(number(alice, 7))
    assert error.value.exit_code == 9


@pytest.mark.parametrize("place", ["jobs", "jobs/default.json"])
@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_state_of_a_job_that_others_can_change_is_refused(
    place: str, spoil: Callable[[Path], str], border: Border, alice: Path
) -> None:
    border.crossed(number(alice, 7))
    spoil(border.folder / place)
    for may_write in (True, False):
        with pytest.raises(LocalError, match=place.rpartition("/")[2]):
            border.record(number(alice, 8), may_write=may_write)


@pytest.mark.parametrize("spoil", [*FOREIGN, os.mkfifo, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_log_that_can_t_be_believed_is_no_empty_log(
    spoil: Callable[[Path], object], border: Border, alice: Path
) -> None:
    border.crossed(number(alice, 7))
    (log,) = border.folder.glob("target-*.log")
    if spoil not in FOREIGN:
        log.unlink()
    spoil(log)
    with pytest.raises(LocalError, match=log.name):
        Ledger(border.folder).imported(parse_prefix("oci://registry.internal"))


@pytest.mark.parametrize("plant", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_receipt_that_can_t_be_read_is_no_missing_receipt(
    plant: Callable[[Path], object], tmp_path: Path
) -> None:
    plant(tmp_path / "receipt")
    with pytest.raises(LocalError, match="receipt"):
        Ledger(tmp_path / "state", receipt=tmp_path / "receipt").check(parse_prefix("oci://h.example"))


def test_an_open_umask_does_not_open_the_state(border: Border, alice: Path) -> None:
    """Case 129."""
    before = os.umask(0)
    try:
        for sequence in (7, 8):
            border.crossed(number(alice, sequence))
    finally:
        os.umask(before)
    assert [path for path in border.folder.rglob("*") if path.stat().st_mode & 0o022] == []


@pytest.mark.slow
def test_a_lock_goes_with_the_process_that_held_it(border: Border, alice: Path) -> None:
    border.state().parent.mkdir(parents=True)
    held = "import sys; from pathlib import Path; from bundler.ledger.sequences import Sequences\n"
    held += "Sequences(Path(sys.argv[1])).last('default'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", held, str(border.state().parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        with pytest.raises(LocalError, match="is running"):
            border.crossed(number(alice, 7))
        running.kill()
    assert border.crossed(number(alice, 7)).signers
