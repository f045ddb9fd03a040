"""The flawed port with any of its bugs, on a few small cases whose reference and bounds are computed once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from torch import nn

from parity.cases.case import Case
from parity.ports.certifying import described as described_in
from parity.ports.diagnosis import Diagnosis
from parity.ports.drawing import sample
from parity.ports.examination import Examination
from parity.ports.port import Port
from parity.ports.references import Held, Limits
from parity_tests.ports.flawed import FlawedLeaf

FOLDER = Path(__file__).parent
CERTIFY = FOLDER / "certify_flawed.py"
SMALL = {"sample_rate": (2000, 4000, 11025)}
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
N_CASES, N_ON_LIMITS, MOST_SAMPLES = 6, 1, 500


@cache
def described() -> Port:
    """The port as its file describes it."""
    (port,) = described_in(CERTIFY)
    return port


def flawed(bugs: Collection[str], *changes_of_module, **changes: object) -> Port:
    """The port of ``certify_flawed.py`` with these bugs, on small configurations, its module changed by functions."""

    def build(config) -> nn.Module:
        module = FlawedLeaf(config.n_filters, config.window, config.stride, config.pcen_floor, bugs)
        for change in changes_of_module:
            change(module)
        return module

    return replace(described(), build=build, configs=SMALL, **changes)


@dataclass
class Bench:
    """The reference of every variant of a port.

    Attributes:
        port: a variant; those that are examined show the same stages.
    """

    port: Port

    @cached_property
    def cases(self) -> list[Case]:
        drawn = sample(self.port, N_CASES)
        return [replace(case, n_samples=min(case.n_samples, MOST_SAMPLES)) for case in drawn]

    @cached_property
    def prepared(self) -> Examination:
        examination = Examination(self.port)
        examination.prepare()
        return examination

    @cached_property
    def held(self) -> list[Held]:
        return [self.prepared.expected(case) for case in self.cases]

    @cached_property
    def limits(self) -> list[Limits]:
        return [self.prepared.limits(case) for case in self.cases[:N_ON_LIMITS]]

    def examine(self, port: Port) -> Diagnosis:
        """Stages and gradients, on limits too."""
        examination = Examination(port)
        examination.prepare()
        examination.find_misread(self.held[:4])
        for held in self.held:
            examination.run(held.case, held)
        for limits in self.limits:
            examination.run_on_limits(limits.on.case, limits)
        examination.finish()
        return examination.diagnosis()
