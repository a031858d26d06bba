"""The job that a bundle is of."""

import re

from bundler.oci.grammar import Parsed


class Job(Parsed):
    """The name of a row of bundles whose sequence numbers grow; fit for a file's name."""

    __slots__ = ()
    grammar = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
    meaning = "the name of a job (letters, digits, `.`, `_`, `-`; 64 at most)"


DEFAULT_JOB = Job("default")
