"""Other settings for a run that is there: of the machine, the loggers, its length; never of what it computes."""

from collections.abc import Sequence

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anycost.configuration.checks import check
from anycost.configuration.convert import from_values
from anycost.configuration.explain import explain
from anycost.configuration.identity import decides_identity
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError


def with_settings(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """`config` with the `key=value` of `settings`, checked.

    Raises `UserError` for a key that is unknown or that decides what is computed, and for an impossible value.
    """
    changed = OmegaConf.structured(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"{setting} is not of the form key=value, for example cluster.mem_gb=64")
        try:
            OmegaConf.update(changed, key, yaml.safe_load(text))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise UserError(f"{setting}: {explain(error) or error}") from error
        if decides_identity(key):
            raise UserError(f"{key} decides what is computed, and a run that is there keeps it; start another sweep "
                            f"with {setting}, or change settings of the machine: cluster, trainer.devices, ...")
    values = from_values(OmegaConf.to_container(changed))
    check(values)
    return values
