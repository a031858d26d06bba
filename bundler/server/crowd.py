"""The requests that workers have, or that wait for one: slow peers hold up nobody.

A worker that waits for its peer is replaced by another one, up to a limit; beyond it, the slowest is given up
where others wait. Requests with bodies have memory, so few of them are worked on at a time, and those without
never wait for them.
"""

import threading
from collections import deque
from typing import Any

from bundler.server.connections import Connection

THREADS = 16
"""Requests worked on at a time, and requests with bodies at a time; others wait."""

MOST_THREADS = 32
"""Requests that workers have at a time, those included whose peers are waited for."""

NOTICED = 0.1
"""Seconds that a peer is late, from which its worker counts as waiting."""

TOO_LATE = 4.0
"""Seconds that a peer may be late while somebody waits for a worker..."""

LATE_IN_A_CROWD = 0.25
"""...and while very many do."""


class Crowd:
    """The requests of one server, in front of cheroot's pool of workers."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._with_body: set[Connection] = set()
        self._next_with_body: deque[Connection] = deque()
        self._closed = False

    def enter(self, connection: Connection) -> None:
        """Give a request to a worker, now or later."""
        connection.paced.begin()
        if connection.paced.has_body:
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                if len(self._with_body) >= THREADS:
                    self._next_with_body.append(connection)
                    return
                self._with_body.add(connection)
        self._pool.put(connection)

    def leave(self, connection: Connection) -> None:
        """Take note that a request is done."""
        with self._lock:
            if connection not in self._with_body:
                return
            self._with_body.remove(connection)
            if not self._next_with_body:
                return
            following = self._next_with_body.popleft()
            self._with_body.add(following)
        self._pool.put(following)

    def relieve(self) -> None:
        """Start more workers, or give up slow peers, where others wait; end workers that are idle.

        Called several times per second, by the thread that watches all connections.
        """
        served = [worker.conn for worker in self._pool._threads]
        held = [connection for connection in served if connection is not None]
        waiting, idle = self._pool.qsize, self._pool.idle
        if waiting and not idle:
            at_work = sum(connection.paced.late < NOTICED for connection in held)
            self._pool.grow(max(min(waiting, THREADS - at_work), 0))
            if len(served) >= MOST_THREADS:
                _end_slowest(held, waiting)
        elif idle > THREADS:
            self._pool.shrink(idle - THREADS)
        with self._lock:
            with_body, waiting = list(self._with_body), len(self._next_with_body)
        _end_slowest(with_body, waiting)

    def close(self) -> None:
        """End the connections that wait, and those that would."""
        with self._lock:
            self._closed = True
            while self._next_with_body:
                self._next_with_body.popleft().close()


def _end_slowest(connections: list[Connection], waiting: int) -> None:
    """End as many connections as wait, if their peers are late, the latest first; their workers are told."""
    allowed = max(TOO_LATE * THREADS / (THREADS + waiting), LATE_IN_A_CROWD)
    late = [(connection.paced.late, connection) for connection in connections]
    late.sort(key=lambda pair: pair[0], reverse=True)
    for seconds, connection in late[:waiting]:
        if seconds >= allowed:
            connection.paced.shutdown()
