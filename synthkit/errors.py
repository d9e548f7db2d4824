# SPDX-License-Identifier: Apache-2.0
"""The one exception base: what a user can mend, said so that they can."""

from __future__ import annotations

from collections.abc import Iterable


class SynthkitError(Exception):
    """A mistake or an obstacle the user can act on; the command line prints it without a traceback.

    ``exit_code`` is what the command returns: 2 for wrong input, 1 for work that failed.
    """

    exit_code = 2


class ConfigError(SynthkitError):
    """One or more wrong settings, all reported together.

    Args:
        problems: one line each, starting with the setting's path.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)  # between processes; the base would hand over the text


class PluginError(SynthkitError):
    """A plugin is unknown, broken, defined twice, or asked for what it does not provide."""


class DatasetError(SynthkitError):
    """A data set is missing, empty, damaged, of an unknown version, or in the way."""


class WeightsError(SynthkitError):
    """Weights are neither present nor to be had, or are not what their name promises."""


class MissingWeightsError(WeightsError):
    """Weights are nowhere on this machine and cannot be fetched; what was found would have been sound."""


class WorkError(SynthkitError):
    """Work could not be finished: a process died too often, or a disk is full."""

    exit_code = 1
