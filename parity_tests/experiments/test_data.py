"""Recordings: found, looked over, split, cropped, cut into chunks."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from experiments.data import Chunks, Clip, Crops, Sound, digest, epoch, fewer, folder, looked_over, read, split, starts
from experiments.layouts import data_set
from experiments.prompts import LANGUAGES, SPELLING, WORDS, lay_out
from parity_tests.experiments.sounds import RATE, tone, two_classes

PLAIN = Sound(RATE, 0.1, level=None)


def made(n: int = 100) -> list[Clip]:
    return [Clip(Path(f"{label}/{i}.wav"), label, str(i)) for i in range(n) for label in "ab"]


def test_a_folder_of_classes(tmp_path):
    clips = folder(two_classes(tmp_path, 2))
    assert [(c.path.relative_to(tmp_path).as_posix(), c.label, c.group) for c in clips] == [
        ("high/0.wav", "high", "0"), ("high/1.wav", "high", "1"), ("low/0.wav", "low", "0"), ("low/1.wav", "low", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_is_read(suffix, tmp_path):
    path = tone(tmp_path / f"x.{suffix}", 300)
    samples = read(path, PLAIN)
    spectrum = np.abs(np.fft.rfft(samples))
    assert round(np.argmax(spectrum) * RATE / len(samples) / 100) == 3
    assert looked_over([Clip(path, "a", "b")])[1] == []


def test_files_that_are_no_recordings_are_named_and_counted(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "low" / "nothing.wav").write_bytes(b"")
    (tmp_path / "low" / "text.wav").write_bytes(b"no recording")
    soundfile.write(tmp_path / "low" / "no-samples.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "low" / "silence.wav", np.zeros(100000), RATE)
    whole = tone(tmp_path / "low" / "cut.flac", 300, 20).read_bytes()
    (tmp_path / "low" / "cut.flac").write_bytes(whole[: len(whole) // 2])
    found = data_set(tmp_path)
    reasons = {skipped.path.name: skipped.reason.split(":")[0] for skipped in found.skipped}
    assert reasons == {
        "nothing.wav": "empty", "text.wav": "corrupt", "no-samples.wav": "empty", "silence.wav": "silent",
        "cut.flac": "corrupt",
    }  # fmt: skip
    assert sum(len(clips) for clips in found.split.values()) == 40


def test_a_file_is_not_silent_for_a_late_sample(tmp_path):
    samples = np.zeros(200000)
    samples[-1] = 0.5
    soundfile.write(tmp_path / "late.wav", samples, RATE)
    assert looked_over([Clip(tmp_path / "late.wav", "a", "b")])[1] == []


def test_a_group_is_on_one_side():
    found = split(made())
    groups = [{clip.group for clip in clips} for clips in found.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    assert [len(g) for g in groups] == [70, 10, 20]


def test_a_split_depends_on_its_seed_and_not_on_the_order():
    assert split(made()) == split(made()[::-1])
    assert split(made(), 1) != split(made(), 0)


def test_the_digest_tells_splits_apart():
    first, second = (digest(split(made(), seed), Path()) for seed in (0, 1))
    assert first != second
    assert first == digest(split(made()[::-1], 0), Path())


def test_fewer_clips_of_every_class():
    assert Counter(clip.label for clip in fewer(made(), 7)) == {"a": 7, "b": 7}


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [0]), (10, [0]), (11, [0, 1]), (20, [0, 10]), (25, [0, 10, 15])],
)
def test_chunks_cover_every_sample(length, expected):
    assert starts(length, 10) == expected


@pytest.mark.parametrize(
    ("length", "most", "expected"),
    [(10, 2, [0]), (25, 3, [0, 10, 15]), (50, 2, [10, 30]), (51, 3, [7, 20, 34]), (50, 1, [20])],
)
def test_fewer_chunks_are_spread_over_the_clip(length, most, expected):
    assert starts(length, 10, most) == expected


def test_of_a_long_clip_so_many_chunks_are_evaluated(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 0.5)
    parts, _ = Chunks([Clip(path, "a", "x")], ["a"], Sound(RATE, 0.1, level=None, n_chunks=2))[0]
    samples, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(parts.numpy(), np.stack([samples[800:1600], samples[2400:3200]]))


def test_chunks_hold_the_clip(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 0.25)
    parts, label = Chunks([Clip(path, "a", "x")], ["b", "a"], PLAIN)[0]
    samples, _ = soundfile.read(path, dtype="float32")
    assert label == 1
    assert parts.shape == (3, 800)
    assert np.array_equal(parts.numpy().ravel()[:1600], samples[:1600])
    assert np.array_equal(parts[-1].numpy(), samples[-800:])


def test_a_crop_is_a_part_of_the_clip_and_another_in_each_epoch(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 1)
    samples, _ = soundfile.read(path, dtype="float32")
    places = set()
    crops = Crops([Clip(path, "a", "x")], ["a"], PLAIN)
    for crops.epoch in range(4):
        crop = crops[0][0].numpy()
        (at,) = [i for i in range(len(samples) - 799) if np.array_equal(samples[i : i + 800], crop)]
        places.add(at)
    assert len(places) == 4


def test_a_short_clip_is_padded(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 0.05)
    crop = Crops([Clip(path, "a", "x")], ["a"], PLAIN)[0][0]
    assert bool(crop[:400].any())
    assert not bool(crop[400:].any())


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
@pytest.mark.parametrize("n_workers", [0, 2])
def test_batches_depend_on_seed_and_epoch_alone(n_workers, tmp_path, monkeypatch):
    def refused() -> int:
        raise AssertionError("a process with threads must not fork")

    monkeypatch.setattr(os, "fork", refused, raising=False)
    clips = folder(two_classes(tmp_path, 5))
    found = [
        list(epoch(Crops(clips, ["high", "low"], Sound(RATE, 0.1, noise=10.0), 3), 2, 4, n)) for n in (0, n_workers)
    ]
    for (x, y), (again, labels) in zip(*found, strict=True):
        assert np.array_equal(x.numpy(), again.numpy())
        assert np.array_equal(y.numpy(), labels.numpy())


def test_no_batch_is_of_one_clip(tmp_path):
    crops = Crops(folder(two_classes(tmp_path, 5)), ["high", "low"], PLAIN)
    assert [len(y) for _, y in epoch(crops, 0, 3)] == [3, 3, 3]


def test_noise_has_the_power_that_is_asked_for(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 4)
    clip = Clip(path, "a", "x")
    plain, noisy = (
        Chunks([clip], ["a"], Sound(RATE, 4, level=None, noise=noise))[0][0].numpy() for noise in (None, 6.0)
    )
    decibels = 10 * np.log10(np.mean(plain**2) / np.mean((noisy - plain) ** 2))
    assert round(float(decibels)) == 6


def test_the_level_is_that_of_the_standard_deviation(tmp_path):
    path = tone(tmp_path / "a" / "x.wav", 300, 1)
    x = Chunks([Clip(path, "a", "x")], ["a"], Sound(RATE, 1, level=-20.0))[0][0]
    assert round(float(20 * x.std().log10()), 2) == -20


def test_another_rate_is_refused_by_name(tmp_path):
    path = tone(tmp_path / "x.wav", 300, rate=11025)
    with pytest.raises(ValueError, match=r"x\.wav: has 11025 Hz, must have sample_rate=8000"):
        read(path, PLAIN)


@pytest.mark.parametrize(
    ("layout", "files", "expected"),
    [
        ("speech-commands", ["yes/a1_nohash_0.wav", "no/a1_nohash_1.wav", "_background_noise_/hum.wav"],
         [("no", "a1"), ("yes", "a1")]),
        ("crema-d", ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_IEO_SAD_HI.wav", "AudioWAV/notes.wav"],
         [("ANG", "1001"), ("SAD", "1002")]),
        ("voxforge", ["en/anna-20080101-abc/wav/a1.wav", "joe-20090101-xyz_DE/b2.wav", "xx/anna-1-1/wav/c.wav"],
         [("en", "anna"), ("de", "joe")]),
    ],
)  # fmt: skip
def test_layouts_as_they_are_on_disk(layout, files, expected, tmp_path):
    from experiments.layouts import LAYOUTS

    for file in files:
        tone(tmp_path / file, 300, 0.05)
    assert [(clip.label, clip.group) for clip in LAYOUTS[layout](tmp_path)] == expected


def test_speech_commands_own_lists_are_followed(tmp_path):
    for word in ("yes", "no"):
        for speaker in "abcd":
            tone(tmp_path / word / f"{speaker}_nohash_0.wav", 300, 0.05)
    (tmp_path / "validation_list.txt").write_text("yes/b_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("yes/c_nohash_0.wav\nno/c_nohash_0.wav\n")
    found = data_set(tmp_path, "speech-commands").split
    names = {side: [c.path.relative_to(tmp_path).as_posix() for c in clips] for side, clips in found.items()}
    assert names["validation"] == ["yes/b_nohash_0.wav"]
    assert names["test"] == ["no/c_nohash_0.wav", "yes/c_nohash_0.wav"]
    assert len(names["train"]) == 5


@pytest.fixture
def installed(tmp_path):
    for language in LANGUAGES:
        voice = tmp_path / "sounds" / f"{language}_XX_f_Voice"
        words = (*(f"digits/{word}" for word in WORDS), *(f"phonetic/{word}" for word in SPELLING))
        for name in ("hello", *(f"vm-{n}" for n in range(9)), *words, "silence/1"):
            tone(voice / f"{name}.wav", 300, 0.05)
    return tmp_path / "sounds"


def test_prompts_are_split_by_prompt(installed, tmp_path):
    counts = lay_out(tmp_path / "out", installed)
    found = data_set(tmp_path / "out" / "language")
    assert found.classes == LANGUAGES
    assert counts["language"] == sum(map(len, found.split.values())) == 5 * (10 + len(WORDS) + len(SPELLING))
    names = [{clip.path.stem for clip in clips} for clips in found.split.values()]
    assert not names[0] & names[2]
    assert not names[0] & names[1]


def test_a_voice_is_held_out_for_words(installed, tmp_path):
    lay_out(tmp_path / "out", installed)
    for task, train, test in (("word", {"en", "es", "fr"}, "it"), ("spelling", {"en", "es"}, "fr")):
        found = data_set(tmp_path / "out" / task).split
        voices = {side: {clip.path.stem for clip in clips} for side, clips in found.items()}
        assert voices == {"train": train, "validation": {"ru"}, "test": {test}}


def test_missing_packages_are_named(tmp_path):
    with pytest.raises(ValueError, match="asterisk-core-sounds-en-wav"):
        lay_out(tmp_path / "out", tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: data_set(root / "none"), "must be a folder"),
        (lambda root: data_set(root, "wide"), "layout='wide'"),
        (lambda root: data_set(root), "at least two classes"),
        (lambda root: split(made(), shares=(1, 0, 0)), "shares="),
        (lambda root: split(made(1)), "too few groups"),
        (lambda root: Sound(0), "sample_rate=0"),
        (lambda root: Sound(seconds=0), "seconds=0"),
    ],
)
def test_refusals_name_the_argument(call, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
