"""Measure on recorded speech how far a public port is from the rung that it claims to be, with the same parameters.

``python -m parity_tests.ports.public.speech NAME COMMIT`` keeps it in ``speech.json``, of the ports of
``certify_NAME.py`` that have LEAF's default configuration; their package must be importable.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import parity
from parity.adapters.layouts import public_port
from parity.adapters.rungs import RUNGS
from parity.oracle.config import LeafConfig
from parity.ports.certifying import described
from parity.ports.examination import Examination
from parity.ports.port import Port
from parity.weights.clip import SPEECH, recorded
from parity_tests.ports.public.record import REPOSITORIES, SPOKEN

HERE = Path(__file__).parent
PORTS = ("denfed", "sarthak", "speechbrain", "efficientleaf-og", "efficientleaf-leaf", "efficientleaf-published")


def measure(port: Port) -> dict[str, dict[str, Any]]:
    """The distances of a fresh port from its rung, and from the rung that is loaded with the port's departures."""
    import torch

    config, x = port.held(LeafConfig(pcen_floor=1e-12)), recorded(SPEECH).samples
    examination = Examination(port)
    examination.prepare()  # finds the axes of the output
    module = examination.adapter.build(config)
    theirs = examination.adapter.output(module, x)
    state = {key: value.numpy() for key, value in module.inner.state_dict().items()}
    known = public_port(state)
    rung = RUNGS[port.claims].load_adapter().build(config, **port.groups)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the paddings, which is what is measured
        parity.load_weights(rung, {key: y * (known is None or key != known.bias) for key, y in state.items()})
        found = {"as it is": _apart(theirs, rung(torch.as_tensor(x)).numpy())}
        if known is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "state.npz"
                np.savez(path, **state)
                wrapped = parity.load(path, wrap=True)
            found["wrapped"] = _apart(theirs, wrapped(torch.as_tensor(x)).numpy())
    return found


def _apart(theirs: np.ndarray, ours: np.ndarray) -> dict[str, Any]:
    """Over the frames that both have: the root mean square of the difference, and the largest, of the rung's own."""
    n = min(theirs.shape[-1], ours.shape[-1])
    a, b = theirs[..., :n].astype(np.float64), ours[..., :n].astype(np.float64)
    return {
        "rms": float(f"{np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)):.2g}"),
        "largest": float(f"{np.abs(a - b).max() / np.abs(b).max():.2g}"),
        "frames": [theirs.shape[-1], ours.shape[-1]],
    }


def record(file: str, commit: str) -> None:
    """Measure the ports of a file and keep it."""
    kept: dict[str, Any] = json.loads(SPOKEN.read_text(encoding="utf-8")) if SPOKEN.exists() else {}
    for port in described(HERE / f"certify_{file}.py"):
        if port.name in PORTS:
            about = {"repository": REPOSITORIES[file][0], "commit": commit, "claims": port.claims}
            kept[port.name] = {**about, "date": date.today().isoformat(), "clip": SPEECH.name, **measure(port)}
    rows = {name: kept[name] for name in PORTS if name in kept}
    SPOKEN.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    record(*sys.argv[1:])
