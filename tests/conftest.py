"""Fixtures only: real registries on random ports, one of each kind per worker process."""

from __future__ import annotations

import itertools
import os
import re
import resource
import signal
import ssl
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, settings

from bundler import errors
from tests.doubles import FakeClock
from tests.leaks import PLANTED, assert_none_below, assert_none_in
from tests.registries import RealRegistry, TokenServer, htpasswd_auth, running_registry
from tests.sweeps import LoadedProgram

USER, PASSWORD = "carrier", "correct-horse"

# One profile for everybody: no deadline, because a busy machine is no bug.
# In continuous integration a failure must come from a change, not from chance.
settings.register_profile(
    "tests",
    deadline=None,
    max_examples=50,
    database=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")

# A suite that a script starts in the background has SIGINT ignored, and so had its programs.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count(1)

MARKED_BY_FIXTURE = {"program": "strace", "browser": "browser", "units": "systemd", "link": "nftables"}
"""A test that uses the fixture gets the marker: `make quick` leaves it out."""

SLOW_FOLDERS = {"faults", "fuzz"}
"""Tests that start the program again and again, or look for harm as long as they may."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a program of the system, and the slow ones."""
    for item in items:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker("slow")
        for fixture in set(getattr(item, "fixturenames", ())) & MARKED_BY_FIXTURE.keys():
            item.add_marker(MARKED_BY_FIXTURE[fixture])


# Every run that asks a registry has a secret in its hands, for another host.
os.environ.setdefault("TIMONI_BUNDLER_CREDS", PLANTED)


@pytest.fixture(autouse=True, scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What imports remember of targets is not kept in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.getbasetemp() / "memory"
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def memory_of_its_own(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a test remember what another imported: there are only so many ports."""
    monkeypatch.setenv("XDG_STATE_HOME", str(memory / str(next(_numbers))))


@pytest.fixture(autouse=True)
def secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test hides the secrets that it used, not those of the tests before it."""
    monkeypatch.setattr(errors, "_unspoken", set())


@pytest.fixture(autouse=True)
def no_secret_in_what_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Files that a test leaves hold no secret. See `tests/leaks.py`."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        assert_none_below(folder)


@pytest.fixture(autouse=True, scope="session")
def no_secret_in_what_is_said() -> Iterator[None]:
    """Nor does what a test has read of standard output and standard error."""
    read = pytest.CaptureFixture.readouterr

    def searched(fixture: pytest.CaptureFixture[str]) -> object:
        found = read(fixture)
        assert_none_in(f"{found.out}{found.err}", "the output")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest.CaptureFixture, "readouterr", searched)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Nor what it has not read."""
    report = yield
    try:
        assert_none_in(f"{report.capstdout}{report.capstderr}{report.caplog}", "the output")
    except AssertionError as error:
        report.outcome, report.longrepr = "failed", str(error)
    return report


@pytest.fixture
def few_open_files() -> Iterator[None]:
    """A shell that allows no more than ten more; the system would."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only sleeping moves."""
    return FakeClock()


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names repositories so that no two tests share one: `fresh("app")`."""
    prefix = f"t{next(_numbers)}/" + re.sub("[^a-z0-9]+", "-", request.node.originalname.lower())[:60].strip(
        "-"
    )
    return lambda name: f"{prefix}/{name}"


@pytest.fixture(scope="session")
def program() -> Iterator[LoadedProgram]:
    """The program, ready to be struck."""
    with LoadedProgram() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def source_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """An open registry to export from."""
    with running_registry(tmp_path_factory.mktemp("source")) as registry:
        yield registry


@pytest.fixture(scope="session")
def target_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """An open registry to import into."""
    with running_registry(tmp_path_factory.mktemp("target")) as registry:
        yield registry


@pytest.fixture(scope="session")
def htpasswd_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A registry that wants USER and PASSWORD by Basic authentication."""
    folder = tmp_path_factory.mktemp("htpasswd")
    with running_registry(folder, auth=htpasswd_auth(folder, USER, PASSWORD)) as registry:
        yield registry


@pytest.fixture(scope="session")
def token_server() -> Iterator[TokenServer]:
    """The token server of `token_registry`."""
    with TokenServer({USER: PASSWORD}) as server:
        yield server


@pytest.fixture(scope="session")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, token_server: TokenServer
) -> Iterator[RealRegistry]:
    """A registry that sends its callers to `token_server`."""
    folder = tmp_path_factory.mktemp("token")
    with running_registry(folder, auth=token_server.auth(folder)) as registry:
        yield registry


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """What a server on 127.0.0.1 speaks TLS with; its authority is in `ca.pem`."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority of `tls_registry`, known to nobody else."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[RealRegistry]:
    """A registry that speaks TLS only."""
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    with running_registry(tmp_path_factory.mktemp("tls"), tls=certificate) as registry:
        yield registry
