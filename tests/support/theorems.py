"""The theorems of Tensor Programs IV (SGD) and IVb (Adam) for MLPs, in closed form.

An oracle for the compiler that shares no code and no method with it: no graph, no rounds, only the
papers' inequalities. `arXiv 2011.14522`_, Definition 3.2 and Theorems 3.3-3.8 and 5.6;
`arXiv 2308.01814`_, Theorems 2.8.12-2.8.19.

The network has ``L`` hidden layers and tensors ``1 .. L+1``::

    h_1 = W_1 xi,   x_l = phi(h_l),   h_(l+1) = W_(l+1) x_l,   f = W_(L+1) x_L

with a bounded smooth ``phi`` with ``phi(0) = 0`` (tanh), no biases, a batch of finite size,
cross-entropy, momentum and epsilon 0. Tensor ``l`` is ``W_l = n^-a_l w_l``, starts as
``N(0, n^-2b_l)``, and learns at ``n^-c_l``. ``o`` stands for ``L+1``, the readout.

**Each layer its own c.** Paper IV gives every layer the same ``c``; IVb already has one per layer.
The derivation carries over layer by layer, because a layer's own ``c`` enters only its own update:

* The gradient with respect to ``x_L`` flows through the readout, which is its initial value plus
  what it has learnt: entries ``n^-(a_o + b_o)`` and, after one step of SGD on a loss gradient and
  an ``x_L`` of size 1, ``n^-(2 a_o + c_o)``. The larger of them wins: ``n^-G`` with
  ``G = min(a_o + b_o, 2 a_o + c_o)``. Here ``c_o`` is the readout's.
* A stable hidden layer passes it on at the same size, both through its initial weights
  (``a + b = 1/2``) and through an update no larger than stability allows.
* So ``w_l`` changes by ``n^-(c_l + a_l + G)``, ``W_l`` by ``n^-(c_l + 2 a_l + G)``, and ``h_l``
  through that, by the law of large numbers over ``n`` inputs, by ``n^-r_l`` with
  ``r_l = G + c_l + 2 a_l - [l > 1]``. Here ``c_l`` is the layer's.
* Under Adam an update has entries of size ``n^-c_l`` whatever the gradient:
  ``r_l = a_l + c_l - [l > 1]``.

With one ``c`` the smallest ``r_l`` is the ``r`` of the paper:
``min(a_o + b_o, 2 a_o + c) + c - 1 + min_l (2 a_l + [l = 1])``. See `published_r`.

**A readout that starts at exact zero** has no initial part: the terms with ``a_o + b_o`` disappear,
its ``b`` means nothing, and after the first step it is the update alone.

**What is left out**: a hidden or input tensor that starts at exact zero (the papers start every
layer at a Gaussian, and everything behind such a layer starts at zero too), biases, frozen tensors,
unbounded nonlinearities. Nothing else: inside these premises every exponent has a verdict. Where
``2 a_o + c_o < a_o + b_o`` the change of ``x_L`` points along what the readout has learnt and not
along its initial weights, so that ``a_o + b_o + r >= 1`` asks too much; but a stable readout has
``1 <= 2 a_o + c_o``, hence ``a_o + b_o > 1``, and the condition holds all the same with room to
spare (likewise with ``a_o + c_o`` under Adam).

.. _arXiv 2011.14522: https://arxiv.org/abs/2011.14522
.. _arXiv 2308.01814: https://arxiv.org/abs/2308.01814
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Literal

Optimizer = Literal["sgd", "adam"]

VERDICTS = (
    "unstable-at-init",
    "unstable",
    "trivial",
    "kernel",
    "feature-learning",
    "maximal-update",
)
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Layer:
    """The exponents of one tensor: multiplier ``n^-a``, init ``n^-b``, learning rate ``n^-c``."""

    a: Fraction
    b: Fraction
    c: Fraction


@dataclass(frozen=True)
class MLP:
    """Tensors ``1 .. L+1``, the readout last; ``zero_readout`` starts it at exact zero."""

    optimizer: Optimizer
    layers: tuple[Layer, ...]
    zero_readout: bool = False

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """Tensors ``1 .. L``, the ones that make features; the first is the input tensor."""
        return self.layers[:-1]

    @property
    def readout(self) -> Layer:
        return self.layers[-1]


def verdict(mlp: MLP) -> str:
    """The worst verdict that applies.

    Stability, nontriviality, and features against kernel: IV, Theorems 3.3-3.8; IVb, Theorems
    2.8.12-2.8.19. Maximal update: IV, Theorem 5.6.
    """
    if not starts_well(mlp):
        return "unstable-at-init"
    if min(*layer_r(mlp), *output_r(mlp)) < 0:
        return "unstable"
    if min(output_r(mlp)) > 0:
        return "trivial"
    if feature_r(mlp) > 0:
        return "kernel"
    return "maximal-update" if updates_maximally(mlp) else "feature-learning"


def is_stable(mlp: MLP) -> bool:
    return not verdict(mlp).startswith("unstable")


def starts_well(mlp: MLP) -> bool:
    """Preactivations of size 1 and an output no larger, at initialization."""
    first, *others = (layer.a + layer.b for layer in mlp.hidden)
    hidden_hold = first == 0 and all(total == HALF for total in others)
    return hidden_hold and (mlp.zero_readout or mlp.readout.a + mlp.readout.b >= HALF)


def gradient_exponent(mlp: MLP) -> Fraction:
    """``G``: SGD's gradient with respect to ``x_L``, and to every ``h_l``, has size ``n^-G``."""
    a, b, c = mlp.readout.a, mlp.readout.b, mlp.readout.c
    return 2 * a + c if mlp.zero_readout else min(a + b, 2 * a + c)


