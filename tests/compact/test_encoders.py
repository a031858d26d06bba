"""The encoders of compact bundles: bit for bit what Go's standard library writes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.compact import codecs
from bundler.compact.codecs import (
    Codec,
    CodecNumber,
    DeflateEncoder,
    GzipRecipe,
    Recognition,
    codec,
    gzip_again,
)
from bundler.compact.deflate_blocks import code_of
from bundler.compact.encoder_a import EncoderA
from bundler.compact.encoder_b import EncoderB
from bundler.compact.float_estimate import Rounding
from bundler.errors import ContentError, SlowEncodersWarning
from hatch_build import FLAGS, SOURCE
from tests.compact.streams import NAMES, SHAPES, stream
from tests.processes import needs

KNOWN = json.loads((Path(__file__).parent / "known_streams.json").read_text())
"""Digests of what Go 1.26.8 (A) and Go 1.27.3 (B) made of every stream."""
IN_PYTHON: dict[CodecNumber, Callable[[], DeflateEncoder]] = {
    CodecNumber.GO_A: EncoderA,
    CodecNumber.GO_B: EncoderB,
    CodecNumber.GO_B_SUMS_FUSED: lambda: EncoderB(Rounding.SUMS_FUSED),
    CodecNumber.GO_B_ALL_FUSED: lambda: EncoderB(Rounding.ALL_FUSED),
}
SMALL = [name for name in NAMES if int(name.split("-")[1]) <= 1_025]
BORDERS = [
    "text-65275-0",
    "mixed-65537-0",
    "repeated-98304-0",
    "bell-65536-0",
    "noise-65535-0",
    "zeros-131071-0",
]
needs_compiled = pytest.mark.skipif(
    not codec(1).compiled, reason="no compiled encoders: no C compiler was found"
)


def deflated(encoder: DeflateEncoder, data: bytes, piece: int = 1 << 30) -> bytes:
    """The raw stream of some input, written in pieces."""
    parts = [encoder.write(data[start : start + piece]) for start in range(0, len(data), piece)]
    return b"".join(parts) + encoder.finish()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_inputs_are_those_that_go_was_given(name: str) -> None:
    assert hashlib.sha256(stream(name)).hexdigest()[:16] == KNOWN[name]["input"]


@pytest.mark.slow
@needs_compiled
@pytest.mark.parametrize(("number", "kind"), [(CodecNumber.GO_A, "A"), (CodecNumber.GO_B, "B")])
def test_the_compiled_encoders_write_what_go_writes(number: CodecNumber, kind: str) -> None:
    new = codec(number).new
    assert [name for name in NAMES if digest(deflated(new(), stream(name))) != KNOWN[name][kind]] == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "kind"), [(CodecNumber.GO_A, "A"), (CodecNumber.GO_B, "B")])
def test_the_python_encoders_write_what_go_writes(number: CodecNumber, kind: str) -> None:
    names = [*SMALL, *BORDERS]
    new = IN_PYTHON[number]
    assert [name for name in names if digest(deflated(new(), stream(name))) != KNOWN[name][kind]] == []


@pytest.mark.slow
@needs_compiled
@pytest.mark.parametrize("number", CodecNumber)
@given(data=some.binary(max_size=3_000), times=some.integers(1, 40), piece=some.integers(1, 70_000))
def test_both_forms_of_an_encoder_write_the_same(
    number: CodecNumber, data: bytes, times: int, piece: int
) -> None:
    assert deflated(codec(number).new(), data * times, piece) == deflated(IN_PYTHON[number](), data * times)


@pytest.mark.slow
@pytest.mark.parametrize("number", CodecNumber)
@given(data=some.binary(max_size=2_000), times=some.integers(0, 40))
def test_every_stream_is_deflate(number: CodecNumber, data: bytes, times: int) -> None:
    assert zlib.decompress(deflated(codec(number).new(), data * times), -zlib.MAX_WBITS) == data * times


@given(some.lists(some.integers(0, 1 << 20), min_size=2, max_size=286))
def test_a_code_of_any_counts_is_complete(counts: list[int]) -> None:
    lengths = [length for length in code_of(counts, 15).lengths if length]
    assert len(lengths) == sum(1 for count in counts if count)
    assert len(lengths) < 2 or sum(2**-length for length in lengths) == 1


@pytest.mark.parametrize("number", [CodecNumber.GO_A, CodecNumber.GO_B])
def test_a_stream_is_recognised_and_made_again(number: CodecNumber) -> None:
    content = stream("mixed-65537-0")
    gzip = b"".join(gzip_again(GzipRecipe(number, bytes.fromhex("1f8b08000000000000ff")), [content]))
    recognition = Recognition(gzip[start : start + 5_000] for start in range(0, len(gzip), 5_000))
    assert b"".join(recognition.content()) == content
    assert recognition.recipe is not None
    assert recognition.recipe.codec is number
    assert b"".join(gzip_again(recognition.recipe, [content])) == gzip


@pytest.mark.parametrize(
    "change",
    [
        lambda gzip: zlib.compress(b"x" * 9_000, wbits=31),
        lambda gzip: gzip[:-1],
        lambda gzip: gzip + b"\0",
        lambda gzip: gzip + gzip,
        lambda gzip: gzip[:-4] + b"\0\0\0\1",
        lambda gzip: gzip[:500],
        lambda gzip: gzip[:10],
        lambda gzip: b"\x1f\x8b\x08\x08" + gzip[4:],
        lambda gzip: b"\x1f\x8b\x07" + gzip[3:],
    ],
    ids=["zlib", "cut", "longer", "two", "size", "half", "header", "name", "method"],
)
def test_any_other_stream_is_carried_as_it_is(change: Callable[[bytes], bytes]) -> None:
    recipe = GzipRecipe(CodecNumber.GO_A, bytes.fromhex("1f8b08000000000000ff"))
    recognition = Recognition([change(b"".join(gzip_again(recipe, [stream("text-16384-0")])))])
    for _ in recognition.content():
        pass
    assert recognition.recipe is None


def test_a_header_with_a_name_and_a_time_is_kept() -> None:
    header = bytes.fromhex("1f8b0808aabbccdd00ff") + b"layer.tar\0"
    gzip = b"".join(gzip_again(GzipRecipe(CodecNumber.GO_A, header), [stream("text-16384-0")]))
    recognition = Recognition([gzip])
    assert b"".join(recognition.content()) == stream("text-16384-0")
    assert recognition.recipe == GzipRecipe(CodecNumber.GO_A, header)


@pytest.mark.parametrize("number", [0, 5, 1 << 40])
def test_an_unknown_codec_is_refused_by_its_number(number: int) -> None:
    with pytest.raises(ContentError, match=f"codec number {number} is unknown"):
        codec(number)


def test_a_codec_is_proven_when_it_is_loaded() -> None:
    assert all(isinstance(codec(number), Codec) for number in CodecNumber)


def test_compiled_encoders_that_are_there_are_right() -> None:
    assert [number for number in codecs._compiled() if not codec(number).compiled] == []


def test_a_codec_that_was_compiled_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_compiled", lambda: dict.fromkeys(CodecNumber, EncoderB))
    codecs.codec.cache_clear()
    codecs._warn_of_slowness.cache_clear()
    try:
        with pytest.warns(SlowEncodersWarning):
            assert not codec(CodecNumber.GO_A).compiled
        assert codec(CodecNumber.GO_B).compiled
    finally:
        codecs.codec.cache_clear()


# --- real toolchains ---------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
PROGRAM = """package main

