"""The files of one version: whole or not at all, and nothing outside."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import END_OF_ARCHIVE
from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError, ContentError, IntegrityError, LocalError, UsageError
from bundler.extractor import Extracted, extract
from bundler.limits import Limits
from bundler.session import Session
from tests.builders import OCI_LAYER, SHAPES, TIMONI_LAYER, Content, manifest_document
from tests.extractor.contents import (
    FLUX_LAYER,
    HELM_LAYER,
    MODULE,
    a_packed_module,
    a_version_of,
    bundle_of,
    files_in,
    largest,
    layer_of,
    unpacked_bundle,
)


def extracted(folder: Path, content: Content, reference: str = "app:1.0.0", **more: Limits) -> Extracted:
    """A version of a bundle, as the directory `out`."""
    with bundle_of(folder, content) as bundle:
        return extract(bundle, reference, folder / "out", Session(**more))  # type: ignore[arg-type]


def refused(folder: Path, content: Content) -> BundlerError:
    """The error of a version that can't be unpacked; nothing is left of it, inside or outside."""
    with pytest.raises(ContentError) as error:
        extracted(folder, content)
    assert not {path.name for path in folder.iterdir()} - {"b.tar.zst", "b.tar.zst.sha256"}
    return error.value


def tar_of(*members: tarfile.TarInfo) -> bytes:
    return gzip.compress(b"".join(member.tobuf() for member in members) + END_OF_ARCHIVE, mtime=0)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


# --- what there is -----------------------------------------------------------------------------------


def test_both_layers_of_a_module_become_one_directory(tmp_path: Path) -> None:
    done = extracted(tmp_path, a_packed_module("1.0.0", "1.1.0"), "app:1.1.0")
    expected = {**MODULE, "VERSION": b"1.1.0"}
    assert files_in(tmp_path / "out") == expected
    assert (done.form, done.items, done.size) == (
        "directory",
        len(expected),
        sum(map(len, expected.values())),
    )
    assert done.left_out == ()


def test_files_are_644_and_directories_755(tmp_path: Path) -> None:
    odd = member("tool/run")
    odd.mode = 0o6777
    extracted(tmp_path, a_version_of(tar_of(odd)))
    modes = {
        path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")
    }
    assert [modes[name] for name in ("out", "out/tool", "out/tool/run")] == [0o755, 0o755, 0o644]


@pytest.mark.parametrize("media_type", [TIMONI_LAYER, HELM_LAYER, FLUX_LAYER])
def test_every_kind_of_archive_is_unpacked(media_type: str, tmp_path: Path) -> None:
    layers = [layer_of({"app/Chart.yaml": b"name: app\n"}), layer_of({"app/values.yaml": b"{}\n"})]
    extracted(tmp_path, a_version_of(*layers, media_type=media_type))
    assert files_in(tmp_path / "out") == {"app/Chart.yaml": b"name: app\n", "app/values.yaml": b"{}\n"}


def test_a_layer_named_twice_is_unpacked_once(tmp_path: Path) -> None:
    layer = layer_of({"a": b"x"})
    assert extracted(tmp_path, a_version_of(layer, layer)).items == 1


def test_a_layer_that_is_no_archive_is_left_out_and_told(tmp_path: Path) -> None:
    content = Content()
    layers = [content.add_blob(layer_of({"a": b"x"}), HELM_LAYER), content.add_blob(b"signed", "text/plain")]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    done = extracted(tmp_path, content)
    assert files_in(tmp_path / "out") == {"a": b"x"}
    assert done.left_out == (f"{layers[1]['digest']} (text/plain)",)


names = st.lists(st.sampled_from(["a", "b", "cue.mod", "ä", ".x", "n" * 60]), min_size=2, max_size=4).map(
    "/".join
)


