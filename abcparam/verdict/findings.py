"""Why a verdict is what it is: findings with place, path and way out; and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from abcparam.algebra.record import replace
from abcparam.algebra.sizes import Size, numeric, power
from abcparam.analysis.judge import Judgement, TensorLaw, moves_in_full, nonlinear_inputs
from abcparam.analysis.limits import Violation, unsettled
from abcparam.analysis.trace import (
    TraceStep,
    label,
    source_of_mean,
    why_change,
    why_initial,
    why_update,
)
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.stream import EnterNode, LeaveNode
from abcparam.diagnostics.diagnostic import Diagnostic, in_order
from abcparam.diagnostics.rules import findings as rules
from abcparam.diagnostics.source import START, Span
from abcparam.optimizers.base import rule_of
from abcparam.presentation.words import listed
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.verdict.causes import causes, causes_at_init, suffering
from abcparam.verdict.changes import Change, SettingChange, in_words, shared_declaration
from abcparam.verdict.epsilon import lagging
from abcparam.verdict.identify import FIRST, described, identify
from abcparam.verdict.settings import ZEROS
from abcparam.verdict.waking import stuck

if TYPE_CHECKING:
    from abcparam.verdict.proof import Proof

MOST = 8  # findings of one kind

START_AT_ZERO = (
    "no usual exponents do: a map from the width to finitely many numbers makes width^(-1/2) of "
    "its input at first, and 1 once it has learnt; start the map at zero, or leave out the norm or "
    "nonlinearity behind it"
)
BOTH_AT_ZERO = (
    "where two factors start at zero, or a factor before a `relu`, neither they nor what is before "
    "them ever learn; one that is last may start at zero"
)
MADE_FOR_MAPS = (
    "{rule} is made for hidden maps: published runs train tables and readouts by another optimizer "
    "beside it, `optimizer adamw for {name} {{ … }}`"
)
NO_WAY_OUT = "no change of exponents or factors was found that makes it maximal-update"
MUST = {
    "pointwise": "the input of a nonlinearity must be Θ(1), or exactly zero",
    "logarithm": "the input of a logarithm must be Θ(1): of a power of n it gives log n",
    "softmax": "softmax logits must be O(1)",
    "output": "outputs must be O(1)",
    "stream": "what a copy adds must vanish beside it, or it grows or fades exponentially",
}


def reasons(
    judgement: Judgement,
    fix: Sequence[Change] | None,
    proof: Proof | None = None,
    unfinished: str = "",
) -> tuple[Diagnostic, ...]:
    """Everything to say about a judgement; no `fix` where none was looked for.

    Findings are errors where the verdict is not the expected one. `unfinished` says why the search
    for a fix ended early, if it did.
    """
    help = way_out(judgement.laws.program, fix or (), proof, unfinished)
    found = _Reasons(judgement, help, fix is not None)
    return tuple(in_order([*found.findings(), *found.warnings(), *found.program.warnings]))


def way_out(
    program: Program, fix: Sequence[Change], proof: Proof | None, unfinished: str = ""
) -> str:
    """The way out: what to change, what is proved of it, and why the search ended early, if so."""
    changes = in_words(fix)
    shared = shared_declaration(program, fix)
    text = f"this makes it maximal-update: {changes}" if fix else ""
    if any(isinstance(change, SettingChange) and change.after == ZEROS for change in fix):
        text = f"{text}; {START_AT_ZERO}"
    if any(isinstance(c, SettingChange) and c.wakes for c in fix):
        text = f"{text}; {BOTH_AT_ZERO}"
    if shared:
        text = f"this would make it maximal-update: {changes}; but {shared}"
    if proof is not None:
        text = f"{text} ({proof.outcome})" if text else proof.outcome
    return "; ".join(filter(None, (text, unfinished)))


class _Reasons:
    def __init__(self, judgement: Judgement, help: str, searched: bool) -> None:
        self.graph = judgement.laws.graph
        self.program = judgement.laws.program
        self.judgement = judgement
        self.help = help
        self.searched = searched

    def findings(self) -> list[Diagnostic]:
        by_verdict: dict[str, Callable[[], list[Diagnostic]]] = {
            "unstable-at-init": self._at_init,
            "unstable": self._unstable,
            "trivial": self._trivial,
            "kernel": self._kernel,
            "feature-learning": self._partial,
            "maximal-update": list,
        }
        found = by_verdict[self.judgement.verdict]()
        expected = self.program.expected or ("maximal-update",)
        verdicts = [word for word in expected if word != "complete"] or ["maximal-update"]
        if self.judgement.verdict not in verdicts:
            if self.judgement.verdict.startswith(("unstable", "kernel")):
                found = found + self._unused()
            return found + self._means() + self._unexpected(verdicts)
        noted = [replace(d, severity="note") for d in found]
        return noted + (
            self._incomplete() if "complete" in expected and not self.judgement.complete else []
        )

    def _unexpected(self, expected: Sequence[str]) -> list[Diagnostic]:
        if not self.program.expected:
            return []
        fields = {"verdict": self.judgement.verdict, "expected": ", ".join(expected)}
        return [rules.UnexpectedVerdict.at(self.program.expected_span, **fields)]

    def name(self, node: Node) -> str:
        outputs = zip(self.program.outputs, self.graph.outputs, strict=True)
        called = next((name for name, output in outputs if output is node), None)
        text = called if called and not node.name else label(self.program, node)
        return f"`{text}`" if called != "output" or node.name else "the output"

    def _span(self, node: Node) -> Span:
        return node.span if node.span != START else self.program.output_span

    # Findings

    def _at_init(self) -> list[Diagnostic]:
        violations = _once(causes_at_init(self.judgement.at_init))
        return self._with_suffering([self._wrong_at_init(v) for v in violations])

    def _with_suffering(self, found: list[Diagnostic]) -> list[Diagnostic]:
        """The first with a note on the tensors that are over only because of these findings."""
        names = [f"`{law.path}`" for law in suffering(self.judgement)]
        if not names or not found:
            return found
        what = "1 tensor is over" if len(names) == 1 else f"{len(names)} tensors are over"
        why = "this" if len(found) == 1 else f"what these {len(found)} findings say"
        note = f"{what} only because of {why}: {listed(names, MOST)}"
        first, *others = in_order(found)
        return [replace(first, notes=(*first.notes, note)), *others]

    def _wrong_at_init(self, violation: Violation) -> Diagnostic:
        steps = why_initial(self.program, violation.node)
        diagnostic = rules.WrongSizeAtInit.at(
            self._span(violation.node),
            name=self.name(violation.node),
            size=_size_at_init(violation),
            must=MUST[violation.limit.kind],
            path=steps[0].text if steps else "",
            help=self.help,
        )
        return replace(diagnostic, notes=_notes(self, steps[1:], at_init=True))

    def _means(self) -> list[Diagnostic]:
        """What makes a residual stream large at init as it is of one kind in all copies."""
        found: dict[Span, Diagnostic] = {}
        sizeless = {violation.node for violation in unsettled(self.graph)}
        for stream in self.graph.streams:
            for branch in stream.branches if stream not in sizeless else ():
                size = stream.rho + branch.m0
                large = size > self.graph.context.one and size >= stream.s0
                if large and (not branch.draws.alike or self._is_read_as_it_is(stream)):
                    source = source_of_mean(branch)
                    found[source.span] = self._mean(source, stream.rho, size)
        return list(found.values())

    def _is_read_as_it_is(self, stream: EnterNode) -> bool:
        """Whether something other than a norm that centres reads a stream."""
        nodes = self.graph.nodes
        whole = {id(n) for n in nodes if isinstance(n, LeaveNode) and n.enter is stream}
        values = stream.stream | whole
        readers = [
            n for n in nodes if id(n) not in values and any(id(x) in values for x in n.inputs)
        ]
        centred = all(isinstance(n, NormNode) and n.centres_features for n in readers)
        return not centred or any(id(output) in whole for output in self.graph.outputs)

    def _mean(self, source: Node, copies: Size, size: Size) -> Diagnostic:
        rule = rules.MeanAddsUp if source.draws.of else rules.SameInEveryCopy
        return rule.at(self._span(source), name=self.name(source), copies=copies, size=size)

    def _unstable(self) -> list[Diagnostic]:
        found = [self._too_large(v) for v in _once(causes(self.judgement.changes))]
        growing = {p.tensor.path: p for p in self.judgement.laws.growing}
        if growing:
            first = next(iter(growing.values()))
            names = ", ".join(f"`{path}`" for path in list(growing)[:MOST])
            found.append(rules.GrowsForEver.at(first.tensor.span, tensors=names, help=self.help))
        return self._with_suffering(found)

    def _too_large(self, violation: Violation) -> Diagnostic:
        steps = why_change(self.program, violation.node)
        node, bound = violation.node, violation.limit.bound
        runs = node in self.judgement.powerless.changes
        path = steps[0].text if steps else ""
        diagnostic = rules.ChangeTooLarge.at(
            self._span(node),
            name=self.name(node),
            change="grows exponentially with the depth" if runs else _change(node),
            path="a copy multiplies what those before it changed" if runs else path,
            bound=_at_most(bound),
            help=self.help or (NO_WAY_OUT if self.searched else ""),
        )
        return diagnostic if runs else replace(diagnostic, notes=_notes(self, steps[1:]))

    def _trivial(self) -> list[Diagnostic]:
        output = max(self.graph.outputs, key=lambda node: node.d)
        steps = why_change(self.program, output)
        path = steps[0].text if steps else "no update reaches it"
        fields = {"name": self.name(output), "size": output.d, "path": path}
        diagnostic = rules.NothingMoves.at(self._span(output), help=self.help, **fields)
        return [replace(diagnostic, notes=_notes(self, steps[1:])), *self._stuck()]

    def _kernel(self) -> list[Diagnostic]:
        return [self._still(f) for f in self.judgement.features[:MOST]]

    def _still(self, feature: Node) -> Diagnostic:
        steps = why_change(self.program, feature)
        fields = {"name": self.name(feature), "total": feature.s, "size": feature.d}
        diagnostic = rules.FeaturesDoNotMove.at(self._span(feature), help=self.help, **fields)
        return replace(diagnostic, notes=_notes(self, steps))

    def _partial(self) -> list[Diagnostic]:
        found = [
            self._slack(t)
            for t in self.judgement.tensors
            if t.status in {"under", "over"} and t.slack
        ]
        found += [self._still(f) for f in self.judgement.features if not moves_in_full(f)]
        found += [self._in_part(node) for node in self._once_per_tensor(self.judgement.partial)]
        return found + self._stuck()

    def _once_per_tensor(self, nodes: Iterable[LinearNode]) -> list[LinearNode]:
        return list({node.parameter.tensor.path: node for node in nodes}.values())

    def _slack(self, law: TensorLaw) -> Diagnostic:
        assert law.slack is not None and law.node is not None
        contribution = law.node.update()
        bound = self.judgement.bounds.coherent[law.node]
        fields = {"name": law.path, "size": contribution, "bound": bound, "slack": law.slack}
        diagnostic = rules.Slack.at(law.parameter.tensor.span, help=self.help, **fields)
        notes = [why_update(self.program, law.parameter)]
        if law.parameter.spectral and isinstance(law.node, ValueNode):
            rule = rule_of(self.program, law.parameter).name
            notes.append(MADE_FOR_MAPS.format(rule=rule, name=law.parameter.tensor.name))
        return replace(diagnostic, notes=tuple(notes))

    def _stuck(self) -> list[Diagnostic]:
        paths = stuck(self.judgement)
        found = [_never_moves(law) for law in self.judgement.tensors if law.path in paths]
        found = [replace(d, help=self.help) for d in found] if self.help else found
        return found + self._unused()

    def _unused(self) -> list[Diagnostic]:
        """Trained tensors that nothing uses."""
        laws = [law for law in self.judgement.tensors if law.node is None]
        return [_never_moves(law) for law in laws if law.status != "frozen"]

    def _in_part(self, node: LinearNode) -> Diagnostic:
        x = node.inputs[0]
        bound = self.judgement.bounds.coherent[node]
        fields = {"name": node.parameter.tensor.path, "source": self.name(x), "bound": bound}
        diagnostic = rules.PassedInPart.at(
            self._span(node), size=node.gains()[0] + x.s, help=self.help, **fields
        )
        if not node.aligned_in_part:
            return diagnostic
        along = f"of that change ({x.d}) {x.along_to(node)} points along its rows"
        return replace(diagnostic, notes=(along,))

    def _incomplete(self) -> list[Diagnostic]:
        still = [x for x in nonlinear_inputs(self.graph) if not moves_in_full(x)]
        found = {}
        for x in still:
            fields = {"name": self.name(x), "total": x.s, "size": x.dc, "help": self.help}
            found[x.span] = rules.NotComplete.at(self._span(x), **fields)
        return list(found.values())[:MOST] or self._unexpected(["complete"])

    # Warnings

    def warnings(self) -> list[Diagnostic]:
        found = self._epsilon() + self._decay() + self._shipped()
        if self.program.alignment != "tensor-programs":
            found.append(
                rules.OtherAlignment.at(
                    self.program.alignment_span, alignment=self.program.alignment
                )
            )
        return found

    def _shipped(self) -> list[Diagnostic]:
        identity = identify(self.program)
        if identity is None or (identity.name == FIRST and self.judgement.verdict != VERDICTS[-1]):
            return []
        first = next(path for path, theta in identity.shifts.items() if theta)
        fields = {"name": identity.name, "citation": identity.citation}
        shifts = described(self.program, identity)
        return [
            rules.ShippedInAnotherGauge.at(
                self.program.tensors[first].span, shifts=shifts, **fields
            )
        ]

    def _epsilon(self) -> list[Diagnostic]:
        if self.program.strict_epsilon or self.judgement.verdict.startswith("unstable"):
            return []
        return lagging(self.program, [law.parameter for law in self.judgement.tensors])

    def _decay(self) -> list[Diagnostic]:
        one = self.graph.context.one
        acting: dict[tuple[str, Size, Size], list[Parameter]] = {}
        for law in self.judgement.tensors:
            p = law.parameter
            if p.tensor.frozen or not p.has_decay or p.weights.is_zero:
                continue
            rule = rule_of(self.program, p)
            size, gradient = rule.decays(p), rule.beside(p)
            if rule.adds_decay and size != one:
                acting.setdefault(("", size, one), []).append(p)
            elif not rule.adds_decay and (size != one or p.pull > gradient):
                acting.setdefault((rule.name, p.pull, gradient), []).append(p)
        return [
            self._of_decay(
                self._joins(*key, found) if key[0] else self._fades(key[1], found), found
            )
            for key, found in acting.items()
        ]

    def _of_decay(self, warning: Diagnostic, found: list[Parameter]) -> Diagnostic:
        """A warning of decay, which says where that is from if nobody wrote it."""
        decay = found[0].tensor.weight_decay
        if decay is None or decay.written.span != START:
            return warning
        rule, value = rule_of(self.program, found[0]).name, float(decay.value.constant or 0)
        return replace(warning, notes=(f"weight_decay is the default of {rule}, {value:g}",))

    def _fades(self, size: Size, found: list[Parameter]) -> Diagnostic:
        fields = {"name": found[0].tensor.path, "also": _also(found), "size": size}
        span = found[0].tensor.span
        if size > self.graph.context.one:
            return rules.DecayGrows.at(span, remedy=f"… / ({_powers(size)})", **fields)
        rule, decay = rules.DecayVanishes, found[0].decay
        help = rule.keeps.format(remedy=f"… * {_powers(-size)}")
        if decay > self.graph.context.one:
            help = rule.partly.format(decay=decay, remedy=_powers(-size))
        return rule.at(span, help=help, **fields)

    def _joins(
        self, optimizer: str, pull: Size, gradient: Size, found: list[Parameter]
    ) -> Diagnostic:
        effect = "drowns it" if pull > gradient else "vanishes beside it"
        fields = {"name": found[0].tensor.path, "also": _also(found), "optimizer": optimizer}
        return rules.CoupledDecay.at(
            found[0].tensor.span, pull=pull, gradient=gradient, effect=effect, **fields
        )


def _never_moves(law: TensorLaw) -> Diagnostic:
    rule = rules.NeverMoves
    found = rule.at(law.parameter.tensor.span, name=law.path)
    if law.node is not None:
        return found
    return replace(found, message=rule.unused.format(name=law.path), help=rule.delete)


def _also(found: list[Parameter]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def _powers(size: Size) -> str:
    """`width / base(width)`: the ratio to base of what grows with a size."""
    return " * ".join(
        power(f"({n} / base({n}))", v) if v != 1 else f"{n} / base({n})"
        for n, v in numeric(size).exponents().items()
        if v
    )


def _once(violations: Iterable[Violation]) -> list[Violation]:
    """One violation per place in the source, the first copy's."""
    return list({(v.node.span, v.limit.kind): v for v in reversed(list(violations))}.values())[
        ::-1
    ][:MOST]


