"""Signals that stop a run, as exceptions that no other part of the program takes for errors."""

import signal

AGAIN = "run the same command again to go on"


class Terminated(BaseException):
    """SIGTERM arrived."""


STOPS = (KeyboardInterrupt, Terminated)


def exit_code_of(stop: BaseException) -> int:
    """Return the exit code of a run that was stopped so: 128 and the number of the signal."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
