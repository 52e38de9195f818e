"""The recipes, found by looking in the folder `projects` for a `RECIPE`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from abcparam.discovery import names_of, offered
from abcparam.recipes import projects

if TYPE_CHECKING:
    from abcparam.recipes.base import ProjectRecipe


def recipe_names() -> tuple[str, ...]:
    """The names of the recipes, for which none is loaded."""
    return tuple(names_of(projects))


@cache
def recipes() -> dict[str, ProjectRecipe]:
    """Every recipe by name, in the order of their files' names."""
    return {recipe.name: recipe for recipe in offered(projects, "RECIPE")}