@pytest.mark.slow
@given(st.dictionaries(names, st.binary(max_size=300), min_size=1, max_size=8))
def test_whatever_was_packed_is_there(files: dict[str, bytes]) -> None:
    leaves = {name: data for name, data in files.items() if not any(n.startswith(f"{name}/") for n in files)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as writer:
        for name, data in leaves.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    with tempfile.TemporaryDirectory() as folder:
        extracted(Path(folder), a_version_of(packed.getvalue()))
        assert files_in(Path(folder) / "out") == leaves


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..", "a\\..\\evil"])
def test_a_name_that_leads_out_leaves_nothing(name: str, tmp_path: Path) -> None:
    """Case 56."""
    assert "is refused" in str(refused(tmp_path, a_version_of(tar_of(member("good"), member(name)))))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_is_refused_by_name(kind: bytes, tmp_path: Path) -> None:
    """Case 57."""
    layer = tar_of(member("good"), member("door", kind, "/etc"), member("door/passwd"))
    assert "'door' is refused" in str(refused(tmp_path, a_version_of(layer)))


@pytest.mark.parametrize(
    "second", [member("a"), member("./a"), member("a", tarfile.DIRTYPE), member("a/b"), member("a/b/c")]
)
def test_a_name_twice_is_refused(second: tarfile.TarInfo, tmp_path: Path) -> None:
    """Case 58."""
    assert "a second file of this name" in str(refused(tmp_path, a_version_of(tar_of(member("a"), second))))


def test_a_file_where_a_directory_is_is_refused(tmp_path: Path) -> None:
    """Case 58."""
    assert "second file" in str(refused(tmp_path, a_version_of(tar_of(member("a/b"), member("a")))))


def test_two_layers_with_one_file_are_refused(tmp_path: Path) -> None:
    """Case 58."""
    content = a_version_of(layer_of({"a": b"first"}), layer_of({"a": b"second"}))
    assert "a second file" in str(refused(tmp_path, content))


@pytest.mark.parametrize("entry", ["f{}", "d{}/", "x{}/deep/deeper/f"])
def test_files_and_directories_have_a_limit(entry: str, tmp_path: Path) -> None:
    """Case 61."""
    kind = tarfile.DIRTYPE if entry.endswith("/") else tarfile.REGTYPE
    content = a_version_of(tar_of(*(member(entry.format(number), kind) for number in range(40))))
    with pytest.raises(ContentError, match="limit of 20 files and directories"):
        extracted(tmp_path, content, limits=Limits(files=20))
    assert not (tmp_path / "out").exists()
    per_entry = 4 if "deep" in entry else 1
    assert extracted(tmp_path, content, limits=Limits(files=40 * per_entry + 1)).path == str(tmp_path / "out")


def test_a_layer_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    assert "not an archive of files" in str(refused(tmp_path, SHAPES["module"]()))


@pytest.mark.parametrize("shape", ["image", "docker image", "artifact"])
def test_a_version_without_archives_is_told_what_it_is(shape: str, tmp_path: Path) -> None:
    content = SHAPES[shape]()
    content.tags = {"1.0.0": next(iter(content.tags.values()))}
    assert str(refused(tmp_path, content)).endswith("extract it to NAME.tar")


def test_an_index_is_no_directory(tmp_path: Path) -> None:
    content = SHAPES["index"]()
    content.tags = {"1.0.0": content.tags["latest"]}
    assert "an index of several" in str(refused(tmp_path, content))


def test_an_image_layer_in_gzip_is_not_taken_for_files(tmp_path: Path) -> None:
    assert OCI_LAYER in str(refused(tmp_path, a_version_of(layer_of({"a": b"x"}), media_type=OCI_LAYER)))


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b other bytes"])
def test_damage_is_told_as_damage(damage: bytes, tmp_path: Path) -> None:
    """Case 44."""
    content = a_packed_module("1.0.0")
    folder = unpacked_bundle(tmp_path, content)
    (folder / largest(content).digest.path).write_bytes(damage)
    with open_bundle(folder) as bundle, pytest.raises(IntegrityError):
        extract(bundle, "app:1.0.0", tmp_path / "out", Session())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


# --- where it goes -----------------------------------------------------------------------------------


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert extracted(tmp_path, a_packed_module("1.0.0")).items == len(MODULE) + 1


def test_a_directory_with_files_is_left_alone_also_by_force(tmp_path: Path) -> None:
    """Case 109."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary").write_text("dear")
    with (
        bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle,
        pytest.raises(UsageError, match="not empty"),
    ):
        extract(bundle, "app:1.0.0", tmp_path / "out", Session(), force=True)
    assert files_in(tmp_path / "out") == {"diary": b"dear"}


@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "file"])
def test_a_link_or_file_in_its_place_is_left_alone(target: str, tmp_path: Path) -> None:
    """Case 109."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "file").write_text("dear")
    (tmp_path / "out").symlink_to(target)
    with pytest.raises(UsageError, match="exists already"):
        extracted(tmp_path, a_packed_module("1.0.0"))
    assert (tmp_path / "out").is_symlink()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("out", [".", "..", "/", "a/.."])
def test_a_place_without_a_name_is_refused(out: str, tmp_path: Path) -> None:
    """Case 109."""
    with (
        bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle,
        pytest.raises(UsageError, match="not the name of a directory"),
    ):
        extract(bundle, "app:1.0.0", Path(out), Session())


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """Case 109."""
    with bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle, pytest.raises(LocalError, match="nowhere"):
        extract(bundle, "app:1.0.0", tmp_path / "nowhere" / "out", Session())
