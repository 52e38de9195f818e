"""Hyperparameter sweeps over emitted models, and µTransfer from a small one to a large one."""
