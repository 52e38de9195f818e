"""`rescale`: what the emitted module does to values and gradients."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import func, nn

import abcparam
from tests.support.emitted import load

SPEC = """model MLP
dim width -> inf, base = 4
dim classes = 3
hyper lr = 0.1
parametrization mup
tensor first   : input [width, classes]
tensor readout : output [classes, width]
forward(x : [classes]) {
    h = rescale(first @ x, forward = 2, backward = width / base(width))
    return readout @ h
}
optimizer sgd { lr = lr }
loss cross_entropy
"""


def test_values_and_gradients_have_factors_of_their_own(tmp_path: Path):
    module = load(abcparam.compile(SPEC), tmp_path)
    model = module.MLP(module.Config(width=12))
    x = torch.randn(5, 3)
    output = model(x)
    first, readout = model.first.weight, model.readout.weight
    torch.testing.assert_close(output, 2 * (x @ first.T) @ readout.T / 3)
    output.sum().backward()
    ones = torch.ones(5, 3)
    torch.testing.assert_close(first.grad, 3 * (ones @ readout / 3).T @ x)


def test_many_models_at_once_have_them_too(tmp_path: Path):
    module = load(abcparam.compile(SPEC), tmp_path)
    models = [module.MLP(module.Config(width=12)) for _ in range(3)]
    x = torch.randn(5, 3)
    stacked, _ = func.stack_module_state(models)  # type: ignore[arg-type]

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return nn.functional.mse_loss(
            func.functional_call(models[0], parameters, (x,)), torch.ones(5, 3)
        )

    found = func.vmap(func.grad(loss))(stacked)
    for number, model in enumerate(models):
        nn.functional.mse_loss(model(x), torch.ones(5, 3)).backward()
        torch.testing.assert_close(found["first.weight"][number], model.first.weight.grad)
