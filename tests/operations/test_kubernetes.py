"""The Kubernetes examples: valid, locked down, and with command lines that do what they should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import kubernetes_validate
import pytest
import yaml

from bundler.__main__ import run
from bundler.about import PROGRAM, VERSION
from bundler.bundle.inventory import Root, roots_of
from bundler.bundle.reader import open_bundle
from bundler.cli.main import program
from tests.builders import a_module
from tests.doubles import MemoryRegistry
from tools.portable.image import USER

EXAMPLES = Path(__file__).parents[2] / "examples" / "kubernetes"
MANIFESTS = {
    f"{path.stem}/{document['kind']}": document
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
VERSIONS = ["1.31", "1.37"]
"""The oldest in which all that they use is stable, and the newest that the validator knows."""
CREDS = "/run/secrets/timoni-bundler"
CONFIG = "/etc/timoni-bundler"


class Pod(NamedTuple):
    """The pod that a Job or CronJob starts."""

    job: dict[str, Any]
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """Its only one."""
        (only,) = self.spec["containers"]
        return dict(only)


def pods() -> dict[str, Pod]:
    """All of them, by the name of the manifest."""
    found: dict[str, Pod] = {}
    for name, document in MANIFESTS.items():
        if document["kind"] in ("Job", "CronJob"):
            job = document["spec"].get("jobTemplate", document)["spec"]
            found[name] = Pod(job, job["template"]["spec"])
    return found


PODS = pods()
EXPORTS = {name: pod for name, pod in PODS.items() if pod.container["args"][0] == "export"}


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_an_unknown_field_would_be_found() -> None:
    document = {**MANIFESTS["cronjob/CronJob"], "sepc": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="sepc"):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_locked_down(name: str) -> None:
    """What the Pod Security Standard "restricted" asks for, and a root file system that is read-only."""
    pod, own = PODS[name].spec["securityContext"], PODS[name].container["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert PODS[name].spec["automountServiceAccountToken"] is False
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert PODS[name].container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_mounts_is_there(name: str) -> None:
    claims = {m["metadata"]["name"] for m in MANIFESTS.values() if m["kind"] == "PersistentVolumeClaim"}
    secrets = {m["metadata"]["name"] for m in MANIFESTS.values() if m["kind"] == "Secret"}
    volumes = {volume["name"]: volume for volume in PODS[name].spec["volumes"]}
    assert {mount["name"] for mount in PODS[name].container["volumeMounts"]} == set(volumes)
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] in claims
    if "creds" in volumes:
        assert volumes["creds"]["secret"]["secretName"] in secrets


@pytest.mark.parametrize("name", PODS)
def test_the_program_takes_the_arguments(name: str) -> None:
    command, *arguments = PODS[name].container["args"]
    found = program.get_command(click.Context(program), command)
    assert found is not None
    found.make_context(command, [word.replace("$(JOB_COMPLETION_INDEX)", "0") for word in arguments])


@pytest.mark.parametrize("name", PODS)
def test_a_drained_node_is_no_failure(name: str) -> None:
    first, *others = PODS[name].job["podFailurePolicy"]["rules"]
    assert first["action"] == "Ignore"
    assert first["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert [rule["onExitCodes"]["containerName"] for rule in others] == [PODS[name].container["name"]]


def test_objects_and_pods_have_labels() -> None:
    templates = [pod.job["template"] for pod in PODS.values()]
    for labelled in (*MANIFESTS.values(), *templates):
        assert labelled["metadata"]["labels"]["app.kubernetes.io/name"] == PROGRAM


def test_a_second_run_and_a_failed_one_are_thought_of() -> None:
    text = (EXAMPLES / "sharded-job.yaml").read_text()
    jobs = [document["metadata"]["name"] for document in MANIFESTS.values() if document["kind"] == "Job"]
    assert f"kubectl delete job --ignore-not-found {' '.join(sorted(jobs, reverse=True))}\n" in text
    assert "grep -wE 'Complete|Failed'" in text


def test_no_credentials_are_needed_for_public_modules(tmp_path: Path) -> None:
    creds = tmp_path / "creds"
    creds.write_text(MANIFESTS["cronjob/Secret"]["stringData"]["creds"])
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        command = ["export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
        assert run([*command, "--creds-file", str(creds)]) == 0
    assert not any("Authorization" in seen.headers for seen in source.seen)


def test_two_nights_never_run_at_once() -> None:
    cron = MANIFESTS["cronjob/CronJob"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["startingDeadlineSeconds"] < 24 * 3600


def test_the_image_is_the_one_that_is_built_and_runs_as_its_user() -> None:
    users = {pod.spec["securityContext"]["runAsUser"] for pod in PODS.values()}
    assert users == {USER}
    assert {pod.container["image"] for pod in PODS.values()} == {f"registry.example.com/{PROGRAM}:{VERSION}"}
    assert not any("command" in pod.container for pod in PODS.values())
    text = (EXAMPLES / "cronjob.yaml").read_text()
    assert (
        f"oci-archive:dist/{PROGRAM}-{VERSION}-image.tar docker://registry.example.com/{PROGRAM}:{VERSION}"
        in text
    )


# --- run on this machine -----------------------------------------------------------------------------


def config_of(name: str) -> str:
    """The export file that goes with a pod."""
    return str(MANIFESTS[f"{name.partition('/')[0]}/ConfigMap"]["data"]["export.yaml"])


def repositories_in(config: str) -> list[str]:
    """What it exports."""
    return [source["repository"] for source in yaml.safe_load(config)["sources"]]


@pytest.fixture(params=EXPORTS)
def name(request: pytest.FixtureRequest) -> str:
    """The manifest of each pod that exports."""
    return str(request.param)


@pytest.fixture
def registry(name: str) -> Iterator[MemoryRegistry]:
    """What the example exports, on this machine."""
    paths = [source.partition("/")[2] for source in repositories_in(config_of(name))]
    with MemoryRegistry({path: a_module("1.0.0", "1.1.0", name=path) for path in paths}) as server:
        yield server


class Volumes:
    """The places of a pod, below one folder."""

    def __init__(self, root: Path, pod: Pod, config: str) -> None:
        self._pod = pod
        mounts = {str(mount["mountPath"]) for mount in pod.container["volumeMounts"]}
        self._places = {mount: root / mount.strip("/").replace("/", "-") for mount in mounts}
        for place in self._places.values():
            place.mkdir()
        (self._places[CONFIG] / "export.yaml").write_text(config)
        (self._places[CREDS] / "creds").write_text("")

    @property
    def data(self) -> Path:
        """Where the pod writes."""
        return self._places["/data"]

    def run(self, environment: Mapping[str, str] | None = None) -> int:
        """What the pod does; the result is its exit code."""
        words = list(self._pod.container["args"])
        for name, value in (environment or {}).items():
            words = [word.replace(f"$({name})", value) for word in words]
        for mount, place in self._places.items():
            words = [word.replace(f"{mount}/", f"{place}/") for word in words]
        return run(words)


def roots_in(bundle: Path) -> set[Root]:
    """Everything that a bundle names."""
    with open_bundle(bundle) as opened:
        return set(roots_of(opened.inventory))


@pytest.mark.slow
def test_the_pods_together_export_what_the_config_names(
    name: str, registry: MemoryRegistry, tmp_path: Path
) -> None:
    config = config_of(name).replace("ghcr.io", registry.host)
    volumes = Volumes(tmp_path, EXPORTS[name], config)
    for index in range(EXPORTS[name].job.get("completions", 1)):
        assert volumes.run({"JOB_COMPLETION_INDEX": str(index)}) == 0
    carried = [root.repository for bundle in volumes.data.glob("*.tar.zst") for root in roots_in(bundle)]
    assert set(carried) == set(repositories_in(config))
    assert all(carried.count(repository) == 2 for repository in carried)


@pytest.mark.slow
def test_the_merge_job_makes_one_bundle_of_all_shards(tmp_path: Path) -> None:
    config = config_of("sharded-job/Job")
    paths = [source.partition("/")[2] for source in repositories_in(config)]
    with MemoryRegistry({path: a_module("1.0.0", name=path) for path in paths}) as server:
        volumes = Volumes(tmp_path, PODS["sharded-job/Job"], config.replace("ghcr.io", server.host))
        for index in range(PODS["sharded-job/Job"].job["completions"]):
            assert volumes.run({"JOB_COMPLETION_INDEX": str(index)}) == 0
        words = [
            word.replace("/data/", f"{volumes.data}/") for word in PODS["merge-job/Job"].container["args"]
        ]
        assert run(words) == 0
        whole = tmp_path / "whole.tar.zst"
        assert run(["export", *(f"{server.host}/{path}" for path in paths), "-o", str(whole), "-q"]) == 0
        assert (volumes.data / "modules.tar.zst").read_bytes() == whole.read_bytes()
        # A month later, versions have left.
        server.repositories |= {path: a_module("1.1.0", name=path) for path in paths}
        for index in range(PODS["sharded-job/Job"].job["completions"]):
            assert volumes.run({"JOB_COMPLETION_INDEX": str(index)}) == 0
        assert run(words) == 0
    assert {root.tag for root in roots_in(volumes.data / "modules.tar.zst")} == {"1.1.0"}


def test_the_shards_are_as_many_as_the_pods_and_all_are_merged() -> None:
    job = PODS["sharded-job/Job"].job
    assert job["completionMode"] == "Indexed"
    count = job["completions"]
    assert f"--shard=$(JOB_COMPLETION_INDEX)/{count}" in PODS["sharded-job/Job"].container["args"]
    (output,) = [word for word in PODS["sharded-job/Job"].container["args"] if word.startswith("--output=")]
    written = [
        output.removeprefix("--output=").replace("$(JOB_COMPLETION_INDEX)", str(i)) for i in range(count)
    ]
    assert [word for word in PODS["merge-job/Job"].container["args"] if "/shard-" in word] == written
