"""Who trains the trials: this process, ranks, a cluster."""
