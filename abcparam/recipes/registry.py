"""The recipes, found by looking in the folder `projects` for a `RECIPE`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import recipes as rules
from abcparam.diagnostics.source import START, Source, Span
from abcparam.discovery import names_of, offered
from abcparam.recipes import projects
from abcparam.recipes.refused import REFUSED_PROJECTS

if TYPE_CHECKING:
    from abcparam.recipes.base import ProjectRecipe


def recipe_names() -> tuple[str, ...]:
    """The names of the recipes, for which none is loaded."""
    return tuple(names_of(projects))


@cache
def recipes() -> dict[str, ProjectRecipe]:
    """Every recipe by name, in the order of their files' names."""
    return {recipe.name: recipe for recipe in offered(projects, "RECIPE")}


def asked_names() -> tuple[str, ...]:
    """What may be asked for: recipes, and projects of which is known why they have none."""
    return (*recipe_names(), *REFUSED_PROJECTS)


def recipe_of(name: str, source: Source, place: Span = START) -> ProjectRecipe:
    """A recipe by name. Raises `SpecError` of a project that has none, at a place of the source."""
    refused = REFUSED_PROJECTS.get(name)
    if refused is not None:
        fields = {"recipe": name, "reason": refused.reason, "instead": refused.instead}
        raise SpecError(source, [rules.NoRecipe.at(place, **fields)])
    return recipes()[name]
