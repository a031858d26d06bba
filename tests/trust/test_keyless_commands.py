"""Keyless signatures on the command line and in a policy: export, verify, import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.config.policy_file import read_policy_file
from bundler.oci.digest import Digest
from tests.builders import Content, a_bundle, a_module
from tests.doubles import MemoryRegistry
from tests.importer.test_policy_check import Signer, policy, verify
from tests.processes import bundler, clean_environment
from tests.registries import RealRegistry
from tests.trust.authorities import ISSUER, USUAL, WORKFLOW, Terms
from tests.trust.sigstores import StagedSigstore

pytestmark = pytest.mark.slow

ACCEPTED = f"{WORKFLOW} ({ISSUER})"
OTHER = "https://github.com/other/app/.github/workflows/release.yml@refs/heads/main"


@pytest.fixture(scope="module")
def stage() -> StagedSigstore:
    """One of them, for all tests."""
    return StagedSigstore()


@pytest.fixture
def options(stage: StagedSigstore, tmp_path: Path) -> tuple[str, ...]:
    """All that makes the check."""
    root = stage.trusted_root(tmp_path / "trusted_root.json")
    identity = ("--certificate-identity", "https://github.com/team/app/*")
    return ("--trusted-root", root, *identity, "--certificate-oidc-issuer", ISSUER)


@pytest.fixture
def content(stage: StagedSigstore) -> Content:
    """Three versions: signed as cosign 2 does, as cosign 3 does, and by somebody else."""
    made = a_module("1.0.0", "1.1.0", "1.2.0")
    stage.by_tag(made, made.tags["1.0.0"])
    stage.by_referrer(made, made.tags["1.1.0"])
    stage.by_tag(made, made.tags["1.2.0"], Terms(identity=OTHER))
    return made


def test_an_export_leaves_out_what_nobody_wanted_has_signed(
    content: Content, options: tuple[str, ...], tmp_path: Path
) -> None:
    out, report = tmp_path / "o.tar.zst", tmp_path / "report.json"
    with MemoryRegistry({"app": content}) as server:
        source = f"{server.host}/app"
        done = bundler("export", source, "-o", str(out), "--report", str(report), "-q", *options)
    assert done.returncode == 8
    assert (
        f"app:1.2.0: no signature by https://github.com/team/app/* ({ISSUER}): keyless, by {OTHER}"
        in done.stderr
    )
    assert f"2 signed by {ACCEPTED}" in done.stdout
    with open_bundle(out) as bundle:
        tags = bundle.inventory.repositories[0].tags
    assert {tag for tag in tags if not tag.startswith("sha256-")} == {"1.0.0", "1.1.0"}
    signed = json.loads(report.read_text())["signed"]
    assert signed == [
        {"item": f"{source}:{tag}", "by": [ACCEPTED], "unchecked": 0} for tag in ("1.0.0", "1.1.0")
    ]


def test_a_verification_names_who_signed_and_who_did_not(
    content: Content, stage: StagedSigstore, options: tuple[str, ...], tmp_path: Path
) -> None:
    code, said = verify(tmp_path, content, *options)
    assert code == 11
    assert [version in said for version in ("app:1.0.0:", "app:1.1.0:", "app:1.2.0:")] == [False, False, True]
    module = a_module("1.0.0")
    stage.by_referrer(module, module.tags["1.0.0"])
    bundle = str(a_bundle(tmp_path / "one.tar.zst", {"ghcr.io/team/app": module}))
    assert f"\n1 signed by {ACCEPTED}\n" in bundler("verify", bundle, *options).stdout
    shown = json.loads(bundler("verify", bundle, "--json", *options).stdout)
    assert shown["signed"] == [{"item": "ghcr.io/team/app:1.0.0", "by": [ACCEPTED], "unchecked": 0}]


def test_an_import_pushes_only_if_all_is_signed_and_says_by_whom(
    stage: StagedSigstore, options: tuple[str, ...], target_registry: RealRegistry,
    fresh: Callable[[str], str], tmp_path: Path,
) -> None:  # fmt: skip
    path, module = fresh("app"), a_module("1.0.0")
    target = ("--to", target_registry.host, "--json", "-q", *options)
    refused = bundler("import", str(a_bundle(tmp_path / "u.tar.zst", {f"ghcr.io/{path}": module})), *target)
    assert (refused.returncode, target_registry.accesses(path)) == (11, [])
    stage.by_tag(module, module.tags["1.0.0"])
    done = bundler("import", str(a_bundle(tmp_path / "s.tar.zst", {f"ghcr.io/{path}": module})), *target)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signed"] == [
        {"item": f"ghcr.io/{path}:1.0.0", "by": [ACCEPTED], "unchecked": 0}
    ]


def test_a_pipe_can_not_be_checked(options: tuple[str, ...]) -> None:
    done = bundler("import", "-", "--to", "h.example", *options, stdin=subprocess.PIPE)
    assert (done.returncode, "can't be checked in a stream" in done.stderr) == (2, True)


# --- what is said wrongly ----------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", range(3))
def test_an_incomplete_wish_is_2_and_names_what_is_missing(
    left_out: int, options: tuple[str, ...], tmp_path: Path
) -> None:
    given = options[: 2 * left_out] + options[2 * left_out + 2 :]
    code, said = verify(tmp_path, a_module("1.0.0"), *given)
    assert (code, f"not checked without {options[2 * left_out]};" in said) == (2, True), said


def test_two_are_missing_at_once(tmp_path: Path) -> None:
    code, said = verify(tmp_path, a_module("1.0.0"), "--trusted-root", "root.json")
    assert code == 2
    assert "without --certificate-identity and --certificate-oidc-issuer" in said


def test_two_issuers_are_2(options: tuple[str, ...], tmp_path: Path) -> None:
    more = ("--certificate-oidc-issuer", "https://accounts.example.org")
    code, said = verify(tmp_path, a_module("1.0.0"), *options, *more)
    assert (code, "--certificate-oidc-issuer is given 2 times" in said) == (2, True)


def test_almost_anybody_is_2(options: tuple[str, ...], tmp_path: Path) -> None:
    code, said = verify(tmp_path, a_module("1.0.0"), *options, "--certificate-identity", "*")
    assert (code, "almost anybody" in said) == (2, True)


def test_a_file_that_is_no_root_is_2(options: tuple[str, ...], tmp_path: Path) -> None:
    Path(options[1]).write_text("{}")
    code, said = verify(tmp_path, a_module("1.0.0"), *options)
    assert (code, f"{options[1]}: not a trusted root of Sigstore" in said) == (2, True)


# --- policies ----------------------------------------------------------------------------------------

KEYLESS = "keyless: {trustedRoot: trusted_root.json, identities: [{identity: %s, issuer: %s}]}"


def test_a_policy_may_want_a_key_or_an_identity(stage: StagedSigstore, tmp_path: Path) -> None:
    content, signer = a_module("1.0.0", "1.1.0", "1.2.0"), Signer()
    stage.by_tag(content, content.tags["1.0.0"])
    signer.by_referrer(content, content.tags["1.1.0"])
    signer.public(tmp_path / "team.pub")
    stage.trusted_root(tmp_path / "trusted_root.json")
    keyless = KEYLESS % ("https://github.com/team/app/*", ISSUER)
    wanted = policy(tmp_path, f"require: [{{repositories: ['*'], cosignKeys: [team.pub], {keyless}}}]")
    code, said = verify(tmp_path, content, *wanted)
    assert code == 11
    assert [version in said for version in ("app:1.0.0:", "app:1.1.0:", "app:1.2.0:")] == [False, False, True]
    assert f"no signature by team.pub or https://github.com/team/app/* ({ISSUER}): not signed" in said


def test_a_policy_that_lets_anybody_in_is_2_with_its_line(tmp_path: Path) -> None:
    wanted = policy(
        tmp_path, f"require: [{{repositories: ['*'], {KEYLESS % ('https://github.com/*', ISSUER)}}}]"
    )
    code, said = verify(tmp_path, a_module("1.0.0"), *wanted)
    assert (code, "policy.yaml:2: require[0].keyless.identities[0].identity" in said) == (2, True), said


def test_the_documented_policy_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    (example,) = re.findall("```yaml\n(.*?)```", page, re.DOTALL)
    (demand,) = read_policy_file("/border/policy.yaml", example).demands
    assert demand.keyless is not None
    assert demand.keyless.trusted_root == "/border/trusted_root.json"
    assert [one.issuer.partition("//")[2] for one in demand.keyless.identities] == [
        "token.actions.githubusercontent.com",
        "accounts.google.com",
    ]


# --- this machine ------------------------------------------------------------------------------------

ALONE = """
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(event)
sys.addaudithook(refuse)
from bundler.__main__ import run
code = run(sys.argv[1:])
print("sigstore" in sys.modules)
sys.exit(code)
"""


def alone(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, with an empty home, where any use of a socket is an error."""
    home.mkdir()
    command = [sys.executable, "-c", ALONE, *arguments]
    places = {"HOME": str(home), "XDG_DATA_HOME": str(home / "d"), "XDG_CACHE_HOME": str(home / "c")}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**clean_environment(), **places},
    )


