"""Check NaN where the original has it, and modules that are moved to float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.grid import Context, Expected
from parity.checks.steps import expected_alone
from parity.criteria import Exactly, status
from parity.oracle import ORIGINAL, SIMPLIFIED
from parity.report.claims import Measurement

NEGATIVE = "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=41,amplitude=0.01"
DELTA = -0.5  # far below any energy behind the gain: the root is taken of a negative number
DOUBLED = (
    "weights=drawn,n_filters=3,sample_rate=4000,n_samples=400,seed=42,pcen_floor=1e-06",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=43,compression=fixed_pcen",
    "weights=trained,n_filters=3,sample_rate=4000,n_samples=400,seed=44,preemp=True,mean_var_norm=True",
)
IN_FLOAT64 = Exactly("a module moved to float64 holds every variable in float64")


def nonfinite(rung: str) -> Iterator[Measurement]:
    """A negative delta, and, of a PyTorch rung, ``.double()`` of a module built in float32."""
    original, torch = "norm" in RUNGS[rung].stages, RUNGS[rung].framework == "torch"
    for check, texts in (_negative_delta, (NEGATIVE,)), (_doubled, DOUBLED[: 3 if original else 1] if torch else ()):
        for text in texts:
            case = Case.parse(f"{text},padding={'centered' if rung == 'efficientleaf' else 'same'}")
            again = f"pytest parity_tests/rungs/test_purity.py -m {rung} -k nonfinite"
            yield from check(rung, case, Context(rung, "oracle", "beyond the domain", str(case), again))


def _negative_delta(rung: str, case: Case, context: Context) -> Iterator[Measurement]:
    """NaN in the same places: in rungs 0 and 1 as in the original, in rungs 2 and 3 nowhere, as they clamp delta."""
    variables = dict(case.variables())
    variables[canonical.ALPHA] = np.zeros_like(variables[canonical.ALPHA])
    variables[canonical.DELTA] = np.full_like(variables[canonical.DELTA], DELTA)
    adapter = RUNGS[rung].load_adapter()
    module = adapter.filled(case.config, variables)
    with np.errstate(invalid="ignore"):
        conventions = ORIGINAL if "norm" in RUNGS[rung].stages else SIMPLIFIED
        expected = Expected.of(case, variables, conventions=conventions).stages["output"].astype(np.float32)
        got = {"pcen": adapter.stages(module, case.input())["pcen"], "output": adapter.output(module, case.input())}
    for stage, values in got.items():
        yield context.measurement(stage, "forward", status(values, expected), "rounding")


def _doubled(rung: str, case: Case, context: Context) -> Iterator[Measurement]:
    """Every number of the module is reached: the output is the oracle's to float64's own rounding."""
    context.dtype = "float64"
    adapter = RUNGS[rung].load_adapter()
    module = adapter.filled(case.config, case.variables()).double()
    expected = expected_alone(rung, module, case)
    exact, rounding = expected.stages["output"], expected.rounding("float64")["output"]
    yield from context.algebraic("output", adapter.output(module, case.input()), exact, rounding)
    left = [name for name, value in adapter.read(module).items() if value.dtype != np.float64]
    yield context.measurement("output", "status", IN_FLOAT64(len(left), 0), "bitwise")
