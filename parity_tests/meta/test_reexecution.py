"""k is what a reference's own executions say it is: no less, no more, and from executions that did happen."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from parity.adapters.canonical import expected_shapes
from parity.adapters.rungs import RUNGS
from parity.checks import executions
from parity.checks.executions import BASE, CASES, MOVED, TORCH_WAYS, Execution, Executor, inputs_of, plainly
from parity.checks.factors import factors_of, measure, pooled_ratio
from parity.checks.grid import Arrays, property_of, stages_of
from parity.criteria import Exactly, OfMax, PooledAccuracy, rms, unit_roundoff
from parity_tests.helpers.refusals import refused

U = unit_roundoff("float32")
TIMES = 3  # as large an error
QUOTIENT = OfMax(2.0**-20, "an error of 2^-26 of a value keeps 27 bits when the value is taken off it in float64")
SAME_BITS = Exactly("the same operations on the same numbers")


@pytest.fixture(params=["og_leaf", "leaf", "tf_leaf"])
def reference(request):
    if RUNGS[request.param].framework == "tensorflow":
        request.getfixturevalue("tensorflow")
    return request.param


@cache
def exact(seed: int = 0) -> list[Arrays]:
    return [inputs_of(case, seed).values for case in CASES]


def off(seed: int = 0, scale: float = U) -> list[Arrays]:
    """The oracle with random relative errors of a given size, the same ones at every call."""
    rng = np.random.default_rng(0)
    return [{key: a * (1 + scale * rng.standard_normal(a.shape)) for key, a in run.items()} for run in exact(seed)]


def synthetic(way: str, runs: list[Arrays]):
    return factors_of("tf_leaf", [Execution(BASE, 0, off()), Execution(way, 0, runs)])


@pytest.mark.parametrize(("way", "scale"), [("worse", TIMES * U), ("better", U / TIMES)])
def test_a_threefold_error_of_either_makes_k_three(way, scale):
    factors = synthetic(way, off(scale=scale))
    assert QUOTIENT(np.array(list(factors.k.values())), np.full(len(factors.k), TIMES)).passes
    assert factors.factor("conv") == factors.k["conv"]
    if way == "worse":
        assert {(row.variant, row.against) for row in factors.evidence if row.ratio > 1} == {(way, BASE)}


def test_executions_without_a_difference_give_one():
    assert set(synthetic("again", off()).k.values()) == {1}


@pytest.mark.parametrize("seed", MOVED)
def test_what_is_moved_is_judged_on_what_was_moved(seed):
    """Against the unmoved oracle the movement itself, a hundred times the error here, would count as error."""
    fine = U / 100
    done = [Execution(BASE, 0, off(scale=fine)), Execution("moved", seed, off(seed, fine))]
    k = factors_of("tf_leaf", done).k
    assert max(k.values()) < TIMES
    unmoved = factors_of("tf_leaf", [done[0], Execution("moved", 0, done[1].runs)]).k
    assert max(unmoved.values()) > TIMES


def test_no_k_comes_from_what_is_not_finite_or_never_errs():
    spoiled = off()
    spoiled[0]["conv"].flat[0] = np.nan
    for runs, named in ((spoiled, "must be finite"), (exact(), "above 0")):
        refused(lambda runs=runs: synthetic("other", runs), ValueError, named)


def test_errors_are_pooled_as_the_criterion_pools_them():
    key = "pool"
    runs = {"one": off(), "other": [{key: a[key].astype(np.float32)} for a in exact()]}
    sizes = {
        name: [{key: (rms(run[key] - a[key]), rms(a[key]))} for run, a in zip(done, exact(), strict=True)]
        for name, done in runs.items()
    }
    ratio = pooled_ratio(key, "one", "other", sizes).ratio
    pool = PooledAccuracy()
    for one, other, a in zip(runs["one"], runs["other"], exact(), strict=True):
        pool.add(one[key], other[key], a[key])
    verdicts = [pool.verdict(k).observed for k in (0, 1)]  # without the reference's error in the bound, and with it
    assert QUOTIENT(np.array([1 / verdicts[1] - 1 / verdicts[0]]), np.array([1 / ratio])).passes


def test_numbers_move_to_a_neighbour_and_zeros_stay():
    values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    values[:10] = 0
    after = executions.moved(values, np.random.default_rng(2))
    assert after.dtype == np.float32
    assert set(np.sign(after - values).tolist()) == {-1, 0, 1}
    assert np.abs(after.view(np.int32) - values.view(np.int32)).max() == 1
    assert not after[:10].any()


def test_moving_changes_the_input_and_nothing_else():
    plain, once, again = (inputs_of(CASES[0], draw) for draw in (0, *MOVED))
    for one, other in ((plain, once), (plain, again), (once, again)):
        assert not np.array_equal(one.x, other.x)
        assert not np.array_equal(one.cotangent, other.cotangent)
        for name, values in one.variables.items():
            assert SAME_BITS(other.variables[name], values).passes, name


def test_every_stage_and_tensor_of_a_reference_has_its_k(reference):
    factors = measure(reference)
    initial = {"mel", "init"}  # no function of audio
    assert set(stages_of(factors.k)) == set(RUNGS[reference].stages) - initial
    named = {name for case in executions.calibration_cases(reference) for name in expected_shapes(case.config)}
    fixed = {name for name in named if "simple_rnn" in name}  # not trained
    assert {name for name in factors.k if property_of(name) == "parameter gradient"} == named - fixed
    assert "input" in factors.k
    for key, k in factors.k.items():
        rows = [row for row in factors.evidence if row.stage == key]
        assert k == max(1, *(row.ratio for row in rows))
        assert np.isfinite(k)
    assert measure(reference) is factors


def test_a_port_many_times_less_accurate_fails_at_every_stage(reference):
    """Ten times: at the windows the criterion's one rounding is twice the reference's own error."""
    factors, runner = measure(reference), Executor(reference)
    good, bad = ({key: PooledAccuracy() for key in factors.k} for _ in range(2))
    for case in executions.calibration_cases(reference):
        inputs = inputs_of(case)
        oracle = inputs.values
        for key, values in runner(inputs, plainly).items():
            good[key].add(values, values, oracle[key])
            bad[key].add(oracle[key] + 10 * (values - oracle[key]), values, oracle[key])
    assert [key for key, pool in good.items() if not pool.verdict(factors.k[key]).passes] == []
    assert [key for key, pool in bad.items() if pool.verdict(factors.k[key]).passes] == []


def test_the_certificate_holds_what_was_executed(reference):
    held = json.loads(json.dumps(measure(reference).as_dict(), allow_nan=False))
    ways = {"graph", "one thread", "oneDNN off"} if reference == "tf_leaf" else set(TORCH_WAYS)
    done = {row["variant"] for row in held["evidence"]}
    assert ways <= done
    assert all(any(f"moved by an ulp ({seed})" in name for name in done) for seed in MOVED)
    assert held["differing"][BASE] == 0
    assert all(changed for name, changed in held["differing"].items() if "moved" in name)
    assert any(held["differing"][way] for way in ways)  # some way that leaves the input alone has other bits


@pytest.mark.parametrize("way", TORCH_WAYS)
def test_every_way_computes_the_same_function(way):
    runner = Executor("og_leaf")
    for case in CASES[:6:5]:
        inputs = inputs_of(case)
        plain, other = runner(inputs, plainly), runner(inputs, TORCH_WAYS[way])
        assert {key: a.shape for key, a in other.items()}.items() <= {k: a.shape for k, a in plain.items()}.items()
        for key, values in other.items():
            scale = np.abs(plain[key]).max()
            assert np.abs(values - plain[key]).max() <= scale * np.sqrt(U), key


@pytest.mark.usefixtures("tensorflow")
def test_a_graph_is_traced_where_one_is_asked_for():
    modules = []

    def prepare(module):
        executions.compiled(module)
        modules.append(module)

    run = Executor("tf_leaf", prepare)(inputs_of(CASES[0]), plainly)
    (module,) = modules
    for layer in (module, module._complex_conv, module._pooling, module._compress_fn, module._compress_fn.ema):
        assert layer.call.experimental_get_tracing_count() > 0
    assert run.keys() == exact()[0].keys()


def test_a_process_of_its_own_brings_back_what_it_computed(tmp_path):
    executions.main(["og_leaf", str(tmp_path / "arrays.npz")])
    runner = Executor("og_leaf")
    for case, run in zip(CASES, executions.load(tmp_path / "arrays.npz"), strict=True):
        here = runner(inputs_of(case), plainly)
        assert run.keys() == here.keys()
        for key, values in here.items():
            assert SAME_BITS(run[key], values).passes, key


def test_arrays_survive_the_way_through_a_file(tmp_path):
    runs: list[Arrays] = [{"PCEN/EMA/smooth": np.arange(3)} for _ in range(11)]
    runs[10]["conv"] = np.ones((2, 3), np.float32)
    executions.save(tmp_path / "x.npz", runs)
    back = executions.load(tmp_path / "x.npz")
    assert len(back) == len(runs)
    assert back[10].keys() == runs[10].keys()
    assert SAME_BITS(back[10]["conv"], runs[10]["conv"]).passes


def test_a_process_that_fails_says_so(tmp_path):
    out = tmp_path / "x.npz"
    with executions.elsewhere("no_such_rung", out) as process:
        refused(lambda: executions.arrays_of(process, out), RuntimeError, "no_such_rung")