@pytest.mark.parametrize("form", ["by_tag", "by_referrer"])
def test_nothing_is_asked_of_a_network_nor_kept_at_home(
    form: str, stage: StagedSigstore, options: tuple[str, ...], tmp_path: Path
) -> None:
    module = a_module("1.0.0")
    attach: Callable[[Content, Digest], None] = getattr(stage, form)
    attach(module, module.tags["1.0.0"])
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": module})
    done = alone(tmp_path / "home", "verify", str(bundle), "-q", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "home").iterdir()) == []


def test_the_library_is_not_loaded_unless_it_is_asked_for(stage: StagedSigstore, tmp_path: Path) -> None:
    content, signer = a_module("1.0.0"), Signer()
    stage.by_tag(content, content.tags["1.0.0"])
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": content})
    key = signer.public(tmp_path / "cosign.pub")
    done = alone(tmp_path / "home", "verify", str(bundle), "--cosign-key", key)
    assert done.returncode == 11
    assert "no signature by cosign.pub: 1 keyless, not checked" in done.stderr
    assert done.stdout.endswith("False\n")


def test_what_a_library_warns_of_is_not_printed(
    stage: StagedSigstore, options: tuple[str, ...], tmp_path: Path
) -> None:
    module = a_module("1.0.0")
    older = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    stage.by_referrer(module, module.tags["1.0.0"], USUAL._replace(media_type=older))
    assert verify(tmp_path, module, *options) == (0, "")
