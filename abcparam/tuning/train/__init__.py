"""Trials in training: models, losses, updates."""
