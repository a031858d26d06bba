"""Write the API reference, from docstrings, as HTML: `python tools/api_reference.py FOLDER`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

import bundler


def main(folder: Path) -> None:
    """Write what `bundler.__all__` lists; names are loaded first, because the package loads them late."""
    for name in bundler.__all__:
        setattr(bundler, name, getattr(bundler, name))
    # Types that are imported for type checkers only stay as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.render.configure(docformat="markdown", show_source=False)
    pdoc.pdoc("bundler", output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
