"""``leaf-ladder port init MODULE:CLASS``: a first description, by looking at a module's parameters and submodules.

Everything that is found is written out, to be looked over; what is not is a line that begins with TODO and says what
is allowed. The rung that a port claims to be is the one whose output is the nearest to its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from parity.adapters import canonical
from parity.criteria import norm
from parity.oracle.config import LeafConfig
from parity.ports import detection
from parity.ports.examination import Examination
from parity.ports.layouts import AdapterError
from parity.ports.port import CLAIMS, STAGES, Port

WIDTH = 100  # of a line of the draft


def draft(source: str) -> str:
    """Write the text of a description.

    Args:
        source: ``MODULE:CLASS``.

    Raises:
        ValueError: no such class, or one that cannot be built or run with what is known of its arguments.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    cls = detection.imported(source)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise ValueError(f"source={source!r}: must be a torch.nn.Module class")
    name = source.partition(".")[0].partition(":")[0]
    port, fixed, module, audio = _runs(source, name, cls)
    config = detection.whole(port).config
    found, may_be = detection.parameters(module, config, {})
    missing = [key for key in canonical.expected_shapes(config) if key not in found]
    lines = [
        f'"""{source}, described by leaf-ladder port init: look it over, then leaf-ladder port check this file."""', "",
        "from parity import Port, certify", "", "PORT = Port(",
        f'    "{name}", "{_nearest(port) if not missing else port.claims}",'
        f'  # TODO: the rung that it claims to be, one of {", ".join(CLAIMS)}',
        f'    "{source}", audio="{audio}",', "    parameters={", *_wrapped(found),
    ]  # fmt: skip
    lines += [
        f'        # TODO: "{key}": a key, or None; {" or ".join(may_be.get(key) or may_be[""]) or "nothing is left"}'
        for key in missing
    ]
    extra = [key for key in may_be[""] if not missing]
    lines += [f"        # no part of LEAF: {key}; extra=({key!r},) declares it".replace("'", '"') for key in extra]
    lines += ["    },"]
    seen = {} if missing else _stages(port)
    lines += ["    stages={", *_wrapped(seen)] if seen else []
    if unseen := [stage for stage in STAGES if stage not in seen and stage != "norm"]:
        lines += [
            f'        # TODO, optional: {", ".join(unseen)}: a submodule, "name:input", or a function of module, audio'
        ]
    lines += ["    },"] if seen else []
    lines += [f"    groups={dict(port.groups)},".replace("'", '"')] if port.groups else []
    lines += [f"    configs={fixed},  # what its arguments do not say".replace("'", '"')] if fixed else []
    return "\n".join([*lines, ")", f"Test{cls.__name__} = certify(PORT)", ""])


def _runs(source: str, name: str, cls: type) -> tuple[Port, dict[str, Any], nn.Module, str]:
    """The first description of a class with which it can be built and run."""
    problems = []
    groups = inspect.signature(cls).parameters.get("num_groups")
    claims = ("efficientleaf",) if groups else CLAIMS[:2]
    for claim, held in product(claims, ({}, *({of: getattr(LeafConfig(), of)} for of in ("n_filters", "sample_rate")))):
        port = Port(name, claim, source, configs=held, groups={"num_groups": groups.default} if groups else {})
        try:
            build, fixed = detection.constructor(port)
            config = detection.whole(port).config
            module = build(config).eval()
        except Exception as error:
            problems.append(f"{cls.__name__} raises {type(error).__name__}: {error}")
            continue
        try:
            return port, {**fixed, **held}, module, detection.audio_of(module, config.n_filters, port)
        except AdapterError as error:
            problems.append(str(error))
    raise ValueError(f"source={source!r}: {problems[0]}; describe it with build=lambda config: ...")


def _stages(port: Port) -> dict[str, Any]:
    examination = Examination(port)
    examination.prepare()
    examination.find_misread([examination.expected(examination.telling)])
    return dict(examination.port.stages)


def _nearest(port: Port) -> str:
    """The rung whose output is the nearest to a fresh module's."""
    apart: dict[str, float] = {}
    for claims in (port.claims,) if port.groups else CLAIMS:
        try:
            examination = Examination(replace(port, claims=claims))
            held = examination.expected(examination.telling)
            got = examination.adapter.output(examination.module_of(held.expected, "float32"), held.expected.x)
        except Exception:  # its constructor has no such options
            continue
        wanted = held.stages["output"]
        got = got if got.shape == wanted.shape else np.swapaxes(got, 1, 2)
        apart[claims] = norm(got - wanted) if got.shape == wanted.shape else np.inf
    return min(apart, key=lambda claims: apart[claims])


def _wrapped(given: dict[str, Any]) -> Iterator[str]:
    line = "       "
    for key, value in given.items():
        item = f" {key!r}: {value!r},".replace("'", '"')
        if len(line) + len(item) > WIDTH:
            yield line
            line = "       "
        line += item
    yield line
