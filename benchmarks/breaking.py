"""Trains PCEN with linear and with logarithmic parameters on long audio, and reports which ends in NaN, and why.

``python -m benchmarks.breaking`` writes ``benchmarks/results/breaking.json``, ``docs/breaking.png`` and the tables of
``docs/where-the-original-breaks.md``. With ``--audio FOLDER`` it trains on that folder's wav files, and only prints.

Energies of the initial filterbank go through PCEN and a linear layer, both trained from a seed, on a piece drawn anew
at every step. Tasks: ``energy``, each band's log energy one frame ahead (squared error, targets of deviation 1);
``speech``, whether the frame is one (cross entropy). Linear: ``og_leaf.PCENLayer``, its loop over frames replaced by
leaf's scan but where it says "own loop". Logarithmic: ``leaf.PCEN(learn_logs=True)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import soundfile
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F

import leaf
import og_leaf
from benchmarks import breaking_report

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "fixtures" / "speech" / "arctic_a0009.wav"
N_BANDS, RATE, FRAMES_PER_S = 40, 16000, 100
FORMS = ("linear", "log")
START: dict[str, float] = {"s": 0.04, "alpha": 0.96, "delta": 2.0, "r": 0.5}


@dataclass(frozen=True)
class Setting:
    """What is trained how, on pieces of which length.

    Attributes:
        task: ``energy`` or ``speech``.
        optimiser: ``Adam`` or ``SGD``, without momentum.
        rate: learning rate.
        seconds: of a piece.
        steps: at most; a run ends at its first NaN or infinity.
        loss: ``mean`` or ``sum`` over the frames.
        learned: ``all`` four parameters, or ``s fixed``: alpha, delta and r.
        runs: how many, each with its own seed.
        own_loop: the original's loop over frames, without the scan.
        pieces: a step, each from its own first frame on.
    """

    task: str
    optimiser: str
    rate: float
    seconds: int
    steps: int
    loss: str = "mean"
    learned: str = "all"
    runs: int = 3
    own_loop: bool = False
    pieces: int = 1


SETTINGS = (
    *(Setting("energy", "Adam", 1e-2, seconds, 800) for seconds in (1, 10, 40)),
    *(Setting("speech", "Adam", 1e-2, seconds, 800) for seconds in (1, 10, 40)),
    *(Setting("speech", "Adam", 1e-2, seconds, 800, learned="s fixed", runs=2) for seconds in (1, 10, 40)),
    # what does it, the length or the number of frames a step?
    Setting("speech", "Adam", 1e-2, 1, 800, learned="s fixed", runs=2, pieces=10),
    Setting("energy", "Adam", 1e-2, 1, 800, runs=2, pieces=10),
    Setting("energy", "Adam", 1e-2, 10, 800, runs=1, own_loop=True),
    Setting("energy", "Adam", 1e-2, 1, 2500, runs=2),
    Setting("energy", "Adam", 1e-3, 10, 4000, runs=1),
    *(Setting("energy", "SGD", 1e-1, seconds, 300, runs=2) for seconds in (1, 10, 40)),
    *(Setting("energy", "SGD", 1e-4, seconds, 300, loss="sum", runs=2) for seconds in (1, 10, 40)),
)


@dataclass
class Run:
    """What was seen of one training run.

    Attributes:
        delta: the smallest delta of all bands after each step.
        gradient: the largest L2 norm of the gradient to the parameter that holds delta.
        loss: of the last step.
        failed: the first step with a NaN or infinity in loss, gradients or parameters; None if there was none.
        cause: what was outside of its domain then.
    """

    delta: list[float] = field(default_factory=list)
    gradient: float = 0.0
    loss: float = math.nan
    failed: int | None = None
    cause: str = ""


class Audio(NamedTuple):
    """Energies [C, frames], their targets (log, normalised, of the same shape) and which frames are speech, 1 or 0."""

    energies: Tensor
    targets: Tensor
    speech: Tensor

    @classmethod
    def of(cls, clips: Sequence[np.ndarray], seconds: int = 100) -> Audio:
        """Clips in turn, at 0 to -20 dB, with 0.5 to 3 s of silence after each; ``seconds`` of it."""
        rng = np.random.default_rng(0)
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < seconds * RATE:
            clip = clips[len(parts) // 2 % len(clips)]
            parts += [10 ** rng.uniform(-1, 0) * clip, np.zeros(int(RATE * rng.uniform(0.5, 3)))]
        audio = np.concatenate(parts)[: seconds * RATE].astype(np.float32)
        bank = og_leaf.Leaf(n_filters=N_BANDS, compression_fn=None)
        with torch.no_grad():
            pieces = [bank(torch.from_numpy(piece)[None]) for piece in np.split(audio, seconds // 10)]
        energies = torch.cat(pieces, -1)[0]
        level, logs = energies.sum(0), energies.log()
        targets = (logs - logs.mean(-1, keepdim=True)) / logs.std(-1, keepdim=True)
        return cls(energies, targets, (level > 0.01 * level.max()).float())


def compressor(form: str, own_loop: bool = False) -> leaf.PCEN | og_leaf.PCENLayer:
    """PCEN as LEAF starts it, in either form of its parameters."""
    if form == "log":
        return leaf.PCEN(
            N_BANDS, s=START["s"], alpha=START["alpha"], delta=START["delta"], r=START["r"], eps=1e-12, learn_logs=True
        )
    return og_leaf.PCENLayer(
        N_BANDS, alpha=START["alpha"], smooth_coef=START["s"], delta=START["delta"], root=1 / START["r"], floor=1e-12,
        trainable=True, learn_smooth_coef=True, per_channel_smooth_coef=True,
        scan=None if own_loop else leaf.exponential_moving_average,
    )  # fmt: skip


def acting(pcen: Any) -> dict[str, Tensor]:
    """s, alpha, delta and r [C] as they act: out of the logarithm, or clamped as the original clamps."""
    if isinstance(pcen, leaf.PCEN):
        values = pcen.parameters_linear()
    else:
        values = (pcen.ema._weights.clamp(0, 1), pcen.alpha.clamp(max=1), pcen.delta, 1 / pcen.root.clamp(min=1))
    return {name: value.detach().clone() for name, value in zip(START, values, strict=True)}


def train(setting: Setting, form: str, audio: Audio, seed: int) -> Run:
    """One run."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    pcen = compressor(form, setting.own_loop)
    head = nn.Linear(N_BANDS, N_BANDS if setting.task == "energy" else 1)
    held = {"all": (), "s fixed": ("s", "ema._weights")}[setting.learned]
    parameters = {name: p for name, p in pcen.named_parameters() if name not in held}
    every = [*parameters.values(), *head.parameters()]
    optimiser: Any = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}[setting.optimiser](every, lr=setting.rate)
    n, run = setting.seconds * FRAMES_PER_S, Run()
    for step in range(setting.steps):
        starts = torch.randint(0, audio.energies.shape[-1] - n + 1, (setting.pieces,), generator=draw)
        x, targets, speech = (torch.stack([values[..., i : i + n] for i in starts.tolist()]) for values in audio)
        before, answers = acting(pcen), head(pcen(x).mT)
        if setting.task == "energy":
            loss = F.mse_loss(answers[:, :-1], targets.mT[:, 1:], reduction=setting.loss)
        else:
            loss = F.binary_cross_entropy_with_logits(answers[..., 0], speech, reduction=setting.loss)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in every if p.grad is not None]
        optimiser.step()
        run.loss = loss.item()
        if not (math.isfinite(run.loss) and all(values.isfinite().all() for values in (*every, *gradients))):
            run.failed, run.cause = step, _cause(before, x, run.loss)
            run.delta.append(before["delta"].min().item())
            break
        run.gradient = max(run.gradient, gradients[list(parameters).index("delta")].norm().item())
        run.delta.append(acting(pcen)["delta"].min().item())
    return run


