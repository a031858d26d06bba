"""tar+gzip layers as others write them, and as nobody should: cases 43, 44, 56 to 64 for their entries."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import BLOCK, END_OF_ARCHIVE, padding
from bundler.errors import ContentError
from bundler.extractor.archive import LONGEST_EXTENSION, LONGEST_NAME, LONGEST_PATH, Allowance, Archive
from bundler.limits import DEFAULT_LIMITS, KIB, MIB, Limits

Form = Literal[0, 1, 2]
FORMS: list[Form] = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = {"d/" * 60 + "deep.cue": b"deep", "n" * 150 + ".cue": b"long", "grüße/日本.cue": b"utf-8"}
FILES = {"timoni.cue": b"package main\n", "templates/config.cue": b"#Config: {}\n", "empty": b""}


def entry(name: str, data: bytes = b"", form: Form = tarfile.GNU_FORMAT, **more: object) -> bytes:
    """One member, as Python's writer has it."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in more.items():
        setattr(info, field, value)
    return info.tobuf(form, "utf-8", "surrogateescape") + data + padding(len(data))


def folder(name: str) -> bytes:
    return entry(name, type=tarfile.DIRTYPE, mode=0o755)


def pax(*records: bytes) -> bytes:
    """A pax header of these records, as they are."""
    return entry("PaxHeaders/x", b"".join(records), type=tarfile.XHDTYPE)


def record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    return next(
        b"%d %s=%s\n" % (size + digits, key, value)
        for digits in range(1, 7)
        if len(str(size + digits)) == digits
    )


def archive(*members: bytes) -> bytes:
    return gzip.compress(b"".join(members) + END_OF_ARCHIVE, 1, mtime=0)


def read(data: bytes | Iterable[bytes], limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes | None]:
    """Every entry with its bytes; None for a directory."""
    chunks = [data] if isinstance(data, bytes) else data
    return {
        found.path: None if found.is_folder else b"".join(content)
        for found, content in Archive("layer x", chunks, Allowance(limits)).entries()
    }


def refusal(data: bytes) -> str:
    """What a refused archive is told."""
    with pytest.raises(ContentError) as error:
        read(data)
    assert str(error.value).startswith("layer x: ")
    assert str(error.value).isprintable()
    return str(error.value)


# --- what others write -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_files_and_directories_of_any_writer_are_read(form: Form) -> None:
    members = [entry(name, data, form) for name, data in FILES.items()]
    assert read(archive(folder("."), folder("templates"), *members)) == {"": None, "templates": None, **FILES}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read(form: Form) -> None:
    assert read(archive(*(entry(name, data, form) for name, data in LONG.items()))) == LONG


def test_a_long_name_of_ustar_is_read() -> None:
    name = "d/" * 60 + "deep.cue"
    assert read(archive(entry(name, b"x", tarfile.USTAR_FORMAT))) == {name: b"x"}


@pytest.mark.parametrize("name", [".", "./"])
def test_the_place_itself_may_be_named(name: str) -> None:
    assert read(archive(folder(name), entry("./a/b", b"x"), folder("./c/"))) == {
        "": None,
        "a/b": b"x",
        "c": None,
    }


def test_owners_times_and_modes_do_not_matter() -> None:
    """Case 64."""
    odd = entry("a", b"x", mode=0o6777, mtime=2**31, uid=1000, uname="root", gname="wheel")
    assert read(archive(odd)) == {"a": b"x"}


def test_pax_records_that_change_nothing_do_not_matter() -> None:
    harmless = [
        record(key, b"1.5") for key in (b"mtime", b"uid", b"uname", b"comment", b"SCHILY.xattr.user.x")
    ]
    assert read(archive(pax(*harmless), entry("a", b"x"))) == {"a": b"x"}


names = st.lists(
    st.text("aä日 .-_x", min_size=1, max_size=70).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=6,
).map("/".join)


@pytest.mark.slow
@given(
    st.dictionaries(names, st.binary(max_size=2000), max_size=6),
    st.sampled_from(FORMS[1:]),
    st.integers(1, 99),
)
def test_whatever_was_packed_comes_out(files: Mapping[str, bytes], form: Form, size: int) -> None:
    data = archive(*(entry(name, content, form) for name, content in files.items()))
    assert read(data[start : start + size] for start in range(0, len(data), size)) == files


# --- what nobody should write ------------------------------------------------------------------------

