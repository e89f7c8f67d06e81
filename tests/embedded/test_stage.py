"""`stage=attributes`: what it writes, exact resume, micro-batches, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from anycost.configuration.composition import compose
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError
from anycost.interchange.weights import read_weights
from anycost.networks.embedded import EmbeddedNetwork
from anycost.stages.attribute_scores import held_out_scores
from anycost.stages.attributes import AttributesStage, TextureHeads
from anycost.training import run

SMALL = (
    "stage=attributes", "data=faces", "data.resolution=32", "data.size=24", "data.batch_size=8", "data.cache=true",
    "stage.width=4", "stage.kimg=0.048", "trainer=cpu", "trainer.threads=1", "trainer.precision=32", "callbacks=none",
    "callbacks.log_every_kimg=0.008", "callbacks.checkpoint.every_kimg=0.008", "callbacks.checkpoint.keep_last=9",
)  # fmt: skip


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run a small stage in a folder, without the scores on held-out faces."""
    monkeypatch.setattr("anycost.stages.attributes.held_out_scores", lambda *unused: {})

    def run_in(name: str, *arguments: str) -> Path:
        run(compose(*SMALL, *arguments), tmp_path / name)
        return tmp_path / name

    threads = torch.get_num_threads()
    yield run_in
    torch.set_num_threads(threads)


def rows(folder: Path) -> list[dict[str, str]]:
    """The logged training values, without the timings."""
    lines = (folder / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    found = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    return [{n: v for n, v in row.items() if not n.startswith("timing/")} for row in found]


def small_config(*arguments: str) -> TrainConfig:
    return compose(*SMALL, *arguments)


def test_it_writes_a_network_that_loads(train: Callable[..., Path]) -> None:
    folder = train("run")
    tensors, header = read_weights(folder / "weights.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert header.card["images"] == 48
    assert header.card["faces"] == "faces-v{}-seed0-size24".format(header.card["faces"][7:].split("-")[0])
    network = EmbeddedNetwork.load(folder / "weights.safetensors")
    assert network.width == 4
    assert [row["images"] for row in rows(folder)] == ["8", "16", "24", "32", "40", "48"]
    tasks = ("attributes", "labels", "rotation", "family", "crops")
    assert {f"train/{task}" for task in tasks} <= rows(folder)[0].keys()


def test_continuing_from_the_middle_is_exact(train: Callable[..., Path]) -> None:
    whole = train("whole")
    middle = whole / "checkpoints" / "kimg_000000.024.ckpt"
    assert middle.exists()
    half = train("half", f"resume={middle}")
    first, second = (read_weights(folder / "weights.safetensors")[0] for folder in (whole, half))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows(whole)[3:] == rows(half)


def test_micro_batches_change_nothing(train: Callable[..., Path]) -> None:
    options = ("trainer.precision=64", "stage.kimg=0.016")
    whole, parts = (train(name, *options, *more) for name, more in
                    (("whole", ()), ("parts", ("trainer.micro_batch=4",))))  # fmt: skip
    for one, other in zip(rows(whole), rows(parts), strict=True):
        assert {name: float(value) for name, value in one.items()} == pytest.approx(
            {name: float(value) for name, value in other.items()}, abs=1e-9
        )


def test_it_learns(train: Callable[..., Path]) -> None:
    folder = train("run", "stage.kimg=0.24", "callbacks.log_every_kimg=0.04", "callbacks.checkpoint.every_kimg=1",
                   "stage.learning_rate=0.003")  # fmt: skip
    values = rows(folder)
    for name in ("train/attributes", "train/labels"):
        assert float(values[-1][name]) < 0.95 * float(values[0][name]), name


def test_the_learning_rate_rises_and_falls() -> None:
    stage = AttributesStage(small_config("stage.kimg=8"))
    rates = []
    for stage.clock.images in range(0, 8000, 8):
        rates.append(stage.learning_rate())
    peak = rates.index(max(rates))
    assert 40 <= peak <= 60
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-4 * max(rates)
    assert max(rates) == pytest.approx(0.001, rel=0.01)


def test_scores_of_an_untrained_network_are_chance() -> None:
    stage = AttributesStage(small_config())
    heads = TextureHeads(stage.network.feature_dimension)
    scores = held_out_scores(stage.network, heads, seed=0, resolution=32, count=64)
    assert scores["attributes"].keys() == set(stage.network.attribute_names)
    assert all(accuracy <= 1 and majority >= 0.5 for accuracy, majority in scores["attributes"].values())
    assert scores["attribute_accuracy"] < 0.75
    assert scores["rotation"] < 0.6
    assert scores["family"] < 0.4


@pytest.mark.parametrize(("arguments", "words"), [
    (["data=folder", "data.path=.", "data.resolution=32"], "use data=faces"),
    (["data.resolution=16"], "take data.resolution=64"),
    (["data.resolution=512"], "take data.resolution=64"),
])  # fmt: skip
def test_data_that_it_cannot_learn_from(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        AttributesStage(small_config(*arguments)).build_data()


def test_first_weights_are_refused() -> None:
    with pytest.raises(UserError, match="starts from scratch"):
        AttributesStage(small_config("init_from=weights.safetensors"))