def _at_most(bound: Size) -> str:
    """How large a change may be, in words."""
    if bound == bound.space.one:
        return "its change must not grow"
    return f"may change by {bound} at most"


def _change(node: Node) -> str:
    """How an activation changes, in words."""
    one = node.context.one
    if node.d > one:
        return f"grows like {node.d}"
    if node.d == one:
        return f"is of size {node.s0} and changes by as much as 1"
    return f"is of size {node.s0} and changes by {node.d}"


def _size_at_init(violation: Violation) -> str:
    """The size; that of a stream that each copy multiplies is no power: `(1 + L^(p - 1))^L`."""
    node = violation.node
    return f"exp({node.initial() - node.s0})" if violation.limit.kind == "stream" else str(node.s0)


def _notes(found: _Reasons, steps: Sequence[TraceStep], at_init: bool = False) -> tuple[str, ...]:
    """A line for each step, with the size at initialization or the change.

    One that repeats, copy by copy, stands once.
    """
    sizes = (step.node.s0 if at_init else step.node.d for step in steps)
    told = islice(zip(steps, sizes, strict=True), MOST)
    return tuple(
        f"{found.name(step.node)} ({size}): {step.text}"
        + (f" ({step.times} times)" if step.times > 1 else "")
        for step, size in told
    )
