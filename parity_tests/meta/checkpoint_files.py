"""The recorded checkpoints, and frontends to load them into."""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.checks.grid import FORWARD, FORWARD_NORM
from parity.criteria import OfMax
from parity.weights.frontend_config import FrontendConfig, build

FOLDER = Path(__file__).parents[2] / "fixtures" / "checkpoints"
SETTINGS = {"n_filters", "sample_rate", "window_len", "window_stride", "conv1d_cls", "pooling_cls", "preemp",
            "mean_var_norm", "n_fft", "max_freq"}  # fmt: skip


@cache
def manifest() -> dict[str, Any]:
    """Read the list of the recorded files."""
    return dict(json.loads((FOLDER / "manifest.json").read_text("utf-8")))


SUBJECTS = tuple(manifest()["subjects"])


def digests() -> dict[str, str]:
    """The SHA-256 of every file that is there."""
    found = (path for path in FOLDER.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def sources(name: str) -> list[Path]:
    """The files of weights of a subject: checkpoint prefixes and Keras files."""
    files = sorted((FOLDER / name).iterdir())
    return [path.with_suffix("") if path.suffix == ".index" else path for path in files
            if path.suffix in (".index", ".h5")]  # fmt: skip


FILES = [(name, path.name) for name in SUBJECTS for path in sources(name)]


@lru_cache(maxsize=2)
def arrays(name: str) -> dict[str, np.ndarray]:
    """Input, output and variables of a subject, by the original's names."""
    with np.load(FOLDER / name / "arrays.npz", allow_pickle=False) as file:
        return dict(file)


def variables(name: str) -> dict[str, np.ndarray]:
    """The variables by the original's names."""
    return {key.removeprefix("variables/"): a for key, a in arrays(name).items() if key.startswith("variables/")}


def config(name: str) -> FrontendConfig:
    """The configuration that the manifest tells."""
    entry = manifest()["subjects"][name]
    settings = {key: value for key, value in entry["settings"].items() if key in SETTINGS}
    given = entry["settings"].get("compression_fn", "its own")
    if isinstance(given, dict):
        learned = "pcen" if given.get("per_channel_smooth_coef") else "shared_pcen"
        settings["compression"] = learned if given.get("learn_smooth_coef") else "fixed_pcen"
        settings["pcen_floor"] = given.get("floor", 1e-6)
    elif given != "its own":
        settings["compression"] = given or "none"
    return FrontendConfig.of(frontend=entry["frontend"], **settings)


def torch_frontend(name: str) -> Any:
    """A fresh ``og_leaf`` module for a subject."""
    return build(config(name))


def tensorflow_frontend(name: str) -> Any:
    """A fresh ``tf_leaf`` module for a subject."""
    import keras

    import tf_leaf

    entry = manifest()["subjects"][name]
    settings = dict(entry["settings"])
    for argument in ("conv1d_cls", "pooling_cls"):
        if argument in settings:
            found = settings[argument]
            settings[argument] = keras.layers.Conv1D if found == "Conv1D" else getattr(tf_leaf, found)
    given = settings.get("compression_fn")
    if isinstance(given, dict):
        settings["compression_fn"] = tf_leaf.PCENLayer(**given)
    return getattr(tf_leaf, entry["frontend"])(**settings)


def criterion(name: str) -> OfMax:
    """The criterion for the recorded output; wider where a norm divides by a standard deviation."""
    settings = config(name)
    return FORWARD_NORM if settings.mean_var_norm or settings.compression == "layer_norm" else FORWARD


def gives_the_output(module: Any, name: str) -> None:
    """A PyTorch frontend has the recorded output of a subject."""
    recorded = arrays(name)
    with torch.no_grad():
        output = module(torch.from_numpy(recorded["input"])).numpy().transpose(0, 2, 1)
    assert output.shape == recorded["output"].shape
    verdict = criterion(name)(output, recorded["output"])
    assert verdict.passes, verdict
