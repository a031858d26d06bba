"""The systemd example: units that systemd takes, and a command line that does what it should."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bundler.__main__ import run
from bundler.bundle.inventory import roots_of
from bundler.bundle.reader import open_bundle
from tests.builders import a_module
from tests.doubles import MemoryRegistry
from tests.registries import require

UNITS = Path(__file__).parents[2] / "examples" / "systemd"
SERVICE = UNITS / "timoni-bundler-export.service"
INSTALLED = "/usr/local/bin/timoni-bundler"
MOST_EXPOSED = 20
"""Of 100, where systemd itself calls 1 to 40 good."""


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units as they are, but for where the program is: systemd wants to see it."""
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in (SERVICE, SERVICE.with_suffix(".timer")):
        text = unit.read_text().replace(INSTALLED, str(Path(sys.executable).parent / "timoni-bundler"))
        (folder / unit.name).write_text(text)
    return [str(path) for path in folder.iterdir()]


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    command = [require("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_systemd_takes_the_units(units: list[str]) -> None:
    found = analyzed("verify", "--man=no", *units)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_service_is_exposed_to_little(units: list[str]) -> None:
    service = next(unit for unit in units if unit.endswith(".service"))
    found = analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", service)
    assert found.returncode == 0, found.stdout


def test_the_timer_starts_every_night(units: list[str]) -> None:
    timer = configparser.ConfigParser()
    timer.read(next(unit for unit in units if unit.endswith(".timer")))
    found = analyzed("calendar", "--iterations=2", timer["Timer"]["OnCalendar"])
    assert found.returncode == 0, found.stderr
    assert len(re.findall("02:00:00 UTC|02:00:00", found.stdout)) >= 2
    assert timer["Timer"]["Persistent"] == "true"


def test_systemd_makes_the_user(tmp_path: Path) -> None:
    command = [require("systemd-sysusers"), "--dry-run", str(UNITS / "timoni-bundler.sysusers.conf")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr
    assert re.search(r"^User=timoni-bundler$", SERVICE.read_text(), re.MULTILINE)


def command_line(root: Path) -> list[str]:
    """What the service starts, with every place below `root`."""
    text = SERVICE.read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    for place, there in {"%S": "/var/lib", "${CREDENTIALS_DIRECTORY}": "/run/credentials"}.items():
        line = line.replace(place, there)
    program, *arguments = shlex.split(line)
    assert program == INSTALLED
    return [str(root) + word if word.startswith("/") else word for word in arguments]


def test_what_the_service_starts_exports_and_is_measured(tmp_path: Path) -> None:
    for folder in ("etc/timoni-bundler", "run/credentials", "var/lib/timoni-bundler"):
        (tmp_path / folder).mkdir(parents=True)
    metrics = tmp_path / "var/lib/prometheus/node-exporter"
    metrics.mkdir(parents=True)
    (tmp_path / "run/credentials/creds").write_text("")
    out = tmp_path / "var/lib/timoni-bundler/modules.tar.zst"
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as registry:
        config = f'version: 1\nsources:\n  - repository: "{registry.host}/app"\n    newest: 1\n'
        (tmp_path / "etc/timoni-bundler/export.yaml").write_text(config)
        assert run(command_line(tmp_path)) == 0
        # The next night a newer version has come, and the oldest one goes.
        registry.repositories["app"] = a_module("1.1.0", "1.2.0")
        assert run(command_line(tmp_path)) == 0
    with open_bundle(out) as opened:
        assert [root.tag for root in roots_of(opened.inventory)] == ["1.2.0"]
    text = (metrics / "timoni-bundler-export.prom").read_text()
    (family,) = [found for found in text_string_to_metric_families(text) if found.name.endswith("_exit_code")]
    assert family.samples[0].labels["job"] == "nightly"
