"""Graphs in layers: edges go down, boxes of a layer stand apart, chains are straight."""

from __future__ import annotations

import random

from abcparam.presentation.layered import layered

SIZE = (60.0, 20.0)


def test_boxes_stand_apart_and_edges_go_down():
    rng = random.Random(0)
    for _ in range(20):
        count = rng.randint(2, 30)
        edges = {(rng.randrange(n), n) for n in range(1, count) for _ in range(rng.randint(0, 3))}
        sizes = [(rng.uniform(20, 200), rng.choice((20.0, 34.0))) for _ in range(count)]
        found = layered(sizes, edges)
        assert set(found.edges) == edges
        for (a, b), points in found.edges.items():
            tops = [y for _, y in points]
            assert tops == sorted(tops)
            assert found.boxes[a][1] < found.boxes[b][1]
        for a in range(count):
            x, y = found.boxes[a]
            assert sizes[a][0] / 2 - 1e-6 <= x <= found.width - sizes[a][0] / 2 + 1e-6
            for b in range(a):
                wide, high = ((sizes[a][i] + sizes[b][i]) / 2 for i in (0, 1))
                other = found.boxes[b]
                assert abs(x - other[0]) >= wide - 1e-6 or abs(y - other[1]) >= high - 1e-6


def test_a_chain_is_straight_and_two_inputs_do_not_cross():
    chain = layered([SIZE] * 4, [(0, 1), (1, 2), (2, 3)])
    assert len({round(x, 3) for x, _ in chain.boxes.values()}) == 1
    two = layered([SIZE] * 4, [(0, 3), (1, 2)])
    assert (two.boxes[0][0] < two.boxes[1][0]) == (two.boxes[3][0] < two.boxes[2][0])
    assert layered([], []).height == 0
