"""Three options at once: the dry run says what the run says, exit code included."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from bundler.__main__ import run
from tests.builders import a_module, sign_by_tag
from tests.cli.option_values import VALUES, options_of, prepare
from tests.doubles import MemoryRegistry

Output = pytest.CaptureFixture[str]

OTHERS = {
    "--base": ["1.tar.zst", "last", "b.tar.zst"], "--lock": ["pinned", "new"], "--store": ["st", "other"],
    "--tag": ["1.0*"], "--immutable": ["semver"], "--since": ["90d", "2020-01-01"], "--shard": ["0/2", "1/2"],
    "--require": ["signature", "sbom"], "--versions": ["^1", "^9"], "--exclude": ["1.0.*", "*"],
}  # fmt: skip
"""Values that change more than those of the other tests."""

LEFT_OUT = {
    "--log-format", "--debug", "--debug-file", "--quiet", "--json", "--dry-run", "--all", "--output",
    "--jobs", "--proxy", "--token-host", "--ca-file", "--creds-file", "--client-cert", "--client-key",
    "--limit-rate", "--report", "--config",
}  # fmt: skip
"""Without a word on what is exported, or of a host that is not here."""


def said(line: list[str], capsys: Output) -> tuple[int, list[str]]:
    """The exit code, and the errors and warnings."""
    code = run(line)
    lines = capsys.readouterr().err.splitlines()
    return code, [text for text in lines if re.match("timoni-bundler: (error|warning)", text)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_with_any_three_options_a_dry_export_says_the_same(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    random, app = Random(seed), a_module("1.0.0", "1.1.0", created="2024-01-01T00:00:00Z")
    sign_by_tag(app, app.tags["1.0.0"])
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    with MemoryRegistry({"app": app, "db": a_module("1.0.0", "2.0.0", name="db")}) as registry:
        host = registry.host
        named = f'{{url: "oci://{host}/app", version: "1.0.0"}}'
        text = f'bundle: {{apiVersion: "v1alpha1", name: "s", instances: app: module: {named}}}'
        Path("bundle.cue").write_text(text)
        Path("list.txt").write_text(f"{host}/db:1.0.0\n")
        assert run(["export", f"{host}/app:1.0.0", "-o", "1.tar.zst", "--store", "st", "-q"]) == 0
        assert run(["export", f"{host}/app", "-o", "l.tar.zst", "--lock", "pinned", "-q"]) == 0
        options = options_of("export")
        for _ in range(6):
            line = ["export", random.choice([f"{host}/app", f"{host}/app:1.0.0", f"{host}/*"]), "-q"]
            picked = random.sample(sorted(options.keys() - LEFT_OUT), 3)
            for flag in picked:
                value = random.choice(OTHERS.get(flag) or [VALUES.get(flag, host)])
                line += [flag] if options[flag].is_flag else [flag, value]
            out = random.choice(["out.tar.zst", "folder", "1.tar.zst"])
            line += ["-o", "out.compact.zst" if "--compact" in picked else out]
            before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            dry = said([*line, "--dry-run"], capsys)
            after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            assert before.keys() | {tmp_path / "m.prom"} >= after.keys(), line
            assert all(after[path] == data for path, data in before.items()), line
            assert dry == said(line, capsys), line
            assert dry[0] != 1, line
