"""The CUE files of a module layer, read within bounds."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.module import archive, pack_module

LIMITS = LayerLimits(unpacked=64 * 1024, members=50)
FILES = {
    "values.cue": b"values: {}\n",
    "images.cue": b"",
    "templates/config.cue": b"#Config: {}\n" * 100,
    "templates/a/b.cue": b"b: 1\n",
    "README.md": b"# app\n",
    "templates/notes.txt": b"x",
    "cue.mod/pkg/x.cue": b"x: 1\n",
    "other/x.cue": b"x: 1\n",
}
WANTED = {"values.cue", "images.cue", "templates/config.cue", "templates/a/b.cue"}


def by_tarfile(
    files: dict[str, bytes], form: int = tarfile.USTAR_FORMAT, kind: bytes = tarfile.REGTYPE
) -> bytes:
    """A layer by a writer that nobody here wrote."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content) if kind == tarfile.REGTYPE else 0, kind
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(data.getvalue(), mtime=0)


def test_a_packed_module_gives_its_cue_files() -> None:
    module = pack_module(FILES, version="1.0.0", created="", source="", revision="")
    *_, layer = module.blobs.values()
    assert layer_files(layer, LIMITS) == {name: FILES[name] for name in WANTED}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_is_read(form: int) -> None:
    assert layer_files(by_tarfile(FILES, form), LIMITS).keys() == WANTED


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_file_whose_name_stands_elsewhere_is_passed_over(form: int) -> None:
    long = "templates/" + "x" * 150 + ".cue"
    layer = by_tarfile({long: b"a: 1", "values.cue": b"b: 1"}, form)
    assert layer_files(layer, LIMITS) == {"values.cue": b"b: 1"}


def test_names_may_begin_with_a_dot_and_use_the_prefix() -> None:
    folders = "templates/" + "/".join(["d" * 40] * 3) + "/x.cue"
    layer = by_tarfile({"./values.cue": b"", folders: b""})
    assert layer_files(layer, LIMITS).keys() == {"values.cue", folders}


@pytest.mark.parametrize(
    "name", ["/values.cue", "templates/../values.cue", "../values.cue", "templates//x.cue", ".cue/"]
)
def test_a_path_that_leads_elsewhere_is_passed_over(name: str) -> None:
    assert layer_files(by_tarfile({name: b"x"}), LIMITS) == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file_is_passed_over(kind: bytes) -> None:
    assert layer_files(by_tarfile({"values.cue": b""}, kind=kind), LIMITS) == {}


def test_gzip_members_are_read_one_after_the_other() -> None:
    data = b"".join(archive(FILES))
    layer = gzip.compress(data[:700], mtime=0) + gzip.compress(data[700:], mtime=0)
    assert layer_files(layer, LIMITS).keys() == WANTED


@pytest.mark.parametrize(
    ("layer", "cause"),
    [
        (gzip.compress(bytes(LIMITS.unpacked + 1), mtime=0), "unpacks to more bytes than the limit"),
        (gzip.compress(bytes(8192), mtime=0) * 9, "unpacks to more bytes than the limit"),
        (gzip.compress(b"", mtime=0) * 17, "more than 16 gzip members"),
        (by_tarfile({f"{number}.cue": b"" for number in range(51)}), "more than 50 members"),
        (b"no gzip", "damaged gzip"),
        (gzip.compress(b"x" * 2000, mtime=0)[:-9], "ends too early"),
        (gzip.compress(b"x" * 2000, mtime=0), "not a tar archive"),
        (gzip.compress(b"".join(archive(FILES))[:700], mtime=0), "its archive ends too early|not a tar"),
        (by_tarfile(FILES) + b"rest", "damaged gzip"),
    ],
)  # fmt: skip
def test_a_layer_that_can_not_be_read_is_refused(layer: bytes, cause: str) -> None:
    with pytest.raises(ContentError, match=cause):
        layer_files(layer, LIMITS)


def test_a_header_of_another_sum_is_refused() -> None:
    data = bytearray(zlib.decompress(by_tarfile(FILES), 31))
    data[0] ^= 1
    with pytest.raises(ContentError, match="not a tar archive, or damaged"):
        layer_files(gzip.compress(data, mtime=0), LIMITS)


@given(st.binary(max_size=1200), st.integers(0, 2000), st.booleans())
def test_any_bytes_are_read_or_refused(noise: bytes, at: int, packed: bool) -> None:
    data = b"".join(archive(FILES))
    data = data[:at] + noise + data[at + len(noise) :]
    with suppress(ContentError):
        layer_files(gzip.compress(data, mtime=0) if packed else noise, LIMITS)
