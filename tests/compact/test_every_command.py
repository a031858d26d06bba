"""Every command that takes a bundle takes a compact one, in every form, and does the same with it."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from tests.builders import a_bundle, a_module, push_to
from tests.compact.layers import real_module
from tests.extractor.contents import files_in
from tests.processes import PROGRAM, bundler
from tests.registries import RealRegistry
from tests.trust.keys import a_key, line

Output = pytest.CaptureFixture[str]
CONTENTS = {"h.example/module": real_module(), "h.example/other": a_module("1.0.0", "2.0.0")}
FORMS = ["file", "signed", "volumes", "signed-volumes", "compacted-volumes"]
_numbers = itertools.count()


class Bundles(Mapping[str, Path]):
    """One content: the portable bundle, the signed one, and every compact form of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = a_key(folder, "carrier")
        self.signers = folder / "signers"
        self.signers.write_text(line("carrier@h.example", self.key))
        self._paths = {name: folder / f"{name}.tar.zst" for name in ("portable", "portable-signed")}
        for path in self._paths.values():
            a_bundle(path, CONTENTS)
        assert run(["sign", str(self["portable-signed"]), "--key", str(self.key), "-q"]) == 0
        for name, source in (("file", "portable"), ("signed", "portable-signed")):
            self._paths[name] = folder / f"{name}.compact.zst"
            assert run(["compact", str(self[source]), "-o", str(self[name]), "-q"]) == 0
        for name, source in (("volumes", "file"), ("signed-volumes", "signed")):
            self._paths[name] = self._cut(name, source)
        self._paths["compacted-volumes"] = folder / "compacted-volumes.compact.zst"
        cut = self._cut("portable-volumes", "portable")
        assert run(["compact", str(cut), "-o", str(self["compacted-volumes"]), "-q"]) == 0

    def _cut(self, name: str, source: str) -> Path:
        (self.folder / name).mkdir()
        words = ["--volume-size", "64KiB", "--parity", "50", "-o", str(self.folder / name), "-q"]
        assert run(["volumes", "split", str(self[source]), *words]) == 0
        return self.folder / name

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def __iter__(self) -> object:  # type: ignore[override]
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """All forms, made once."""
    return Bundles(tmp_path_factory.mktemp("forms"))


def portable_of(bundles: Bundles, form: str) -> Path:
    return bundles["portable-signed" if "signed" in form else "portable"]


@pytest.fixture
def out() -> str:
    """A name that no other test uses."""
    return f"out{next(_numbers)}"


def said_of(words: list[str], bundle: Path, capsys: Output) -> tuple[int, str]:
    """What a command says of a bundle, without the name and the size of its file."""
    capsys.readouterr()
    code = run([str(bundle) if word == "BUNDLE" else word for word in words])
    output = capsys.readouterr()
    with open_bundle(bundle) as opened:
        names = {str(bundle): "BUNDLE", str(opened.file_size): "SIZE", str(opened.name): "BUNDLE"}
    shown = output.out
    for text, name in names.items():
        shown = shown.replace(text, name)
    return code, shown


