"""The whole way with the portable archive, in Debian 11 without Python, as nobody in particular."""

from __future__ import annotations

import re

import pytest

from tests.builders import a_bundle, a_module, an_image
from tests.portable.conftest import CA_FILE, REGISTRY
from tests.portable.sandbox import HERE, HOME, OURS, Sandbox
from tests.registries import RealRegistry

BUNDLE = "modules.tar.zst"


def port_of(registry: RealRegistry) -> str:
    return registry.host.rpartition(":")[2]


@pytest.fixture(scope="module")
def bundle(debian: Sandbox, registry: RealRegistry) -> str:
    """A bundle that the program in the sandbox exported, by https, from a registry that it had filled."""
    a_bundle(debian.home / "carried.tar.zst", {
        "ghcr.io/app": a_module("1.0.0", "1.1.0", size=100_000),
        "ghcr.io/image": an_image(),
    })  # fmt: skip
    host = f"{REGISTRY}:{port_of(registry)}"
    debian.ours("import", "carried.tar.zst", "--to", f"oci://{host}/source", "--ca-file", CA_FILE)
    debian.ours(
        *("export", f"{host}/source/app", f"{host}/source/image", "-o", BUNDLE, "--ca-file", CA_FILE),
        *("--store", "store", "--report", "report.json"),
    )
    return BUNDLE


def test_no_python_and_no_program_in_the_temporary_folder(debian: Sandbox) -> None:
    """Otherwise the other tests here prove nothing."""
    assert debian.run("sh", "-c", "command -v python3 python").returncode != 0
    assert debian.run("sh", "-c", "cp /bin/true /tmp && /tmp/true").returncode == 126
    assert debian.run("touch", f"{HERE}/new").returncode != 0
    assert debian.run("id", "-u").stdout.strip() == "1000"


def test_it_says_its_version_and_all_its_help(debian: Sandbox) -> None:
    assert debian.ours("--version").startswith("timoni-bundler ")
    for command in ("export", "import", "compact", "store", "sign", "report", "completion"):
        assert "Usage: timoni-bundler" in debian.ours(command, "--help")


def test_a_bundle_is_verified_shown_signed_and_imported(
    debian: Sandbox, registry: RealRegistry, bundle: str
) -> None:
    target = f"oci://{REGISTRY}:{port_of(registry)}/mirror"
    debian.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
    debian.run("sh", "-c", 'echo "* $(cat key.pub)" > allowed')
    debian.ours("sign", bundle, "--key", "key", "--job", "nightly")
    assert "1.1.0" in debian.ours("inspect", bundle)
    debian.ours("verify", bundle, "--allowed-signers", "allowed")
    debian.ours("report", bundle, "-o", "page.html")
    assert "<html" in (debian.home / "page.html").read_text()
    debian.ours(
        *("import", bundle, "--to", target, "--ca-file", CA_FILE, "--allowed-signers", "allowed"),
        *("--rollback-file", "before.json"),
    )
    assert "status  OK" in debian.ours("verify", bundle, "--against", target, "--ca-file", CA_FILE)
    assert "not there" in debian.ours("verify", "missing", code=4)


def test_the_authorities_of_the_system_are_trusted(
    debian: Sandbox, registry: RealRegistry, bundle: str
) -> None:
    target = f"oci://{REGISTRY}:{port_of(registry)}/again"
    refused = debian.ours("import", bundle, "--to", target, code=5)
    assert "not trusted" in refused
    assert "trusted now: " in refused
    debian.ours("import", bundle, "--to", target, SSL_CERT_FILE=f"{HOME}/{CA_FILE}")
    place = debian.root / "etc/ssl/certs"
    debian.as_root("mkdir", str(place))
    debian.as_root("cp", str(debian.home / CA_FILE), str(place / "ca-certificates.crt"))
    debian.ours("import", bundle, "--to", target)
    debian.as_root("rm", "-r", str(place))


def test_a_name_that_dns_does_not_know_is_said_plainly(debian: Sandbox, registry: RealRegistry) -> None:
    told = debian.ours("export", "other.internal/app", "-o", "x.tar.zst", code=5)
    assert "other.internal" in told
    assert "Traceback" not in told


def test_volumes_with_parity_are_split_and_repaired(debian: Sandbox, bundle: str) -> None:
    (debian.home / "stick").mkdir(mode=0o777)
    (debian.home / "stick").chmod(0o777)
    debian.ours("volumes", "split", bundle, "--volume-size", "100000", "--parity", "50", "-o", "stick")
    lost = min((debian.home / "stick").glob("*.001*"))
    lost.unlink()
    debian.ours("volumes", "repair", "stick", "-o", "stick")
    assert lost.exists()
    debian.ours("verify", f"stick/{lost.name}")


def test_a_bundle_is_made_compact_and_expanded(debian: Sandbox, bundle: str) -> None:
    debian.ours("compact", bundle, "-o", "whole.compact.zst")
    debian.ours("expand", "whole.compact.zst", "-o", "whole.tar.zst")
    assert (debian.home / "whole.tar.zst").read_bytes() == (debian.home / bundle).read_bytes()


