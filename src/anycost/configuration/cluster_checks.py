"""What a configuration must satisfy to be a job of a sweep, and one of a cluster, before anything is submitted."""

from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError


def check_job(config: TrainConfig) -> None:
    """Raise `UserError` for what cannot be a job that is queued again and again."""
    if config.resume == "never":
        raise UserError("resume=never would start a job anew each time it is queued again; name a new sweep with "
                        "run=NAME")


def check_cluster(config: TrainConfig) -> None:
    """Raise `UserError` for the first combination of `trainer` and `cluster` that no job could be given."""
    cluster, trainer = config.cluster, config.trainer
    if trainer.accelerator != "cpu" and not cluster.gpus_per_node:
        raise UserError(f"trainer.accelerator={trainer.accelerator}, but cluster.gpus_per_node=0: jobs would get no "
                        "GPU; say how many a node has with cluster=NAME or, for example, cluster.gpus_per_node=8, or "
                        "train on CPUs with trainer.accelerator=cpu")
    if uses_gpus(config) and trainer.devices > cluster.gpus_per_node:
        raise UserError(f"trainer.devices={trainer.devices} is more than the cluster.gpus_per_node="
                        f"{cluster.gpus_per_node} GPUs of a node; lower it, and take more nodes with trainer.num_nodes")
    if cluster.minutes is not None and 60 * cluster.minutes <= 2 * cluster.grace_seconds:
        raise UserError(f"cluster.minutes={cluster.minutes} is too short for cluster.grace_seconds="
                        f"{cluster.grace_seconds}: a job would have less time to train than to save; take at least "
                        f"cluster.minutes={2 * cluster.grace_seconds // 60 + 1}")
    for argument in cluster.sbatch:
        if not argument.startswith("-"):
            raise UserError(f"cluster.sbatch: {argument!r} does not look like an option; write --name=value")
        if instead := next((keys for option, keys in _SET_BY.items() if argument.startswith(option)), None):
            raise UserError(f"cluster.sbatch: {argument} is what the launcher sets; use {instead}")
        if argument.startswith(_KEPT):
            raise UserError(f"cluster.sbatch: {argument} cannot be changed: `anycost sweep` knows jobs by their names, "
                            "logs and dependencies; leave it out")


_DEVICES = "trainer.devices, trainer.num_nodes and the other keys of cluster"
_SET_BY = {
    **dict.fromkeys(("--nodes", "--ntasks", "--gpus", "--gres", "--cpus-per-task", "-N", "-n", "-G", "-c"), _DEVICES),
    "--signal": "cluster.grace_seconds",
    **dict.fromkeys(("--array", "-a"), "cluster.max_parallel"),
}
"""Options of sbatch that come from other keys, so that two places never contradict each other."""
_KEPT = ("--job-name", "-J", "--output", "-o", "--dependency", "-d", "--chdir", "-D")
"""Options of sbatch that nobody else may set."""


def uses_gpus(config: TrainConfig) -> bool:
    """Whether a job asks the cluster for GPUs."""
    return config.trainer.accelerator != "cpu"
