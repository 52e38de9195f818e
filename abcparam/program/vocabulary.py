"""Words of the command line and of reports: verdicts, goals, gauges."""

from __future__ import annotations

VERDICTS = (  # worst first
    "unstable-at-init",
    "unstable",
    "trivial",
    "kernel",
    "feature-learning",
    "maximal-update",
)


GOALS = ("maximal-update", "kernel", "stable")  # what `solve` can make of a spec


GAUGES = ("as-written", "plain", "single-group", "unit")  # the first is the spec's own

WINDOW = ("-1/2", "3/2")  # the part of a plane that is mapped, from low to high in both coordinates
