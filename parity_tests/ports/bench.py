"""The flawed port with any of its bugs, on a few small cases whose reference and bounds are computed once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from parity.cases.case import Case
from parity.checks.grid import Expected
from parity.ports.__main__ import load
from parity.ports.certifying import sample
from parity.ports.diagnosis import Diagnosis
from parity.ports.examination import Examination, Limits
from parity.ports.port import Port
from parity_tests.ports.flawed import FlawedLeaf

FOLDER = Path(__file__).parent
CERTIFY = FOLDER / "certify_flawed.py"
SMALL = {"sample_rate": (2000, 4000)}
ORIGINAL = {
    "kernel": "_complex_conv._kernel",
    "learnable_pooling/kernel": "_pooling.kernel",
    "PCEN/alpha": "_compress_fn.alpha",
    "PCEN/delta": "_compress_fn.delta",
    "PCEN/root": "_compress_fn.root",
    "PCEN/EMA/smooth": "_compress_fn.ema._weights",
    "tfbanks_preemp/kernel": "_preemp_conv.weight",
    "tfbanks_instancenorm/gamma": "_instance_norm.weight",
    "tfbanks_instancenorm/beta": "_instance_norm.bias",
}
SIMPLIFIED = {
    "kernel": ("filterbank.center_freqs", "filterbank.bandwidths"),
    "learnable_pooling/kernel": "filterbank.pooling_widths",
    "PCEN/alpha": "compression.alpha",
    "PCEN/delta": "compression.delta",
    "PCEN/root": "compression.r",
    "PCEN/EMA/smooth": "compression.s",
}
N_CASES, N_ON_LIMITS, MOST_SAMPLES = 8, 2, 700


@cache
def described() -> Port:
    """The port as its file describes it."""
    return load(CERTIFY, "flawed")


def flawed(bugs: Collection[str], **changes: object) -> Port:
    """The port of ``certify_flawed.py`` with these bugs, on small configurations."""

    def build(config):
        return FlawedLeaf(config.n_filters, config.window, config.stride, config.pcen_floor, bugs)

    return replace(described(), build=build, configs=SMALL, **changes)


@dataclass
class Bench:
    """What every variant of a port is held against.

    Attributes:
        port: a variant; those that are examined show the same stages.
    """

    port: Port

    @cached_property
    def cases(self) -> list[Case]:
        drawn = sample(self.port, N_CASES)
        return [replace(case, n_samples=min(case.n_samples, MOST_SAMPLES)) for case in drawn]

    @cached_property
    def expected(self) -> list[Expected]:
        return [Examination(self.port).expected(case) for case in self.cases]

    @cached_property
    def limits(self) -> list[Limits]:
        return [Examination(self.port).limits(case) for case in self.cases[:N_ON_LIMITS]]

    def examine(self, port: Port) -> Diagnosis:
        """Everything but the behaviour."""
        examination = Examination(port)
        for case, expected in zip(self.cases, self.expected, strict=True):
            examination.run(case, expected)
        for case, limits in zip(self.cases, self.limits, strict=False):
            examination.run_on_limits(case, limits)
        examination.finish()
        return examination.diagnosis()
