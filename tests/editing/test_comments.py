"""Comments that a fix may have made false are told with their lines; others are left in peace."""

from __future__ import annotations

import json
from pathlib import Path

import abcparam
from tests.support.running import Run

SPEC = """# a perceptron
model MLP
dim width -> inf, base = 128     # hyperparameters are stated here
dim pixels = 784
dim classes = 10
hyper lr = 1e-3

# as torch has it
parametrization {                # PyTorch's defaults
    input  { a = 0, b = 0, c = 0 }
    # one over the root
    hidden { a = 0, b = 1/2, c = 0 }
    output { a = 0, b = 1, c = 1 }
}

tensor first   : input  [width, pixels]
tensor second  : hidden [width, width]   # the large one
tensor readout : output [classes, width]

forward(x : [pixels]) {
    return readout @ relu(second @ relu(first @ x))
}

optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


def test_comments_at_what_changed():
    fixed = abcparam.fix(SPEC)
    assert [str(change) for change in fixed.changes] == ["`second` c = 0 -> 1"]
    assert [(c.line, c.text) for c in fixed.comments] == [
        (8, "# as torch has it"),
        (9, "# PyTorch's defaults"),
        (11, "# one over the root"),
    ]
    lines = fixed.text.split("\n")
    assert all(comment.text in lines[comment.line - 1] for comment in fixed.comments)


def test_comments_elsewhere_are_left_in_peace():
    own = SPEC.replace("c = 0 }\n    output", "c = 1 }\n    output")
    own = own.replace("[width, width]   #", "[width, width] { c = 0 }  #")
    assert [c.text for c in abcparam.fix(own).comments] == ["# the large one"]
    assert abcparam.fix(own.replace("{ c = 0 }", "{ c = 1 }")).comments == ()


def test_command_line(run: Run, tmp_path: Path):
    file = tmp_path / "mlp.param"
    file.write_text(SPEC, encoding="utf-8")
    done = run("check", "--fix", file)
    assert "these comments may now be false:\n  line 8: # as torch has it\n" in done.err
    file.write_text(SPEC, encoding="utf-8")
    found = json.loads(run("check", "--fix", "--format", "json", file).out)
    assert found["verdict"] == "maximal-update"
    assert [comment["line"] for comment in found["fixed"]["doubtful_comments"]] == [8, 9, 11]
    assert found["fixed"]["changes"][0]["after"] == "1"
