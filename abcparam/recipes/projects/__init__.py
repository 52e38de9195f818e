"""The recipes, each in a file that is named as the recipe is."""
