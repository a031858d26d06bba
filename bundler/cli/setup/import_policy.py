"""The check of an import: its policy, and whose signatures on modules count."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.setup.trusted_signers import TrustOptions, complete, demand_of, signers_of
from bundler.config.import_options import PolicyOptions
from bundler.config.include_options import ModuleSignerOptions
from bundler.errors import UsageError
from bundler.named_files import text_of

if TYPE_CHECKING:
    from bundler.importer.policy_check import PolicyCheck
    from bundler.oci import BlobSource
    from bundler.reporting.json_report import Report
    from bundler.trust.policy import Policy


def policy_of(options: PolicyOptions, signers: ModuleSignerOptions) -> Policy | None:
    """Return the policy that the options make; None if nothing is asked. Raises UsageError."""
    demand = demand_of(signers)
    if options.policy is None and demand is None:
        return None
    from bundler.trust.policy import Policy

    policy = Policy()
    if options.policy:
        from bundler.config.policy_file import read_policy_file

        policy = read_policy_file(str(options.policy), text_of(options.policy), os.environ)
    return policy._replace(demands=(*policy.demands, demand)) if demand else policy


def with_signers(trust: TrustOptions, policy: Policy | None) -> TrustOptions:
    """Join the options with the signers that the policy names. Raises UsageError for two lists."""
    if policy is None or policy.allowed_signers is None:
        return complete(trust)
    if trust.allowed_signers is not None:
        cause = "the policy already says whose signatures count"
        raise UsageError("--allowed-signers", cause, "remove it, or remove `signers` from the policy")
    if trust.revoked_keys and policy.revoked_keys:
        cause = "the policy already lists revoked keys"
        raise UsageError("--revoked-keys", cause, "remove it, or remove `revoked` from the policy")
    if trust.job and policy.job and trust.job != policy.job:
        cause = f"the policy expects job {policy.job}"
        raise UsageError(f"--job {trust.job}", cause, "remove it, or remove `job` from the policy")
    return trust._replace(
        allowed_signers=Path(policy.allowed_signers),
        job=trust.job or policy.job,
        revoked_keys=Path(policy.revoked_keys) if policy.revoked_keys else trust.revoked_keys,
        require_signatures=max(trust.require_signatures or 1, policy.signatures or 1),
    )


def policy_check_of(policy: Policy | None, content: BlobSource | None) -> PolicyCheck | None:
    """Return the check that a policy makes; `content` is None for a pipe.

    Raises UsageError for signatures on modules in a pipe: they come after the manifests.
    """
    if policy is None:
        return None
    from bundler.importer.policy_check import PolicyCheck

    return PolicyCheck(policy, signers_of(policy.demands), content)


def with_signed(report: Report, check: PolicyCheck | None) -> Report:
    """Return the report with the signatures on modules that a check has proven."""
    return dataclasses.replace(report, signed=check.signed) if check else report
