"""Bundles in their compact form: the same content in fewer bytes, and nothing believed that is not proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.__main__ import run as program
from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.compacted.compact_writer import CompactWriter
from bundler.bundle.reader import open_bundle
from bundler.compact import codecs
from bundler.compact.codecs import CodecNumber
from bundler.errors import BundlerError, ContentError, IntegrityError, SlowEncodersWarning
from bundler.exporter import output_to
from bundler.exporter.output.convert import convert_bundle
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.reporting.progress import SILENCE
from bundler.session import Session
from tests.builders import a_bundle, a_module, push_to
from tests.compact.layers import real_module
from tests.processes import bundler as run
from tests.registries import RealRegistry
from tests.trust.keys import a_key


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with layers of both generations, and some that no codec makes."""
    contents = {"h.example/module": real_module(), "h.example/other": a_module("1.0.0", "2.0.0")}
    return a_bundle(tmp_path_factory.mktemp("portable") / "b.tar.zst", contents)


@pytest.fixture(scope="module")
def compact(portable: Path) -> Path:
    """The same, compact."""
    out = portable.with_name("b.compact.zst")
    with open_bundle(portable) as bundle:
        convert_bundle("compact", bundle, out, Session(), compact=3)
    return out


def test_a_compact_bundle_is_the_same_content_in_fewer_bytes(portable: Path, compact: Path) -> None:
    assert compact.stat().st_size < portable.stat().st_size / 2
    with open_bundle(portable) as one, open_bundle(compact) as other:
        assert (one.id, one.inventory) == (other.id, other.inventory)
        assert isinstance(other, CompactFile)
        for (blob, chunks), (same, again) in zip(one.everything(), other.everything(), strict=True):
            assert (blob, b"".join(chunks)) == (same, b"".join(again))


