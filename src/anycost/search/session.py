"""A search of one weights file in its folder: opened, measured, run or continued, written."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from anycost.interchange.locating import find_weights, open_generator, weights_identity
from anycost.networks.generator import Generator
from anycost.networks.perceptual import PerceptualDistance, perceptual_distance
from anycost.networks.published import VGG16, MissingWeights
from anycost.pricing.executors import Conditions, conditions
from anycost.pricing.latency_table import LatencyTable, cached_table, warn_if_poor
from anycost.pricing.price_list import PriceList
from anycost.search.archive import Archive, Evaluation
from anycost.search.budget import Budget
from anycost.search.budget_list import is_timed, parse_budgets
from anycost.search.enumeration import fitting_any
from anycost.search.objective import Objective
from anycost.search.proposals import first_architectures
from anycost.search.recording import Recording, check_identity, digest
from anycost.search.results import write_front, write_result
from anycost.search.searching import SearchResult, decided_method, search
from anycost.search.settings import SearchSettings

REVISION = 2
"""Of the methods: a change that gives other archives for equal settings adds one, and old folders are left alone."""
_TABLE = "latency_table.json"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        weights: file, run folder or pipeline folder.
        budgets: as `parse_budgets` takes them.
        settings: of the method.
        perceptual: `lpips` or `embedded`.
        latents: pictures that a distance is the mean of.
        truncation: psi of their styles.
        points: budgets of `pareto`.
        latency: whether milliseconds are known.
        executor: whose milliseconds, a key of `pricing.executors.EXECUTORS`.
        dtype: of its convolutions.
        device: what the generator runs on.
        output: the folder; None for the usual one.
        logs: where folders of weights outside a run go.
        cache: where latency tables are kept.
    """

    weights: str
    budgets: Sequence[str]
    settings: SearchSettings
    perceptual: str = "lpips"
    latents: int = 64
    truncation: float = 1.0
    points: int = 8
    latency: bool = True
    executor: str = "plain"
    dtype: str = "float32"
    device: str = "cpu"
    output: Path | None = None
    logs: Path = Path("logs")
    cache: Path = Path("~/.cache/anycost")


