"""The launchers behind `hydra/launcher=local` and `hydra/launcher=slurm`; `anycost.sweeps` does their work.

Hydra imports this file at every start to see what is in it, so that it imports no more than Hydra itself.
"""

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs jobs as processes of this machine, some at a time.

    Args:
        devices: `trainer.devices` of jobs that do not set it themselves.
        num_nodes: likewise `trainer.num_nodes`.
    """

    executor = "local"

    def __init__(self, devices: int | None = None, num_nodes: int | None = None) -> None:
        self.profile = {"trainer.devices": devices, "trainer.num_nodes": num_nodes}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `launch` needs; jobs compose nothing anew, so the task function is not among it."""
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand out the jobs; those that failed are a `UserError`."""
        from anycost.sweeps.launching import launch

        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        launch(self.context.config_loader, self.config, [self._profiled(row) for row in job_overrides], self.executor)
        return [JobReturn(overrides=row, status=JobStatus.COMPLETED) for row in job_overrides]

    def _profiled(self, overrides: Sequence[str]) -> list[str]:
        """The overrides of a job, with those of the launcher's profile that it does not have."""
        keys = {text.lstrip("+").partition("=")[0] for text in overrides}
        added = [f"{key}={value}" for key, value in self.profile.items() if value is not None and key not in keys]
        return [*added, *overrides]


class SlurmLauncher(LocalLauncher):
    """Submits jobs to SLURM, as arrays of plain batch scripts."""

    executor = "slurm"
