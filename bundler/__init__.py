"""Carry Timoni modules and other OCI artifacts across an air gap: the Python API.

    from bundler import Session, export_bundle, output_to, parse_reference, selection_of, store_location_of

    out = output_to("modules.tar.zst")
    modules = selection_of([parse_reference("ghcr.io/stefanprodan/modules/podinfo")])
    report = export_bundle(modules, out, store_location_of(out), Session())

Each name is loaded when it is first used, because the command line must start at once.

An older Python, also 2.7, must be able to read this file: it is run before any other, and says which one it
needs.
"""

import sys

from bundler.about import OLDEST_PYTHON, PROGRAM, VERSION

if sys.version_info < OLDEST_PYTHON:
    line = "{}: error: needs Python {}.{} or newer, this is {}.{}; the portable archive needs none\n"
    sys.stderr.write(line.format(PROGRAM, *OLDEST_PYTHON + sys.version_info[:2]))
    sys.exit(9)

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.bundle.contents import describe
    from bundler.bundle.reader import Bundle, open_bundle
    from bundler.bundle.sealing import seal_bundle
    from bundler.bundle.stream import BundleStream
    from bundler.bundle.wire import FrameCache
    from bundler.deltas.difference import difference
    from bundler.deltas.merge import merge_bundles
    from bundler.errors import BundlerError
    from bundler.exporter import (
        FullEvery,
        Incremental,
        Keep,
        OnDrift,
        export_bundle,
        output_to,
        plan_bundle,
        store_location_of,
    )
    from bundler.exporter.browse import list_repositories, list_tags
    from bundler.exporter.output.convert import convert_bundle
    from bundler.exporter.resolve.lock_file import locked_selection, read_lock
    from bundler.exporter.resolve.resolver import explain_selection
    from bundler.extractor import Extracted, extract
    from bundler.importer import (
        Destination,
        OnConflict,
        Part,
        Pruning,
        compare_with_target,
        import_bundle,
        import_stream,
        plan_bundle_import,
    )
    from bundler.importer.policy_check import PolicyCheck
    from bundler.importer.roll_back import roll_back
    from bundler.importer.several.import_several import ImportTerms, import_several
    from bundler.kit.kit_folder import Kit, KitSources, write_kit
    from bundler.ledger.ledger import Ledger, Permits
    from bundler.ledger.rollback_file import RollbackFile, decode_rollback_file
    from bundler.limits import Limits
    from bundler.mapping import Mapping, MappingRule
    from bundler.oci import parse_prefix, parse_reference
    from bundler.page.gather import page_of
    from bundler.page.render import render_page
    from bundler.registry.registries import Registries, RegistrySettings
    from bundler.reporting.json_report import Report
    from bundler.selection.rules import Rules
    from bundler.selection.sources import Include, Selection, Shard, selection_of
    from bundler.session import Session
    from bundler.trust.bundle_signing import Signing, Terms
    from bundler.trust.policy import Policy
    from bundler.trust.ssh_keygen import Allowed, SshKeygen
    from bundler.trust.statement import SignedStatement
    from bundler.trust.statement_verifier import Requirement, StatementVerifier
    from bundler.verify import Verified, verify_bundle
    from bundler.volumes.repair import VolumeCheck, check_volumes, repair
    from bundler.volumes.volume_writer import Cut, split


__version__ = VERSION

