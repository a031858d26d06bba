"""The registry on a port: cheroot's threads, sockets and HTTP/1.1, with bodies bounded as they stream."""

import contextlib
import re
import selectors
import threading
from pathlib import Path
from socket import SHUT_RDWR, socket
from ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLError, SSLSocket, TLSVersion
from types import TracebackType
from typing import Any, NamedTuple, Self

from cheroot import makefile, wsgi
from cheroot.connections import ConnectionManager
from cheroot.ssl import Adapter

from bundler.about import PROGRAM
from bundler.errors import LocalError, UsageError, printable
from bundler.limits import KIB
from bundler.oci import CHUNK
from bundler.server.app import Log, Pages, Registry
from bundler.server.connections import ChunkedBody, Connection
from bundler.server.crowd import MOST_THREADS, THREADS, Crowd
from bundler.server.paced_socket import HEADERS, STALLED
from bundler.server.passwords import Passwords
from bundler.server.served_content import ServedContent

CONNECTIONS = 256
"""Idle connections kept for another request."""

WAITING = 512
"""Connections whose request has not come whole; beyond them the oldest is ended."""

_PIECE = 64 * KIB

LOOK_AGAIN = 0.2
"""Seconds after which a server that waits looks for a signal again."""


class Access(NamedTuple):
    """The terms of access to a registry: TLS and passwords."""

    tls: SSLContext | None = None
    passwords: Passwords | None = None


OPEN = Access()
"""Everybody who reaches the address, without TLS."""


class RegistryServer:
    """A registry that listens. As a context manager it answers from a thread of its own.

    Without `host` it listens on loopback, and answers requests to names of loopback only: a web page
    could have its own name resolved to this machine. Port 0 takes any free one; `address` tells which.
    `log` gets a line per request, `trouble` one for each request that failed on this side. Without
    `referrers` it lacks the referrers API. `access` has TLS and
    users, `pages` what browsers are shown. Raises LocalError if it can't listen there.
    """

    def __init__(
        self,
        content: ServedContent,
        host: str | None = None,
        port: int = 0,
        *,
        log: Log | None = None,
        trouble: Log | None = None,
        referrers: bool = True,
        access: Access = OPEN,
        pages: Pages | None = None,
    ) -> None:
        registry = Registry(
            content,
            log=log,
            trouble=trouble,
            referrers=referrers,
            any_name=host is not None,
            passwords=access.passwords,
            pages=pages,
        )
        self._server = _Server(host or "127.0.0.1", port, registry, trouble)
        self._scheme = "http"
        if access.tls:
            self._server.ssl_adapter = TlsAdapter(access.tls)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve, name="registry", daemon=True)

    @property
    def url(self) -> str:
        """Return `http://host:port`, or `https://`."""
        return f"{self._scheme}://{self.address}"

    @property
    def address(self) -> str:
        """Return `host:port`, as it stands in references."""
        host, port = self._server.bind_addr
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __enter__(self) -> Self:
        """Listen and answer."""
        try:
            self._server.prepare()
        except OSError as error:
            next_step = "choose another port"
            raise LocalError(self.address, f"can't listen there: {_reason(error)}", next_step) from error
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let running requests end, within seconds, and stop."""
        self._server.stop()
        self._thread.join()

    def serve_forever(self) -> None:
        """Wait, inside the context, until the user interrupts.

        In short pauses: a signal that comes right before an endless wait would not end it.
        """
        pause = threading.Event()
        try:
            while self._thread.is_alive():
                pause.wait(LOOK_AGAIN)
        except KeyboardInterrupt:
            return


class _Server(wsgi.Server):
    """cheroot's server with this package's bounds."""

    expiration_interval = 0.1  # seconds that a stop may take
    keep_alive_conn_limit = CONNECTIONS
    ConnectionClass = Connection
    max_request_header_size = HEADERS

    def __init__(self, host: str, port: int, registry: Registry, trouble: Log | None) -> None:
        super().__init__(
            (host, port),
            registry,
            numthreads=THREADS,
            max=MOST_THREADS,
            server_name=PROGRAM,
            request_queue_size=128,
            timeout=STALLED,
        )
        self.gateway = _Gateway
        self.crowd = Crowd(self.requests)
        self._trouble = trouble

    def prepare(self) -> None:
        """Listen, with a manager of connections that looks after the crowd too."""
        super().prepare()
        self._manager.__class__ = _Connections

    @property
    def _manager(self) -> Any:
        """Return the manager of connections, which cheroot's stub doesn't know."""
        return vars(self)["_connections"]

    def stop(self) -> None:
        """Let running requests end, within seconds, and stop."""
        self.crowd.close()
        super().stop()

    def process_conn(self, conn: Any) -> None:
        """Give a connection to a worker once its request's headers and the beginning of its body are there.

        Until then only the thread that watches all connections has it: one that sends nothing takes no
        worker, and is ended when its time is over.
        """
        if conn.is_ready():
            conn.begun = False
            self.crowd.enter(conn)
            return
        manager = self._manager
        if conn.begun or conn.rfile.has_data():
            # Without another time stamp: a request that drips in ends too.
            manager._selector.register(conn.socket.fileno(), selectors.EVENT_READ, data=conn)
        else:
            manager.put(conn)
        conn.begun = True
        _end_oldest([waiting for _, waiting in manager._selector.connections if waiting is not self])

    @staticmethod
    def bind_socket(socket_: socket, bind_addr: tuple[str, int]) -> socket:
        """Take the port. cheroot leaves a socket open that can't have it."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT001, FBT002  cheroot's signature
        """Pass on what went wrong; cheroot itself writes to standard error."""
        if self._trouble:
            self._trouble(printable(msg))


