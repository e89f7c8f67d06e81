"""What Hydra must know before it composes: the typed schema, and the resolvers that `conf/` uses."""

from collections.abc import Callable
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from anycost.configuration import identity
from anycost.configuration.paths import config_home
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import STAGES


def register() -> None:
    """Register the schema and the resolvers; calling it again changes nothing."""
    store = ConfigStore.instance()
    store.store(name="base_train", node=TrainConfig)
    for name, node in STAGES.items():
        store.store(group="stage", name=f"base_{name}", node=node)
    resolvers: dict[str, Callable[..., Any]] = {
        "config_home": lambda: str(config_home()),
        "highest_resolutions": highest_resolutions,
        "run_dir": identity.run_dir,
        "sweep_run_name": identity.sweep_run_name,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def highest_resolutions(most: int, resolution: int) -> int:
    """How many resolutions a generator of `resolution` px can train, 8 px being the lowest: at most `most`."""
    return max(1, min(most, resolution.bit_length() - 3))
