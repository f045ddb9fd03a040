"""Check NaN where the original has it, and modules that are moved to float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.grid import Context, Expected
from parity.checks.steps import geometry_of
from parity.criteria import Exactly, one_operation, peak, status
from parity.oracle import ORIGINAL, SIMPLIFIED, Conventions
from parity.report.claims import Measurement

NEGATIVE = Case.parse("weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=41,amplitude=0.01")
DELTA = -0.5  # far below any energy behind the gain: the root is taken of a negative number
CONVENTIONS: dict[str, Conventions] = {"tf_leaf": ORIGINAL, "og_leaf": ORIGINAL}
DOUBLED = (
    "weights=drawn,n_filters=3,sample_rate=4000,n_samples=400,seed=42,pcen_floor=1e-06",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=43,compression=fixed_pcen",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=44,preemp=True,mean_var_norm=True",
)


def nonfinite(rung: str) -> Iterator[Measurement]:
    """A negative delta, and, of a PyTorch rung, ``.double()`` of a module built in float32.

    Args:
        rung: name of the rung.
    """
    yield from _negative_delta(rung)
    if RUNGS[rung].framework == "torch":
        for text in DOUBLED if "norm" in RUNGS[rung].stages else DOUBLED[:1]:
            yield from _doubled(rung, Case.parse(text))


def _context(rung: str, case: Case, dtype: str) -> Context:
    again = f"pytest parity_tests/rungs/test_purity.py -m {rung} -k nonfinite"
    return Context(rung, "oracle", "beyond the domain", str(case), again, dtype=dtype)


def _padded(rung: str, case: Case) -> Case:
    padding = "centered" if rung == "efficientleaf" else "same"
    return Case.parse(f"{case},padding={padding}")


def _negative_delta(rung: str) -> Iterator[Measurement]:
    """NaN in the same places: in rungs 0 and 1 as in the original, in rungs 2 and 3 nowhere, as they clamp delta."""
    case = _padded(rung, NEGATIVE)
    variables = dict(case.variables())
    variables[canonical.ALPHA] = np.zeros_like(variables[canonical.ALPHA])
    variables[canonical.DELTA] = np.full_like(variables[canonical.DELTA], DELTA)
    conventions = CONVENTIONS.get(rung, SIMPLIFIED)
    zero = np.zeros(1, np.float32)
    with np.errstate(invalid="ignore"):
        expected = Expected(case.config, variables, case.input(), zero, conventions=conventions).stages["output"]
    adapter = RUNGS[rung].load_adapter()
    module = adapter.build(case.config)
    adapter.write(module, variables)
    with np.errstate(invalid="ignore"):
        got = adapter.output(module, case.input())
    context = _context(rung, case, "float32")
    for stage in ("pcen", "output"):
        values = got if stage == "output" else adapter.stages(module, case.input())["pcen"]
        yield context.measurement(stage, "forward", status(values, expected.astype(np.float32)), "rounding")


def _doubled(rung: str, case: Case) -> Iterator[Measurement]:
    """Every number of the module is reached: the output is the oracle's to float64's own rounding."""
    case = _padded(rung, case)
    adapter = RUNGS[rung].load_adapter()
    module = adapter.build(case.config)
    variables = case.variables()
    adapter.write(module, variables)
    module = module.double()
    expected = Expected(
        case.config,
        variables,
        case.input(),
        case.input(),
        subtracts=RUNGS[rung].subtracts,
        geometry=geometry_of(adapter, module, case),
    )
    exact = expected.stages["output"]
    expected.cotangent = case.cotangent(exact.shape)
    got = adapter.output(module, case.input())
    context = _context(rung, case, "float64")
    state = status(got, exact)
    yield context.measurement("output", "forward", state, "algebraic")
    if state.passes:
        verdict = one_operation(got, exact, expected.rounding("float64")["output"], peak)
        yield context.measurement("output", "forward", verdict, "algebraic")
    left = [name for name, value in adapter.read(module).items() if value.dtype != np.float64]
    verdict = Exactly("a module moved to float64 holds every variable in float64")(len(left), 0)
    yield context.measurement("output", "status", verdict, "bitwise")