NAMES = [
    "../x", "..", "a/../../x", "a/..", "/etc/passwd", "//x", ".//etc/passwd", "a//b", "a/./b", "a\\b",
    "a\nb", "\x1b[31mred", "\u202egpj.exe", "a/", "./", ".", "", "x" * (LONGEST_NAME + 1), "ä" * 128,
    "d/" * (LONGEST_PATH // 2) + "x",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_file_whose_name_leads_elsewhere_is_refused(name: str, form: Form) -> None:
    """Case 56."""
    assert "is refused" in refusal(archive(entry(name, b"x", form)))
    assert "is refused" in refusal(archive(pax(record(b"path", name.encode())), entry("good", b"x")))


@pytest.mark.parametrize("name", ["..", "../", "/", "a/../b/", "", "//"])
def test_a_directory_elsewhere_is_refused(name: str) -> None:
    """Case 56."""
    assert "not a plain path" in refusal(archive(folder(name)))


@pytest.mark.parametrize("name", [b"a\0b", b"\xff\xfe", b"a\0"])
def test_a_name_that_two_readers_read_differently_is_refused(name: bytes) -> None:
    """Case 56."""
    assert "is refused" in refusal(archive(pax(record(b"path", name)), entry("good", b"x")))


KINDS = {
    tarfile.LNKTYPE: "hard link", tarfile.SYMTYPE: "symbolic link", tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device", tarfile.FIFOTYPE: "pipe", tarfile.CONTTYPE: "contiguous",
    tarfile.XGLTYPE: "global",
    tarfile.GNUTYPE_SPARSE: "sparse", tarfile.GNUTYPE_LONGLINK: "link", b"V": "unknown", b"Z": "unknown",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"content"])
def test_an_entry_that_is_no_file_is_refused_by_name(kind: bytes, data: bytes) -> None:
    """Case 57."""
    told = refusal(archive(entry("before", b"x"), entry("odd/one", data, type=kind, linkname="/etc/passwd")))
    assert "'odd/one'" in told
    assert KINDS[kind] in told


def test_a_long_name_does_not_hide_a_link() -> None:
    """Case 57."""
    name = "n" * 150
    assert "symbolic link" in refusal(archive(entry(name, type=tarfile.SYMTYPE, linkname="/etc")))


def test_a_directory_with_content_is_refused() -> None:
    """Case 57."""
    assert "a directory with content" in refusal(archive(entry("d", b"content", type=tarfile.DIRTYPE)))


@pytest.mark.slow
def test_an_endless_name_is_refused_in_flat_memory() -> None:
    """Case 59."""
    data = archive(entry("x", bytes(400 * MIB), type=tarfile.GNUTYPE_LONGNAME))
    tracemalloc.start()
    assert "a header of" in refusal(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize("size", [LONGEST_EXTENSION, LONGEST_EXTENSION + 1])
def test_a_header_before_an_entry_has_a_limit(size: int) -> None:
    """Case 59."""
    filler = record(b"comment", b"x" * (size - len("65536 comment=\n")))
    assert len(filler) == size
    data = archive(pax(filler), entry("a", b"x"))
    if size > LONGEST_EXTENSION:
        assert "a header of 65,537 bytes" in refusal(data)
    else:
        assert read(data) == {"a": b"x"}


LONG_NAME = entry("././@LongLink", b"name\0", type=tarfile.GNUTYPE_LONGNAME)
PATH = pax(record(b"path", b"name"))


@pytest.mark.parametrize("first", [LONG_NAME, PATH])
@pytest.mark.parametrize("second", [LONG_NAME, PATH])
def test_two_names_for_one_entry_are_refused(first: bytes, second: bytes) -> None:
    """Case 59."""
    assert "two headers of a name" in refusal(archive(first, second, entry("a", b"x")))


@pytest.mark.parametrize("header", [LONG_NAME, PATH])
def test_a_name_without_an_entry_is_refused(header: bytes) -> None:
    """Case 59."""
    assert "after a header with a long name" in refusal(archive(header))


@pytest.mark.parametrize(
    "records",
    [
        record(b"size", b"1"), record(b"linkpath", b"x"), record(b"GNU.sparse.major", b"1"),
        record(b"hdrcharset", b"BINARY"), record(b"SCHILY.realsize", b"1"), record(b"path", b"a") * 2,
        record(b"path", b"a") + b"x", b"12 path=x\n", b"5 a=\n", b"7 path=\n", b"10 path=abcd",
        b"10 pathabc\n", b"010 path=a\n", b"-9 path=a\n", b" 9 path=a\n", b"9999999 path=a\n", b"9" * 5000,
    ],
)  # fmt: skip
def test_a_pax_header_that_could_mean_something_else_is_refused(records: bytes) -> None:
    """Case 60."""
    assert "pax header" in refusal(archive(pax(records), entry("a", b"x")))


@pytest.mark.parametrize(
    "field", [slice(124, 136), slice(148, 156), slice(257, 265), slice(345, 500), slice(500, 512)]
)
@pytest.mark.parametrize("byte", [b"\xff", b"-", b"8", b"\x80", b" "])
def test_an_odd_header_is_refused(field: slice, byte: bytes) -> None:
    """Case 60."""
    header = bytearray(entry("a", b"x"))
    header[field] = byte * (field.stop - field.start)
    if field.start != 148:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:BLOCK])
    refusal(archive(bytes(header)))


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        (b"", "ends too early"),
        (bytes(BLOCK), "ends too early"),
        (bytes(BLOCK) + entry("b"), "has data after its end"),
        (END_OF_ARCHIVE + b"x", "has data after its end"),
        (END_OF_ARCHIVE + bytes(3 * MIB) + b"x", "has data after its end"),
    ],
)
def test_an_archive_ends_where_it_must(tail: bytes, told: str) -> None:
    """Cases 43, 49."""
    assert told in refusal(gzip.compress(entry("a", b"x") + tail, mtime=0))