import (
	"compress/gzip"
	"io"
	"os"
)

func main() {
	w := gzip.NewWriter(os.Stdout)
	if _, err := io.Copy(w, os.Stdin); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}
"""


def packer_of(generation: str, folder: Path) -> Path:
    """A program that packs as this generation of Go does; skips where no such Go is."""
    there = [str(path) for path in sorted(ROOT.glob(".go/*/bin/go"))]
    # The toolchain itself, and never one that it would fetch.
    local = {**os.environ, "GOTOOLCHAIN": "local", "GOCACHE": str(folder / "cache")}
    for go in [*there, *filter(None, [shutil.which("go")])]:
        asked = subprocess.run([go, "version"], capture_output=True, text=True, check=True, env=local)
        if f" go{generation}." in asked.stdout:
            (folder / "go.mod").write_text("module gz\n\ngo 1.20\n")
            (folder / "main.go").write_text(PROGRAM)
            subprocess.run([go, "build", "-o", "gz", "."], cwd=folder, check=True, env=local)
            return folder / "gz"
    needs(condition=False, what=f"Go {generation} (make go)")
    raise AssertionError


def large(size: int) -> bytes:
    """Bytes of all shapes, far longer than a window."""
    parts = b"".join(stream(f"{shape}-163840-0") for shape in SHAPES)
    return (parts * (size // len(parts) + 1))[:size]


MANY = 160 * 65_535
LARGE = (1 << 20, MANY - 1, MANY, MANY + 1, (1 << 24) - 1, (1 << 24) + 70_000, 33 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["1.26", "1.27"])
def test_what_real_toolchains_write_is_made_again(generation: str, tmp_path: Path) -> None:
    packer, other = packer_of(generation, tmp_path), []
    contents = {**{name: stream(name) for name in NAMES}, **{str(size): large(size) for size in LARGE}}
    for name, content in contents.items():
        made = subprocess.run([packer], input=content, capture_output=True, check=True).stdout
        recognition = Recognition(made[start : start + 100_000] for start in range(0, len(made), 100_000))
        same = b"".join(recognition.content()) == content
        codecs = (CodecNumber.GO_A,) if generation == "1.26" else tuple(CodecNumber)[1:]
        if not same or recognition.recipe is None or recognition.recipe.codec not in codecs:
            other.append(name)
    assert other == []


# --- other builds of the compiled encoders --------------------------------------------------------------

MAIN = """
#include <stdio.h>