@pytest.mark.slow
def test_expanding_gives_the_portable_file_byte_for_byte(
    portable: Path, compact: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again.tar.zst"
    assert run("expand", str(compact), "-o", str(out)).returncode == 0
    assert out.read_bytes() == portable.read_bytes()


@pytest.mark.slow
def test_compacting_twice_gives_the_same_bytes(portable: Path, compact: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.compact.zst"
    assert run("compact", str(portable), "-o", str(out)).returncode == 0
    assert out.read_bytes() == compact.read_bytes()
    shown = run("compact", str(portable), "-o", str(out))
    assert (shown.returncode, "unchanged" in shown.stdout) == (0, True)


@pytest.fixture
def without_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without a C compiler."""
    monkeypatch.setattr(codecs, "_compiled", dict)
    for cached in (codecs.codec, codecs._warn_of_slowness):
        cached.cache_clear()
    yield
    codecs.codec.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("without_compiled")
def test_the_encoders_in_python_give_the_same_compact_file(
    portable: Path, compact: Path, tmp_path: Path
) -> None:
    out = tmp_path / "python.compact.zst"
    with open_bundle(portable) as bundle, pytest.warns(SlowEncodersWarning, match="a C compiler"):
        convert_bundle("compact", bundle, out, Session(), compact=3)
    assert out.read_bytes() == compact.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("without_compiled")
@pytest.mark.parametrize("command", ["verify", "compact", "expand"])
def test_missing_compiled_encoders_are_told_once(
    portable: Path, compact: Path, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {"verify": [], "compact": ["-o", str(tmp_path / "b.compact.zst")]}
    words = out.get(command, ["-o", str(tmp_path / "b.tar.zst")])
    source = portable if command == "compact" else compact
    assert program([command, str(source), *words, "-q"]) == 0
    assert capsys.readouterr().err.count("compiled encoders are missing") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("without_compiled")
@pytest.mark.parametrize("words", [["inspect"], ["verify", "--json", "-q"]], ids=lambda words: words[0])
def test_it_is_not_told_where_nobody_waits_for_it(
    compact: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program([words[0], str(compact), *words[1:]]) == 0
    assert capsys.readouterr().err == ""


def test_layers_of_both_generations_become_recipes(portable: Path, tmp_path: Path) -> None:
    with open_bundle(portable) as bundle, CompactWriter(tmp_path, DEFAULT_LIMITS) as writer:
        parts: list[bytes] = []
        written = writer.write(parts.append, bundle.inventory, bundle, SILENCE)
    found = [layer.recipe.codec for layer in written.layers if layer.recipe]
    assert found == [CodecNumber.GO_A] * 3 + [CodecNumber.GO_B] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_signature_survives_both_conversions(portable: Path, tmp_path: Path) -> None:
    signed = tmp_path / "signed.tar.zst"
    signed.write_bytes(portable.read_bytes())
    assert run("sign", str(signed), "--key", str(a_key(tmp_path, "carrier"))).returncode == 0
    small, again = tmp_path / "signed.compact.zst", tmp_path / "again.tar.zst"
    assert run("compact", str(signed), "-o", str(small)).returncode == 0
    assert run("expand", str(small), "-o", str(again)).returncode == 0
    assert again.read_bytes() == signed.read_bytes()
    with open_bundle(signed) as one, open_bundle(small) as other:
        assert other.signed_statement == one.signed_statement is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["verify"], ["inspect"], ["report", "-o", "-"]], ids=lambda args: args[0]
)
def test_commands_that_read_a_bundle_read_a_compact_one(compact: Path, command: list[str]) -> None:
    shown = run(command[0], str(compact), *command[1:])
    assert (shown.returncode, shown.stderr.count("error")) == (0, 0)


@pytest.mark.slow
def test_a_compact_bundle_is_imported_and_exported_again(
    source_registry: RealRegistry,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
) -> None:
    path, out, whole = fresh("compact"), tmp_path / "b.compact.zst", tmp_path / "b.tar.zst"
    push_to(source_registry.base, path, real_module())
    source = f"{source_registry.host}/{path}"
    assert run("export", source, "--compact", "-o", str(out)).returncode == 0
    assert run("export", source, "-o", str(whole)).returncode == 0
    again = tmp_path / "again.compact.zst"
    assert run("compact", str(whole), "-o", str(again)).returncode == 0
    assert out.read_bytes() == again.read_bytes()
    to = f"oci://{target_registry.host}/mirror"
    assert run("import", str(out), "--to", to).returncode == 0
    assert run("verify", str(whole), "--against", to).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compact", "BUNDLE", "-o", "x.tar.zst"], "ends in .compact.zst"),
        (["expand", "BUNDLE", "-o", "x.compact.zst"], "ends in .tar.zst"),
        (["export", "h.example/app", "-o", "x.compact.zst"], "export --compact"),
        (["export", "h.example/app", "--compact", "-o", "x.tar.zst"], "ends in .compact.zst"),
        (["export", "h.example/app", "--level", "9", "-o", "x.tar.zst"], "add --compact"),
        (
            ["export", "h.example/app", "--compact", "--volume-size", "4GiB", "-o", "x.tar.zst"],
            "ends in .comp",
        ),
        (["expand", "BUNDLE", "-o", "x."], "the result is a file"),
    ],
)
def test_the_name_says_the_form(portable: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    words = [
        str(portable) if word == "BUNDLE" else word.replace("x.", f"{tmp_path}/x.") for word in arguments
    ]
    shown = run(*words)
    assert (shown.returncode, says in shown.stderr) == (2, True), shown.stderr
    assert list(tmp_path.iterdir()) == []


# --- damaged and hostile ---------------------------------------------------------------------------


def judged(data: bytes, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Verify some bytes as a bundle."""
    path = folder / "x.compact.zst"
    path.write_bytes(data)
    with open_bundle(path, limits) as bundle:
        verify_bundle(bundle, Session(limits=limits))


@given(data=some.data())
def test_one_flipped_bit_anywhere_is_found(data: some.DataObject, compact: Path) -> None:
    good = bytearray(compact.read_bytes())
    good[data.draw(some.integers(0, len(good) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    with pytest.raises(BundlerError) as error:
        judged(bytes(good), compact.parent)
    assert error.value.exit_code in (6, 7)


@given(data=some.data())
def test_a_file_cut_anywhere_is_found(data: some.DataObject, compact: Path) -> None:
    good = compact.read_bytes()
    with pytest.raises(BundlerError) as error:
        judged(good[: data.draw(some.integers(0, len(good) - 1))], compact.parent)
    assert error.value.exit_code in (6, 7)


def test_something_behind_the_end_is_refused(compact: Path) -> None:
    with pytest.raises((IntegrityError, ContentError)):
        judged(compact.read_bytes() + b"x", compact.parent)


def test_tar_headers_have_a_limit(portable: Path, compact: Path, tmp_path: Path) -> None:
    with open_bundle(compact) as bundle:
        assert isinstance(bundle, CompactFile)
        headers = bundle.header_bytes
    judged(compact.read_bytes(), tmp_path, Limits(compact_headers=headers))
    with pytest.raises(ContentError, match="tar headers, over the limit"):
        judged(compact.read_bytes(), tmp_path, Limits(compact_headers=headers - 1))
    with open_bundle(portable) as bundle:
        less = Session(limits=Limits(compact_headers=headers - 1))
        out = tmp_path / "less.compact.zst"
        convert_bundle("compact", bundle, out, less, compact=3)
    with open_bundle(out) as small:
        verify_bundle(small)


@pytest.mark.slow
def test_a_failed_run_leaves_no_file(portable: Path, tmp_path: Path) -> None:
    data = bytearray(portable.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.tar.zst").write_bytes(data)
    shown = run("compact", str(tmp_path / "bad.tar.zst"), "-o", str(tmp_path / "out.compact.zst"))
    assert shown.returncode == 6
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar.zst"]


def test_the_compact_output_is_asked_for_by_level(tmp_path: Path) -> None:
    assert output_to(str(tmp_path / "b.compact.zst"), compact=3).path == tmp_path / "b.compact.zst"