def test_the_compiled_parts_are_inside(debian: Sandbox) -> None:
    lib = f"{HERE}/lib"
    modules = "bundler.compact._godeflate, zfec, re2, bcrypt, cryptography.x509"
    code = f"import sys; sys.path.append('{lib}/site'); import {modules}"
    python = f'set -- "$0" {lib}/ld-linux*; exec "$2" --library-path {lib} {lib}/python3 -I -S -c "$1"'
    done = debian.run("sh", "-c", python, code)
    assert done.returncode == 0, done.stderr


def test_it_serves_a_bundle(debian: Sandbox, registry: RealRegistry, bundle: str) -> None:
    with debian.started(OURS, "serve", bundle, "--port", "0") as server:
        assert server.stdout
        (host,) = re.findall(r"127\.0\.0\.1:[0-9]+", server.stdout.readline())
        debian.ours("export", f"{host}/source/app", "-o", "served.tar.zst")
    assert "1.1.0" in debian.ours("inspect", "served.tar.zst")


def test_the_demo_runs_and_a_module_of_it_is_extracted(debian: Sandbox) -> None:
    told = debian.ours("demo", "--directory", "demo")
    assert "12 of 12 tags have the same digest outside and inside." in told
    assert f"`{OURS} inspect demo/modules.tar.zst`" in told
    for out in ("hello.oci.tar", "files"):
        debian.ours("extract", "demo/modules.tar.zst", "hello:1.2.0", "-o", out)
    assert (debian.home / "files" / "timoni.cue").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(debian: Sandbox, shell: str) -> None:
    assert "_TIMONI_BUNDLER_COMPLETE" in debian.ours("completion", shell)


def test_completion_completes(debian: Sandbox) -> None:
    told = debian.ours(
        _TIMONI_BUNDLER_COMPLETE="bash_complete", COMP_WORDS="timoni-bundler ver", COMP_CWORD="1"
    )
    assert "verify" in told


@pytest.mark.parametrize("link", ["tb", "folder/../tb-relative"])
def test_a_link_to_the_wrapper_starts_it(debian: Sandbox, link: str) -> None:
    debian.run("sh", "-c", f"mkdir -p folder; ln -sf {OURS} tb; ln -sf tb {link.rpartition('/')[2]}.2")
    name = f"{link.rpartition('/')[2]}.2" if "relative" in link else link
    assert "timoni-bundler" in debian.run("sh", "-c", f"./{name} --version").stdout
    assert "timoni-bundler" in debian.run("sh", "-c", f"PATH=$PWD:$PATH; cd /; {name} --version").stdout


@pytest.mark.parametrize("place", ["with space", "ümläut", "-dash", "new\nline"])
def test_it_runs_from_a_folder_of_any_name(debian: Sandbox, place: str) -> None:
    copied = debian.run("sh", "-c", f'mkdir -p -- "$0" && cp -r {HERE}/. -- "$0/" 2>/dev/null', f"./{place}")
    done = debian.run("sh", "-c", 'cd -- "$0" && ./timoni-bundler --version', f"./{place}")
    assert done.stdout.startswith("timoni-bundler "), copied.stderr + done.stderr


def test_a_folder_that_cannot_work_says_why(debian: Sandbox) -> None:
    debian.run("sh", "-c", f"mkdir a:b other; cp {OURS} a:b; cp {OURS} other")
    told = debian.run("sh", "-c", "./a:b/timoni-bundler --version; echo $?")
    assert "unpack in another folder" in told.stderr
    assert told.stdout == "9\n"
    told = debian.run("./other/timoni-bundler", "--version")
    assert told.returncode == 9
    assert "unpack the archive again" in told.stderr


def test_neither_environment_nor_folder_changes_what_runs(debian: Sandbox) -> None:
    (debian.home / "evil" / "bundler").mkdir(parents=True)
    (debian.home / "evil" / "bundler" / "__init__.py").write_text("raise SystemExit('evil')")
    (debian.home / "evil" / "json.py").write_text("raise SystemExit('evil')")
    place = f"{HOME}/evil"
    variables = {"PYTHONPATH": place, "PYTHONHOME": place, "LD_LIBRARY_PATH": place, "PYTHONSTARTUP": place}
    done = debian.run(OURS, "--version", folder=place, environment=variables)
    assert done.stdout.startswith("timoni-bundler "), done.stderr
    assert done.stderr == ""


def test_names_that_are_not_ascii_are_written_in_any_locale(debian: Sandbox, bundle: str) -> None:
    for locale in ("C", "de_DE.UTF-8", "POSIX"):
        debian.ours("report", bundle, "-o", f"Freigabe-ü-{locale}.html", LC_ALL=locale)
        assert (debian.home / f"Freigabe-ü-{locale}.html").exists()
