"""Formulas of numbers that were seen at several settings."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from math import sqrt

import pytest

from abcparam.algebra.polynomials import Polynomial
from abcparam.imports.numbers import Power, Sizes, polynomial_of, power_of, settles

BASE = {"width": 64, "heads": 4, "kv": 2, "depth": 2, "vocab": 96}
ALONE = [("width", 128), ("width", 256), ("heads", 8), ("kv", 4), ("depth", 4), ("vocab", 192)]
SETTINGS: list[Sizes] = [
    BASE,
    *({**BASE, name: size} for name, size in ALONE),
    {"width": 256, "heads": 8, "kv": 4, "depth": 4, "vocab": 192},
]


def power(value: Callable[..., float], settings: list[Sizes] = SETTINGS) -> Power | None:
    return power_of([value(**sizes) for sizes in settings], settings)


def polynomial(value: Callable[..., int], settings: list[Sizes] = SETTINGS) -> str | None:
    found = polynomial_of([value(**sizes) for sizes in settings], settings)
    assert found is None or isinstance(found, Polynomial)
    return None if found is None else str(found)


def single(value: float) -> float:
    """The nearest float of 32 bits."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


@pytest.mark.parametrize(
    ("value", "coefficient", "powers"),
    [
        (lambda **_: 0.02, 0.02, {}),
        (lambda **_: 0.0, 0.0, {}),
        (lambda width, **_: width**-0.5, 1.0, {"width": "-1/2"}),
        (lambda width, **_: -3 * width**0.25, -3.0, {"width": "1/4"}),
        (lambda width, **_: width ** (1 / 3), 1.0, {"width": "1/3"}),
        (lambda depth, **_: 0.02 / sqrt(2 * depth), 0.02 / sqrt(2), {"depth": "-1/2"}),
        (lambda width, heads, **_: sqrt(heads / width), 1.0, {"heads": "1/2", "width": "-1/2"}),
        (lambda width, **_: single(sqrt(1 / (3 * width))), sqrt(1 / 3), {"width": "-1/2"}),
        (lambda **_: single(0.02), 0.02, {}),
        (lambda width, **_: 0.02000000000004 * width, 0.02, {"width": "1"}),
        (lambda width, vocab, **_: 64e-4 * vocab / width**2, 64e-4, {"width": "-2", "vocab": "1"}),
    ],
)
def test_powers(value, coefficient: float, powers: dict[str, str]):
    found = power(value)
    assert found is not None
    assert found.powers == {name: Fraction(p) for name, p in powers.items()}
    assert found.coefficient == coefficient
    assert all(found.at(s) == pytest.approx(value(**s), rel=1e-6) for s in SETTINGS)


@pytest.mark.parametrize(
    "value",
    [
        lambda width, **_: sqrt(2 / (width + 32)),
        lambda width, **_: width**0.45,
        lambda width, **_: width - 64.0,
        lambda width, **_: 1.0 if width < 128 else -1.0,
        lambda width, heads, **_: 1.0 if width == 64 and heads == 4 else 2.0,
    ],
)
def test_no_power(value):
    assert power(value) is None


