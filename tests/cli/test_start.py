"""What a command loads: every module that it does without is time at its start; and on which Python."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from bundler.about import OLDEST_PYTHON
from tests.builders import a_bundle, a_module, push_to
from tests.registries import RealRegistry
from tests.source_code import ROOT
from tests.trust.keys import a_key

LOADED = """
import os, sys
import bundler.__main__
os._exit = lambda code: print(code, *(name for name, module in sys.modules.items() if module))
bundler.__main__.main()
"""
ONLY_FOR_COMPACT = {"backports.zstd", "bundler.bundle.compacted", "bundler.compact"}
NOT_OF_AN_EXPORT = {
    *ONLY_FOR_COMPACT,
    "bundler.bundle.reader",
    "bundler.cli.terminal.log_line",
    "bundler.config.import_options",
    "bundler.config.keys",
    "bundler.config.reading",
    "bundler.deltas.chain",
    "bundler.deltas.merge",
    "bundler.exporter.output.output_directory",
    "bundler.exporter.resolve.lock_file",
    "bundler.importer",
    "bundler.ledger",
    "bundler.server",
    "bundler.timoni",
    "bundler.trust.keyless",
    "bundler.trust.ssh_keygen",
    "bundler.trust.statement",
    "bundler.volumes",
    "chardet",
    "charset_normalizer",
    "cheroot",
    "cryptography",
    "jinja2",
    "pydantic",
    "tenacity",
    "tqdm",
    "werkzeug",
    "yaml",
}

NOT_OF_AN_IMPORT = {
    *ONLY_FOR_COMPACT,
    "bundler.exporter",
    "bundler.mirrors",
    "bundler.timoni",
    "chardet",
    "charset_normalizer",
    "pydantic",
    "tenacity",
    "tqdm",
    "yaml",
}
NOT_OF_A_PROOF = {*NOT_OF_AN_IMPORT, "bundler.importer", "bundler.ledger", "bundler.registry", "socket"}

HTTP = {"requests", "urllib3"}
WITHOUT_REGISTRY = {
    "verify": (),
    "inspect": (),
    "diff": ("@BUNDLE",),
    "report": ("-o", "@OUT/page.html"),
    "extract": ("app:1.0.0", "-o", "@OUT/module.tar"),
    "volumes split": ("--volume-size", "64KiB", "-o", "@OUT"),
    "sign": ("--key", "@KEY"),
    "merge": ("-o", "@OUT/merged.tar.zst"),
    "kit": ("-o", "@OUT/kit"),
    "compact": ("-o", "@OUT/small.compact.zst"),
}
"""The commands that ask no registry, each with what it takes besides a bundle."""


def modules_loaded(*arguments: str) -> set[str]:
    """Return the modules that one run of the program has loaded at its end, which must be a good one."""
    asked = [sys.executable, "-c", LOADED, *arguments]
    ended = subprocess.run(asked, capture_output=True, text=True, check=True)
    code, *loaded = ended.stdout.splitlines()[-1].split()
    assert (code, "error" in ended.stderr) == ("0", False), ended.stderr
    return set(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("command", WITHOUT_REGISTRY)
def test_a_command_that_asks_no_registry_loads_no_http(command: str, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=200_000)})
    words = {"@BUNDLE": str(bundle), "@OUT": str(tmp_path), "@KEY": str(a_key(tmp_path, "key"))}
    arguments = " ".join((*command.split(), "@BUNDLE", *WITHOUT_REGISTRY[command]))
    for word, text in words.items():
        arguments = arguments.replace(word, text)
    loaded = modules_loaded(*arguments.split())
    assert "bundler.bundle.reader" in loaded
    assert loaded & HTTP == set()


@pytest.mark.slow
def test_an_export_loads_nothing_that_it_does_without(
    source_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    path, out = fresh("start"), str(tmp_path / "b.tar.zst")
    push_to(source_registry.base, path, a_module("1.0.0"))
    loaded = modules_loaded("export", f"{source_registry.host}/{path}", "-o", out, "-q")
    assert {"requests", "bundler.exporter"} <= loaded
    assert NOT_OF_AN_EXPORT & loaded == set()


@pytest.mark.slow
def test_what_reads_a_bundle_loads_nothing_in_vain(
    target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    bundle, to = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})), fresh("start")
    commands = {
        ("import", bundle, "--to", f"{target_registry.host}/{to}", "-q"): NOT_OF_AN_IMPORT,
        ("verify", bundle, "-q"): NOT_OF_A_PROOF,
        ("inspect", bundle): NOT_OF_A_PROOF,
    }
    for words, needless in commands.items():
        assert modules_loaded(*words) & needless == set()


# --- a Python that is too old -------------------------------------------------------------------------

READ_FIRST = ("bundler/__init__.py", "bundler/about.py", "tools/build_backend.py")
"""What an old Python must be able to read, to say that it is too old."""
TOO_OLD = "needs Python 3.11 or newer, this is {}; the portable archive needs none"


def runs(python: Path) -> bool:
    """Return whether this is an interpreter; pyenv puts scripts in the path that are none."""
    return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0


def old_pythons() -> Iterator[Path]:
    """Yield one interpreter of each version that is too old, as far as this machine has them."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = (Path(folder) for folder in os.environ["PATH"].split(os.pathsep))
    for version in ("2.7", *(f"3.{minor}" for minor in range(6, OLDEST_PYTHON[1]))):
        name = f"python{version}"
        places = chain((folder / name for folder in folders), pyenv.glob(f"versions/{version}.*/bin/{name}"))
        yield from [place for place in places if place.exists() and runs(place)][:1]


@pytest.mark.parametrize("file", READ_FIRST)
def test_what_an_old_python_reads_first_is_in_its_words(file: str) -> None:
    """2.7 has no annotations, no f-strings, and no letters beyond ASCII without being told."""
    text = (ROOT / file).read_text()
    for part in ast.walk(ast.parse(text)):
        assert not isinstance(part, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr | ast.Nonlocal)
        assert getattr(part, "returns", None) is None
        assert getattr(part, "annotation", None) is None
    assert text.isascii()
    assert "from __future__ import annotations" not in text


@pytest.mark.slow
def test_an_old_python_gets_one_plain_line() -> None:
    for python in old_pythons():
        version = python.name.removeprefix("python")
        for how in (("-m", "bundler", "verify"), ("-c", "from bundler.__main__ import main; main()")):
            ended = subprocess.run(
                [python, "-B", *how], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert ended.stderr == f"timoni-bundler: error: {TOO_OLD.format(version)}\n"
            assert (ended.returncode, ended.stdout) == (9, "")


@pytest.mark.slow
def test_pip_of_an_old_python_says_the_line_without_an_index(tmp_path: Path) -> None:
    """Of pip 20 and later; those before can't read the project's file."""
    for name in ("pyproject.toml", "README.md", "LICENSE", *READ_FIRST):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for python in old_pythons():
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        known = subprocess.run([*pip, "--version"], capture_output=True, text=True, check=False).stdout
        if known and int(known.split()[1].partition(".")[0]) >= 20:
            words = [*pip, "install", "--no-index", str(tmp_path)]
            ended = subprocess.run(words, capture_output=True, text=True, check=False)
            assert ended.returncode == 1
            assert TOO_OLD.format(python.name.removeprefix("python")) in ended.stdout + ended.stderr


def test_pip_knows_the_oldest_python_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, OLDEST_PYTHON))}"
    minors = re.findall(r"Python :: 3\.(\d+)", " ".join(project["classifiers"]))
    assert min(map(int, minors)) == OLDEST_PYTHON[1]
