"""Statement and signatures in a bundle: file, directory and stream."""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import BLOCK, member_header, member_size
from bundler.bundle.reader import open_bundle
from bundler.bundle.sealing import seal_bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import BundlerError, ContentError, IntegrityError, TrustError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import sha256
from bundler.trust.armor import SIGNATURE_FILE, Signature, armored, signatures_in
from bundler.trust.bundle_signing import Terms
from bundler.trust.job import Job
from bundler.trust.statement import STATEMENT_FILE, SignedStatement, decode
from bundler.trust.statement_verifier import Requirement, StatementVerifier
from tests.builders import a_bundle, a_module, framed, members_of, tar_of
from tests.registries import require
from tests.trust.keys import NAME, NOW, a_signed_bundle, allowed, keygen, line, signing

Members = list[tuple[str, bytes]]
CONTENTS = {NAME: a_module("1.0.0", size=300)}


def gate(key: Path) -> StatementVerifier:
    """Where this key is allowed."""
    return StatementVerifier(keygen(), Requirement(allowed(line("alice", key))), now=NOW)


def let_in(path: Path, key: Path) -> None:
    """Open it and prove all of it, in both ways."""
    with open_bundle(path, verifier=gate(key)) as bundle:
        verify_bundle(bundle)
    if path.is_file():
        with path.open("rb") as file:
            stream = BundleStream(file, DEFAULT_LIMITS, gate(key))
            stream.open()
            assert list(stream.blobs())


def code(path: Path, key: Path) -> int:
    """The exit code with which it is refused; the same from a file and from a stream."""
    with pytest.raises(BundlerError) as error, open_bundle(path, verifier=gate(key)):
        pass
    if path.is_file():
        with path.open("rb") as file, pytest.raises(BundlerError) as other:
            BundleStream(file, DEFAULT_LIMITS, gate(key)).open()
        assert type(other.value) is type(error.value)
    return error.value.exit_code


@pytest.fixture
def signed(tmp_path: Path, alice: Path) -> Path:
    """A bundle that alice has signed."""
    a_signed_bundle(tmp_path / "b.tar.zst", alice)
    return tmp_path / "b.tar.zst"


@pytest.fixture
def members(tmp_path: Path, alice: Path) -> Members:
    """The members of a bundle that alice has signed."""
    sealed = a_signed_bundle(tmp_path / "b.tar.zst", alice)
    first, *others = members_of(CONTENTS)
    return [first, *sealed.files(), *others]


def repacked(path: Path, members: Members) -> Path:
    """A bundle file of these members, all its frames and digests right."""
    path.write_bytes(framed(tar_of(members)))
    return path


def unpacked(bundle: Path) -> Path:
    """The same bundle as a directory."""
    folder = bundle.with_name("unpacked")
    folder.mkdir()
    subprocess.run([require("tar"), "--zstd", "-xf", bundle, "-C", folder], check=True)
    return folder


# --- what stays ------------------------------------------------------------------------------------------


def test_a_signed_bundle_is_read_in_every_form(signed: Path, alice: Path) -> None:
    let_in(signed, alice)
    let_in(unpacked(signed), alice)


def test_signing_leaves_the_id_and_the_blobs(tmp_path: Path, signed: Path) -> None:
    plain = a_bundle(tmp_path / "plain.tar.zst", CONTENTS)
    with open_bundle(plain) as before, open_bundle(signed) as after:
        assert before.id == after.id
        assert before.signed_statement is None
        assert after.signed_statement is not None
        assert after.signed_statement.statement.bundle == after.id
        assert [blob for blob, _ in before.everything()] == [blob for blob, _ in after.everything()]


def test_a_bundle_signed_later_equals_one_signed_at_once(tmp_path: Path, alice: Path) -> None:
    sealed = a_signed_bundle(tmp_path / "at once.tar.zst", alice)
    later = a_bundle(tmp_path / "later.tar.zst", CONTENTS)
    with open_bundle(later) as bundle:
        seal_bundle(bundle, sealed)
    assert later.read_bytes() == (tmp_path / "at once.tar.zst").read_bytes()
    with open_bundle(later) as bundle:
        assert verify_bundle(bundle).warnings == ()