class _Connections(ConnectionManager):
    """The connections that no worker has; each time that some expire, the crowd is looked after."""

    def _expire(self, threshold: float) -> None:
        super()._expire(threshold)  # type: ignore[misc]  # not in cheroot's stub
        self.server.crowd.relieve()


def _end_oldest(waiting: list[Any]) -> None:
    """End the connection that waits longest, where too many wait; its reader is told."""
    if len(waiting) > WAITING:
        with contextlib.suppress(OSError):
            min(waiting, key=lambda connection: connection.last_used).socket.shutdown(SHUT_RDWR)


class _Gateway(wsgi.Gateway_10):
    """One request whose body is read to the end before the answer is sent.

    cheroot would read what the application left of a body into memory at once, and take what it left
    of a chunked body for the next request.
    """

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # cheroot's stub says None
        """Return the request for the application."""
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        if self.req.chunked_read:
            self.req.rfile.rfile = ChunkedBody(self.req.rfile.rfile)
            return environ
        # So that werkzeug watches for a body that breaks off before its Content-Length.
        environ.pop("wsgi.input_terminated", None)
        return environ

    def write(self, chunk: bytes) -> None:
        """Send a part of the answer in pieces: cheroot copies what it sends, once for each time it tries."""
        for start in range(0, len(chunk), _PIECE):
            super().write(chunk[start : start + _PIECE])

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Begin the answer."""
        try:
            while self.req.rfile.read(CHUNK):
                pass
            if self.req.chunked_read:
                for _ in self.req.rfile.read_trailer_lines():
                    pass
        except (OSError, ValueError):
            # Broken off, or broken: nobody knows where the next request would begin.
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)


def _reason(error: OSError) -> str:
    """Return the system's reason why listening failed, without cheroot's words around it."""
    words = re.findall(r"\[Errno -?\d+\] ([^)\]]+)", str(error))
    return words[-1].lower() if words else str(error)


def server_context(certificate: Path, key: Path) -> SSLContext:
    """Return the TLS settings of a server with this certificate chain and key. Raises UsageError."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.minimum_version = TLSVersion.TLSv1_2
    for file in (certificate, key):
        if not file.is_file():
            raise UsageError(str(file), "not a file", "name the PEM file of the certificate, and of its key")
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except SSLError as error:
        cause = f"not a certificate with its key: {error.reason or error}"
        raise UsageError(f"{certificate}, {key}", cause, "name PEM files that belong together") from None
    except OSError as error:
        raise UsageError(str(key), f"it can't be read: {error.strerror}", "check its permissions") from None
    return context


def _no_password() -> str:
    """Return nothing: nobody is asked on a terminal."""
    return ""


class TlsAdapter(Adapter):
    """An adapter that wraps each connection; the handshake takes place when its first bytes are read."""

    def __init__(self, context: SSLContext) -> None:
        self.context = context

    def bind(self, sock: socket) -> socket:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: socket) -> tuple[SSLSocket, dict[str, Any]]:
        """Return the connection with TLS, before its handshake."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, Any]:
        """Return what a request says of TLS."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        """Return a file of the connection."""
        return (makefile.StreamReader if "r" in mode else makefile.StreamWriter)(sock, mode, bufsize)
