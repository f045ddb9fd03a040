"""Rung 3 in groups against the oracle's own plan and geometry, and what the settings must reach for that."""

from __future__ import annotations

import numpy as np
import pytest

from parity.adapters import canonical
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.checks.grid import Context
from parity.checks.plans import EDGES, PUBLISHED, SEEDS, Setting, certain, differing, expected, plans, projection
from parity.criteria import Exactly

EXACTLY = Exactly("one number differs")


def test_plans_energies_and_projections_are_the_oracles(ledger):
    for measurement in plans():
        ledger.check(measurement)


@pytest.mark.parametrize("setting", PUBLISHED, ids=str)
def test_nothing_of_the_initial_weights_stands_within_rounding_of_a_threshold(setting):
    adapter = EfficientLeafAdapter()
    variables = adapter.read(adapter.build(setting.config, **setting.options))
    assert all(certain(setting, variables, setting.geometry(variables), "float32"))


@pytest.mark.parametrize("setting", [*PUBLISHED, *EDGES], ids=str)
def test_most_groups_are_decided(setting):
    drawn = [setting.draw(seed) for seed in SEEDS]
    decided = [c for variables in drawn for c in certain(setting, variables, setting.geometry(variables), "float32")]
    assert 2 * sum(decided) > len(decided)


def test_settings_reach_long_strides_several_kernels_and_single_groups():
    geometries = [expected(setting, seed).oracle.geometry for setting in EDGES for seed in SEEDS]
    groups = [g for geometry in geometries for g in geometry.groups]
    strides = {g.conv_stride for g in groups}
    assert {1, 2} < strides
    assert any(g.pool_stride == 1 for g in groups)
    assert any(len({g.kernel_size for g in geometry.groups}) > 1 for geometry in geometries)
    assert any(len(geometry.groups) == 1 and geometry.groups[0].conv_stride > 1 for geometry in geometries)


def test_weights_lie_on_both_sides_of_every_limit():
    drawn = [(setting.geometry(setting.draw(seed)).box, setting.draw(seed)) for setting in EDGES for seed in SEEDS]
    mu, sigma = (np.concatenate([v[canonical.KERNEL][:, i] for _, v in drawn]) for i in (0, 1))
    assert mu.min() < 0 < np.pi < mu.max()
    assert any((v[canonical.KERNEL][:, 1] < box.sigma_low).any() for box, v in drawn)
    assert any((v[canonical.KERNEL][:, 1] > box.sigma_high).any() for box, v in drawn)
    assert any((v[canonical.POOLING] < box.width_low).any() for box, v in drawn)
    assert sigma.min() > 0


def test_every_learned_variable_is_projected_or_left():
    measured = {m.stage for m in projection(Setting(5, 5))}
    assert measured == {
        canonical.KERNEL,
        canonical.POOLING,
        canonical.ALPHA,
        canonical.DELTA,
        canonical.ROOT,
        canonical.SMOOTH,
    }


def test_a_group_on_a_threshold_is_decided_in_no_precision():
    setting = Setting(2, 2, 4.0, 1.0)
    variables = {name: value.astype(np.float64) for name, value in setting.draw(0).items()}
    variables[canonical.KERNEL] = np.array([[np.pi / 2, 8.3], [1.1, 8.0]])
    for dtype in ("float32", "float64"):
        assert certain(setting, variables, setting.geometry(variables), dtype) == [False, False]


def test_a_plan_that_differs_is_counted():
    setting = Setting(2, 2, 4.0, 1.0)
    groups = setting.geometry(setting.draw(0)).groups
    other = [(g.start, g.stop, g.kernel_size + 2, g.conv_stride, g.window_size, g.pool_stride) for g in groups]
    context = Context("efficientleaf", "oracle", "plans", "", "")
    measured = differing(context, [(other, groups, [True, False])])
    assert EXACTLY(measured.observed, 1).passes
    assert "1 groups decided, 1 within" in measured.reason
    assert not measured.holds