def _cause(before: dict[str, Tensor], x: Tensor, loss: float) -> str:
    """What the parameters of the failing step had that PCEN's domain has not."""
    s, alpha, delta, _ = (before[name].double() for name in START)
    if (delta < 0).any():
        return "delta below 0"
    smoothed = leaf.exponential_moving_average(x.double(), s, x[..., 0].double())
    if (smoothed < 0).any():
        return "s above 1, smoother below 0"
    if (alpha < 0).any():
        return "alpha below 0, overflow"
    return "overflow of the gradient" if math.isfinite(loss) else "overflow"


def row(setting: Setting, form: str, runs: Sequence[Run]) -> dict[str, Any]:
    """The record's row of a setting's runs in one form."""
    failed = [run.failed for run in runs if run.failed is not None]
    return {
        "task": setting.task,
        "optimiser": f"{setting.optimiser} {setting.rate:g}" + (", own loop" if setting.own_loop else ""),
        "loss": setting.loss,
        "learned": setting.learned,
        "audio a step": f"{setting.pieces} x {setting.seconds} s" if setting.pieces > 1 else f"{setting.seconds} s",
        "steps": setting.steps,
        "parameters": form,
        "runs": len(runs),
        "ended in NaN": len(failed),
        "NaN at step": ", ".join(map(str, sorted(failed))),
        "because": "; ".join(sorted({run.cause for run in runs if run.cause})),
        "least delta": float(f"{min(min(run.delta) for run in runs):.3g}"),
        "largest gradient to delta": float(f"{max(run.gradient for run in runs):.3g}"),
        "last loss": ", ".join(f"{run.loss:.3g}" for run in runs if run.failed is None),
    }


def clips_of(folder: Path | None) -> list[np.ndarray]:
    """The committed clip, or every wav file of a folder, float32 at 16 kHz, the first channel.

    Raises ValueError for a folder without any and for another sampling rate; names it.
    """
    clips = []
    for path in [CLIP] if folder is None else sorted(folder.glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != RATE:
            raise ValueError(f"audio={str(path)!r}: sampled at {rate} Hz, must be {RATE} Hz")
        clips.append(samples[:, 0])
    if not clips:
        raise ValueError(f"audio={str(folder)!r}: must hold wav files")
    return clips


def main(
    audio: Annotated[Path | None, typer.Option(help="a folder of 16 kHz wav files; then only prints")] = None,
) -> None:
    """Train, print, and write record, plot and page."""
    torch.set_num_threads(1)
    energies, rows, curves = Audio.of(clips_of(audio)), [], {}
    for setting in SETTINGS:
        for form in FORMS[:1] if setting.own_loop else FORMS:
            runs = [train(setting, form, energies, seed) for seed in range(setting.runs)]
            rows.append(row(setting, form, runs))
            curves[setting, form] = [(run.delta, run.failed is not None) for run in runs]
            print(" | ".join(map(str, rows[-1].values())), flush=True)
    if audio is None:
        shown = {(s.task, s.seconds, form): runs for (s, form), runs in curves.items() if s in SETTINGS[:6]}
        breaking_report.write(ROOT, rows, shown)


if __name__ == "__main__":
    typer.run(main)