def test_zeros_behind_the_end_are_padding() -> None:
    assert read(archive(entry("a", b"x"), END_OF_ARCHIVE, bytes(20 * KIB))) == {"a": b"x"}


# --- gzip --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: b"",
        lambda data: b"no gzip at all",
        lambda data: data[:-1],
        lambda data: data[:-8] + bytes(4) + data[-4:],
        lambda data: data + b"x",
        lambda data: data + data,
        lambda data: zlib.compress(gzip.decompress(data)),
        gzip.decompress,
    ],
)
@pytest.mark.parametrize("size", [1, MIB])
def test_what_is_not_one_gzip_stream_is_refused(broken: Callable[[bytes], bytes], size: int) -> None:
    """Case 46."""
    data = broken(archive(entry("a", b"x")))
    with pytest.raises(ContentError):
        read(data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.slow
def test_a_bomb_stops_at_the_limit_in_flat_memory() -> None:
    """Case 62."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head = entry("bomb", size=8**11 - 1)
    data = packer.compress(head) + b"".join(packer.compress(bytes(MIB)) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    bomb = Archive("x", [data], Allowance(Limits(unpacked=200 * MIB)))
    with pytest.raises(ContentError, match="limit of 209,715,200 bytes unpacked"):
        list(bomb.entries())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.slow
def test_a_million_empty_entries_stop_at_the_limit() -> None:
    """Case 61."""
    data = gzip.compress(entry("same") * 200_000, 1, mtime=0)
    with pytest.raises(ContentError, match="bytes unpacked"):
        read(data, Limits(unpacked=50 * MIB))


def test_one_allowance_counts_for_all_archives_of_a_version() -> None:
    data = archive(entry("a", bytes(1000)))
    unpacked = len(gzip.decompress(data))
    for limit, fits in ((2 * unpacked, True), (2 * unpacked - 1, False)):
        allowance = Allowance(Limits(unpacked=limit))
        assert list(Archive("one", [data], allowance).entries())
        if fits:
            assert list(Archive("two", [data], allowance).entries())
        else:
            with pytest.raises(ContentError, match="limit of"):
                list(Archive("two", [data], allowance).entries())


def test_what_is_not_read_of_an_entry_is_passed_over() -> None:
    data = archive(entry("a", b"x" * 3000), entry("b", b"y"))
    assert [found.path for found, _ in Archive("x", [data], Allowance(DEFAULT_LIMITS)).entries()] == [
        "a",
        "b",
    ]


# --- anything at all ---------------------------------------------------------------------------------

MEMBERS = [entry(name, data, tarfile.PAX_FORMAT) for name, data in LONG.items()]
SAMPLE = b"".join([folder("."), entry("a/b", b"x" * 700), *MEMBERS, END_OF_ARCHIVE])


def entries_of(tar: bytes) -> list[str]:
    """What is read of an archive; nothing of one that is refused."""
    with contextlib.suppress(ContentError):
        return list(read(gzip.compress(tar, 1, mtime=0)))
    return []


def is_harmless(path: str) -> bool:
    return path.isprintable() and not path.startswith("/") and not {"..", "."} & set(path.split("/"))


@given(st.integers(0, len(SAMPLE) * 8 - 1))
def test_a_flipped_bit_is_refused_or_harmless(bit: int) -> None:
    """Case 44."""
    damaged = bytearray(SAMPLE)
    damaged[bit // 8] ^= 1 << bit % 8
    assert all(map(is_harmless, entries_of(bytes(damaged))))


@given(st.integers(0, len(SAMPLE) - 1))
def test_an_archive_cut_anywhere_is_refused(size: int) -> None:
    """Case 43."""
    refusal(gzip.compress(SAMPLE[:size], 1, mtime=0))


@given(
    st.lists(
        st.one_of(st.binary(max_size=600), st.just(SAMPLE[:BLOCK]), st.just(bytes(BLOCK)), st.just(PATH))
    )
)
def test_any_bytes_are_refused_or_harmless(parts: list[bytes]) -> None:
    assert all(map(is_harmless, entries_of(b"".join(parts))))


def test_python_reads_the_same_of_the_sample() -> None:
    with tarfile.open(fileobj=io.BytesIO(SAMPLE)) as file:
        assert {member.name for member in file} == {"."} | (
            read(gzip.compress(SAMPLE, mtime=0)).keys() - {""}
        )
