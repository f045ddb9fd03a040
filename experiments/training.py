"""The training loop: an epoch at a time, each from a whole state on disk to the next."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import og_leaf
from experiments.data import Chunks, Clip, Crops, Sound, epoch
from experiments.frontends import is_projected
from experiments.network import AudioClassifier, Config, network
from parity.weights.outputs import replace_file

SCHEDULES = ("plateau", "cosine")


class NotFinite(RuntimeError):
    """Training has met NaN or infinity; the message names the parameter or the part that it came from."""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: at most; at least 1.
        batch_size: clips, at least 2: batch normalisation needs them.
        rate: Adam's learning rate, > 0.
        frontend_rate_factor: of the front end's rate over it, >= 0.
        warmup_steps: over which the rate grows linearly, from its value over ``warmup_steps + 1``.
        schedule: "plateau", as published: the rate is lowered where the validation loss stays; or "cosine": it falls to
            0 along half a cosine over all epochs.
        patience: epochs without a lower validation loss until the rate is lowered.
        factor: by which it is lowered, within (0, 1).
        least_rate: training ends when the rate is below it.
        seed: of order, crops, noise and dropped blocks.
        n_workers: processes that read recordings.
        device: of the network.
        half: encoder and head in bfloat16; on a GPU alone.
    """

    epochs: int = 20
    batch_size: int = 32
    rate: float = 1e-3
    frontend_rate_factor: float = 1.0
    warmup_steps: int = 0
    schedule: str = "plateau"
    patience: int = 10
    factor: float = 0.1
    least_rate: float = 1e-5
    seed: int = 0
    n_workers: int = 0
    device: str = "cpu"
    half: bool = False

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("warmup_steps", 0), ("patience", 0), ("n_workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate={self.rate}: must be above 0 and finite")
        if not 0 <= self.frontend_rate_factor < math.inf:
            raise ValueError(f"frontend_rate_factor={self.frontend_rate_factor}: must be at least 0 and finite")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: must be one of {SCHEDULES}")
        if not 0 < self.factor < 1:
            raise ValueError(f"factor={self.factor}: must be between 0 and 1")
        if self.half and not self.device.startswith("cuda"):
            raise ValueError(f"half={self.half}: must be False on device={self.device!r}")


