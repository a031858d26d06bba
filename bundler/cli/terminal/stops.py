"""Signals that stop a run, as exceptions that no other part of the program takes for errors."""

import signal
from typing import Literal

AGAIN = "run the same command again to go on"


class Terminated(BaseException):
    """SIGTERM arrived."""


STOPS = (KeyboardInterrupt, Terminated)


def word_of(stop: BaseException) -> Literal["interrupted", "terminated"]:
    """Return what happened to a run that was stopped so."""
    return "terminated" if isinstance(stop, Terminated) else "interrupted"


def exit_code_of(stop: BaseException) -> int:
    """Return the exit code of a run that was stopped so: 128 and the number of the signal."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
