"""The rules applied, and nothing fetched: which tags an export would take, and why."""

from __future__ import annotations

from bundler.exporter.failing import Failing
from bundler.exporter.held import Held
from bundler.exporter.pinned import Pinned
from bundler.exporter.reading import Reading
from bundler.exporter.select import decide
from bundler.oci.reference import RepositoryName
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Explanation, RepositoryExplanation, TagDecision
from bundler.wanted import Selection
from bundler.workers import DEFAULT_JOBS


def explain_selection(
    selection: Selection,
    registries: Registries,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Explanation:
    """Each tag with the rule that decided: one request per page of a tag list.

    And one per candidate where creation times decide, one for a `latest` that is followed.
    """
    failing = Failing(registries.settings.hosts.limits.failures)
    held = Held(registries.settings.hosts.limits)
    reading = Reading(registries, None, jobs, progress, {}, failing, held)
    pinned = Pinned(reading.limits, selection.omitted)
    decide(selection, reading, pinned)
    found: dict[RepositoryName, list[TagDecision]] = {}
    for pin in selection.own_pins:
        name = pin.reference.tag or pin.reference.digest or "latest"
        decision = TagDecision(name, taken=True, reason="named")
        found.setdefault(pin.reference.repository, []).append(decision)
    for name, choice in pinned.decided:
        own = found.setdefault(name, [])
        own += [TagDecision(tag, taken, reason) for tag, taken, reason in choice.decisions]
    explained = tuple(RepositoryExplanation(name, tuple(own)) for name, own in sorted(found.items()))
    return Explanation(explained, (*pinned.failures, *(item for _, item in pinned.failed)))
