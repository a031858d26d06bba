"""Builds the package with hatchling, once `bundler` has told an old Python in one line what it lacks.

hatchling is asked for only then, so that the line comes without a package index, too. Python 2.7 must be able
to read this file.
"""

import bundler

HATCHLING = ["hatchling>=1.24"]
EDITABLES = ["editables~=0.3"]


def _need(packages):
    # type: (list[str]) -> object
    return lambda config_settings=None: packages


def _hatchling(name):
    # type: (str) -> object
    def hook(*arguments):
        # type: (*object) -> object
        import hatchling.build

        return getattr(hatchling.build, name)(*arguments)

    return hook


get_requires_for_build_sdist = get_requires_for_build_wheel = _need(HATCHLING)
get_requires_for_build_editable = _need(HATCHLING + EDITABLES)
build_sdist = _hatchling("build_sdist")
build_wheel = _hatchling("build_wheel")
build_editable = _hatchling("build_editable")
