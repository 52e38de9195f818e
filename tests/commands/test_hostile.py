"""Anything thrown at `abcparam check` ends in a verdict or in placed errors, never a traceback."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.running import MLP, Run, changed

SECONDS = 20  # of this process, for any one of these


def refused(run: Run, given: object, stdin: str | bytes = "") -> str:
    """The diagnostics of an invalid spec."""
    begun = time.process_time()
    ran = run("check", given, stdin=stdin)
    assert (ran.status, ran.out) == (2, ""), ran
    assert "Traceback" not in ran.err and "internal error" not in ran.err
    assert ran.err.startswith("error[P0")
    assert time.process_time() - begun < SECONDS
    return ran.err


# Files


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\xff\xfe", "P0143"),
        (bytes(range(256)) * 64, "P0143"),
        ("model Ö\n".encode("latin-1"), "P0143"),
        ("model M\n".encode("utf-16"), "P0143"),
        (b"model M\x00\n", "P0144"),
        ("model M  # \u202e\n".encode(), "P0144"),
        (b"", "P0207"),
        (b"\n\n\n", "P0207"),
        (b"# nothing", "P0207"),
        (b"\xef\xbb\xbf", "P0207"),
        ("model Größe\n".encode(), "P0105"),
        ("dim ｗidth -> inf\n".encode(), "P0105"),
        ("dim wіdth -> inf  # a Cyrillic letter\n".encode(), "P0105"),
        (b"a" * 10**6, "P01"),
        (b"(" * 10**6, "P01"),
        (b"{" * 10**6, "P01"),
        (b"model M\n" * 10**4, "P0208"),
        (b"".join(b"dim d%d = e%d\n" % (n, n) for n in range(3000)), "P0201"),
        (b"#" * (2**24 + 1), "P0142"),
    ],
)
def test_bytes(run: Run, data: bytes, code: str):
    assert f"error[{code}" in refused(run, "-", data)


def test_files_that_are_none(run: Run, tmp_path: Path):
    assert "is a directory" in refused(run, tmp_path)
    assert "no such file" in refused(run, tmp_path / "none.param")
    assert "no such file" in refused(run, "")
    assert "error[P0141]" in refused(run, "x" * 5000)
    (tmp_path / "loop.param").symlink_to(tmp_path / "loop.param")
    assert "error[P0141]" in refused(run, tmp_path / "loop.param")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(run: Run, tmp_path: Path):
    (tmp_path / "secret.param").write_text("model M\n")
    (tmp_path / "secret.param").chmod(0)
    assert "permission denied" in refused(run, tmp_path / "secret.param")


def test_what_editors_do_to_a_file_is_borne(run: Run):
    text = MLP.read_text(encoding="utf-8")
    for same in ("\ufeff" + text, text.replace("\n", "\r\n"), text.rstrip("\n"), text + "\n\n\t\n"):
        assert run("check", "-", stdin=same).status == 0
    assert run("check", "-", stdin=text.replace("    ", "\t")).status == 0


# Specs. Each replaces a part of the MLP.

FORWARD = "    h1 = W1 @ x + b1\n    h2 = W2 @ relu(h1)\n    return W3 @ relu(h2)\n"


def forward(body: str) -> tuple[str, str]:
    return FORWARD, f"    {body}\n    return W3 @ relu(h2)\n"


HIDDEN = "hidden [width, width]   { a = 0,    b = 1/2, c = 0 }"
LONG = "n" * 64
REFUSED = {
    "a name of 65 characters": [("dim pixels", f"dim {LONG}n = 1\ndim pixels")],
    "a division by zero": [("pixels = 784", "pixels = 784 / (2 - 2)")],
    "a dim that is nothing": [("pixels = 784", "pixels = 0")],
    "a dim that is a half": [("pixels = 784", "pixels = 1/2")],
    "a dim that is negative": [("pixels = 784", "pixels = -784")],
    "a dim that is its own": [("pixels = 784", "pixels = pixels")],
    "dims in a circle": [("pixels = 784", "pixels = 2 * side\ndim side = round_up(pixels, 2)")],
    "a limit after itself": [("-> inf, base = 128", "-> inf after width")],
    "a limit after a later one": [
        ("dim width -> inf", "dim width -> inf after depth\ndim depth -> inf after width")
    ],
    "a rate of zero": [("base = 128", "base = 128, rate = 0")],
    "a base of zero": [("base = 128", "base = 0")],
    "a power without an end": [("pixels = 784", "pixels = 2^(3^(4^5))")],
    "a root of a negative number": [("pixels = 784", "pixels = (0 - 4)^(1/2)")],
    "a number of 19 digits": [("pixels = 784", "pixels = 1000000000000000000")],
    "a power of ten beyond all": [("lr = 0.1", "lr = 1e-300")],
    "a hyper of itself": [("lr = 0.1", "lr = lr")],
    "an empty range": [("lr = 0.1", "lr = 0.1 in [1, 0]")],
    "a range of nothing real": [("lr = 0.1", "lr = 0.1 in log [0, 1]")],
    "an index beyond an axis": [forward("h2 = W2 @ relu(W1 @ x[99])")],
    "an index beyond the last axis": [forward("h2 = W2 @ relu(W1 @ x)[99999999]")],
    "an index that is a half": [forward("h2 = W2 @ relu(W1 @ x)[1/2]")],
    "an index of an index": [forward("h2 = W2[0][0][0]")],
    "nothing to split": [forward("h2 = split(W1 @ x, 0)")],
    "less than nothing to split": [forward("h1, h2 = split(W1 @ x, -2)")],
    "more to split than there is": [forward("h1, h2 = split(W1 @ x, 99999999)")],
    "one of several values": [forward("h2 = relu(split(W1 @ x, 2))")],
    "an index of several values": [forward("h2 = split(W1 @ x, 2)[0]")],
    "no argument": [forward("h2 = relu()")],
    "two arguments of one": [forward("h2 = relu(W1 @ x, W1 @ x)")],
    "an argument twice": [forward("h2 = mean(W1 @ x, axis = 0, axis = 0)")],
    "an argument of no meaning": [forward("h2 = relu(W1 @ x, inplace = true)")],
    "an axis beyond all": [forward("h2 = mean(W1 @ x, axis = 9)")],
    "zeros without an end": [forward("h2 = zeros(width, 1 / 0)")],
    "a transposed transpose": [forward("h2 = W2.T.T @ relu(W1 @ x)")],
    "a tensor of three axes": [(HIDDEN, "hidden [width, width, 3] { a = 0, b = 1/2, c = 0 }")],
    "a thousand axes": [(HIDDEN, f"hidden [{'width, ' * 1000}] {{ a = 0, b = 0, c = 0 }}")],
    "no copies": [forward("h2 = W1 @ x\n    repeat 0 as layers { h2 = W2 @ h2 }")],
    "half a copy": [forward("h2 = W1 @ x\n    repeat 1/2 as layers { h2 = W2 @ h2 }")],
    "a million copies": [forward("h2 = W1 @ x\n    repeat 1000000 as layers { h2 = W2 @ h2 }")],
    "copies of nothing": [forward("h2 = W1 @ x\n    repeat 10^17 as layers { h2 = h2 }")],
    "copies of copies": [
        forward("h2 = W1 @ x\n" + "repeat 10 {\n" * 9 + "h2 = W2 @ h2\n" + "}\n" * 9)
    ],
    "infinitely many copies of no stream": [
        forward("h2 = W1 @ x\n    repeat width as layers { h2 = W2 @ relu(h2) }")
    ],
    "a block in itself": [("forward", "block A(x) { return A(x) }\nforward")],
    "blocks in each other": [
        ("forward", "block A(x) { return B(x) }\nblock B(x) { return A(x) }\nforward")
    ],
    "a sum without an end": [forward(f"h2 = {' + '.join(['W1 @ x'] * 1000)}")],
    "brackets without an end": [forward(f"h2 = {'relu(' * 1000}W1 @ x{')' * 1000}")],
    "an exponent of no number": [(HIDDEN, HIDDEN.replace("1/2", "x"))],
    "an exponent of a square": [
        ("hyper", "exponent theta\nhyper"),
        (HIDDEN, HIDDEN.replace("1/2", "theta * theta")),
    ],
    "a learning rate of zero": [("lr = lr", "lr = 0")],
    "a multiplier of zero": [(HIDDEN, HIDDEN.replace("c = 0", "c = 0, mult = 0"))],
    "a learning rate of a tensor": [("lr = lr", "lr = W1")],
    "a tuple for a number": [("lr = lr", "lr = (1, 2)")],
    "a loss of nothing": [("loss cross_entropy", "loss cross_entropy(h1)")],
    "a sum of no losses": [("loss cross_entropy", "loss cross_entropy - mse * 2")],
    "an import from elsewhere": [("model MLP", 'model MLP\nimport "/etc/passwd"')],
    "an import of itself": [("model MLP", 'model MLP\nimport "-"')],
    "a name of Python's": [("model MLP", "model __import__")],
    "a name of the module's": [("dim pixels = 784", "dim pixels = 784\nhyper self = 1")],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(run: Run, name: str):
    refused(run, "-", changed(MLP, *REFUSED[name]))


JUDGED = {
    "a name of 64 characters": [("hyper lr", f"hyper {LONG} = 1\nhyper lr")],
    "a dim of 10^17": [("pixels = 784", "pixels = 100000000000000000")],
    "a dim of 10^17 as a power": [("pixels = 784", "pixels = 10^17")],
    "a base of 10^17": [("base = 128", "base = 100000000000000000")],
    "a dim of every size": [("pixels = 784", "pixels = 2^62")],
    "an exponent of a million": [(HIDDEN, HIDDEN.replace("a = 0,  ", "a = 1000000,  "))],
    "an exponent of a billionth": [(HIDDEN, HIDDEN.replace("1/2", "1e-99"))],
    "an exponent of many digits": [(HIDDEN, HIDDEN.replace("1/2", "0.12345678901234567"))],
    "exponents of many denominators": [
        (HIDDEN, HIDDEN.replace("1/2", "999983/999979 + 999961/999959"))
    ],
    "a tiny learning rate": [("lr = 0.1", "lr = 1e-99")],
    "a rate of a millionth": [("base = 128", "base = 128, rate = 1/1000000")],
    "a thousand copies": [forward("h2 = W1 @ x\n    repeat 1000 as layers { h2 = W2 @ h2 }")],
    "25 levels of copies": [
        forward("h2 = W1 @ x\n" + "repeat 1 {\n" * 25 + "h2 = W2 @ h2\n" + "}\n" * 25)
    ],
    "sixty levels of brackets": [forward(f"h2 = {'tanh(' * 60}W1 @ x{')' * 60}")],
    "a hundred outputs": [
        ("return W3 @ relu(h2)", "y = W3 @ relu(h2)\n    return " + ", ".join(["y"] * 100)),
        ("loss cross_entropy", "loss cross_entropy(y)"),
    ],
    "a thousand tensors": [
        ("forward", "".join(f"tensor T{n} : scalar [classes]\n" for n in range(1000)) + "forward")
    ],
}


@pytest.mark.parametrize("name", JUDGED)
def test_judged(run: Run, name: str):
    ran = run("check", "-", stdin=changed(MLP, *JUDGED[name]))
    assert ran.status in {0, 1}, ran.err
    assert "\nverdict: " in ran.out


def nested(levels: int, calls: int, brackets: int) -> str:
    """Blocks that call blocks: each calls the one before so many times, in so many brackets."""
    text = "block B0(x) {\n    tensor W : hidden [width, width] { a = 0, b = 1/2, c = 0 }\n"
    text += "    return W @ x\n}\n"
    for level in range(1, levels):
        text += f"block B{level}(x) {{\n"
        for call in range(calls):
            inner = f"B{level - 1}(x) as c{call}"
            text += f"    x = {'tanh(' * brackets}{inner}{')' * brackets}\n"
        text += "    return x\n}\n"
    last = f"    h2 = B{levels - 1}(h2)\n    return W3"
    return changed(MLP, ("forward", f"{text}forward"), ("    return W3", last))


@pytest.mark.parametrize(
    ("levels", "calls", "brackets"), [(10, 10, 0), (60, 2, 0), (500, 1, 0), (200, 1, 60)]
)
def test_blocks_without_an_end_are_refused(run: Run, levels: int, calls: int, brackets: int):
    assert "error[P0416]" in refused(run, "-", nested(levels, calls, brackets))


@pytest.mark.parametrize(("levels", "calls", "brackets"), [(4, 8, 0), (30, 1, 60)])
def test_blocks_inside_blocks_are_judged(run: Run, levels: int, calls: int, brackets: int):
    assert run("check", "-", stdin=nested(levels, calls, brackets)).status in {0, 1}