int main(int count, char **words) {
    static uint8_t data[1 << 20];
    size_t size = fread(data, 1, sizeof data, stdin);
    Output out = {0};
    make_tables();
    if (count > 1 && words[1][0] == 'A') {
        static EncoderA a = {.length = 3};
        a_write(&a, &out, data, size);
        a_finish(&a, &out);
    } else {
        static EncoderB b;
        b_write(&b, &out, data, size);
        b_finish(&b, &out);
    }
    fwrite(out.data, 1, out.size, stdout);
    free(out.data);
    return 0;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "runner", "more"),
    [
        ("gcc", "env", ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]),
        ("aarch64-linux-gnu-gcc", "qemu-aarch64", ["-static"]),
    ],
    ids=["sanitized", "aarch64"],
)
def test_other_builds_write_what_go_writes(
    compiler: str, runner: str, more: list[str], tmp_path: Path
) -> None:
    """Without Python: an undefined step ends the sanitized one; aarch64 is built by a cross compiler."""
    needs(all(map(shutil.which, (compiler, runner))), f"{compiler} or {runner}")
    encoders, python, _ = (ROOT / SOURCE).read_text().partition("/* --- the Python type")
    (tmp_path / "alone.c").write_text(encoders.replace("#include <Python.h>", "") + MAIN)
    words = [compiler, *FLAGS, *more, "alone.c", "-o", "alone"]
    subprocess.run([word for word in words if word != "-shared"], cwd=tmp_path, check=True)
    other = []
    for name, kind in [(name, kind) for name in BORDERS for kind in "AB"]:
        command = [runner, str(tmp_path / "alone"), kind]
        made = subprocess.run(command, input=stream(name), capture_output=True, check=True).stdout
        if digest(made) != KNOWN[name][kind]:
            other.append((name, kind))
    assert python
    assert other == []
