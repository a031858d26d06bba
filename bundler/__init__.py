"""Carry Timoni modules and other OCI artifacts across an air gap: the Python API.

    from bundler import Registries, selection_of, export_bundle, output_to, parse_reference, workplace_of

    out = output_to("modules.tar.zst")
    report = export_bundle(
        selection_of([parse_reference("ghcr.io/stefanprodan/modules/podinfo")]),
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
    from bundler.bundle.difference import difference
    from bundler.bundle.frames import Frames
    from bundler.bundle.reader import Bundle, open_bundle
    from bundler.bundle.sealing import seal_bundle
    from bundler.bundle.stream import BundleStream
    from bundler.errors import BundlerError
    from bundler.exporter import (
        Keep,
        OnDrift,
        Series,
        export_bundle,
        locked_selection,
        output_to,
        plan_bundle,
        read_lock,
        workplace_of,
    )
    from bundler.exporter.cutting import Cut, split
    from bundler.exporter.explain import explain_selection
    from bundler.exporter.merge import merge_bundles
    from bundler.exporter.repair import Checked, check_volumes, repair
    from bundler.extractor import Extracted, extract
    from bundler.importer import (
        Destination,
        OnConflict,
        Part,
        Verified,
        compare_with_target,
        import_bundle,
        import_stream,
        plan_bundle_import,
        verify_bundle,
    )
    from bundler.importer.border import Border
    from bundler.importer.rollback import Rollback, decode_rollback, roll_back
    from bundler.limits import Limits
    from bundler.mapping import Mapping, MappingRule
    from bundler.oci.reference import parse_prefix, parse_reference
    from bundler.page.gather import page_of
    from bundler.page.render import render_page
    from bundler.registry.registries import Registries, RegistrySettings
    from bundler.report import Report
    from bundler.selection import Rules
    from bundler.shard import Shard
    from bundler.trust.gate import Gate, Requirement
    from bundler.trust.keygen import Allowed, SshKeygen
    from bundler.trust.memory import Memory
    from bundler.trust.policy import Policy
    from bundler.trust.sealed import Sealed
    from bundler.trust.signing import Signing, Terms
    from bundler.wanted import Along, Selection, selection_of

__version__ = VERSION

_HOMES = {
    "Allowed": "bundler.trust.keygen",
    "Along": "bundler.wanted",
    "Border": "bundler.importer.border",
    "Bundle": "bundler.bundle.reader",
    "BundlerError": "bundler.errors",
    "BundleStream": "bundler.bundle.stream",
    "check_volumes": "bundler.exporter.repair",
    "Checked": "bundler.exporter.repair",
    "compare_with_target": "bundler.importer",
    "Cut": "bundler.exporter.cutting",
    "decode_rollback": "bundler.importer.rollback",
    "describe": "bundler.bundle.contents",
    "Destination": "bundler.importer",
    "difference": "bundler.bundle.difference",
    "explain_selection": "bundler.exporter.explain",
    "export_bundle": "bundler.exporter",
    "extract": "bundler.extractor",
    "Extracted": "bundler.extractor",
    "Frames": "bundler.bundle.frames",
    "Gate": "bundler.trust.gate",
    "import_bundle": "bundler.importer",
    "import_stream": "bundler.importer",
    "Keep": "bundler.exporter",
    "Limits": "bundler.limits",
    "locked_selection": "bundler.exporter",
    "Mapping": "bundler.mapping",
    "MappingRule": "bundler.mapping",
    "Memory": "bundler.trust.memory",
    "merge_bundles": "bundler.exporter.merge",
    "OnConflict": "bundler.importer",
    "OnDrift": "bundler.exporter",
    "open_bundle": "bundler.bundle.reader",
    "output_to": "bundler.exporter",
    "page_of": "bundler.page.gather",
    "parse_prefix": "bundler.oci.reference",
    "parse_reference": "bundler.oci.reference",
    "Part": "bundler.importer",
    "plan_bundle": "bundler.exporter",
    "plan_bundle_import": "bundler.importer",
    "Policy": "bundler.trust.policy",
    "read_lock": "bundler.exporter",
    "Registries": "bundler.registry.registries",
    "RegistrySettings": "bundler.registry.registries",
    "render_page": "bundler.page.render",
    "repair": "bundler.exporter.repair",
    "Report": "bundler.report",
    "Requirement": "bundler.trust.gate",
    "roll_back": "bundler.importer.rollback",
    "Rollback": "bundler.importer.rollback",
    "Rules": "bundler.selection",
    "seal_bundle": "bundler.bundle.sealing",
    "Sealed": "bundler.trust.sealed",
    "Selection": "bundler.wanted",
    "selection_of": "bundler.wanted",
    "Series": "bundler.exporter",
    "Shard": "bundler.shard",
    "Signing": "bundler.trust.signing",
    "split": "bundler.exporter.cutting",
    "SshKeygen": "bundler.trust.keygen",
    "Terms": "bundler.trust.signing",
    "Verified": "bundler.importer",
    "verify_bundle": "bundler.importer",
    "workplace_of": "bundler.exporter",
}

__all__ = [  # noqa: RUF022  in the order in which they are used
    "Registries", "RegistrySettings", "Limits", "parse_reference", "parse_prefix",
    "Selection", "selection_of", "Rules", "Along", "Shard",
    "explain_selection", "output_to", "workplace_of", "plan_bundle", "export_bundle",
    "OnDrift", "read_lock", "locked_selection", "Series", "Keep", "merge_bundles",
    "Cut", "split", "Checked", "check_volumes", "repair",
    "Bundle", "BundleStream", "Frames", "open_bundle", "describe", "difference", "verify_bundle", "Verified",
    "Destination", "Mapping", "MappingRule", "Part", "OnConflict",
    "plan_bundle_import", "import_bundle", "import_stream", "compare_with_target",
    "Rollback", "decode_rollback", "roll_back",
    "extract", "Extracted",
    "SshKeygen", "Signing", "Terms", "Sealed", "seal_bundle", "Allowed", "Requirement", "Memory", "Gate",
    "Policy", "Border",
    "page_of", "render_page",
    "Report", "BundlerError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bundler' has no attribute {name!r}")
