"""Options of `verify`: the target to compare with, and the settings of an import of the bundle."""

from pathlib import Path
from typing import Annotated, NamedTuple

from bundler.config.import_options import ImportSettings, ModuleSignerOptions, PolicyOptions, SignatureOptions
from bundler.config.option import Option, nothing_said
from bundler.config.run_options import JobOptions, MetricsOptions, RegistryOptions, SetOptions
from bundler.oci import Prefix, parse_prefix

DESTINATION = "Destination"


class ComparisonOptions(NamedTuple):
    """The target that a bundle is compared with."""

    against: Annotated[
        Prefix | None,
        Option(
            "--against", metavar="oci://HOST[/PREFIX]", heading=DESTINATION,
            read=lambda text, at: parse_prefix(text),
            help="Also prove that this target has all of it, under the same digests.",
        ),
    ] = None  # fmt: skip
    deep: Annotated[
        bool,
        Option("--deep", heading=DESTINATION, help="With --against, also read and hash every blob there."),
    ] = False
    config: Annotated[
        Path | None,
        Option(
            "--config", "-c", metavar="FILE",
            help="Read the import file of this target: names, selection, signers, registries.",
        ),
    ] = None  # fmt: skip


class VerifySettings(NamedTuple):
    """Settings of a verification: the part of an import's that it needs."""

    volumes: SetOptions
    policy: PolicyOptions
    module_signers: ModuleSignerOptions
    signers: SignatureOptions
    metrics: MetricsOptions
    job: JobOptions
    registries: RegistryOptions

    @property
    def of_import(self) -> ImportSettings:
        """The settings of an import that says just this."""
        return nothing_said(ImportSettings)._replace(**self._asdict())
