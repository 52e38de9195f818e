"""What is chosen by name, for the command line and for what then does it; imports nothing."""

from __future__ import annotations

TRAINING, HELD_OUT = "training", "held-out"  # the loss that the best are chosen by
LOSSES = (TRAINING, HELD_OUT)
RANDOM = "random"
LR, DECAY = "lr", "weight_decay"  # the hypers of a model of the user's own
OPTUNA = {"tpe": "TPESampler", "gp": "GPSampler", "cmaes": "CmaEsSampler", "qmc": "QMCSampler"}
SAMPLERS = (RANDOM, *OPTUNA)
