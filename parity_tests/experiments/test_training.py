"""Training learns, goes on after a kill with the same bits, and names where NaN comes from."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from experiments.data import Sound
from experiments.frontends import Bands
from experiments.layouts import data_set
from experiments.network import Config
from experiments.train import app
from experiments.training import NotFinite, Settings, Training, evaluated
from parity_tests.experiments.sounds import RATE, tone, two_classes

ROOT = Path(__file__).parents[2]
SOUND = Sound(RATE, 0.1)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return two_classes(tmp_path_factory.mktemp("tones"))


def training(tones, out, frontend="leaf", **settings) -> Training:
    found = data_set(tones)
    config = Config(2, frontend, "small", Bands.at(RATE, 8))
    given = Settings(**{"epochs": 3, "batch_size": 8, **settings})
    return Training(config, given, SOUND, found.classes, found.split["train"], found.split["validation"], out)


def run(made: Training) -> Training:
    while not made.done:
        made.run_epoch()
    return made


def same(one: Path, other: Path) -> bool:
    first, second = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (one, other))
    weights = all(torch.equal(first["network"][key], second["network"][key]) for key in first["network"])
    moments = all(
        torch.equal(first["optimizer"]["state"][i][key], second["optimizer"]["state"][i][key])
        for i in first["optimizer"]["state"]
        for key in ("exp_avg", "exp_avg_sq", "step")
    )
    return weights and moments and first["rows"] == second["rows"] and torch.equal(first["random"], second["random"])


def test_it_learns_low_from_high(tones, tmp_path):
    made = run(training(tones, tmp_path, epochs=6))
    test = data_set(tones).split["test"]
    assert evaluated(made.network, test, made.classes, SOUND)[1] == 1
    assert made.rows[-1]["train loss"] < made.rows[0]["train loss"] / 2


@pytest.mark.parametrize("frontend", ["leaf", "og_leaf", "efficientleaf, tolerance 1e-3"])
def test_stopped_after_each_epoch_the_bits_are_the_same(frontend, tones, tmp_path):
    run(training(tones, tmp_path / "whole", frontend))
    for n_epochs in (1, 2, 3):
        run(training(tones, tmp_path / "parts", frontend, epochs=n_epochs))
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_another_seed_gives_other_bits(tones, tmp_path):
    run(training(tones, tmp_path / "one", epochs=1))
    run(training(tones, tmp_path / "other", epochs=1, seed=1))
    assert not same(tmp_path / "one", tmp_path / "other")


def test_killed_in_the_middle_the_bits_are_the_same(tones, tmp_path):
    def command(out: str) -> list[str]:
        return [
            *(sys.executable, "-m", "experiments.train", "--data", str(tones), "--out", str(tmp_path / out)),
            *("--seconds", "0.1", "--n-filters", "8", "--batch-size", "4"),
            *("--epochs", "8", "--frontend", "mel"),
        ]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = subprocess.run(command("whole"), cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    child = subprocess.Popen(command("killed"), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "checkpoint.pt").is_file() and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    again = subprocess.run(command("killed"), cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    assert same(tmp_path / "whole", tmp_path / "killed")


def refusal(*given: str) -> str:
    done = CliRunner().invoke(app, [*given, "--epochs", "1", "--seconds", "0.1", "--n-filters", "8"])
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


def test_without_prompts_the_command_says_how_they_are_laid_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "python -m experiments.prompts" in refusal()


def test_a_recording_of_another_rate_than_the_first_is_named(tmp_path):
    data = two_classes(tmp_path / "data", n_clips=3)
    tone(data / "low" / "3.wav", 300, rate=2 * RATE)
    (data / "split.csv").write_text("0,train\n1,validation\n2,test\n3,train\n", encoding="utf-8")
    said = refusal("--data", str(data), "--out", str(tmp_path / "out"), "--frontend", "mel")
    assert f"has {2 * RATE} Hz, must have sample_rate={RATE}" in said


def test_the_log_has_a_line_an_epoch(tones, tmp_path):
    made = run(training(tones, tmp_path, epochs=2))
    with open(tmp_path / "log.csv", encoding="utf-8", newline="") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2]
    assert len(made.rows) == 2


def test_a_folder_of_another_training_is_refused(tones, tmp_path):
    run(training(tones, tmp_path, epochs=1))
    with pytest.raises(ValueError, match="holds a training with other settings"):
        training(tones, tmp_path, "mel")


def test_rung_1_is_projected_after_a_step(tones, tmp_path):
    made = training(tones, tmp_path, "og_leaf", epochs=1)
    kernel = made.network.frontend._complex_conv._kernel
    with torch.no_grad():
        kernel[:, 0] = 4  # beyond pi
    made.run_epoch()
    assert bool((kernel[:, 0] <= torch.pi).all())


def test_the_front_end_has_a_rate_of_its_own_and_both_warm_up(tones, tmp_path):
    made = training(tones, tmp_path, rate=1e-3, frontend_rate_factor=0.5, warmup_steps=3)
    made._set_rates(0)
    assert [group["lr"] * 4 for group in made.optimizer.param_groups] == made.full_rates
    made._set_rates(3)
    assert [group["lr"] for group in made.optimizer.param_groups] == made.full_rates
    assert made.full_rates[1] * 2 == made.full_rates[0]


def test_a_plateau_lowers_the_rate_and_ends_training(tones, tmp_path):
    made = training(tones, tmp_path, epochs=30, patience=1, least_rate=5e-4)
    made.schedule.best = 0.0  # no loss is lower
    run(made)
    assert made.ended
    assert made.epoch == 2


def test_along_a_cosine_the_rate_grows_and_falls_to_nothing(tones, tmp_path):
    made = training(tones, tmp_path, schedule="cosine", epochs=2, warmup_steps=1)
    steps = range(2 * made.n_steps + 1)
    shares = []
    for step in steps:
        made._set_rates(step)
        shares.append(made.optimizer.param_groups[0]["lr"] / made.settings.rate)
    percent = [round(100 * shares[step]) for step in (0, made.n_steps, 2 * made.n_steps)]
    assert percent == [50, 50, 0]
    assert shares[1:] == sorted(shares[1:], reverse=True)


def test_along_a_cosine_the_number_of_epochs_is_part_of_the_training(tones, tmp_path):
    run(training(tones, tmp_path, "mel", schedule="cosine", epochs=1))
    with pytest.raises(ValueError, match="holds a training with other settings"):
        training(tones, tmp_path, "mel", schedule="cosine", epochs=2)


def test_nan_in_evaluation_is_named_with_what_it_came_from(tones, tmp_path):
    made = training(tones, tmp_path, "mel")
    with torch.no_grad():
        made.network.head.bias[0] = torch.inf
    with pytest.raises(NotFinite, match=r"evaluation: head\.bias: not finite"):
        evaluated(made.network, made.validation, made.classes, SOUND)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("compression.delta", torch.nan, "frontend.compression.delta: not finite"),
        ("compression.s", 50, "frontend.compression: its output is not finite, with s in"),
    ],
)
def test_nan_is_named_with_what_it_came_from(where, value, message, tones, tmp_path):
    made = training(tones, tmp_path)
    with torch.no_grad():
        made.network.frontend.get_parameter(where).fill_(value)
    with pytest.raises(NotFinite, match=message):
        run(made)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"rate": 0}, "rate=0"),
        ({"factor": 1}, "factor=1"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"half": True}, "half=True"),
    ],
)
def test_refusals_name_the_argument(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)
