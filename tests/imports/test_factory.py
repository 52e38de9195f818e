"""Factories: how they are found and called, at which sizes, and what is said where they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest
import torch

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.imports.factory import find_factory, find_function
from abcparam.imports.made_models import MadeModels
from abcparam.imports.settings import settings_of
from tests.imports.conftest import Write

MLP = """
    import torch
    from torch import nn

    def build(width=64, depth=2, heads=4, bias=True, rate=0.5, name="mlp"):
        if width % heads:
            raise ValueError(f"{heads} heads do not divide {width}")
        layers = [nn.Linear(width, width, bias) for _ in range(depth)]
        model = nn.Sequential(nn.Linear(7, width), *layers)
        model.heads = heads
        return model, torch.randn(5, 7)
"""


def said(call: Callable[..., object], *arguments: object) -> str:
    """The only error, as people read it."""
    with pytest.raises(SpecError) as caught:
        call(*arguments)
    assert len(caught.value.diagnostics) == 1
    return str(caught.value)


def underlined(call: Callable[..., object], *arguments: object) -> tuple[str, str]:
    """The code of the only error, and the text that its caret underlines."""
    with pytest.raises(SpecError) as caught:
        call(*arguments)
    (found,) = caught.value.diagnostics
    span, lines = found.span, caught.value.source.lines
    assert span.line == span.end_line
    return found.code, lines[span.line - 1][span.column - 1 : span.end_column - 1]


# Factories


def test_sizes_are_whole_defaults(write: Write):
    factory = write(MLP)
    assert factory.name == "build"
    assert factory.file.endswith("model.py")
    assert factory.defaults == {"width": 64, "depth": 2, "heads": 4}


def test_a_model_is_the_same_each_time(write: Write):
    factory = write(MLP)
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    first, second = (factory.make({"width": 32}) for _ in range(2))
    assert torch.equal(torch.rand(1), wanted)
    assert torch.equal(first.args[0], second.args[0])
    assert first.kwargs == {}
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)
    other = factory.make({"width": 32}, seed=1)
    weights = [next(made.model.parameters()) for made in (first, other)]
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("result", "args", "names"),
    [
        ("model", 0, []),
        ("(model, x)", 1, []),
        ("(model, (x, x))", 2, []),
        ("model, [x]", 1, []),
        ("model, (x,), {'mask': None}", 1, ["mask"]),
        ("model, {'mask': None}", 0, ["mask"]),
    ],
)
def test_results(write: Write, result: str, args: int, names: list[str]):
    factory = write(f"""
        import torch

        def build(width=8):
            model, x = torch.nn.Linear(width, 3), torch.ones(width)
            return {result}
    """)
    made = factory.make(factory.defaults)
    assert isinstance(made.model, torch.nn.Linear)
    assert len(made.args) == args
    assert list(made.kwargs) == names


def test_inputs_beside_a_model_alone(write: Write):
    factory = write(
        """
        import torch

        class Net(torch.nn.Module):
            def __init__(self, width: int = 8, depth: int = 1):
                super().__init__()
                self.layers = torch.nn.ModuleList(
                    torch.nn.Linear(width, width) for _ in range(depth)
                )

        def inputs(width):
            return torch.ones(5, width)
        """,
        "Net",
    )
    assert factory.defaults == {"width": 8, "depth": 1}
    assert factory.make({"width": 16, "depth": 2}).args[0].shape == (5, 16)


@pytest.mark.parametrize(
    ("cached", "takes", "given", "found"),
    [
        ("True", "x, use_cache=None", "", {"use_cache": False}),
        ("True", "x, use_cache=None", ", {'use_cache': True}", {"use_cache": True}),
        ("False", "x, use_cache=None", "", {}),
        ("True", "x", "", {}),
    ],
)
def test_what_generation_keeps_is_no_output(
    write: Write, cached: str, takes: str, given: str, found: dict[str, bool]
):
    """A model of Hugging Face's, whose configuration says `use_cache`, is asked for outputs."""
    factory = write(f"""
        import types
        import torch

        class Model(torch.nn.Module):
            config = types.SimpleNamespace(use_cache={cached})

            def forward(self, {takes}):
                return x

        def build(width=8):
            return Model(), (torch.ones(2),){given}
    """)
    assert factory.make({"width": 8}).kwargs == found


def test_files_beside_it_are_imported(write: Write, tmp_path: Path):
    (tmp_path / "beside_a_factory.py").write_text("SIZE = 24\n")
    factory = write("""
        import torch
        from beside_a_factory import SIZE

        def build(width=SIZE):
            from beside_a_factory import SIZE as again
            return torch.nn.Linear(width, again)
    """)
    assert factory.defaults == {"width": 24}
    assert factory.make({"width": 3}).model.weight.shape == (24, 3)
    assert str(tmp_path) not in sys.path


def test_what_a_factory_prints_is_left_out(write: Write, capsys: pytest.CaptureFixture[str]):
    text = "import torch\nprint('here')\ndef build(width=8):\n    print('there')\n"
    factory = write(text + "    return torch.nn.Linear(width, 1)\n")
    factory.make(factory.defaults)
    assert capsys.readouterr().out == ""


