"""The search in training: what is judged, logged and kept, and that it is a function of the weights alone."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from anycost.callbacks.search import SearchCallback, training_budgets
from anycost.configuration.schema import SearchConfig
from anycost.errors import UserError
from anycost.networks.perceptual import perceptual_distance
from anycost.pricing.price_list import PriceList
from anycost.reporting.searches import distance_name, front_rows, read_front
from anycost.search.objective import Objective


@pytest.fixture
def quick(stage: Any) -> Callable[..., SearchCallback]:
    """A callback of two latents for the stage of the fixtures."""

    def build(folder: Path, mode: str = "uniform", **options: Any) -> SearchCallback:
        options = {"every_kimg": 0.1, "latents": 2, "evaluations": 2, **options}
        return SearchCallback(SearchConfig(**options), folder / "search", mode, "embedded")

    return build


def kept(folder: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in sorted((folder / "search").glob("*.json"))}


def prices_of(stage: Any) -> PriceList:
    return PriceList(stage.space, stage.ema.latent_dim, len(stage.ema.mapping.layers))


def test_a_uniform_stage_judges_every_uniform_sub_generator(
    tmp_path: Path, stage: Any, train: Callable, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path), 128)
    (content,) = kept(tmp_path).values()
    objective = Objective(stage.ema, perceptual_distance("embedded"), "embedded", latents=2)
    space, prices = stage.space, prices_of(stage)
    uniform = {
        (one := space.uniform(ratio, resolution)).key: one for ratio in space.ratios for resolution in space.resolutions
    }
    expected = {one.key: objective.distances([one])[0] for one in uniform.values()}
    judged = {
        (one["architecture"]["resolution"], one["label"]): (one["distance"], one["macs_paper"])
        for one in content["evaluated"]
    }
    assert judged == {
        (one.resolution, space.label(one)): (expected[one.key], prices.price(one).macs_paper)
        for one in uniform.values()
    }
    assert content["method"] == "uniform"
    assert content["protocol"] == objective.protocol
    assert content["images"] == 128


def test_winners_are_the_best_that_fit(
    tmp_path: Path, stage: Any, train: Callable, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path), 128)
    (content,) = kept(tmp_path).values()
    (_, logged) = stage.logged[-1]
    assert content["budgets"]
    for (budget, winner), (key, value) in zip(content["budgets"].items(), logged.items(), strict=True):
        limit = float(budget[: -len("Mmac_paper")]) * {"k": 1e3, "M": 1e6}[budget[-len("Mmac_paper")]]
        fitting = [one["distance"] for one in content["evaluated"] if one["macs_paper"] <= limit]
        assert winner["distance"] == value == min(fitting)
        assert key == f"search/distance_{budget.removesuffix('mac_paper')}"


def test_a_flexible_stage_evolves_and_is_never_worse_than_uniform(
    tmp_path: Path, train: Callable, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path / "uniform", budgets=["1M"]), 128)
    train(quick(tmp_path / "flexible", "flexible", budgets=["1M"], evaluations=4), 0, end=True)
    (uniform,), (flexible,) = kept(tmp_path / "uniform").values(), kept(tmp_path / "flexible").values()
    assert flexible["method"] == "evolution"
    assert len(flexible["evaluated"]) > len(uniform["evaluated"])
    assert flexible["budgets"]["1Mmac_paper"]["distance"] <= uniform["budgets"]["1Mmac_paper"]["distance"]


@pytest.mark.parametrize("mode", ["uniform", "flexible"])
def test_a_continued_run_finds_the_same(
    tmp_path: Path, stage: Any, train: Callable, quick: Callable[..., SearchCallback], mode: str
) -> None:
    budgets = {"budgets": ["1M"]}
    train(quick(tmp_path / "one", mode, **budgets), 256)
    logged, stage.logged = stage.logged, []
    stage.clock.images = 128
    train(quick(tmp_path / "two", mode, **budgets), 256)
    assert stage.logged == logged[-1:]
    for name, content in kept(tmp_path / "two").items():
        assert content == kept(tmp_path / "one")[name]
        picture = Path(name).with_suffix("").name + ".png"
        first, second = (tmp_path / part / "search" / picture for part in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


def test_it_comes_by_images_and_at_the_end(
    tmp_path: Path, train: Callable, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path), 256, end=True)
    assert list(kept(tmp_path)) == [
        "front_kimg_000000.128.json", "front_kimg_000000.224.json", "front_kimg_000000.256.json",
    ]  # fmt: skip


def test_without_an_interval_it_comes_at_the_end_once(
    tmp_path: Path, train: Callable, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path, every_kimg=None), 128, end=True)
    assert list(kept(tmp_path)) == ["front_kimg_000000.128.json"]


def test_only_the_first_process_searches(
    tmp_path: Path, stage: Any, train: Callable, another_process: list, quick: Callable[..., SearchCallback]
) -> None:
    train(quick(tmp_path), 128, end=True)
    assert not list(tmp_path.iterdir())
    assert not stage.logged
    assert another_process == 3 * [[0.0, 0.0]]


def test_loggers_that_take_charts_and_pictures_get_the_front(
    tmp_path: Path, stage: Any, train: Callable, trainer: Any, quick: Callable[..., SearchCallback]
) -> None:
    charts, pictures = [], []
    trainer.loggers = [
        SimpleNamespace(),
        SimpleNamespace(
            log_lines=lambda *args, **kwargs: charts.append((args, kwargs)),
            log_image=lambda key, images, step: pictures.append((key, images[0].size, step)),
        ),
    ]
    train(quick(tmp_path), 128)
    ((key, columns, rows), axes), = charts  # fmt: skip
    assert key == "search/front"
    view = read_front(next((tmp_path / "search").glob("*.json")), "run")
    assert view.protocol == distance_name("embedded") == "embedded distance to the full generator"
    assert axes == {"x": "macs_paper_millions", "y": view.protocol, "series": "series", "step": 128}
    assert rows == [[series, label, a / 1e6, b / 1e6, value] for series, label, a, b, value in front_rows(view)]
    assert {row[0] for row in rows} == {"front", "uniform 16 px", "uniform 8 px"}
    assert len(columns) == 5
    picture = Image.open(next((tmp_path / "search").glob("*.png")))
    assert pictures == [("search/front_picture", picture.size, 128)]


def test_bad_budgets_are_an_error_before_training(stage: Any) -> None:
    for texts, words in (
        (["40ms"], ("callbacks.search.budgets=40ms", "anycost search")),
        (["1k"], ("callbacks.search.budgets", "below the cheapest")),
        (["18G"], ("callbacks.search.budgets", "above the full")),
        (["much"], ("callbacks.search.budgets", "is not understood")),
    ):
        with pytest.raises(UserError) as error:
            training_budgets(texts, prices_of(stage))
        assert all(word in str(error.value) for word in words)