_HOMES = {
    "Allowed": "bundler.trust.ssh_keygen",
    "Bundle": "bundler.bundle.reader",
    "BundlerError": "bundler.errors",
    "BundleStream": "bundler.bundle.stream",
    "check_volumes": "bundler.volumes.repair",
    "convert_bundle": "bundler.exporter.output.convert",
    "compare_with_target": "bundler.importer",
    "Cut": "bundler.volumes.volume_writer",
    "decode_rollback_file": "bundler.ledger.rollback_file",
    "describe": "bundler.bundle.contents",
    "Destination": "bundler.importer",
    "difference": "bundler.deltas.difference",
    "explain_selection": "bundler.exporter.resolve.resolver",
    "export_bundle": "bundler.exporter",
    "extract": "bundler.extractor",
    "Extracted": "bundler.extractor",
    "FrameCache": "bundler.bundle.wire",
    "import_bundle": "bundler.importer",
    "import_several": "bundler.importer.several.import_several",
    "import_stream": "bundler.importer",
    "ImportTerms": "bundler.importer.several.import_several",
    "Include": "bundler.selection.sources",
    "Incremental": "bundler.exporter",
    "FullEvery": "bundler.exporter",
    "Keep": "bundler.exporter",
    "Kit": "bundler.kit.kit_folder",
    "KitSources": "bundler.kit.kit_folder",
    "Limits": "bundler.limits",
    "list_repositories": "bundler.exporter.browse",
    "list_tags": "bundler.exporter.browse",
    "locked_selection": "bundler.exporter.resolve.lock_file",
    "Mapping": "bundler.mapping",
    "MappingRule": "bundler.mapping",
    "Ledger": "bundler.ledger.ledger",
    "Permits": "bundler.ledger.ledger",
    "merge_bundles": "bundler.deltas.merge",
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
    "PolicyCheck": "bundler.importer.policy_check",
    "Pruning": "bundler.importer",
    "read_lock": "bundler.exporter.resolve.lock_file",
    "Registries": "bundler.registry.registries",
    "RegistrySettings": "bundler.registry.registries",
    "render_page": "bundler.page.render",
    "repair": "bundler.volumes.repair",
    "Report": "bundler.reporting.json_report",
    "Requirement": "bundler.trust.statement_verifier",
    "roll_back": "bundler.importer.roll_back",
    "RollbackFile": "bundler.ledger.rollback_file",
    "Rules": "bundler.selection.rules",
    "seal_bundle": "bundler.bundle.sealing",
    "Selection": "bundler.selection.sources",
    "selection_of": "bundler.selection.sources",
    "Session": "bundler.session",
    "Shard": "bundler.selection.sources",
    "SignedStatement": "bundler.trust.statement",
    "Signing": "bundler.trust.bundle_signing",
    "split": "bundler.volumes.volume_writer",
    "SshKeygen": "bundler.trust.ssh_keygen",
    "StatementVerifier": "bundler.trust.statement_verifier",
    "store_location_of": "bundler.exporter",
    "Terms": "bundler.trust.bundle_signing",
    "Verified": "bundler.verify",
    "verify_bundle": "bundler.verify",
    "VolumeCheck": "bundler.volumes.repair",
    "write_kit": "bundler.kit.kit_folder",
}

__all__ = [  # noqa: RUF022  in the order in which they are used
    "Session", "Registries", "RegistrySettings", "Limits", "parse_reference", "parse_prefix",
    "Selection", "selection_of", "Rules", "Include", "Shard",
    "list_repositories", "list_tags", "explain_selection",
    "output_to", "store_location_of", "plan_bundle", "export_bundle",
    "OnDrift", "read_lock", "locked_selection", "FullEvery", "Incremental", "Keep",
    "merge_bundles", "convert_bundle",
    "Cut", "split", "VolumeCheck", "check_volumes", "repair", "KitSources", "write_kit", "Kit",
    "Bundle", "BundleStream", "FrameCache", "open_bundle", "describe", "difference",
    "verify_bundle", "Verified",
    "Destination", "Mapping", "MappingRule", "Part", "OnConflict", "Pruning", "Ledger", "Permits",
    "plan_bundle_import", "import_bundle", "import_stream", "compare_with_target",
    "import_several", "ImportTerms",
    "RollbackFile", "decode_rollback_file", "roll_back",
    "extract", "Extracted",
    "SshKeygen", "Signing", "Terms", "SignedStatement", "seal_bundle",
    "Allowed", "Requirement", "StatementVerifier",
    "Policy", "PolicyCheck",
    "page_of", "render_page",
    "Report", "BundlerError",
]  # fmt: skip


def __getattr__(name):  # type: (str) -> object
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError("module 'bundler' has no attribute " + repr(name))