@pytest.mark.slow
def test_a_further_signature_stands_behind_the_first(signed: Path, alice: Path, bob: Path) -> None:
    with open_bundle(signed) as bundle:
        assert bundle.signed_statement
        seal_bundle(bundle, signing(bob, Terms()).join(bundle.signed_statement))
    let_in(signed, alice)
    let_in(signed, bob)


@pytest.mark.parametrize("terms", [Terms(sequence=6), Terms(Job("other"), 8)])
def test_from_python_no_lower_number_or_other_job_is_sealed(terms: Terms, signed: Path, bob: Path) -> None:
    before = signed.read_bytes()
    with open_bundle(signed) as bundle, pytest.raises(TrustError):
        seal_bundle(bundle, signing(bob, terms).seal(bundle.id))
    assert signed.read_bytes() == before


def test_a_directory_gets_the_same_two_files(tmp_path: Path, signed: Path, alice: Path) -> None:
    folder = unpacked(a_bundle(tmp_path / "plain.tar.zst", CONTENTS))
    with open_bundle(folder) as bundle, open_bundle(signed) as file:
        assert file.signed_statement
        seal_bundle(bundle, file.signed_statement)
    let_in(folder, alice)


def test_a_directory_signature_without_statement_is_no_signature(signed: Path, alice: Path) -> None:
    folder = unpacked(signed)
    (folder / STATEMENT_FILE).unlink()
    with open_bundle(folder) as bundle:
        assert bundle.signed_statement is None
    assert code(folder, alice) == 11


def test_a_directory_statement_without_signature_is_no_signature(signed: Path, alice: Path) -> None:
    folder = unpacked(signed)
    (folder / SIGNATURE_FILE).unlink()
    assert code(folder, alice) == 11


# --- what is refused -------------------------------------------------------------------------------------


def test_a_bundle_without_a_signature_does_not_pass_the_gate(tmp_path: Path, alice: Path) -> None:
    plain = a_bundle(tmp_path / "plain.tar.zst", CONTENTS)
    assert code(plain, alice) == 11
    assert code(unpacked(plain), alice) == 11


def test_nor_does_what_another_signed(signed: Path, bob: Path) -> None:
    assert code(signed, bob) == 11


def test_a_statement_of_another_bundle_is_always_refused(
    tmp_path: Path, members: Members, alice: Path
) -> None:
    other, *rest = members_of({NAME: a_module("2.0.0", size=300)})
    path = repacked(tmp_path / "b.tar.zst", [other, *members[1:3], *rest])
    assert code(path, alice) == 11
    with pytest.raises(TrustError, match="it is about another bundle"):
        open_bundle(path)
    folder = unpacked(path)
    with pytest.raises(TrustError, match="it is about another bundle"):
        open_bundle(folder)


