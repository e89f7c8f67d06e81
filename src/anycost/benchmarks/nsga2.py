"""NSGA-II of optuna as a search method, for comparison: distance and multiply-adds minimised, within a budget."""

from typing import Any

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.search.archive import Archive, Evaluation
from anycost.search.budget import Budget
from anycost.search.settings import SearchSettings

ASKED = 20
"""Trials per evaluation at most: what is known already or over the budget costs nothing, as in the other methods."""


def optuna_or_error() -> Any:
    """The module; `UserError` where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("methods=nsga2 needs optuna: pip install 'optuna>=5', or leave it out of methods=") from error
    if not hasattr(optuna.trial.Trial, "set_constraint"):
        raise UserError(f"methods=nsga2 needs optuna 5; this is {optuna.__version__}: pip install --upgrade optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def search_with_nsga2(archive: Archive, budget: Budget, settings: SearchSettings) -> None:
    """Judge up to `settings.evaluations` further architectures, as `evolve` does; the archive's best come first.

    Both see the same genes. Optuna's constraint handling ranks what is over the budget below all that fits, by how
    much it is over; such a trial needs no distance, so none is computed or counted.
    """
    optuna = optuna_or_error()
    space = archive.space
    sampler = optuna.samplers.NSGAIISampler(population_size=settings.population, seed=settings.seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for known in archive.fitting(budget)[: settings.population]:
        study.enqueue_trial(_genes(space, known.architecture))
    end = len(archive) + settings.evaluations
    for _ in range(ASKED * settings.evaluations):
        if len(archive) >= end:
            return
        trial = study.ask()
        architecture = _architecture(space, trial)
        price = archive.price(architecture)
        over = (budget.cost(price) - budget.amount) / budget.amount
        trial.set_constraint("over", over)
        if over <= 0:
            archive.judge([architecture])
            study.tell(trial, _values(archive[architecture], budget))
        else:
            study.tell(trial, (float("1e9"), budget.cost(price)))


def _values(one: Evaluation, budget: Budget) -> tuple[float, float]:
    return one.distance, budget.cost(one.price)


def _architecture(space: ArchitectureSpace, trial: Any) -> Architecture:
    ratios = [trial.suggest_categorical(f"ratio{p}", space.allowed_ratios(p)) for p in range(space.num_points)]
    return space.from_ratios(ratios, trial.suggest_categorical("resolution", space.resolutions))


def _genes(space: ArchitectureSpace, architecture: Architecture) -> dict[str, float]:
    """The nearest allowed genes of an architecture."""
    full = space.full_channels
    genes: dict[str, float] = {
        f"ratio{point}": min(space.allowed_ratios(point), key=lambda ratio: abs(ratio * full[point] - count))
        for point, count in enumerate(architecture.channels)
    }
    return genes | {"resolution": architecture.resolution}
