"""``leaf-ladder convert``: a file of weights becomes a frontend of a PyTorch rung, and its distance is measured."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.bridges import stored
from parity.bridges.checks import reject_options
from parity.bridges.frontends import FIXED, FrontendConfig, build

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]
RUNGS = ("og_leaf", "leaf", "efficientleaf")
SPEECH = Path(__file__).resolve().parents[1] / "fixtures" / "speech" / "arctic_a0009.wav"
UNSAID = ("sample_rate", "window_len", "window_stride")  # no file of weights says these
UNSAID_OF_MEL = ("n_filters", "n_fft", "min_freq", "max_freq")  # nor these of the frontend that has no variables


@dataclass(frozen=True)
class Carried:
    """What was converted.

    Attributes:
        config: of the source.
        assumed: the settings that neither the file nor the user said.
        shape: of the target's features, [filters, frames].
        difference: the largest between the target's features and the source's, over the source's largest.
        clip: what it was measured on.
        aligned: the same against the source as ``leaf`` with the target's alignment of frames, where it is another.
    """

    config: FrontendConfig
    assumed: dict[str, Any]
    shape: tuple[int, ...]
    difference: float
    clip: str
    aligned: float | None = None

    def lines(self) -> list[str]:
        """For a reader."""
        out = [f"source: {self.config}"]
        if self.assumed:
            out.append(f"assumed, for no file says it: {', '.join(f'{k}={v}' for k, v in self.assumed.items())}")
        size = f"{self.shape[0]} filters, {self.shape[1]} frames"
        out.append(f"difference: {self.difference:.2g} of max|y|, {size}; on {self.clip}")
        if self.aligned is not None:
            out.append(f"of which frames that are aligned otherwise: against leaf with the same, {self.aligned:.2g}")
        return out


def settings_of(text: str | None) -> dict[str, Any]:
    """The settings of ``--config``: a JSON file, or ``name=value,name=value``.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return {}
    try:
        if text.endswith(".json"):
            read = json.loads(Path(text).read_text("utf-8"))
            return dict(read.get("config", read))
        return dict(pair.split("=", 1) for pair in text.split(","))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"config={text!r}: must be a JSON file or name=value,name=value ({error})") from None


def read(source: Path, scope: str | None, given: dict[str, Any]) -> tuple[nn.Module, FrontendConfig, dict[str, Any]]:
    """A file of weights as a module, its configuration, and the settings that were assumed.

    The module is an ``og_leaf`` one; of a state dict of ``leaf`` it is a ``leaf.Leaf``, whose ``padding`` may be given
    too, ``centered`` being assumed.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: the file cannot be read, or its configuration cannot be told; see :func:`infer`.
    """
    from parity.bridges import layouts
    from parity.bridges.inferring import infer
    from parity.bridges.loading import load_weights
    from parity.bridges.own import leaf_of
    from parity.checkpoints import open_file

    contents = open_file(source)
    where = contents.chosen(scope)
    hints, asked, simplified = contents.hints(where), set(given), {}
    if hints.get("rung") == "leaf":
        given = dict(given)
        simplified = {"rung": "leaf", "padding": given.pop("padding", "centered")}
    config = infer(contents.variables(where), hints, given)
    module: nn.Module
    if simplified:
        logs = bool(layouts.holds_logarithms({n: contents.load(key) for n, key in contents.names(where).items()}))
        module = leaf_of(config, simplified["padding"], logs)
    else:
        module = build(config)
    load_weights(module, source, scope=where)
    unsaid = (*UNSAID, *(UNSAID_OF_MEL if config.frontend == "MelFilterbanks" else ()))
    unsaid += ("pcen_floor",) if "pcen" in config.compression else ()
    known = {**FIXED[config.frontend], **given}
    assumed = {name: getattr(config, name) for name in unsaid if name not in known}
    return module, config, {**{n: v for n, v in simplified.items() if n not in asked}, **assumed}


