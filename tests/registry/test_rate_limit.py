"""A limit on the speed: one for all threads, in both directions, with a clock that nobody waits for."""

from __future__ import annotations

import threading

import pytest

from bundler.registry.http.bodies import SLICE, Outgoing
from bundler.registry.http.exchange import Request, TransportSettings
from bundler.registry.http.rate_limit import BURST, RateLimit
from bundler.registry.http.retry import Deadline
from bundler.registry.http.transport import Transport
from tests.doubles import FakeClock, LoopbackServer, Reply


def limit_of(clock: FakeClock, rate: int = 1000) -> RateLimit:
    return RateLimit(rate, clock, clock.sleep)


def test_bytes_take_as_long_as_the_rate_says(clock: FakeClock) -> None:
    limit, start = limit_of(clock), clock.now
    for _ in range(100):
        limit.take(500)
    assert clock.now - start == pytest.approx(50 - BURST)
    assert limit.waited == pytest.approx(50 - BURST)


def test_a_pause_saves_up_no_more_than_a_moment(clock: FakeClock) -> None:
    limit = limit_of(clock)
    limit.take(100)
    clock.now += 3600
    start = clock.now
    limit.take(1000)
    assert clock.now - start == pytest.approx(1 - BURST)


def test_threads_share_one_limit() -> None:
    """Whoever comes later waits for what those before have taken, whether they have waited or not."""
    waits: list[float] = []
    limit = RateLimit(1000, lambda: 5.0, waits.append)
    threads = [threading.Thread(target=limit.take, args=(1000,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([number - BURST for number in range(1, 9)])


def test_what_is_sent_and_what_is_received_count_together(clock: FakeClock) -> None:
    limit = limit_of(clock, SLICE)
    start = clock.now
    with LoopbackServer(lambda request: Reply(200, {}, bytes(2 * SLICE))) as server:
        transport = Transport(TransportSettings(rate_limit=limit))
        for body in (b"x" * SLICE, bytes(3 * SLICE)):
            answer = transport.send(Request("PUT", f"{server.base}/v2/", {}, body))
            assert answer.read(10 * SLICE) == bytes(2 * SLICE)
        assert transport.held_back() == pytest.approx(clock.now - start)
    assert clock.now - start == pytest.approx(1 + 3 + 2 * 2 - BURST)


def test_no_deadline_passes_while_the_limit_holds_back(clock: FakeClock) -> None:
    limit = limit_of(clock)
    end = Deadline(clock, lambda: 0.0, 60.0, 0.0, lambda: limit.waited)
    limit.take(1_000_000)
    assert not end.passed
    body = Outgoing(bytes(10 * SLICE), 10 * SLICE, "PUT it", 60.0, clock, rate_limit=limit)
    assert sum(map(len, body)) == 10 * SLICE
    clock.now += 61
    assert end.passed