class Session:
    """One search, from its weights to its files. Equal requests share a folder, and continue what is there."""

    def __init__(self, request: Request, report: Callable[[str], None] = lambda line: None) -> None:
        self.request, self.report = request, report
        self.weights = find_weights(request.weights)
        self.generator = _generator(self.weights, request.device)
        self._check_before_measuring()

    @property
    def space_size(self) -> int:
        """Distinct architectures."""
        return self.generator.space.count()

    @property
    def full_budget(self) -> str:
        """A budget that admits everything."""
        return f"{self._price_list(None).price(self.generator.space.full()).macs_paper}mac_paper"

    @property
    def method(self) -> str:
        """With `auto` decided."""
        return decided_method(self.request.settings.method, self.generator.space)

    @property
    def _conditions(self) -> Conditions:
        """What milliseconds are measured under."""
        return conditions(self.generator, self.request.executor, dtype=self.request.dtype)

    @property
    def expected_evaluations(self) -> int:
        """At most so many."""
        space = self.generator.space
        first = {one.key for one in first_architectures(space)}
        if self.method == "enumeration":
            return len(first | {one.key for one in fitting_any(space, self.prices.price, self.budgets)})
        return len(first) + len(self.budgets) * self.request.settings.evaluations

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the archive, JSON-able; its digest is in the folder's name."""
        request = self.request
        return {
            "revision": REVISION,
            "weights": weights_identity(self.weights),
            "budgets": sorted(map(self._identity_of, request.budgets)),
            # An enumeration has no further choices: whoever asks with another seed gets the same archive.
            "settings": {"method": self.method} if self.method == "enumeration" else asdict(request.settings),
            "perceptual": [request.perceptual, _perceptual_identity(request.perceptual)],
            "latents": request.latents,
            "truncation": request.truncation,
            "latency": request.latency,
            "machine": {**asdict(self._decisive_conditions), "torch": torch.__version__},
        }

    @property
    def _decisive_conditions(self) -> Conditions:
        """The last digits of sums depend on device and threads, milliseconds on the executor and its dtype too."""
        if self.request.latency:
            return self._conditions
        return replace(self._conditions, executor="plain", dtype="float32")

    @cached_property
    def folder(self) -> Path:
        """`RUN/search/<budgets>-<digest>`, or in the logs where the weights lie in no run's folder."""
        if self.request.output:
            return self.request.output
        texts = self.request.budgets
        label = "_".join(texts).replace(":", "_") if len(texts) <= 3 else f"{len(texts)}_budgets"
        run = self.weights.parent
        home = run if (run / "run.json").is_file() else self.request.logs
        return home / "search" / f"{label.replace(' ', '')}-{digest(self.identity)}"

    @cached_property
    def prices(self) -> PriceList:
        """With the latencies of the table that the folder keeps: a continued search prices alike."""
        return self._price_list(self.latency_table)

    @cached_property
    def latency_table(self) -> LatencyTable | None:
        """The folder's own where it has one, even a poor one: another would lead the search another way."""
        if not self.request.latency:
            return None
        kept = self.folder / _TABLE
        if kept.is_file():
            check_identity(self.folder, self.identity)
            table = LatencyTable.load(kept)
            warn_if_poor(table, f"this search keeps its table; remove {self.folder} to begin a new one", self.report)
            return table
        self.perceptual  # noqa: B018 - what it lacks is said now, not after the latencies were measured
        return cached_table(self.generator, self._conditions, self.request.cache, report=self.report)

    @cached_property
    def budgets(self) -> list[Budget]:
        """Checked against the cheapest and the full architecture."""
        return parse_budgets(self.request.budgets, self.generator.space, self.prices.price, self.request.points)

    @cached_property
    def perceptual(self) -> PerceptualDistance:
        try:
            return perceptual_distance(self.request.perceptual).to(self.generator.constant.device)
        except MissingWeights as error:
            raise error.advising("perceptual=embedded") from error

    @cached_property
    def objective(self) -> Objective:
        request = self.request
        return Objective(self.generator, self.perceptual, request.perceptual, request.latents, request.truncation)

    def run(self, on_new: Callable[[Archive, list[Evaluation]], None] = lambda archive, new: None) -> SearchResult:
        """Search, or continue: the archive grows in the folder, and the results are written at the end."""
        budgets, objective = self.budgets, self.objective  # what is wrong with them leaves no folder behind
        recording = Recording(self.folder, self.identity)
        if self.latency_table and not (kept := self.folder / _TABLE).is_file():
            self.latency_table.save(kept)
        if len(recording):
            self.report(f"{len(recording)} evaluations are there already: the search continues")

        def record(archive: Archive, new: list[Evaluation]) -> None:
            recording.add(archive, new)
            on_new(archive, new)

        distances = recording.distances(objective.distances)
        result = search(
            self.generator.space, self.prices.price, distances, budgets, self.request.settings, on_new=record
        )
        write_result(result, self.record, self.folder / "result.json")
        write_front(result, self.folder / "front.csv", self.field)
        return result

    @property
    def record(self) -> dict[str, Any]:
        """What every entry of the result says of its origin."""
        return {
            "weights": self.identity["weights"],
            "weights_file": str(self.weights),
            "protocol": self.objective.protocol,
            "perceptual_identity": self.identity["perceptual"][1],
        }

    @property
    def field(self) -> str:
        """The convention of multiply-adds that results are plotted in: that of the budgets, the paper's by default."""
        fields = {budget.field for budget in self.budgets}
        return "macs" if "macs" in fields and "macs_paper" not in fields else "macs_paper"

    # ---- prices

    def _price_list(self, table: LatencyTable | None) -> PriceList:
        generator = self.generator
        return PriceList(generator.space, generator.latent_dim, len(generator.mapping.layers), table)

    def _check_before_measuring(self) -> None:
        """What is wrong with a budget is said at once, not after the latencies were measured."""
        texts, plain = self.request.budgets, self._price_list(None)
        if not self.request.latency or not all(map(is_timed, texts)):
            parse_budgets([text for text in texts if not (is_timed(text) and self.request.latency)],
                          self.generator.space, plain.price, self.request.points)  # fmt: skip
        for text in texts:
            self._identity_of(text)

    def _identity_of(self, text: str) -> str:
        return f"{text}*{self.request.points}" if text.startswith("pareto") else str(Budget.parse(text))


def _generator(weights: Path, device: str) -> Generator:
    generator, _ = open_generator(weights)
    return generator.to(device)


def _perceptual_identity(name: str) -> str:
    if name == "lpips":
        return VGG16.sha256_prefix
    from anycost.networks.embedded import EmbeddedNetwork

    return EmbeddedNetwork.shipped().identity