def test_a_file_may_be_called_as_a_module_of_python(write: Write):
    factory = write("import torch\ndef build(width=8):\n    return torch.nn.Linear(width, 1)\n")
    assert factory.defaults == {"width": 8}
    text = "import torch\ndef build(size=8):\n    return torch.nn.Linear(size, 1)\n"
    assert write(text, file="numbers.py").defaults == {"size": 8}
    import numbers

    assert hasattr(numbers, "Integral")


def test_modules_that_python_finds():
    assert find_factory("torch.nn:Transformer").defaults == {
        "d_model": 512,
        "nhead": 8,
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "dim_feedforward": 2048,
    }
    assert find_function("torch.optim:SGD") is torch.optim.SGD


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("model.py", "it is not FILE.py:NAME"),
        ("model.py:3", "it is not FILE.py:NAME"),
        ("no_such_file.py:build", "No such file or directory"),
        ("no_such_module:build", "Python finds no module `no_such_module`"),
        ("torch.no_such:build", "Python finds no module `torch.no_such`"),
        ("torch.nn:Liner", "`Liner` is not in it. Did you mean `Linear`?"),
        ("torch:pi", "`pi` is no function."),
        ("torch.nn:Linear", "its parameter `in_features` has no default"),
        ("torch.nn:ReLU", "no parameter of `ReLU` has a whole number as default"),
    ],
)
def test_no_factory(reference: str, problem: str):
    text = said(find_factory, reference)
    assert text.startswith(f"error[P1001]: there is no factory `{reference}`: {problem}")


def test_no_function():
    text = said(find_function, "torch.optim:Adan")
    assert text.startswith(
        "error[P1021]: there is no function `torch.optim:Adan`: `Adan` is not in it. Did you mean"
    )


def test_a_factory_that_takes_a_configuration(write: Write):
    text = """
        class GPT:
            def __init__(self, config):
                pass
    """
    assert underlined(write, text, "GPT") == ("P1001", "class GPT:")


# What raises


def test_the_line_that_raises(write: Write):
    factory = write(MLP)
    sizes = {"width": 64, "heads": 3}
    text = said(factory.make, sizes)
    assert text.splitlines()[0] == (
        "error[P1002]: `build` raises at width=64, heads=3: ValueError: 3 heads do not divide 64"
    )
    assert underlined(factory.make, sizes) == (
        "P1002",
        'raise ValueError(f"{heads} heads do not divide {width}")',
    )


def test_the_line_that_calls_what_raises(write: Write):
    """The last line of the file, if PyTorch raises."""
    factory = write("""
        import torch

        def build(width=8):
            é = torch.zeros(3).view(width)
            return é
    """)
    assert underlined(factory.make, {"width": 8}) == ("P1002", "torch.zeros(3).view(width)")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import no_such_module_at_all\n", "ModuleNotFoundError: No module named"),
        ("def build(width=8:\n", "SyntaxError: "),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_that_raises(write: Write, text: str, problem: str):
    text = said(write, text)
    assert text.startswith(f"error[P1002]: `model.py` raises when it is imported: {problem}")
    assert "model" not in sys.modules or hasattr(sys.modules["model"], "build")


def test_a_module_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder at hand is looked in; what a module needs and lacks is no missing factory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_module_that_raises.py").write_text("import no_such_module_at_all\n")
    found = underlined(find_factory, "a_module_that_raises:build")
    assert found == ("P1002", "import no_such_module_at_all")


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ("None", "`None`"),
        ("3", "a int"),
        ("(3, 4)", "a tuple of int, int"),
        ("torch.nn.Linear(1, 1), (), {}, 3", "a tuple of Linear, tuple, dict, int"),
    ],
)
def test_not_a_model(write: Write, result: str, found: str):
    factory = write(f"import torch\ndef build(width=8):\n    return {result}\n")
    text = said(factory.make, factory.defaults)
    assert text.startswith(f"error[P1017]: `build` returns {found}, not a model")
    assert underlined(factory.make, factory.defaults)[1] == "def build(width=8):"


def test_a_model_with_sparse_weights(write: Write):
    factory = write("""
        import torch

        def build(width=8):
            model = torch.nn.Linear(width, width)
            model.sparse = torch.nn.Parameter(torch.eye(width).to_sparse())
            return model, torch.randn(5, width)
    """)
    text = said(MadeModels(factory).at, factory.defaults)
    assert text.startswith("error[P1028]: `sparse` is sparse_coo: which entries it has")
    assert underlined(MadeModels(factory).at, factory.defaults)[1] == "def build(width=8):"


# Settings


def sizes(settings: list[dict[str, int]], *names: str) -> list[tuple[int, ...]]:
    return [tuple(sizes[name] for name in names) for sizes in settings]


