"""The one place where an error becomes a line and an exit code."""

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from bundler.about import PROGRAM, VERSION
from bundler.cli.terminal.stops import AGAIN, STOPS, Terminated, exit_code_of, word_of

if TYPE_CHECKING:
    from bundler.cli.terminal.log import Log
    from bundler.cli.terminal.log_line import Event


def main() -> None:
    """Run the console command."""
    # A short run makes few cycles, and starts a tenth sooner without a search for them.
    gc.set_threshold(100_000, 50, 50)
    _leave_out_what_is_never_used()
    _open_what_is_closed()
    warnings.showwarning = _warn
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Not sys.exit: that waits for threads, and one may sit in a read from a stalled registry.
    os._exit(code)


def _warn(message: Warning | str, *place: object, **more: object) -> None:
    """Write a warning of a library or of ours as a line."""
    from bundler.cli.terminal.log import log_for

    log_for(sys.argv[1:]).warn(str(message))


def _open_what_is_closed() -> None:
    """Have the three standard streams, also those that the caller closed.

    The next file to be opened would have a closed one's number, and get what this program or one that it
    calls says. Reading from a closed input and writing to a closed output fail, as they should; what would
    be told is lost.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, and so this one: those below it are open.
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            os.set_inheritable(number, True)  # noqa: FBT003  it takes no keyword
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115


def _leave_out_what_is_never_used() -> None:
    """Keep requests from loading it: a tenth of its import, for unknown encodings and for compression.

    We read JSON that nobody compressed. Only for the command: whoever imports the package may have use
    for it. Compact deltas load zstd again.
    """
    for name in ("chardet", "charset_normalizer", "simplejson", "backports.zstd", "brotli", "brotlicffi"):
        # What the import system takes for "not installed"; requests does without either.
        sys.modules[name] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection")


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the result is the exit code. Raises nothing."""
    if list(arguments) == ["--version"]:
        # Without the command line's modules: scripts ask this often.
        return _printed(f"{PROGRAM} {VERSION}")
    from bundler.cli.terminal.log import log_for

    log = log_for(arguments)
    try:
        from bundler.cli.main import invoke

        return invoke(arguments, log)
    except SystemExit as end:
        # click ends so: 1 when standard output was closed, else after a shell's completion.
        return _failed(log, "standard output", "it was closed") if end.code == 1 else 0
    except BaseException as error:
        return _explained(error, log)


def _explained(error: BaseException, log: "Log") -> int:
    """Write the line for whatever ended a command, and return the exit code."""
    from bundler.errors import EXIT_INTERNAL, BundlerError, printable

    if isinstance(error, STOPS):
        return _stopped(log, word_of(error), exit_code_of(error))
    if isinstance(error, BundlerError):
        with contextlib.suppress(OSError):
            log.error(error)
        return error.exit_code
    if isinstance(error, OSError):
        # Without a file's name, what is left of the system's errors is about standard output: a closed
        # pipe, a full disk.
        place = printable(error.filename or "standard output", 400)
        return _failed(log, place, str(error.strerror or error), error.errno or 0)
    if os.environ.get("TIMONI_BUNDLER_DEBUG"):  # noqa: TID251  a switch of no command
        raise error
    cause = f"{type(error).__name__}: {printable(error)}"
    return _said(
        log, "internal error", f"{cause}; this is a bug, TIMONI_BUNDLER_DEBUG=1 shows where", EXIT_INTERNAL
    )


def _printed(line: str) -> int:
    try:
        print(line, flush=True)  # noqa: T201
    except OSError as error:
        from bundler.cli.terminal.log import Log

        return _failed(Log(), "standard output", str(error.strerror or error))
    return 0


def _failed(log: "Log", item: str, cause: str, number: int = 0) -> int:
    from bundler.durable import NEXT_STEP
    from bundler.errors import LocalError

    with contextlib.suppress(OSError):
        log.failed(item, cause, NEXT_STEP.get(number, ""), LocalError.exit_code)
    return LocalError.exit_code


def _stopped(log: "Log", event: "Event", code: int) -> int:
    if log.goes_on:
        return _said(log, event, AGAIN, code)
    with contextlib.suppress(OSError):
        log.tell(event, "stopped", exit_code=code)
    return code


def _said(log: "Log", event: "Event", message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        log.tell(event, message, "error", exit_code=code)
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    main()
