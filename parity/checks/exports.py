"""Rungs 2 and 3 as compiled and exported graphs: each is one more candidate, held against the oracle and against eager.

What an engine made of a graph computes is judged as a rung is: value by value under the running-error bound, and
against the eager module within what one rounding an operation makes of both. ``python -m parity.checks.exports``
does it for as many drawn configurations as are asked for.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

import efficientleaf
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.adapters.leaf import LeafAdapter
from parity.checks.compressions import NORM_OWN, CompressionProbe, EnergyDraw, Normalised
from parity.checks.executions import quiet
from parity.checks.grid import Context, Expected
from parity.checks.plans import Setting
from parity.criteria import OfMax, peak, soundness, status, unit_roundoff, within_rounding
from parity.oracle import SIMPLIFIED
from parity.oracle.compression import log1p, subtract_median
from parity.report.claims import Measurement

DOMAIN = "graphs, drawn settings and lengths"
ENGINES = ("aot_eager", "inductor", "torch.export", "ONNX Runtime")
LENGTHS = {"aot_eager": 6, "inductor": 7}  # every so many: another number of levels in PCEN's scan is compiled anew
U = unit_roundoff("float32")
# both bounds are for every weight, and wide where energies are gained up; these weights leave it at a few roundings
ENGINE = OfMax(
    4e-6, "another engine's exponentials, powers and sums: four times the limit of what is the same in float32"
)
Run = Callable[[Tensor], np.ndarray]


@dataclass(frozen=True)
class Subject:
    """A front end to make a graph of, in evaluation and with its plan frozen.

    Attributes:
        rung: ``leaf`` or ``efficientleaf``.
        setting: its arguments; for ``leaf`` the groups mean nothing.
        compression: ``pcen`` or, of ``efficientleaf``, ``logtbn``.
        padding: of ``leaf``.
        seed: of the weights.
    """

    rung: str
    setting: Setting = Setting(5, 2, 6.0, 16.0)  # noqa: RUF009 - frozen
    compression: str = "pcen"
    padding: str = "centered"
    seed: int = 0

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """By canonical names."""
        return self.setting.draw(self.seed)

    @cached_property
    def module(self) -> torch.nn.Module:
        """Built, filled and frozen."""
        config = replace(self.setting.config, padding=self.padding)
        if self.rung == "leaf":
            leaf: torch.nn.Module = LeafAdapter().filled(config, self.weights)
            return leaf.eval()
        module: Any = EfficientLeafAdapter().filled(config, self.weights, **self.setting.options)
        if self.compression == "logtbn":
            n = self.setting.n_filters
            module.compression = efficientleaf.LogTBN(n, True, 5, True, True, True, True)
            probe = CompressionProbe(EnergyDraw(self.seed, 1, n, 1), "float32")
            probe.fill_norm(module.compression.TBN.bn)
        return module.eval().freeze()  # type: ignore[no-any-return]

    def lengths(self) -> tuple[int, ...]:
        """Samples: around a hop and a window, and longer; the first is what is traced."""
        hop, window = self.setting.config.stride, self.setting.config.window
        return (7 * hop + 3, 1, hop - 1, hop, hop + 1, window, 12 * hop)

    def audio(self, n_samples: int, batch: int) -> Tensor:
        """Noise, [batch, n_samples]."""
        rng = np.random.default_rng([self.seed, n_samples, batch])
        return torch.from_numpy(rng.uniform(-1, 1, (batch, max(n_samples, 1))).astype(np.float32))

    def expected(self, x: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The oracle's output, its running error, and what one rounding an operation makes of it."""
        config = replace(self.setting.config, padding=self.padding)
        # efficientleaf has its own plan; whether that is right is not asked here
        adapter = EfficientLeafAdapter() if self.rung == "efficientleaf" else LeafAdapter()
        geometry = adapter.geometry(self.module, config)
        right = Expected(config, self.weights, x.numpy(), x.numpy(), conventions=SIMPLIFIED, geometry=geometry)
        right.cotangent = np.zeros_like(right.stages["output"])
        errors, rounding = right.errors("float32"), right.rounding("float32")
        if self.compression == "pcen":
            return right.stages["output"], errors["output"], rounding["output"]
        pool = right.stages["pool"]
        value, counted = self._log_tbn(pool, errors["pool"])
        return value, counted, self._log_tbn(pool, rounding["pool"])[1]

    def _log_tbn(self, pool: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-TBN of energies that are off by so much."""
        compression: Any = self.module.compression
        a = compression.log1p.a.detach().double().numpy()
        state = {name: v.double().numpy() for name, v in compression.TBN.bn.state_dict().items()}
        logs, scale = log1p(pool, a), 10 ** a[:, np.newaxis]
        probe = CompressionProbe(EnergyDraw(self.seed, 1, len(a), 1), "float32")
        own = probe.of_log(a) + 4 * U  # a logarithm by 4 roundings more
        given = scale * off / (1 + scale * (pool - off).clip(0)) + own * logs
        rows = np.concatenate([logs, subtract_median(logs)], axis=1)
        filtered = given + given.max(axis=-1, keepdims=True) + U * np.abs(rows[:, len(a) :])
        stage = Normalised(rows, state, False)
        error = NORM_OWN * U * stage.sizes() + stage.moved(np.concatenate([given, filtered], axis=1))
        shape = (pool.shape[0], 2, *pool.shape[1:])
        return stage.value().reshape(shape), error.reshape(shape)

    def __str__(self) -> str:
        return f"{self.compression},padding={self.padding},seed={self.seed},{self.setting}"


def graph(subject: Subject, engine: str) -> Run:
    """One graph for every batch and length, as an engine runs it."""
    module = subject.module
    x = subject.audio(subject.lengths()[0], 2)
    if engine in ("aot_eager", "inductor"):
        torch._dynamo.reset()
        compiled = torch.compile(module, fullgraph=True, backend=engine)
        return lambda x: np.asarray(compiled(x).numpy())
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("samples")},)
    if engine == "torch.export":
        program = torch.export.export(module, (x,), dynamic_shapes=shapes).module()
        return lambda x: np.asarray(program(x).numpy())
    onnxruntime = importlib.import_module("onnxruntime")
    exported = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert exported is not None
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x.numpy()})[0])


def graphs(subject: Subject, engine: str) -> Iterator[Measurement]:
    """An engine's outputs of a front end, at every length."""
    with torch.no_grad(), quiet("torch.onnx"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of what it does itself, and logs what it lacks
        run = graph(subject, engine)
        for i, n_samples in enumerate(subject.lengths()[:: LENGTHS.get(engine, 1)]):
            x = subject.audio(n_samples, 1 + i % 3)
            yield from judged(subject, engine, x, run(x), subject.module(x).numpy())


def judged(subject: Subject, engine: str, x: Tensor, got: np.ndarray, eager: np.ndarray) -> Iterator[Measurement]:
    """An output against the oracle's and against eager's."""
    case = f"{engine}: {tuple(x.shape)},{subject}"
    again = f"pytest parity_tests/rungs/test_exports.py -m {subject.rung}"
    context = Context(subject.rung, "eager", DOMAIN, case, again)
    value, error, rounding = subject.expected(x)
    same = status(got, eager)
    yield context.measurement("output", "status", same, "rounding")
    if same.passes:
        yield context.measurement("output", "forward", soundness(got, value, error), "rounding")
        yield context.measurement("output", "forward", within_rounding(got, eager, rounding, peak), "rounding")
        yield replace(context, domain=f"{DOMAIN}, of the largest").measurement(
            "output", "forward", ENGINE(got, eager), "rounding"
        )


def drawn(rung: str, seed: int) -> Subject:
    """Draw a subject of any rate, window, hop, groups and compression."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    setting = Setting(
        n, int(rng.integers(1, n + 1)), float(rng.choice([2.0, 4.77, 6.0])), float(rng.choice([0.5, 1.0, 16.0])),
        int(rng.choice([2000, 4000, 8000, 11025, 16000])), float(rng.choice([25.0, 16.0, 8.5])),
        float(rng.choice([10.0, 5.0, 12.5])),
    )  # fmt: skip
    compression = "logtbn" if rung == "efficientleaf" and rng.random() < 0.5 else "pcen"
    # "same" where a window is no shorter than a hop: there its zeros are a plain function of the length
    same = rung == "leaf" and setting.window_len >= setting.window_stride and rng.random() < 0.5
    return Subject(rung, setting, compression, "same" if same else "centered", seed)


def main(n: int = 20) -> None:
    """Print the largest of every criterion over ``n`` drawn front ends a rung."""
    worst: dict[tuple[str, str, str], Measurement] = {}
    for seed in range(n):
        for rung in ("leaf", "efficientleaf"):
            for engine in ENGINES[2:]:
                for m in graphs(drawn(rung, seed), engine):
                    key = rung, engine, f"{m.criterion}{' of the largest' if m.bound == ENGINE.limit else ''}"
                    if key not in worst or not m.observed <= worst[key].observed:
                        worst[key] = m
    for (rung, engine, criterion), m in sorted(worst.items()):
        print(f"{rung}, {engine}, {criterion}: {m.observed:.3g} of {m.bound:g} ({m.case})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
