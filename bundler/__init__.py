"""Carry Timoni modules across an air gap: the Python API.

    from bundler import Registries, RegistrySettings, Selection, export_bundle

Everything here is loaded when it is first used, because a command line should start at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle as Bundle
    from bundler.bundle.reader import open_bundle as open_bundle
    from bundler.exporter import Selection as Selection
    from bundler.exporter import export_bundle as export_bundle

__version__ = "0.1.0"