def test_a_power_is_written_as_people_do():
    assert str(Power(0.02, {"depth": Fraction(-1, 2)})) == "0.02 * depth^(-1/2)"
    assert str(Power(1.0, {"width": Fraction(1), "depth": Fraction(2)})) == "width * depth^2"
    assert str(Power(1.0, {})) == "1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda **_: 7, "7"),
        (lambda **_: 64, "64"),
        (lambda width, **_: width, "width"),
        (lambda width, **_: 4 * width, "4 * width"),
        (lambda width, heads, **_: width // heads, "width / heads"),
        (lambda width, heads, kv, **_: kv * width // heads, "kv * width / heads"),
        (lambda width, vocab, **_: vocab * width, "vocab * width"),
        (lambda width, **_: width * width, "width^2"),
        (lambda width, **_: width // 2 * 3, "3 * width / 2"),
        (lambda depth, **_: 2 * depth + 1, "2 * depth + 1"),
        (lambda width, **_: width + 5, "width + 5"),
        (lambda vocab, **_: vocab - 1, "vocab - 1"),
        (lambda width, depth, **_: depth * (width + 1), "depth * width + depth"),
        (lambda width, vocab, **_: width + vocab, "vocab + width"),
        (lambda width, depth, **_: width * depth + 3 * depth**2, "depth * width + 3 * depth^2"),
        (lambda vocab, **_: vocab + 257, "vocab + 257"),
    ],
)
def test_polynomials(value, text: str):
    assert polynomial(value) == text


def varied(base: Sizes, *grown: tuple[str, int], **others: int) -> list[Sizes]:
    """Each size alone, then all together."""
    alone = [{**base, name: size} for name, size in (*grown, *others.items())]
    return [base, *alone, {**base, **dict(grown), **others}]


def test_packed_maps():
    """q, k and v of grouped heads in one map; what a Mamba-2 projects in."""
    settings = varied({"heads": 4, "head": 8, "kv": 2}, heads=8, head=16, kv=4)
    assert polynomial(lambda heads, head, kv: (heads + 2 * kv) * head, settings) == (
        "head * heads + 2 * head * kv"
    )
    base = {"inner": 64, "state": 16, "heads": 4}
    settings = varied(base, ("inner", 128), ("inner", 256), state=32, heads=8)
    assert polynomial(lambda inner, state, heads: 2 * inner + 2 * state + heads, settings) == (
        "heads + 2 * inner + 2 * state"
    )
    base = {"expand": 2, "width": 64, "groups": 1, "state": 16, "head": 8}
    settings = varied(base, ("width", 128), ("width", 256), expand=4, groups=2, state=32, head=16)

    def inner(expand: int, width: int, groups: int, state: int, head: int) -> int:
        return 2 * expand * width + 2 * groups * state + expand * width // head

    assert polynomial(inner, settings) == (
        "2 * expand * width + 2 * groups * state + expand * width / head"
    )


def test_sizes_that_coincide_are_told_apart():
    """`vocab` is `width` at the first setting, and twice `context` at another."""
    settings = varied({"width": 64, "vocab": 64, "context": 64}, width=128, vocab=192, context=96)
    for name in ("width", "vocab", "context"):
        assert polynomial(lambda name=name, **sizes: sizes[name], settings) == name
        assert power_of([sizes[name] for sizes in settings], settings) == Power(
            1.0, {name: Fraction(1)}
        )


@pytest.mark.parametrize(
    "value",
    [
        lambda width, **_: int(8 / 3 * width),
        lambda width, **_: -(-8 * width // 3 // 64) * 64,
        lambda depth, **_: 577 * depth**2 + depth,
        lambda width, heads, **_: max(width // 2, heads * 20),
    ],
)
def test_no_polynomial(value):
    assert polynomial(value) is None


def test_sums_hold_at_settings_that_were_not_fitted():
    right = [2 * s["width"] + s["vocab"] for s in SETTINGS]
    assert polynomial_of([*right[:-1], right[-1] + 1], SETTINGS) is None


def test_what_has_a_limit_is_told_from_a_power():
    def settled(value: Callable[..., float], chance: float = 0.1) -> bool:
        return settles([value(**sizes) for sizes in SETTINGS], SETTINGS, chance)

    def slopes(heads: int) -> float:
        return sqrt(sum(4 ** (-8 * number / heads) for number in range(1, heads + 1)) / heads)

    assert settled(lambda width, **_: slopes(width // 16))
    assert settled(lambda width, **_: 1 + 8 / width)
    assert settled(lambda width, **_: 1 + 200 / width, chance=0.01)
    assert not settled(lambda width, **_: sqrt(width))
    assert not settled(lambda width, **_: 1 + width / 64)
    assert not settled(lambda width, heads, **_: slopes(width // 16) * heads)
    assert not settled(lambda width, **_: slopes(width // 16), chance=0.4)