def layer_r(mlp: MLP) -> list[Fraction]:
    """``r_1 .. r_L``: the update of tensor ``l`` moves ``h_l`` by ``n^-r_l``."""
    sums = [Fraction(index > 0) for index in range(len(mlp.hidden))]
    if mlp.optimizer == "adam":
        return [layer.a + layer.c - rho for layer, rho in zip(mlp.hidden, sums, strict=True)]
    gradient = gradient_exponent(mlp)
    return [
        gradient + layer.c + 2 * layer.a - rho for layer, rho in zip(mlp.hidden, sums, strict=True)
    ]


def feature_r(mlp: MLP) -> Fraction:
    """``r``: the features ``x_L`` move by ``n^-r``, as much as the layer that moves most."""
    return min(layer_r(mlp))


def readout_r(mlp: MLP) -> Fraction:
    """The readout's update moves the output by ``n^-`` this: ``2 a_o + c_o >= 1`` as a number."""
    a, c = mlp.readout.a, mlp.readout.c
    return (a + c if mlp.optimizer == "adam" else 2 * a + c) - 1


def initial_readout_r(mlp: MLP) -> Fraction:
    """The initial readout passes the change of the features on as ``n^-`` this."""
    return mlp.readout.a + mlp.readout.b + feature_r(mlp) - 1


def output_r(mlp: MLP) -> list[Fraction]:
    """The ways in which the output moves: stable if none is below 0, nontrivial if one is 0."""
    return [readout_r(mlp)] + ([] if mlp.zero_readout else [initial_readout_r(mlp)])


def updates_maximally(mlp: MLP) -> bool:
    """IV, Theorem 5.6: every tensor's update moves what it feeds by n^0.

    The readout's initial weights pass ``W_o dx_L`` on at size 1, or there are none.
    """
    passes_in_full = mlp.zero_readout or mlp.readout.a + mlp.readout.b == 1
    return passes_in_full and not any((*layer_r(mlp), readout_r(mlp)))


# What the same inequalities say of sizes, for a stable MLP.


def at_init(mlp: MLP) -> list[Fraction | None]:
    """Sizes of ``W_l x_(l-1)`` at initialization; None is exact zero."""
    readout = None if mlp.zero_readout else HALF - mlp.readout.a - mlp.readout.b
    return [Fraction(0) for _ in mlp.hidden] + [readout]


def update(mlp: MLP) -> list[Fraction]:
    """Sizes of ``dW_l x_(l-1)``."""
    return [-r for r in (*layer_r(mlp), readout_r(mlp))]


def slack(mlp: MLP) -> list[Fraction]:
    """How much each update could grow, the others held fixed, before stability ends.

    For a hidden tensor both ``r_l >= 0`` and ``a_o + b_o + r_l >= 1`` stop it.
    """
    full = Fraction(1) if mlp.zero_readout else mlp.readout.a + mlp.readout.b
    return [r + min(Fraction(0), full - 1) for r in layer_r(mlp)] + [readout_r(mlp)]


def changes(mlp: MLP) -> list[Fraction]:
    """Sizes of the changes of ``h_1 .. h_L`` and of the output."""
    return [-r for r in accumulate(layer_r(mlp), min)] + [-min(output_r(mlp))]


# The formulas as printed, to hold the per-layer ones to.


def published_r(mlp: MLP) -> Fraction:
    """``r`` of IV, Definition 3.2 (one ``c`` for all), or of IVb, Theorem 2.8.12."""
    o = mlp.readout
    if mlp.optimizer == "adam":
        return min(
            layer.a + layer.c - (0 if index == 0 else 1) for index, layer in enumerate(mlp.hidden)
        )
    least = min(2 * layer.a + (index == 0) for index, layer in enumerate(mlp.hidden))
    return min(o.a + o.b, 2 * o.a + o.c) + o.c - 1 + least


def published_stable(mlp: MLP) -> bool:
    """IV, Theorems 3.3-3.8 (one ``c``), or IVb, 2.8.12-2.8.19; the readout starts as a Gaussian."""
    o, r = mlp.readout, published_r(mlp)
    own = o.a + o.c if mlp.optimizer == "adam" else 2 * o.a + o.c
    return starts_well(mlp) and r >= 0 and own >= 1 and o.a + o.b + r >= 1
