"""What a recipe is: how a project's configuration is read as a model, and written from one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

from abcparam.recipes.decoder import Decoder
from abcparam.recipes.settings import ConfigSettings

HALF = Fraction(1, 2)
ONE = Fraction(1)
ZERO = Fraction(0)
HUGGING_FACE_SIZES = {  # subjects, of configurations with the names of Hugging Face's Llama
    "width": ("hidden_size",),
    "depth": ("num_hidden_layers",),
    "heads": ("num_attention_heads",),
    "head": ("num_attention_heads", "hidden_size"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
}


class ProjectRecipe(ABC):
    """One project's configurations.

    `source` is the code that it was held against. `subjects` says by what settings each line of the
    spec is decided, the first that is written is pointed at.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    subjects: ClassVar[Mapping[str, tuple[str, ...]]]

    @abstractmethod
    def decoder(self, found: ConfigSettings) -> Decoder:
        """The model that a configuration makes; raises `SpecError` at the setting at fault."""

    @abstractmethod
    def written(self, decoder: Decoder, width: int) -> str:
        """The configuration of a model at a width, as the project reads it."""
