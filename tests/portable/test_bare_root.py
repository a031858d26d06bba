"""The portable archive in a root that has a static shell and nothing else."""

from __future__ import annotations

from tests.portable.conftest import REGISTRY
from tests.portable.sandbox import Sandbox, names, process_that_says


def test_it_needs_no_libc_and_no_program_but_a_shell(bare: Sandbox) -> None:
    assert bare.ours("--version").startswith("timoni-bundler ")
    told = bare.ours("demo", "--directory", "demo")
    assert "12 of 12 tags have the same digest outside and inside." in told
    bare.ours("verify", "demo/modules.tar.zst")
    bare.ours("volumes", "split", "demo/modules.tar.zst", "--volume-size", "70000", "--parity", "50")


def test_the_hosts_file_is_read(bare: Sandbox) -> None:
    """Nothing listens there, but it is found."""
    told = bare.ours(
        "export", "hosts.internal:1/app", "-o", "x.tar.zst", "--plain-http", "hosts.internal:1", code=5
    )
    assert "refused" in told


def test_dns_is_asked(bare: Sandbox) -> None:
    with process_that_says("ready", [*bare.inside(), *names(REGISTRY)]):
        words = ("export", f"{REGISTRY}:1/app", "-o", "x.tar.zst", "--plain-http", f"{REGISTRY}:1")
        assert "refused" in bare.ours(*words, code=5)


def test_a_read_only_temporary_folder_is_good_enough(bare: Sandbox) -> None:
    temporary = str(bare.root / "tmp")
    bare.as_root("mount", "-o", "remount,ro", temporary)
    try:
        assert bare.run("sh", "-c", ": > /tmp/new").returncode != 0
        bare.ours("demo", "--directory", "read-only")
        bare.ours("report", "read-only/modules.tar.zst", "-o", "page.html")
        bare.ours("kit", "read-only/modules.tar.zst", "-o", "kit")
    finally:
        bare.as_root("mount", "-o", "remount,rw", temporary)