def carry(
    source: Path,
    target: Path,
    to: str,
    settings: dict[str, Any],
    scope: str | None = None,
    options: dict[str, Any] | None = None,
    clip: Path | None = None,
) -> Carried:
    """Convert a file of weights, write the result, and measure it as it is read back.

    Args:
        source: what :func:`parity.load_weights` reads, or a file that this has written.
        target: the ``.safetensors`` file; the configuration is written beside it.
        to: ``og_leaf``, ``leaf`` or ``efficientleaf``.
        settings: of the source, where the file does not say them; see :class:`FrontendConfig`.
        scope: where in the source the frontend stands.
        options: of :func:`parity.convert`.
        clip: a recording to measure on; else the repository's, or a synthesised one.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: the source cannot be read, or the rung cannot hold it; names what. Nothing is written then.
    """
    from parity.bridges.converting import convert

    options = dict(options or {})
    if to not in RUNGS:
        raise ValueError(f"to={to!r}: must be one of {RUNGS}")
    of_leaf = {name: value for name, value in settings.items() if name == "padding"}  # no setting of the original
    settings = {name: value for name, value in settings.items() if name not in of_leaf}
    given = FrontendConfig.of(**settings).as_dict()
    given = {name: given[name] for name in settings}
    if source.suffix == ".safetensors" and stored.beside(source).is_file():
        about = stored.read_about(source)
        module, config = stored.load(source), FrontendConfig.of(**about["config"])
        assumed: dict[str, Any] = {}
        if about["rung"] != "og_leaf":
            raise ValueError(f"source={str(source)!r}: is a {about['rung']}; must be an og_leaf, or what it came from")
        for setting, value in given.items():
            if value != (held := getattr(config, setting)):
                raise ValueError(f"{setting}={value!r}: must be {held!r}, with which {str(source)!r} was written")
    else:
        module, config, assumed = read(source, scope, {**given, **of_leaf})
    if hasattr(module, "padding"):  # of leaf, whose form is kept where the target has it
        pcen: Any = module.compression
        kept = {} if to == "og_leaf" else {"padding": module.padding, "learn_logs": pcen.learn_logs}
        options = {**kept, **options}
        made = convert(module, to, **options)
    else:
        if to == "og_leaf":
            reject_options(to, options)
        made = module if to == "og_leaf" else convert(module, to, **options)
    name, audio = audio_of(clip, config.sample_rate)
    if to == "efficientleaf":  # an exact conversion chose these for the weights
        bank = getattr(made, "frontend", made).filterbank
        options.update({name: getattr(bank, name) for name in ("num_groups", "conv_win_factor", "stride_factor")})
    stored.write(target, made, config, to, {} if to == "og_leaf" else options)
    features = _run(stored.load(target), audio)
    aligned = None
    if options.get("padding") == "centered" != getattr(module, "padding", "same"):
        alike = {option: options[option] for option in ("padding", "wrap") if option in options}
        aligned = _apart(features, _run(convert(module, "leaf", **alike), audio))
    return Carried(config, assumed, features.shape[1:], _apart(features, _run(module, audio)), name, aligned)


def audio_of(clip: Path | None, sample_rate: int) -> tuple[str, Array]:
    """Audio [1, T] in float32 to measure on, and what it is.

    A recording's samples are taken as they are, whatever rate it and the frontend have.

    Raises:
        ValueError: the recording cannot be read.
    """
    path = clip or SPEECH
    if clip is None and not SPEECH.is_file():
        n = np.arange(3 * sample_rate)
        swell = 10.0 ** (2.0 * np.sin(2 * np.pi * n / sample_rate) - 2.5)
        tone = np.sin(np.pi * n * n / (4.0 * len(n)))  # from 0 Hz to a quarter of the rate
        noise = np.random.default_rng(0).standard_normal(len(n))
        return "3 s of a synthesised sweep and noise", (swell * (tone + noise))[None].astype(np.float32)
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{8 * file.getsampwidth()} bits a sample")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise ValueError(f"clip={str(path)!r}: must be a .wav file of 16-bit samples ({error})") from None
    if not len(samples):
        raise ValueError(f"clip={str(path)!r}: must have samples")
    return path.name, (samples[None, :, 0] / 32768).astype(np.float32)


def _apart(features: Array, expected: Array) -> float:
    """The largest difference over the largest value, of the frames that both have."""
    n = min(expected.shape[-1], features.shape[-1])
    return float(np.abs(features[..., :n] - expected[..., :n]).max() / np.abs(expected).max())


def _run(module: nn.Module, audio: Array) -> Array:
    import torch

    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad():
        features: Array = module(torch.as_tensor(audio, dtype=dtype)).numpy()
    return features