def test_settings(write: Write):
    """The base, what grows, each other size alone, and last all of them."""
    settings = settings_of(MadeModels(write(MLP)), {"width": ()})
    assert sizes(settings, "width", "depth", "heads") == [
        (64, 2, 4),
        (128, 2, 4),
        (256, 2, 4),
        (64, 4, 4),
        (64, 2, 8),
        (256, 4, 8),
    ]


def test_values_that_are_given(write: Write):
    settings = settings_of(MadeModels(write(MLP)), {"width": (32, 48, 96)})
    assert sizes(settings, "width", "heads")[:3] == [(32, 4), (48, 4), (96, 4)]
    assert sizes(settings, "width", "depth", "heads")[-1] == (96, 4, 8)
    assert sizes(settings_of(MadeModels(write(MLP)), {"width": (16,)}), "width")[:3] == [
        (16,),
        (32,),
        (64,),
    ]


def test_several_that_grow(write: Write):
    settings = settings_of(MadeModels(write(MLP)), {"width": (), "depth": ()})
    assert sizes(settings, "width", "depth", "heads") == [
        (64, 2, 4),
        (128, 2, 4),
        (256, 2, 4),
        (64, 4, 4),
        (64, 8, 4),
        (128, 4, 4),
        (256, 8, 4),
        (64, 2, 8),
        (256, 8, 8),
    ]


def test_sizes_that_cannot_be_doubled_are_halved(write: Write):
    factory = write("""
        import torch

        def build(width=64, groups=64, kernel=3, seed=17, zero=0):
            torch.manual_seed(seed)
            assert kernel == 3, "other kernels are not written yet"
            return torch.nn.GroupNorm(groups, width)
    """)
    settings = settings_of(MadeModels(factory), {"width": ()})
    assert sizes(settings, "width", "groups", "kernel", "seed", "zero") == [
        (64, 64, 3, 17, 0),
        (128, 64, 3, 17, 0),
        (256, 64, 3, 17, 0),
        (64, 32, 3, 17, 0),
        (256, 32, 3, 17, 0),
    ]


def test_the_last_setting_varies_what_goes_together(write: Write):
    factory = write("""
        import torch

        def build(width=8, few=2, many=3):
            assert few + many <= 8, "too many"
            return torch.nn.Linear(width, 1), torch.ones(few, many, width)
    """)
    settings = settings_of(MadeModels(factory), {"width": ()})
    assert sizes(settings, "width", "few", "many") == [
        (8, 2, 3),
        (16, 2, 3),
        (32, 2, 3),
        (8, 4, 3),
        (8, 2, 6),
        (32, 4, 3),
    ]


def test_calls_are_few_and_need_no_memory(write: Write):
    """Models of 0.4 to 6.4 GB are made once each, in a few MB."""
    factory = write("""
        import torch

        CALLS = []

        def build(width=2048, depth=24):
            CALLS.append((width, depth))
            layers = [torch.nn.Linear(width, width) for _ in range(depth)]
            return torch.nn.Sequential(*layers), torch.ones(1)
    """)
    before = peak_memory()
    assert len(settings_of(MadeModels(factory), {"width": ()})) == 5
    assert peak_memory() - before < 100e6
    calls = sys.modules[factory.function.__module__].CALLS
    assert calls == [(2048, 24), (4096, 24), (8192, 24), (2048, 12), (8192, 12)]


def peak_memory() -> float:
    """In bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return getrusage(RUSAGE_SELF).ru_maxrss * unit


def test_models_that_are_made_of_values(write: Write):
    factory = write("""
        import torch

        def build(width=8, depth=2):
            rates = torch.linspace(0, 1, depth)
            return torch.nn.Sequential(*(torch.nn.Linear(width, width) for r in rates if r >= 0))
    """)
    assert sizes(settings_of(MadeModels(factory), {"width": ()}), "width", "depth")[-1] == (32, 4)


def test_a_factory_that_does_not_grow(write: Write):
    factory = write("""
        import torch

        def build(width=64, classes=10):
            return torch.nn.Linear(64, classes), torch.ones(5, 64)
    """)
    text = said(settings_of, MadeModels(factory), {"width": ()})
    assert text.splitlines()[0] == (
        "error[P1018]: the model does not grow with `width`: at width=64 and 128 it is the same"
    )
    assert (
        underlined(settings_of, MadeModels(factory), {"width": ()})[1]
        == "def build(width=64, classes=10):"
    )


def test_no_such_size(write: Write):
    text = said(settings_of, MadeModels(write(MLP)), {"widht": ()})
    assert "error[P1019]: `build` has no size `widht`" in text
    assert "its sizes are width, depth, heads" in text
    assert "Did you mean `width`?" in text


def test_sizes_that_do_not_grow_alone(write: Write):
    """Of sizes that go together one should follow from the other."""
    factory = write("""
        import torch

        def build(width=64, half=32):
            assert width == 2 * half
            return torch.nn.Linear(width, half)
    """)
    found = underlined(settings_of, MadeModels(factory), {"width": (), "half": ()})
    assert found == ("P1002", "width == 2 * half")
