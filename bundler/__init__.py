"""Carry Timoni modules and other OCI artifacts across an air gap: the Python API.

    from bundler import Registries, Selection, export_bundle, output_to, parse_reference, workplace_of

    out = output_to("modules.tar.zst")
    report = export_bundle(
        Selection((parse_reference("ghcr.io/stefanprodan/modules/podinfo"),)),
        Registries(), out, workplace_of(out),
    )

Each name is loaded when it is first used, because the command line must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bundler.about import VERSION

if TYPE_CHECKING:
    from bundler.bundle.contents import describe
    from bundler.bundle.reader import Bundle, open_bundle
    from bundler.bundle.stream import BundleStream
    from bundler.errors import BundlerError
    from bundler.exporter import Selection, export_bundle, output_to, plan_bundle, workplace_of
    from bundler.importer import (
        OnConflict,
        Verified,
        import_bundle,
        import_stream,
        plan_bundle_import,
        verify_bundle,
    )
    from bundler.limits import Limits
    from bundler.oci.reference import parse_prefix, parse_reference
    from bundler.registry.registries import Registries, RegistrySettings
    from bundler.report import Report

__version__ = VERSION

_HOMES = {
    "Bundle": "bundler.bundle.reader",
    "BundleStream": "bundler.bundle.stream",
    "BundlerError": "bundler.errors",
    "Limits": "bundler.limits",
    "OnConflict": "bundler.importer",
    "Registries": "bundler.registry.registries",
    "RegistrySettings": "bundler.registry.registries",
    "Report": "bundler.report",
    "Selection": "bundler.exporter",
    "Verified": "bundler.importer",
    "describe": "bundler.bundle.contents",
    "export_bundle": "bundler.exporter",
    "import_bundle": "bundler.importer",
    "import_stream": "bundler.importer",
    "open_bundle": "bundler.bundle.reader",
    "output_to": "bundler.exporter",
    "parse_prefix": "bundler.oci.reference",
    "parse_reference": "bundler.oci.reference",
    "plan_bundle": "bundler.exporter",
    "plan_bundle_import": "bundler.importer",
    "verify_bundle": "bundler.importer",
    "workplace_of": "bundler.exporter",
}

__all__ = [  # noqa: RUF022  in the order in which they are used
    "Registries", "RegistrySettings", "Limits", "parse_reference", "parse_prefix",
    "Selection", "output_to", "workplace_of", "plan_bundle", "export_bundle",
    "Bundle", "BundleStream", "open_bundle", "describe", "verify_bundle", "Verified",
    "OnConflict", "plan_bundle_import", "import_bundle", "import_stream",
    "Report", "BundlerError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bundler' has no attribute {name!r}")
