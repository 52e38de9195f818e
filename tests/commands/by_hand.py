"""A model written by hand for `tests/specs/mlp.param` whose hidden layer starts too large."""

import torch
from torch import nn


class MLP(nn.Module):
    """All of it but the initial scale of W2 as the spec has it."""

    def __init__(self, config):
        super().__init__()
        self.W1 = nn.Linear(config.pixels, config.width, bias=False)
        self.b1 = nn.Parameter(torch.zeros(config.width))
        self.W2 = nn.Linear(config.width, config.width, bias=False)
        self.W3 = nn.Linear(config.width, config.classes, bias=False)
        self.root = config.width**0.5
        nn.init.normal_(self.W1.weight, std=config.width**-0.5)
        nn.init.normal_(self.W2.weight, std=1)
        nn.init.normal_(self.W3.weight, std=config.width**-0.5)

    def forward(self, x):
        h = torch.relu(self.root * (self.W1(x) + self.b1))
        return self.W3(torch.relu(self.W2(h))) / self.root
