"""The recipes, found by looking in this folder for a `RECIPE`."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import offered
from abcparam.recipes.base import ProjectRecipe


@cache
def recipes() -> dict[str, ProjectRecipe]:
    """Every recipe by name, in the order of their files' names."""
    found = offered(sys.modules[__package__ or ""], "RECIPE")
    return {recipe.name: recipe for recipe in found}
