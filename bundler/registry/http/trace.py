"""One line about each request, for whoever looks for what goes wrong; no line shows a secret."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

from bundler.errors import BundlerError, printable
from bundler.registry.http.exchange import Request, place

SHOWN = frozenset({"n", "last", "digest", "mount", "from", "scope", "service", "artifactType"})
"""Parameters of a query that hold no secret; of others, there is only a mark that they are there."""

LONGEST = 1_000
"""Characters of a line."""


class TracedRequest:
    """A request under way; its line is told when its body has been read, or when it fails."""

    def __init__(
        self, request: Request, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._request = request
        self._clock = clock
        self._tell: Callable[[str], None] | None = tell
        self._start = clock()
        self._parts: list[str] = []

    def failed(self, error: BundlerError) -> None:
        """Tell why there was no answer."""
        self._parts.append(f"failed: {error.cause}")
        self.ended(0)

    def answered(self, status: int, location: str, *, reused: bool) -> None:
        """Note what the headers of the answer say; `location` is where it leads."""
        self._parts.append(str(status))
        if location:
            self._parts.append(f"leads to {_shown(location)}")
        self._parts.append(f"{'reused' if reused else 'new'} connection")

    def ended(self, received: int) -> None:
        """Tell the line, once; `received` are the bytes of the body that have been read."""
        tell, self._tell = self._tell, None
        if tell is None:
            return
        parts = [*self._parts, f"{received:,} B in {self._clock() - self._start:.3f} s"]
        if sent := len(self._request.body or ""):
            parts.append(f"{sent:,} B sent")
        tell(printable(f"{self._request.method} {_shown(self._request.url)}: {', '.join(parts)}", LONGEST))


def _shown(address: str) -> str:
    """Return an address with what can be shown of its query."""
    query = " ".join(_parameters(urlsplit(address).query))
    return f"{place(address)} ({query})" if query else place(address)


def _parameters(query: str) -> Iterator[str]:
    hidden = False
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in SHOWN:
            yield f"{name}={value}"
        else:
            hidden = True
    if hidden:
        yield "..."
