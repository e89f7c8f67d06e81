"""A small generator beside a frozen wide one, trained by the real loop: distilled from it, or pruned from it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.configuration.convert import load_config
from anycost.interchange.locating import open_generator
from anycost.interchange.weights import generator_header, generator_tensors, read_weights, write_weights
from anycost.loggers.table import read_rows
from anycost.metrics.records import read_measurements
from anycost.networks.embedded import EmbeddedNetwork
from anycost.networks.generator import Generator
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.runs import RunDir
from anycost.sampling import sample
from anycost.stages.planning import LatentDraws
from anycost.training.stage_run import build_stage

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]
Refused = Callable[..., str]
BOTH = pytest.mark.parametrize("stage", ["distill", "prune"])
CONSISTENCY = ["metrics=default", "metrics.names=[consistency]", "metrics.samples=9", "metrics.every_kimg=0.024"]


# ---- what must not change the result


@BOTH
def test_halves_equal_the_whole_without_the_wide_file(
    train: Train, same_state: Same, wide: Path, tmp_path: Path, stage: str
) -> None:
    """The frozen generator is in the checkpoint, so a run continues when the file is no longer there."""
    file = tmp_path / "gone.safetensors"
    shutil.copy(wide, file)
    source = f"stage.teacher={file}" if stage == "distill" else f"init_from={file}"
    train("halves", stage, 24, source, *CONSISTENCY)
    whole = train("whole", stage, 48, source, *CONSISTENCY)
    file.unlink()
    halves = train("halves", stage, 48, source, *CONSISTENCY)
    same_state(halves, whole)
    measured = [read_measurements(run.path / "metrics.jsonl") for run in (halves, whole)]
    assert measured[0] == measured[1]
    assert len(measured[0]) == 2  # at 24 and at 48 images


@BOTH
def test_micro_batches_equal_the_whole(train: Train, same_but_rounding: Same, stage: str) -> None:
    double = ["trainer.precision=64", "data.batch_size=16"]
    parts = train("parts", stage, 48, *double, "trainer.micro_batch=4")
    same_but_rounding(train("whole", stage, 48, *double), parts)


def test_two_processes_equal_one(train: Train, same_but_rounding: Same) -> None:
    double = ["trainer.precision=64", "data.batch_size=16"]
    two = train("two", "distill", 32, *double, "trainer.devices=2")
    same_but_rounding(train("one", "distill", 32, *double), two)


# ---- what is learnt


def pictures(generator: Generator) -> torch.Tensor:
    return next(sample(generator, None, range(9), 9, noise="const")).images


def test_a_distilled_generator_comes_to_draw_what_its_teacher_draws(train: Train, wide: Path) -> None:
    options = ["stage.ema_kimg=0", "stage.imitation_weight=30", "stage.optimizer.learning_rate=0.01"]
    target = pictures(open_generator(wide)[0])
    distances = [
        F.mse_loss(pictures(open_generator(train(f"run{images}", "distill", images, *options).weights)[0]), target)
        for images in (8, 480)
    ]
    assert distances[1] < 0.4 * distances[0]


@pytest.mark.parametrize("mixing", [0, 1])
def test_both_draw_the_same_latents_with_the_same_noise(train: Train, wide: Path, mixing: int) -> None:
    """The pixel part of the first step, from its definition."""
    still = ["stage.optimizer.learning_rate=0", f"stage.mixing_probability={mixing}", "callbacks.log_every_kimg=0.008"]
    run = train("run", "distill", 8, *still, "trainer.precision=64")
    student, teacher = (open_generator(file)[0].double() for file in (run.weights, wide))
    draws, cutoff = LatentDraws(0, 16), build_stage(load_config(run.config)).planner.plan(0).generator_cutoff
    latents = draws.latents("g", range(8), bool(mixing), student.constant)
    noise = draws.noises("g", range(8), student.noise_shapes(), student.constant)
    images = [network(latents, mixing_cutoff=cutoff, noise=noise) for network in (student, teacher)]
    (row,) = [row for row in read_rows(run.path / "metrics.csv") if "train/consistency_pixel" in row]
    assert row["train/consistency_pixel"] == pytest.approx(float(F.mse_loss(*images)), rel=1e-6)
    assert row["train/consistency_perceptual"] == 0


def test_without_imitation_nothing_is_compared(train: Train) -> None:
    run = train("run", "distill", 16, "stage.imitation_weight=0")
    assert not [name for row in read_rows(run.path / "metrics.csv") for name in row if "consistency" in name]


def test_a_student_starts_with_mapping_and_noise_maps_of_its_teacher(train: Train, wide: Path) -> None:
    for copy in (True, False):
        still = ["stage.optimizer.learning_rate=0", f"stage.copy_mapping={copy}".lower()]
        student = read_weights(train(f"copy_{copy}", "distill", 8, *still).weights)[0]
        teacher = read_weights(wide)[0]
        same = {name for name, x in teacher.items() if x.shape == student[name].shape and torch.equal(x, student[name])}
        assert {name for name in teacher if name.endswith(".noise")} <= same
        assert ("generator.mapping.layers.0.weight" in same) == copy


@pytest.mark.parametrize("options", [[], ["model.discriminator_multiplier=null"]])
def test_pruning_keeps_the_discriminator_that_fits(train: Train, wide: Path, caplog: Any, options: list[str]) -> None:
    still = ["stage.optimizer.learning_rate=0", *options]
    tensors, _ = read_weights(train("run", "prune", 8, *still).weights)
    name = "discriminator.logit.weight"
    assert torch.equal(tensors[name], read_weights(wide)[0][name]) == (not options)
    assert ("the discriminator stays fresh" in caplog.text) == bool(options)


def test_discriminator_of_a_student(train: Train, wide: Path, refused: Refused) -> None:
    still = ["stage.optimizer.learning_rate=0", f"init_from={wide}"]
    tensors, _ = read_weights(train("run", "distill", 8, *still).weights)
    name = "discriminator.logit.weight"
    assert torch.equal(tensors[name], read_weights(wide)[0][name])
    message = refused("distill", *still, "model.discriminator_multiplier=null")
    assert "init_from gives stage=distill its discriminator" in message
    assert "model.discriminator_multiplier of the wide model makes it fit" in message


@BOTH
def test_consistency_is_measured_with_the_wide_generator(train: Train, wide: Path, stage: str) -> None:
    run = train("run", stage, 8, *CONSISTENCY)
    (measured,) = read_measurements(run.path / "metrics.jsonl")
    judge = PerceptualDistance(FeatureDistance(EmbeddedNetwork.shipped()))
    first, second = pictures(open_generator(run.weights)[0]), pictures(open_generator(wide)[0])
    assert measured.value == pytest.approx(float(judge(first, second).mean()), rel=1e-5)
    assert measured.key == "metrics/wide_consistency9_embedded_full"
    assert measured.protocol.target.startswith("wide generator's image")


# ---- what a user gets wrong


def test_pruning_needs_something_to_prune(refused: Refused) -> None:
    for start in ("auto", "none"):
        message = refused("prune", f"init_from={start}")
        assert "init_from" in message
        assert "stage=prune" in message


def test_a_teacher_must_be_named(arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture) -> None:
    named = [text for text in arguments("distill") if not text.startswith("stage.teacher=")]
    assert main(["train", *named]) == 2
    assert "stage.teacher is missing: add stage.teacher=..." in capsys.readouterr().err


@pytest.mark.parametrize(("stage", "options", "message"), [
    ("distill", ["model.latent_dim=8"], "cannot teach a generator of model.latent_dim=8; train it with"),
    ("distill", ["model.mapping_layers=1"], "train it with model.mapping_layers=2"),
    ("distill", ["data.resolution=8"], "train it with data.resolution=16"),
    ("distill", ["stage.teacher=nowhere"], "stage.teacher=nowhere does not exist"),
    ("distill", ["stage.teacher=row:base"], "stage.teacher=row:base: "),
    ("prune", ["model.latent_dim=8"], "holds another generator than that of model.latent_dim=8; train it with"),
    ("prune", ["data.resolution=8"], "train it with data.resolution=16"),
    ("prune", ["model.channel_cap=16", "model.multiplier=0.0078125"],
     "stage=prune only takes channels away"),
])  # fmt: skip
def test_a_wide_generator_that_does_not_fit(refused: Refused, stage: str, options: list[str], message: str) -> None:
    assert message in refused(stage, *options)


def test_another_mapping_is_no_error_where_it_is_not_copied(train: Train) -> None:
    train("run", "distill", 8, "model.mapping_layers=1", "stage.copy_mapping=false")


def test_a_checkpoint_without_a_wide_generator_continues_nothing(train: Train, refused: Refused) -> None:
    other = train("other", "stylegan2", 8)
    message = refused("distill", f"resume={other.path}")
    assert "the checkpoint holds no wide generator: it does not continue stage=distill" in message


def test_a_generator_alone_can_teach_and_be_pruned(train: Train, tmp_path: Path, caplog: Any) -> None:
    """A file of any widths, which holds no discriminator."""
    generator = Generator(ArchitectureSpace(16, num_resolutions=1, channels=(9, 8, 10, 11, 8, 9)), 16, 2)
    file = tmp_path / "alone.safetensors"
    write_weights(file, generator_tensors(generator), generator_header(generator))
    train("student", "distill", 8, f"stage.teacher={file}")
    train("pruned", "prune", 8, f"init_from={file}")
    assert "the discriminator stays fresh: the file holds no discriminator" in caplog.text