ARRANGEMENTS: dict[str, Callable[[Members], Members]] = {
    "statement alone": lambda members: [*members[:2], *members[3:]],
    "signature alone": lambda members: [members[0], *members[2:]],
    "signature first": lambda members: [members[0], members[2], members[1], *members[3:]],
    "two statements": lambda members: [*members[:2], members[1], *members[2:]],
    "two signatures": lambda members: [*members[:3], *members[2:]],
    "behind the layout": lambda members: [members[0], members[3], *members[1:3], *members[4:]],
    "before the inventory": lambda members: [*members[1:3], members[0], *members[3:]],
    "another name": lambda members: [members[0], ("Statement.json", members[1][1]), *members[2:]],
    "empty signature": lambda members: [*members[:2], (SIGNATURE_FILE, b""), *members[3:]],
    "empty statement": lambda members: [members[0], (STATEMENT_FILE, b""), *members[2:]],
    "huge signature": lambda members: [
        *members[:2], (SIGNATURE_FILE, members[2][1] * 1000), *members[3:]
    ],
    "huge statement": lambda members: [members[0], (STATEMENT_FILE, b" " * 20_000), *members[2:]],
    "DOS line ends": lambda members: [
        *members[:2], (SIGNATURE_FILE, members[2][1].replace(b"\n", b"\r\n")), *members[3:]
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_any_other_order_or_form_is_refused(
    arrangement: str, tmp_path: Path, members: Members, alice: Path
) -> None:
    path = repacked(tmp_path / "b.tar.zst", ARRANGEMENTS[arrangement](members))
    with pytest.raises(ContentError):
        open_bundle(path)
    # Where a signature is asked for, and none stands where it should, that is said first.
    assert code(path, alice) in (7, 11)


def test_a_huge_member_is_refused_by_its_header(tmp_path: Path, members: Members, alice: Path) -> None:
    stream = bytearray(tar_of(members))
    place = member_size(*_measured(members[0]))
    stream[place : place + BLOCK] = member_header(STATEMENT_FILE, 1 << 40)
    (tmp_path / "b.tar.zst").write_bytes(framed(bytes(stream)))
    assert code(tmp_path / "b.tar.zst", alice) == 7


def _measured(member: tuple[str, bytes]) -> tuple[str, int]:
    return member[0], len(member[1])


@given(st.data())
def test_no_flipped_bit_of_the_first_members_is_let_in(
    tmp_path: Path, members: Members, alice: Path, data: st.DataObject
) -> None:
    """Frames, digests and seek table fit what was flipped, as they would if somebody did it on purpose."""
    stream = bytearray(tar_of(members))
    signed = sum(member_size(*_measured(member)) for member in members[:3])
    stream[data.draw(st.integers(0, signed - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.tar.zst"
    path.write_bytes(framed(bytes(stream)))
    assert code(path, alice) in (7, 11)


@pytest.mark.slow
@given(st.data())
def test_no_flipped_bit_of_the_signature_itself_is_let_in(
    members: Members, alice: Path, data: st.DataObject
) -> None:
    """The base64 is right again, so that ssh-keygen must find it."""
    armor = members[2][1]
    blob = bytearray(base64.b64decode(b"".join(armor.splitlines()[1:-1])))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        (signature,) = signatures_in(armored(bytes(blob)))
    except ContentError:
        return
    with pytest.raises(TrustError):
        gate(alice)(_with(members[1][1], signature))


def _with(statement: bytes, signature: Signature) -> SignedStatement:
    return SignedStatement(decode(statement), statement, (signature,))


def test_nothing_behind_the_first_frame_is_read_before_the_gate(signed: Path, bob: Path) -> None:
    data = signed.read_bytes()
    stream = BundleStream(_Endless(data), DEFAULT_LIMITS, gate(bob))
    with pytest.raises(TrustError):
        stream.open()


class _Endless(io.RawIOBase):
    """One byte at a time, up to the end of the first frame; who asks for more waits for ever."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data[: data.rindex(b"\x28\xb5\x2f\xfd")])

    def read(self, size: int = -1, /) -> bytes:
        try:
            return bytes([next(self._data)])
        except StopIteration:
            raise AssertionError("more was read than the first frame") from None


def test_the_inventory_is_not_parsed_before_the_gate(tmp_path: Path, alice: Path, bob: Path) -> None:
    hostile = b'{"format":' + b"[" * 1000
    statement = signing(bob).seal(sha256(hostile))
    path = repacked(
        tmp_path / "b.tar.zst", [("bundle.json", hostile), *statement.files(), *members_of(CONTENTS)[1:]]
    )
    with pytest.raises(TrustError), path.open("rb") as file:
        BundleStream(file, DEFAULT_LIMITS, gate(alice)).open()
    with pytest.raises(ContentError), path.open("rb") as file:
        BundleStream(file, DEFAULT_LIMITS, gate(bob)).open()


def test_what_changes_after_the_gate_is_noticed(signed: Path, tmp_path: Path, alice: Path, bob: Path) -> None:
    a_signed_bundle(tmp_path / "other.tar.zst", bob)
    with open_bundle(signed, verifier=gate(alice)) as bundle:
        signed.write_bytes((tmp_path / "other.tar.zst").read_bytes())
        with pytest.raises(IntegrityError, match="changed while it was read"):
            verify_bundle(bundle)
