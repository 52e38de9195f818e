"""The text of a user's model: what was read of it, written in the language, and its proof."""