READING = {
    "inspect": ["inspect", "BUNDLE", "--json"],
    "diff": ["diff", "PORTABLE", "BUNDLE", "--markdown"],
    "diff-from": ["diff", "BUNDLE", "NEWER", "--markdown"],
    "verify": ["verify", "BUNDLE", "-q"],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", READING)
def test_a_reading_command_says_the_same(
    bundles: Bundles, command: str, form: str, tmp_path: Path, capsys: Output
) -> None:
    newer = a_bundle(tmp_path / "newer.tar.zst", {"h.example/module": real_module(7)})
    portable = portable_of(bundles, form)
    words = [{"PORTABLE": str(portable), "NEWER": str(newer)}.get(word, word) for word in READING[command]]
    assert said_of(words, bundles[form], capsys) == said_of(words, portable, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_becomes_the_portable_file_again(bundles: Bundles, form: str, tmp_path: Path) -> None:
    out = tmp_path / "again.tar.zst"
    assert run(["expand", str(bundles[form]), "-o", str(out), "-q"]) == 0
    assert out.read_bytes() == portable_of(bundles, form).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_is_made_compact_again_byte_for_byte(bundles: Bundles, form: str, tmp_path: Path) -> None:
    out = tmp_path / "again.compact.zst"
    assert run(["compact", str(bundles[form]), "-o", str(out), "-q"]) == 0
    assert out.read_bytes() == bundles["signed" if "signed" in form else "file"].read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_it_is_merged(bundles: Bundles, form: str, tmp_path: Path) -> None:
    out = tmp_path / "merged.tar.zst"
    assert run(["merge", str(bundles[form]), "-o", str(out), "-q"]) == 0
    assert out.read_bytes() == bundles["portable"].read_bytes()
    small = tmp_path / "merged.compact.zst"
    assert run(["merge", str(bundles[form]), "-o", str(small), "-q"]) == 0
    assert small.read_bytes() == bundles["file"].read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_a_version_is_extracted(bundles: Bundles, form: str, tmp_path: Path) -> None:
    for number, path in enumerate((bundles[form], bundles["portable"])):
        words = ["-o", str(tmp_path / str(number)), "-q"]
        assert run(["extract", str(path), "module:1.2.0", *words]) == 0
        words[1] = str(tmp_path / f"{number}.tar")
        assert run(["extract", str(path), "module:1.4.0", *words]) == 0
    assert files_in(tmp_path / "0") == files_in(tmp_path / "1") != {}
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_page_is_made_of_it(bundles: Bundles, form: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run(["report", str(bundles[form]), "-o", str(out), "-q"]) == 0
    with open_bundle(bundles[form]) as bundle:
        assert bundle.id in out.read_text()


@pytest.mark.parametrize("form", [form for form in FORMS if "signed" in form])
def test_its_signature_counts(bundles: Bundles, form: str) -> None:
    words = ["--allowed-signers", str(bundles.signers), "-q"]
    assert run(["verify", str(bundles[form]), *words]) == 0
    assert run(["verify", str(bundles["file"]), *words]) == 11


@pytest.mark.slow
def test_signing_a_compact_one_is_compacting_a_signed_one(bundles: Bundles, tmp_path: Path) -> None:
    for level in ("3", "19"):
        small, back = tmp_path / f"{level}.compact.zst", tmp_path / f"back{level}.tar.zst"
        assert run(["compact", str(bundles["portable"]), "-o", str(small), "--level", level, "-q"]) == 0
        assert run(["sign", str(small), "--key", str(bundles.key), "--sequence", "7", "-q"]) == 0
        assert run(["verify", str(small), "--allowed-signers", str(bundles.signers), "-q"]) == 0
        assert run(["expand", str(small), "-o", str(back), "-q"]) == 0
        other = tmp_path / f"other{level}.compact.zst"
        assert run(["compact", str(back), "-o", str(other), "--level", level, "-q"]) == 0
        assert other.read_bytes() == small.read_bytes()


def test_volumes_of_it_are_checked_and_repaired(bundles: Bundles, tmp_path: Path) -> None:
    volumes = tmp_path / "set"
    volumes.mkdir()
    for path in sorted(bundles["volumes"].iterdir())[1:]:
        (volumes / path.name).write_bytes(path.read_bytes())
    assert run(["volumes", "check", str(volumes), "-q"]) == 6
    assert run(["volumes", "repair", str(volumes), "-q"]) == 0
    assert run(["verify", str(volumes), "-q"]) == 0


def test_a_damaged_volume_of_it_is_named(bundles: Bundles, tmp_path: Path, capsys: Output) -> None:
    words = ["--volume-size", "64KiB", "-o", str(tmp_path), "-q"]
    large = tmp_path / "large.compact.zst"
    contents = {f"h.example/m{number}": a_module("1.0.0", size=50_000) for number in range(5)}
    assert run(["compact", str(a_bundle(tmp_path / "l.tar.zst", contents)), "-o", str(large), "-q"]) == 0
    assert run(["volumes", "split", str(large), *words]) == 0
    large.unlink()
    second = tmp_path / "large.compact.zst.002"
    data = bytearray(second.read_bytes())
    data[1_000] ^= 1
    second.write_bytes(data)
    assert run(["verify", str(tmp_path / "large.compact.zst.001"), "-q"]) == 6
    assert "volume 2 of" in capsys.readouterr().err


# --- with registries ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", [*FORMS, "pipe", "signed-pipe"])
def test_it_is_imported(
    bundles: Bundles, form: str, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    to = f"oci://{target_registry.host}/{fresh('all')}"
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nsources: [h.example/**]\n")
    words = ["import", str(bundles.get(form, "-")), "--to", to, "--policy", str(policy), "-q"]
    if "signed" in form:
        words += ["--allowed-signers", str(bundles.signers)]
    source = bundles["signed" if "signed" in form else "file"]
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as cat:
        shown = bundler(*words, stdin=cat.stdout, env=None, cwd=tmp_path)
    expected = "warning: job default: no earlier import" if "signed" in form else ""
    assert (shown.returncode, expected in shown.stderr, ".sha256" in shown.stderr) == (0, True, False)
    assert run(["verify", str(bundles["portable"]), "--against", to, "--deep", "-q"]) == 0
    assert run(["verify", str(bundles.get(form, source)), "--against", to, "--deep", "-q"]) == 0


@pytest.mark.slow
def test_an_unsigned_one_from_a_pipe_is_refused_by_its_head(bundles: Bundles, tmp_path: Path) -> None:
    command = ["import", "-", "--to", "h.example/x", "--allowed-signers", str(bundles.signers), "-q"]
    with subprocess.Popen([*PROGRAM, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stderr
        # The end never comes.
        process.stdin.write(bundles["file"].read_bytes()[:-1_000])
        process.stdin.flush()
        assert b"not signed, but a signature is required" in process.stderr.read()
        process.stdin.close()
    assert process.returncode == 11


@pytest.mark.slow
def test_a_pipe_that_never_ends_is_cut_off(bundles: Bundles) -> None:
    with subprocess.Popen(
        [*PROGRAM, "import", "-", "--to", "h.example/x", "-q"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stderr
        with suppress(BrokenPipeError):
            process.stdin.write(bundles["file"].read_bytes())
            while process.poll() is None:
                process.stdin.write(bytes(1 << 20))
        assert b"goes on behind the end" in process.stderr.read()
        with suppress(BrokenPipeError):
            process.stdin.close()
    assert process.returncode == 7


@pytest.mark.slow
def test_the_base_of_an_import_may_be_compact(
    bundles: Bundles,
    source_registry: RealRegistry,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
) -> None:
    path, base, delta = fresh("module"), tmp_path / "base.compact.zst", tmp_path / "delta.tar.zst"
    push_to(source_registry.base, path, real_module())
    source = f"{source_registry.host}/{path}"
    assert run(["export", source, "--compact", "-o", str(base), "-q"]) == 0
    push_to(source_registry.base, path, real_module(7))
    assert run(["export", source, "--base", str(base), "-o", str(delta), "-q"]) == 0
    whole, to = tmp_path / "whole.tar.zst", f"oci://{target_registry.host}/{fresh('mirror')}"
    assert run(["merge", str(base), str(delta), "-o", str(whole), "-q"]) == 0
    assert run(["import", str(delta), "--with", str(base), "--to", to, "-q"]) == 0
    assert run(["verify", str(whole), "--against", to, "--tag", "1.6.0", "--deep", "-q"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_is_served(bundles: Bundles, form: str) -> None:
    with subprocess.Popen(
        [*PROGRAM, "serve", str(bundles[form]), "--port", "0", "-q"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = process.stdout.readline().split()[-1].removeprefix("http://").rstrip("/")
        out = bundles.folder / f"served{next(_numbers)}.tar.zst"
        shown = bundler("export", f"{address}/*", "-o", str(out), "-q")
        process.terminate()
    assert shown.returncode == 0, shown.stderr
    with open_bundle(out) as served, open_bundle(bundles["portable"]) as portable:
        assert served.inventory.blobs == portable.inventory.blobs


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True], ids=["pipe", "volumes"])
def test_an_export_writes_the_same_compact_bundle(
    source_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path, *, cut: bool
) -> None:
    path = fresh("module")
    push_to(source_registry.base, path, real_module())
    words, whole = ["export", f"{source_registry.host}/{path}", "--compact"], tmp_path / "b.compact.zst"
    assert run([*words, "-o", str(whole), "-q"]) == 0
    other = tmp_path / "other.compact.zst"
    if cut:
        assert run([*words, "-o", str(other), "--volume-size", "64KiB", "-q"]) == 0
        size = whole.stat().st_size
        assert (tmp_path / "other.compact.zst.001").read_bytes()[:size] == whole.read_bytes()
        return
    store = ["--store", str(tmp_path / "store"), "-q"]
    with other.open("wb") as file:
        assert subprocess.run([*PROGRAM, *words, "-o", "-", *store], stdout=file, check=False).returncode == 0
    assert other.read_bytes() == whole.read_bytes()
