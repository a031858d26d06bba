"""The alert rules and the metrics, as Prometheus's own tool sees them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bundler.reporting.json_report import Report
from bundler.reporting.prometheus import exposition
from tests.registries import require
from tests.reporting.test_prometheus import BAD, GOOD, NIGHTLY

RULES = Path(__file__).parents[2] / "examples" / "prometheus" / "alerts.yaml"
EPOCH = NIGHTLY._replace(ended=0.0)
"""A run at the moment at which promtool's clock starts."""


def promtool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What promtool says."""
    command = [require("promtool"), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=300)


def test_prometheus_takes_the_rules() -> None:
    found = promtool("check", "rules", str(RULES))
    assert found.returncode == 0, found.stdout + found.stderr


def test_prometheus_has_nothing_to_say_against_the_metrics() -> None:
    for report in (GOOD, BAD):
        found = promtool("check", "metrics", stdin=exposition(report, NIGHTLY))
        assert (found.returncode, found.stdout + found.stderr) == (0, "")


def scraped(text: str, values: str) -> list[dict[str, str]]:
    """The metrics as Prometheus stores them, every five minutes, so often."""
    found = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = {**sample.labels, "exported_job": sample.labels["job"]}
            labels = {**own, "job": "node", "instance": "outside:9100"}
            series = ",".join(f'{name}="{value}"' for name, value in labels.items())
            found.append({"series": f"{sample.name}{{{series}}}", "values": f"{sample.value}{values}"})
    return found


def alerts_at(text: str, values: str, hours: int, folder: Path) -> set[str]:
    """The alerts that fire so many hours after the epoch."""
    names = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
    firing = set()
    for name in names:
        quiet = {"eval_time": f"{hours}h", "alertname": name, "exp_alerts": []}
        series = scraped(text, values)
        case = {"interval": "5m", "input_series": series, "alert_rule_test": [quiet]}
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [case]}))
        found = promtool("test", "rules", str(file))
        if found.returncode:
            assert "got:" in found.stderr + found.stdout
            firing.add(name)
    return firing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("report", "values", "hours", "firing"),
    [
        (replace(GOOD, drifted=()), "x600", 35, set()),
        (replace(GOOD, drifted=()), "x600", 37, {"TimoniBundlerStale"}),
        (replace(BAD, drifted=()), "x600", 1, {"TimoniBundlerFailed"}),
        (GOOD, "x600", 1, {"TimoniBundlerDrift"}),
        (replace(GOOD, drifted=()), "x120", 30, {"TimoniBundlerGone"}),
    ],
)
def test_an_alert_fires_when_it_should(
    report: Report, values: str, hours: int, firing: set[str], tmp_path: Path
) -> None:
    assert alerts_at(exposition(report, EPOCH), values, hours, tmp_path) == firing
