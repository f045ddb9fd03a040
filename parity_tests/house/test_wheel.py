"""The wheel: what it holds, and that it works alone, in an empty folder, without TensorFlow."""

from __future__ import annotations

import re
import sys
import zipfile

import pytest

from parity_tests.house.empty import ROOT, build_wheel, install, metadata_of

PACKAGES = {"tf_leaf", "og_leaf", "leaf", "efficientleaf", "parity"}
# torch itself brings jinja2
ABSENT = ("tensorflow", "keras", "rich", "typer", "matplotlib", "soundfile", "pytest", "hypothesis", "h5py",
          "safetensors")  # fmt: skip
AUDIO = "import torch; audio = torch.randn(2, 1600)"
FORWARD = {
    "og_leaf": "from og_leaf import Leaf; y = Leaf(n_filters=4)(audio)",
    "leaf": "from leaf import Leaf; y = Leaf(n_filters=4)(audio)",
    "efficientleaf": "from efficientleaf import EfficientLeaf as Leaf; y = Leaf(4, compression='pcen')(audio)",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the environment is made of symbolic links")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    return install(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_is_called_leaf_ladder_and_runs_anywhere(wheel):
    assert re.fullmatch(r"leaf_ladder-[\d.]+-py3-none-any\.whl", wheel.name)


def test_holds_the_five_packages_and_nothing_else(names):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert {name for name in names if name.split("/")[0] in PACKAGES and not name.endswith((".py", ".typed"))} == {
        f"parity/report/page.{kind}" for kind in ("css", "html", "js")
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert not {name for name in names if "test" in name or "fixtures" in name or "benchmark" in name}


def test_holds_every_module_of_the_source(names):
    modules = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert modules <= names


def test_holds_the_licences(names, wheel):
    with zipfile.ZipFile(wheel) as file:
        (notice,) = (name for name in names if name.endswith("/NOTICE"))
        assert "Apache" in file.read(notice).decode()
    assert any(name.endswith("/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata_of(wheel)


def test_requires_torch_and_numpy_alone(wheel):
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata_of(wheel), re.MULTILINE)
    assert sorted(required) == ["numpy", "torch"]


def test_environment_is_empty(environment):
    code = f"from importlib.util import find_spec; print([name for name in {ABSENT!r} if find_spec(name)])"
    assert environment.prints(code).strip() == "[]"
    where = environment.prints("import parity; print(parity.__file__)").strip()
    assert where.startswith(str(environment.python.parents[1]))


@pytest.mark.parametrize("rung", FORWARD)
def test_rung_runs_and_imports_nothing_beyond_torch_and_itself(environment, rung):
    code = (
        f"import sys, torch, numpy; before = set(sys.modules); import {rung}; "
        "new = {n.split('.')[0] for n in set(sys.modules) - before} - sys.stdlib_module_names; "
        "print(*sorted(new - {'torch', 'numpy'})); "
        f"{AUDIO}; {FORWARD[rung]}; assert y.isfinite().all(); print(*y.shape)"
    )
    allowed = {"efficientleaf": ["efficientleaf", "leaf"]}.get(rung, [rung])
    assert environment.prints(code).split() == [*allowed, "2", "4", "10"]


def test_weights_are_carried(environment):
    code = (
        f"{AUDIO}; import og_leaf, leaf; from parity import convert, load_weights; "
        "below = og_leaf.Leaf(n_filters=4); above = convert(below, 'leaf'); "
        "fresh = leaf.Leaf(n_filters=4, padding='same'); load_weights(fresh, below); "
        "assert torch.equal(fresh(audio), above(audio)); "
        "top = convert(above, 'efficientleaf', padding='centered'); print(tuple(top(audio).shape))"
    )
    assert environment.prints(code).strip() == "(2, 4, 10)"


def test_oracle_needs_numpy_alone(environment):
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from parity.cases.case import Case; from parity.oracle import LeafOracle; "
        "case = Case(); print(LeafOracle(case.config).stages(case.variables(), case.input())['output'].shape)"
    )
    assert environment.prints(code).strip() == "(1, 40, 10)"


def test_parity_itself_imports_nothing_and_has_the_wheels_version(environment, wheel):
    code = "import sys, parity; print({'numpy', 'torch', 'parity.weights'} & set(sys.modules), parity.__version__)"
    assert environment.prints(code).split() == ["set()", wheel.name.split("-")[1]]


def test_tensorflow_that_is_missing_is_named(environment):
    for code in ("import tf_leaf", "import og_leaf, parity; parity.convert(og_leaf.Leaf(n_filters=2), 'tf_leaf')"):
        done = environment.run("-c", code)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named"), done.stderr
        assert "tensorflow" in done.stderr.splitlines()[-1] or "keras" in done.stderr.splitlines()[-1]


def test_command_says_what_it_needs(environment):
    done = environment.run(str(environment.python.parent / "leaf-ladder"), "--help")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["the leaf-ladder command needs typer: python -m pip install typer"]


def test_plugin_is_registered(environment):
    code = "from importlib.metadata import entry_points; print(*(p.value for p in entry_points(group='pytest11')))"
    assert environment.prints(code).split() == ["parity.plugin"]
