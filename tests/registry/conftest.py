"""A repository of the server that a test module brings."""

import pytest

from bundler.registry.repository import Repository
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import PATIENT, registries_for


@pytest.fixture
def repository(server: MemoryRegistry, clock: FakeClock) -> Repository:
    """The repository `app` of the module's own `server`."""
    return registries_for(clock, limits=PATIENT).source(server.repository("app"))
