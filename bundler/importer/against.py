"""A target held against a bundle: every tag asked for, nothing written."""

from __future__ import annotations

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.importer.arrange import arrange
from bundler.importer.destination import Destination
from bundler.importer.plan import Action, ImportPlan, OnConflict, Step
from bundler.importer.result import compared_report
from bundler.importer.verify import Verified
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.workers import DEFAULT_JOBS


def compare_with_target(
    verified: Verified,
    destination: Destination,
    registries: Registries,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Whether the target has everything that an import would bring, under the same digests.

    One HEAD for each tag, and for each manifest without one; a GET more for a list of referrers that
    has another digest, as it may have been merged. Every tag that is missing or another has failed.
    """
    plan = arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        registries,
        on_conflict=OnConflict.FAIL,
        content=None,
        may_write=False,
        jobs=jobs,
        progress=progress,
    )
    return compared_report(verified.bundle, plan, registries, _differences(plan), verified.warnings)


def _differences(plan: ImportPlan) -> dict[Root, BundlerError]:
    return {step.root: _difference(step) for step in plan.steps if step.action is not Action.PRESENT}


def _difference(step: Step) -> BundlerError:
    if step.previous is None:
        return NotFoundError(str(step.root), "the target does not have it", "run the import again")
    cause = f"the target has {step.previous}, the bundle {step.root.digest}"
    return IntegrityError(str(step.root), cause, "find out who moved it, or import again")
