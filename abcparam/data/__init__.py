"""What models are trained on: synthetic tasks, text, digits, a function of the user's."""
