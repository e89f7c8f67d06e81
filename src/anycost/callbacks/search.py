"""A short search in training: the front of distance against multiply-adds, logged and kept."""

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from PIL import Image

from anycost.architecture import ArchitectureSpace
from anycost.callbacks.after_step import AfterStep, Pulse
from anycost.configuration.schema import SearchConfig
from anycost.errors import UserError
from anycost.networks.perceptual import PerceptualDistance, perceptual_distance
from anycost.pricing.price_list import PriceList
from anycost.reporting.figures import draw_front
from anycost.reporting.searches import SearchView, front_rows, view_of, write_front
from anycost.reporting.style import write_png
from anycost.search.archive import Archive
from anycost.search.budget import Budget
from anycost.search.budget_list import is_timed, parse_budgets
from anycost.search.objective import Objective
from anycost.search.proposals import uniform_architectures
from anycost.search.searching import SearchResult, best_uniform, search
from anycost.search.settings import SearchSettings

log = logging.getLogger(__name__)
PARETO_POINTS = 4


class SearchCallback(AfterStep):
    """Searches every `config.every_kimg` thousand images (None: not before the end) and at the end, on rank 0.

    A stage of mode `uniform` trains no other than the uniform sub-generators, so all of these are judged and nothing
    is searched; the others evolve. Everything is a function of the weights and the configuration. Writes
    `front_kimg_<count>.json` and `.png` to `folder`; logs `search/distance_<budget>`, the front as a chart and its
    picture.
    """

    def __init__(self, config: SearchConfig, folder: Path, mode: str, perceptual: str) -> None:
        self.config, self.folder, self.mode, self.perceptual = config, folder, mode, perceptual
        self.searched_at: int | None = None
        self._network: PerceptualDistance | None = None
        self._prices: PriceList | None = None
        self._budgets: list[Budget] = []

    def on_fit_start(self, trainer: pl.Trainer, stage: Any) -> None:
        """Load what judges and parse the budgets: what cannot be had is an error now, not after hours."""
        if not trainer.is_global_zero:
            return
        generator = stage.evaluation_generator()
        self._prices = PriceList(stage.space, generator.latent_dim, len(generator.mapping.layers))
        self._budgets = training_budgets(self.config.budgets, self._prices)
        self._network = perceptual_distance(self.perceptual).to(stage.device)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if self.config.every_kimg and stage.clock.crossed(self.config.every_kimg):
            self.search(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if self.searched_at != stage.clock.images:
            self.search(trainer, stage)

    def search(self, trainer: pl.Trainer, stage: Any) -> None:
        """Search with the weights of the present instant; a signal interrupts."""
        self.searched_at = stage.clock.images
        self.by_first_process(trainer, stage, lambda pulse: self._search(trainer, stage, pulse))

    def _search(self, trainer: pl.Trainer, stage: Any, pulse: Pulse) -> None:
        assert self._network is not None
        assert self._prices is not None
        started = time.monotonic()
        generator = stage.evaluation_generator()
        network = self._network.to(generator.constant.dtype)  # trainer.precision=64 trains in float64
        objective = Objective(generator, network, self.perceptual, self.config.latents, pulse=pulse)
        result = self._searched(objective, stage.space, self._prices)
        self._keep(trainer, stage, result, objective)
        log.info("%s", _line(stage.clock.kimg, result, time.monotonic() - started))

    def _searched(self, objective: Objective, space: ArchitectureSpace, prices: PriceList) -> SearchResult:
        if self.mode == "uniform":
            return judge_uniform(space, prices, objective, self._budgets)
        settings = SearchSettings(method="evolution", evaluations=self.config.evaluations)
        return search(space, prices.price, objective.distances, self._budgets, settings)

    def _keep(self, trainer: pl.Trainer, stage: Any, result: SearchResult, objective: Objective) -> None:
        protocol, images = objective.protocol, stage.clock.images
        evaluations, method = result.archive.evaluations, result.settings.method
        view = view_of(self.folder.parent.name, stage.space, evaluations, result.winners, protocol, method)
        stem = self.folder / f"front_kimg_{stage.clock.kimg:010.3f}"
        write_front(stem.with_name(stem.name + ".json"), images, result, protocol)
        winners = view.winners_by("macs_paper")
        figure = draw_front(view.evaluated, view.uniform, protocol=view.protocol, winners=winners)
        picture = stem.with_name(stem.name + ".png")
        write_png(figure, picture)
        stage.log_values({f"search/distance_{budget.name}": one.distance for budget, one in result.winners.items()})
        _log_front(trainer, view, picture, images)


def training_budgets(texts: list[str], prices: PriceList) -> list[Budget]:
    """The budgets, in multiply-adds; raises `UserError` for milliseconds, and for what no architecture costs."""
    if timed := [text for text in texts if is_timed(text)]:
        raise UserError(
            f"callbacks.search.budgets={timed[0]}: a training measures no latency; give multiply-adds, for example "
            "18G, and search for milliseconds afterwards with anycost search"
        )
    try:
        return parse_budgets(texts, prices.space, prices.price, PARETO_POINTS)
    except UserError as error:
        raise UserError(f"callbacks.search.budgets: {error}") from error


def judge_uniform(
    space: ArchitectureSpace, prices: PriceList, objective: Objective, budgets: list[Budget]
) -> SearchResult:
    """All uniform architectures, the best of them within each budget."""
    archive = Archive(space, prices.price, objective.distances)
    architectures = uniform_architectures(space)
    archive.judge(architectures.values())
    best = {budget: best_uniform(archive.evaluations, budget) for budget in budgets}
    return SearchResult(
        budgets=budgets,
        winners={budget: one for budget, one in best.items() if one is not None},
        best_uniform=best,
        uniform={label: archive[one] for label, one in architectures.items()},
        archive=archive,
        settings=SearchSettings(method="uniform", evaluations=0),
    )


def _log_front(trainer: pl.Trainer, view: SearchView, picture: Path, images: int) -> None:
    columns = ["series", "architecture", "macs_millions", "macs_paper_millions", view.protocol]
    rows = [
        [series, label, macs / 1e6, macs_paper / 1e6, distance]
        for series, label, macs, macs_paper, distance in front_rows(view)
    ]
    for logger in trainer.loggers:
        if hasattr(logger, "log_lines"):
            logger.log_lines("search/front", columns, rows, x=columns[3], y=columns[4], series=columns[0], step=images)
        if hasattr(logger, "log_image"):
            logger.log_image("search/front_picture", [Image.open(picture)], step=images)


def _line(kimg: float, result: SearchResult, seconds: float) -> str:
    found = ", ".join(f"{budget.name} {one.distance:.4g}" for budget, one in result.winners.items())
    return f"kimg {kimg:g}: search, best of {len(result.archive)} architectures within {found} ({seconds:.1f} s)"
