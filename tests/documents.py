"""What the documents show: the commands in their code blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))


def commands(page: str) -> list[str]:
    """Return what stands behind the prompts of a page's consoles, in order."""
    consoles = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return re.findall(r"^ *(?:outside|inside)?\$ +(.*)$", "".join(consoles), re.MULTILINE)


def program_calls(page: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of the program, without redirections and comments."""
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words and words[0] == "timoni-bundler":
            end = next(
                (place for place, word in enumerate(words) if word in (">", "<", "|", "&&")), len(words)
            )
            yield words[1:end]
