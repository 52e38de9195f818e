"""A configuration as a spec, and what is to say of that, at the configuration's own lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.source import START, Source, Span
from abcparam.recipes.base import ProjectRecipe
from abcparam.recipes.refused import REFUSED_PROJECTS
from abcparam.recipes.registry import recipe_of
from abcparam.recipes.settings import ConfigSettings, settings_of
from abcparam.verdict.check import load, report
from abcparam.verdict.report import Report


class RecipeSpec(Record):
    """The spec of a configuration: its `text`, and the setting that each line comes from."""

    text: str
    places: tuple[Span, ...]  # by line; `START` where it is no setting's
    settings: ConfigSettings

    @property
    def source(self) -> Source:
        """The spec as a source, whose diagnostics may lie in the configuration."""
        config = self.settings.source
        return Source(self.text, config.file, config.folder, {config.file: config})

    def placed(self, diagnostic: Diagnostic) -> Diagnostic:
        """At the setting that is at fault; about the whole configuration where that is none."""
        line = diagnostic.span.line
        place = self.places[line - 1] if 1 <= line <= len(self.places) else START
        if place == START:
            return replace(diagnostic, span=START, edit=())
        at = replace(place, file=self.settings.source.file)
        return replace(diagnostic, span=at, edit=())


def spec_of(recipe: ProjectRecipe, config: Source) -> RecipeSpec:
    """The spec of a configuration. Raises `SpecError`, at its settings."""
    found = settings_of(config)
    lines = [*recipe.decoder(found).lines()]
    places = tuple(found.place(*recipe.subjects.get(subject, ())) for _, subject in lines)
    return RecipeSpec("".join(f"{text}\n" for text, _ in lines), places, found)


def judged_named(name: str, config: Source, values: Mapping[str, Fraction]) -> Report:
    """As `judged_config`, by the name that a recipe is asked for."""
    refused = REFUSED_PROJECTS.get(name)
    place = settings_of(config).place(*refused.settings) if refused else START
    return judged_config(recipe_of(name, config, place), config, values)


def judged_config(recipe: ProjectRecipe, config: Source, values: Mapping[str, Fraction]) -> Report:
    """The report of a configuration's model. Raises `SpecError`, at its settings."""
    spec = spec_of(recipe, config)
    try:
        found = report(load(spec.source, values))
    except SpecError as error:
        raise SpecError(spec.source, _moved(spec, error.diagnostics)) from None
    return replace(found, said=tuple(_moved(spec, found.diagnostics)))


def _moved(spec: RecipeSpec, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """At the configuration's lines, each thing once that is said of one setting."""
    return list(dict.fromkeys(spec.placed(diagnostic) for diagnostic in diagnostics))
