"""Every argument of every public callable with every kind of value: it works, or it is refused by its name.

Works means: the call returns, and what it makes is used on a small clip, whose features are finite, or refused by name
there. Anything else is a finding: another error, a message that does not name the argument, a case that takes longer
than ``SECONDS`` or more memory than ``MEMORY``.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import resource
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

SECONDS = 10
MEMORY = 500 << 20  # bytes
# what a call names where it is the input that an accepted argument does not fit
INPUTS = ("inputs", "x")


@dataclass(frozen=True)
class Subject:
    """A public callable.

    Attributes:
        name: of it.
        call: the callable itself.
        base: makes arguments with which it works, and which is small.
        use: what is then done with the result; gives an array-like or None.
        left_out: arguments that mean nothing, or are no argument.
    """

    name: str
    call: Callable[..., Any]
    base: Callable[[], Mapping[str, Any]] = dict
    use: Callable[[Any], Any] = lambda made: made
    left_out: tuple[str, ...] = field(default=())

    def arguments(self) -> list[str]:
        """Those of the signature that can be given by name."""
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        found = [p.name for p in inspect.signature(self.call).parameters.values() if p.kind in kinds]
        return [name for name in found if name not in self.left_out]


Use = Callable[[Any], Any]
SMALL = {"n_filters": 2, "sample_rate": 2000}


def shared(
    module: ModuleType, heard: Callable[[int], Use], smoothed: Use, frontend: Use
) -> dict[str, tuple[dict[str, Any], Use]]:
    """The classes of the original as rung 0 or 1 has them: arguments with which they work, and what is done then.

    Args:
        module: the rung.
        heard: what is done with a layer of so many channels.
        smoothed: what is done with a smoother of 3 channels.
        frontend: what is done with a front end.
    """

    def shaped(*shape: int) -> Use:
        return lambda made: made(shape)

    conv, pool = ({"filters": 4, "kernel_size": 9}, heard(1)), ({"kernel_size": 9}, heard(3))
    rows: dict[str, tuple[dict[str, Any], Use]] = {
        **dict.fromkeys(("GaborConv1D", "NormalizedConv1D", "SincConv1D"), conv),
        **dict.fromkeys(("LearnablePooling1D", "ChannelWiseLearnablePooling1D", "MaxPooling1D"), pool),
        **dict.fromkeys(("PCENLayer", "InstanceNormalization", "LayerNormalization", "SpecAugment"), ({}, heard(3))),
        "ExponentialMovingAverage": ({"coeff_init": 0.1}, smoothed), "SquaredModulus": ({}, heard(4)),
        "Leaf": (SMALL, frontend), "MelFilterbanks": ({**SMALL, "max_freq": 900.0}, frontend),
        **dict.fromkeys(("GaborInit", "SincInit"), ({}, shaped(3, 2))),
        "Gabor": ({"n_filters": 3, "window_len": 9}, lambda made: made.gabor_params_from_mels),
    }  # fmt: skip
    for name, (base, use) in rows.items():
        if use is not frontend and "num_channels" in inspect.signature(getattr(module, name)).parameters:
            rows[name] = {**base, "num_channels": 3}, use
    return rows


def cases(subject: Subject, values: Mapping[str, Any], every: int = 1) -> Iterator[tuple[str, str]]:
    """Argument and value; of the values each ``every``-th, another one for each argument."""
    for i, argument in enumerate(subject.arguments()):
        for j, value in enumerate(values):
            if (j + i + len(subject.name)) % every == 0:
                yield argument, value


def finding(subject: Subject, argument: str, value: Any, finite: Callable[[Any], bool]) -> str:
    """Say what is wrong with a case; nothing where it works or is refused by name."""
    named = rf"\b{re.escape(argument)}\b"
    try:
        with _limits(), warnings.catch_warnings():
            warnings.simplefilter("error")
            made = subject.call(**{**subject.base(), argument: value})
            named = rf"\b(?:{'|'.join(map(re.escape, (argument, *INPUTS)))})\b"
            used = subject.use(made)
    except (TypeError, ValueError) as error:
        return "" if re.search(named, str(error)) else f"{type(error).__name__} that names no argument: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if used is None or finite(used) else "not finite"


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Makes an error of what hangs, and of what takes more memory than is allowed."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