class Training:
    """A network in training.

    Attributes:
        network: as it is now.
        epoch: whole epochs that are done.
        done: whether there is nothing left to do.
        rows: one an epoch: losses, accuracy and rate, as in ``log.csv``.
        n_steps: of an epoch.

    Args:
        config: of the network.
        settings: see there.
        sound: how clips become inputs.
        classes: names, in the order of the scores.
        train, validation: clips.
        out: folder, made where it is not there, for ``checkpoint.pt`` (the whole state), ``best.pt`` (the network of
            the epoch with the lowest validation loss) and ``log.csv``. What is there goes on.
        data: of the split, as :func:`experiments.data.digest` gives it.

    Raises ValueError where ``out`` holds another training, or a value is not allowed.
    """

    def __init__(
        self,
        config: Config,
        settings: Settings,
        sound: Sound,
        classes: Sequence[str],
        train: Sequence[Clip],
        validation: Sequence[Clip],
        out: Path,
        *,
        data: str = "",
    ) -> None:
        if len(train) < 2:
            raise ValueError(f"train: must have at least 2 clips, has {len(train)}")
        self.settings, self.sound, self.classes, self.out = settings, sound, tuple(classes), out
        self.network = network(config).to(settings.device)
        self.crops = Crops(train, classes, sound, settings.seed)
        self.validation = list(validation)
        n_batches, left = divmod(len(train), settings.batch_size)
        self.n_steps = n_batches + (left > 1 or not n_batches)
        self.epoch, self.ended, self.best = 0, False, math.inf
        self.rows: list[dict[str, Any]] = []
        front = [p for p in self.network.frontend.parameters() if p.requires_grad]
        rest = [*self.network.encoder.parameters(), *self.network.head.parameters()]
        groups = [{"params": rest, "lr": settings.rate}]
        if front:
            groups.append({"params": front, "lr": settings.rate * settings.frontend_rate_factor})
        self.optimizer = torch.optim.Adam(groups)
        if is_projected(self.network.frontend):
            og_leaf.project_after_step(self.optimizer, self.network.frontend)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=settings.factor, patience=settings.patience
        )
        self.full_rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        kept = asdict(settings)
        del kept["n_workers"]
        if settings.schedule == "plateau":
            del kept["epochs"]  # more of them go on from what is there
        what = [config.plain(), kept, asdict(sound), self.classes, data]
        self.identity = json.dumps(what, sort_keys=True)  # of what the bits depend on
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.random = torch.get_rng_state()  # of dropped blocks
        out.mkdir(parents=True, exist_ok=True)
        if (out / "checkpoint.pt").is_file():
            self._resume()

    @property
    def done(self) -> bool:
        return self.ended or self.epoch >= self.settings.epochs

    def run_epoch(self, after_step: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Train for an epoch, evaluate on the validation clips, lower the rate where it is due, and keep the state.

        Args:
            after_step: called after every step.

        Returns the row of the log.
        Raises NotFinite; the state on disk is then that of the epoch before.
        """
        self.network.train()
        total, count = 0.0, 0
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            for x, y in epoch(self.crops, self.epoch, self.settings.batch_size, self.settings.n_workers):
                self._set_rates(self.epoch * self.n_steps + count)
                total += self._step(x.to(self.settings.device), y.to(self.settings.device), count)
                count += 1
                after_step()
            self.random = torch.get_rng_state()
        rate = float(self.optimizer.param_groups[0]["lr"])
        loss, accuracy = evaluated(self.network, self.validation, self.classes, self.sound)
        self.epoch += 1
        if self.settings.schedule == "plateau":
            self.schedule.step(loss)
            self.ended = self.optimizer.param_groups[0]["lr"] < self.settings.least_rate
        row = {
            "epoch": self.epoch,
            "train loss": total / count,
            "validation loss": loss,
            "validation accuracy": accuracy,
            "rate": rate,
        }
        self.rows.append(row)
        if loss < self.best or self.epoch == 1:
            self.best = loss
            _save({"network": self.network.state_dict(), "epoch": self.epoch}, self.out / "best.pt")
        self._keep()
        return row

    def _step(self, x: Tensor, y: Tensor, step: int) -> float:
        self.optimizer.zero_grad()
        on_gpu = torch.autocast("cuda", torch.bfloat16) if self.settings.half else nullcontext()
        with on_gpu:
            loss = cross_entropy(self.network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        norms = [p.grad.norm() for p in self.network.parameters() if p.grad is not None]
        if not math.isfinite(value) or not bool(torch.stack(norms).isfinite().all()):
            raise NotFinite(f"epoch {self.epoch + 1}, step {step + 1}: {culprit(self.network, x)}")
        self.optimizer.step()
        return value

    def _set_rates(self, step: int) -> None:
        warm, falls = self.settings.warmup_steps, self.settings.schedule == "cosine"
        share = min(1.0, (step + 1) / (warm + 1))
        if falls:
            share *= 0.5 * (1 + math.cos(math.pi * step / (self.settings.epochs * self.n_steps)))
        if falls or 0 < warm >= step:  # a plateau's rates are its own after the warm-up
            for group, full in zip(self.optimizer.param_groups, self.full_rates, strict=True):
                group["lr"] = full * share

    def _keep(self) -> None:
        state = {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random,
            "epoch": self.epoch,
            "ended": self.ended,
            "best": self.best,
            "rows": self.rows,
        }
        log = io.StringIO()
        writer = csv.DictWriter(log, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        replace_file(self.out / "log.csv", log.getvalue().encode())
        _save(state, self.out / "checkpoint.pt")

    def _resume(self) -> None:
        saved = torch.load(self.out / "checkpoint.pt", map_location="cpu", weights_only=True)
        if not isinstance(saved, dict) or saved.get("identity") != self.identity:
            raise ValueError(f"out={str(self.out)!r}: holds a training with other settings or data; name another")
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.random, self.epoch, self.ended = saved["random"], saved["epoch"], saved["ended"]
        self.best, self.rows = saved["best"], saved["rows"]


@torch.no_grad()
def evaluated(
    classifier: AudioClassifier, clips: Sequence[Clip], classes: Sequence[str], sound: Sound, seed: int = 0
) -> tuple[float, float]:
    """Loss and accuracy over clips: a clip's scores, and its loss, are the means over its chunks.

    Raises NotFinite for scores that are not.
    """
    classifier.eval()
    device = next(classifier.parameters()).device
    loss, right = 0.0, 0
    for scores, label in _scores(classifier, Chunks(clips, classes, sound, seed), device):
        target = torch.full((len(scores),), label)
        loss += float(cross_entropy(scores, target))
        right += int(scores.mean(0).argmax()) == label
    return loss / len(clips), right / len(clips)


def _scores(
    classifier: AudioClassifier, chunks: Chunks, device: torch.device, at_once: int = 64
) -> Iterator[tuple[Tensor, int]]:
    """Of every clip the scores of its chunks; chunks of several clips go through the network together."""
    waiting: list[tuple[Tensor, int]] = []

    def flush() -> Iterator[tuple[Tensor, int]]:
        audio = torch.cat([parts for parts, _ in waiting])
        sizes = [len(parts) for parts, _ in waiting]
        scores = torch.cat([_finite(classifier, part.to(device)) for part in torch.split(audio, at_once)])
        yield from zip(torch.split(scores, sizes), (label for _, label in waiting), strict=True)
        waiting.clear()

    for index in range(len(chunks)):
        waiting.append(chunks[index])
        if sum(len(parts) for parts, _ in waiting) >= at_once:
            yield from flush()
    if waiting:
        yield from flush()


def _finite(classifier: AudioClassifier, x: Tensor) -> Tensor:
    scores: Tensor = classifier(x).cpu()
    if not bool(scores.isfinite().all()):
        raise NotFinite(f"evaluation: {culprit(classifier, x)}")
    return scores


def culprit(classifier: nn.Module, x: Tensor) -> str:
    """Where NaN or infinity comes from, in words.

    A parameter that is not finite; else the first part whose output is not, with the ranges of its parameters; else the
    parameters whose gradients are not.
    """
    odd = [name for name, p in classifier.named_parameters() if not bool(p.isfinite().all())]
    if odd:
        return f"{', '.join(odd)}: not finite"
    found: list[tuple[str, nn.Module]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, _, output, name=name: (
                found.append((name, module)) if isinstance(output, Tensor) and not output.isfinite().all() else None
            )
        )
        for name, module in classifier.named_modules()
    ]
    try:
        with torch.no_grad():
            classifier(x)
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        name, module = found[0]
        ranges = [f"{n} in [{p.detach().min():.3g}, {p.detach().max():.3g}]" for n, p in module.named_parameters()]
        return f"{name}: its output is not finite" + (f", with {', '.join(ranges)}" if ranges else "")
    odd = [n for n, p in classifier.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    return f"{', '.join(odd) or 'the loss'}: the gradient is not finite"


def _save(state: dict[str, Any], path: Path) -> None:
    held = io.BytesIO()
    torch.save(state, held)
    replace_file(path, held.getvalue())
