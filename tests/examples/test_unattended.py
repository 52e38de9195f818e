"""What is measured unattended: parts that fail or take too long cost no other, and it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu import Part, main, run_all


def test_each_part_is_told_of(tmp_path: Path):
    good = Part("good", ("platform",), tmp_path / "good")
    bad = Part("bad", ("json.tool", str(tmp_path / "nothing")), tmp_path / "bad")
    endless = Part("endless", ("http.server", "0"), tmp_path / "endless")
    told = {found.name: found for found in run_all([good, bad], tmp_path, 100)}
    assert told["good"].ok and told["good"].what.startswith("done in ")
    assert not told["bad"].ok and told["bad"].what.startswith("failed with ")
    assert (tmp_path / "good.log").read_text(encoding="utf-8")
    again = list(run_all([good, endless, bad], tmp_path, 3))
    assert [found.ok for found in again] == [True, False, False]
    assert again[0].what == "was done before" and again[1].what.startswith("stopped after 3 s")
    assert again[2].what == "not begun, as the time is over"


def test_without_a_gpu_it_is_said(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.no_gpu", lambda: "PyTorch finds no GPU")
    assert main(["bench"]) == 2
    assert "--device cpu --quick" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("what", "part"), [("bench", "sweep"), ("reproduce", "learning_rates")])
def test_all_of_it_can_be_tried_on_a_cpu(what: str, part: str, tmp_path: Path):
    command = [what, "--device", "cpu", "--quick", "--only", part, "--out", str(tmp_path)]
    assert main(command) == 0 and main(command) == 0
    (done,) = (*tmp_path.rglob("done"), *tmp_path.rglob("sweep.json"))
    assert done.is_relative_to(tmp_path / f"{what}-cpu-quick")
