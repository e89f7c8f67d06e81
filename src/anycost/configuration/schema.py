"""The typed schema of `train.py`: one dataclass per Hydra group.

`???` marks what has no sensible default. Values here are the defaults of the paper; `conf/` holds only what differs.
"""

from dataclasses import dataclass
from typing import Any

from anycost.configuration.fields import MISSING, option


@dataclass
class DataConfig:
    """The images."""

    name: str = option(MISSING, "name of the data set in run folders and tables")
    kind: str = option("faces", "what reads the images", ("faces", "folder", "zip", "lmdb"))
    path: str | None = option(None, "folder, zip file or LMDB; not used by the embedded faces", path=True)
    subset: str | None = option(None, "folder inside `path`", path=True)
    split: str | None = option(None, "named split of a data set that has one (celeba_hq: train, val, test)")
    resolution: int = option(MISSING, "side of the training images in pixels, a power of two", at_least=8)
    padding: str = option("crop", "what happens to pictures that are not square", ("crop", "letterbox", "error"))
    filter: str = option("bilinear", "resize filter of the pyramid (antialiased)", ("bilinear", "lanczos", "box"))
    mirror: bool = option(True, "flip every second image, the same over the pyramid")
    size: int | None = option(None, "use only the first `size` images (faces: all, 70000 by default)", at_least=1)
    batch_size: int = option(32, "global batch of one step, a multiple of 4", at_least=4)
    workers: int = option(0, "loader processes per rank", at_least=0, identity=False)
    cache: bool = option(False, "keep decoded images in memory after their first use", identity=False)


@dataclass
class ModelConfig:
    """The generator and the discriminator."""

    name: str = option(MISSING, "name of the channel ladder in tables")
    resolution: int = option("${data.resolution}", "full output resolution; follows the data")
    multiplier: float = option(1.0, "channel multiplier m: 1 is config-E, 2 is config-F")
    discriminator_multiplier: float | None = option(
        None, "channel multiplier of the discriminator; default: the generator's"
    )
    channel_cap: int = option(512, "most channels of any layer", at_least=4)
    latent_dim: int = option(512, "length of z and w", at_least=1)
    mapping_layers: int = option(8, "layers of the mapping network", at_least=0)
    checkpointing: bool = option(False, "recompute blocks in the backward pass: less memory, more time")


@dataclass
class ScheduleConfig:
    """The recipe of a scale: lengths, batch and strengths that `conf/stage` and `conf/data` take from here."""

    name: str = option(MISSING, "name of the schedule")
    stylegan2: float = option(MISSING, "length of stage 1 in thousands of images", at_least=0)
    multires: float = option(MISSING, "length of stage 2 in thousands of images", at_least=0)
    ada_ch: float = option(MISSING, "length of stage 3 in thousands of images", at_least=0)
    attributes: float = option(MISSING, "length of the attributes stage in thousands of images", at_least=0)
    ema_kimg: float = option(10.0, "half-life of the averaged generator in thousands of images", at_least=0)
    batch_size: int = option(32, "global batch of one step", at_least=4)
    learning_rate: float = option(0.002, "Adam learning rate of stage 1")
    finetune_learning_rate: float = option(0.002, "Adam learning rate of stages 2 and 3")
    r1_gamma: float = option(10.0, "weight of the R1 penalty", at_least=0)
    path_length: float = option(2.0, "weight of the path-length penalty of stage 1", at_least=0)
    sampled_resolutions: int = option(1, "resolutions drawn in each phase of stages 2 and 3", at_least=1)


@dataclass
class FeaturesConfig:
    """Which networks judge images: the published ones, or the small embedded one (no download)."""

    name: str = option(MISSING, "published or embedded")
    distance: str = option("inception", "features of frechet and kernel distances", ("inception", "embedded"))
    perceptual: str = option("lpips", "perceptual distance of consistency losses and metrics", ("lpips", "embedded"))


@dataclass
class TrainerConfig:
    """The machine and the arithmetic."""

    accelerator: str = option("auto", "where to train", ("auto", "cpu", "gpu"), identity=False)
    devices: int = option(1, "processes per node", at_least=1, identity=False)
    num_nodes: int = option(1, "machines", at_least=1, identity=False)
    precision: str = option(
        "auto", "auto takes bf16-mixed where the machine has it in hardware", ("auto", "32", "bf16-mixed", "64")
    )
    threads: int | None = option(
        None, "CPU threads of each process; default: the cores divided by the processes", at_least=1, identity=False
    )
    micro_batch: int | None = option(
        None, "images per process and backward pass, a multiple of 4; default: all", at_least=4, identity=False
    )
    max_minutes: float | None = option(None, "finish after this time with what there is", at_least=0, identity=False)
    compile: bool = option(False, "torch.compile the networks")
    profiler: str = option(
        "none", "print where the time went: per hook of Lightning, or per operator",
        ("none", "simple", "pytorch"), identity=False,
    )


@dataclass
class EmaConfig:
    """Averaged generator."""

    enabled: bool = option(True, "keep an averaged generator; samples, metrics and results come from it")


@dataclass
class CheckpointConfig:
    """Checkpoints."""

    every_kimg: float | None = option(None, "thousands of images between checkpoints; default: a tenth of the stage")
    keep_last: int = option(2, "how many of the newest checkpoints stay", at_least=2)
    keep_best: int = option(1, "how many of the best by `monitor` stay", at_least=0)
    monitor: str | None = option(
        None,
        "measurement that ranks checkpoints, as metrics.csv calls it (metrics/...), lower is better; default: the "
        "first metric of the full architecture",
    )


@dataclass
class GridConfig:
    """Sample grids."""

    every_kimg: float | None = option(
        None, "thousands of images between grids, 0 draws none; default: a tenth of the stage", at_least=0
    )
    rows: int = option(6, "latents, one a row", at_least=1)
    architectures: list[str] = option(["auto"], "columns; auto is what the stage trains")
    truncation: float = option(1.0, "psi of the truncation")


@dataclass
class SearchConfig:
    """Short searches in training: how good the best sub-generator within a budget is by now (stage ada_ch)."""

    every_kimg: float | None = option(
        None,
        "thousands of images between searches and one at the end, 0 makes none; default: at the end, where "
        "metrics.names has consistency",
        at_least=0,
    )
    evaluations: int = option(
        25, "architectures judged for each budget beside the uniform ones (stage.mode=uniform judges these alone)",
        at_least=0,
    )
    latents: int = option(64, "pictures of each architecture, compared by metrics.perceptual", at_least=1)
    budgets: list[str] = option(
        ["pareto"], "multiply-adds: 18G or 18Gmac_paper, 8.4Gmac; pareto is four between the cheapest and the full"
    )


@dataclass
class CallbacksConfig:
    """What happens beside the training."""

    ema: EmaConfig = option(EmaConfig, "averaged generator")
    checkpoint: CheckpointConfig = option(CheckpointConfig, "checkpoints")
    grid: GridConfig = option(GridConfig, "sample grid")
    search: SearchConfig = option(SearchConfig, "short searches in training")
    throughput: bool = option(True, "log timing/sec_per_kimg and memory")
    nan_guard: bool = option(True, "stop at the first loss that is not finite")
    progress: str = option(
        "auto", "progress display: rich in a terminal, plain lines elsewhere", ("auto", "rich", "plain", "none")
    )
    log_every_kimg: float = option(0.25, "thousands of images between rows of logged training values")


@dataclass
class LoggerConfig:
    """Where logged values go."""

    csv: bool = option(True, "append to metrics.csv in the run folder")
    wandb: bool = option(False, "log to Weights & Biases")
    tensorboard: bool = option(False, "log to TensorBoard")
    wandb_mode: str = option(
        "auto", "auto is online where an account is configured, else offline", ("auto", "online", "offline")
    )
    project: str = option("anycost", "Weights & Biases project")
    entity: str | None = option(None, "Weights & Biases entity")
    group: str | None = option(None, "Weights & Biases group; default: the name of the multirun, or the data")
    tags: list[str] = option([], "Weights & Biases tags")


@dataclass
class MetricsConfig:
    """Measurements in training."""

    names: list[str] = option([], "metrics measured in training: frechet, kernel, consistency")
    features: str = option("inception", "features of frechet and kernel distances", ("inception", "embedded"))
    perceptual: str = option("lpips", "distance of the consistency metric", ("lpips", "embedded"))
    architectures: list[str] = option(["auto"], "architectures measured; auto is what the stage trains")
    samples: int = option(5000, "images per measurement", at_least=8)
    every_kimg: float | None = option(None, "thousands of images between measurements; default: at the end only")
    batch_size: int = option(32, "images per forward pass", at_least=1)


@dataclass
class PathsConfig:
    """Folders."""

    data: str = option("${oc.env:ANYCOST_DATA,./datasets}", "where data sets lie", path=True)
    logs: str = option("logs", "where runs are written", path=True)
    cache: str = option("${oc.env:ANYCOST_CACHE,'~/.cache/anycost'}", "statistics of real images", path=True)


@dataclass
class ClusterConfig:
    """How `hydra/launcher=slurm` and `=local` use machines; a laboratory fills it in once."""

    name: str = option("default", "name of the cluster")
    detach: bool = option(False, "return once the jobs are submitted")
    prepare_only: bool = option(False, "check and record the jobs, and leave it to you to submit them")
    max_parallel: int | None = option(
        None, "most jobs at a time; default: what the scheduler allows, locally what the cores allow", at_least=1
    )
    minutes: int | None = option(
        None, "time limit of a job, which continues in the queue; default: the partition's", at_least=1
    )
    grace_seconds: int = option(120, "a job is told this long before its limit to save and queue again", at_least=10)
    partition: str | None = option(None, "sbatch --partition")
    account: str | None = option(None, "sbatch --account")
    qos: str | None = option(None, "sbatch --qos")
    constraint: str | None = option(None, "sbatch --constraint")
    reservation: str | None = option(None, "sbatch --reservation")
    gpus_per_node: int = option(0, "GPUs that a node has; 0: jobs ask for none", at_least=0)
    gpu_type: str | None = option(None, "type of GPU as the scheduler calls it")
    gpu_request: str = option("gpus-per-node", "how GPUs are asked for", ("gpus-per-node", "gres"))
    cpus_per_task: int = option(1, "cores of each process, and its threads unless trainer.threads says so", at_least=1)
    mem_gb: int | None = option(None, "memory of each node in GB", at_least=1)
    setup: list[str] = option([], "lines of shell before a job starts: modules, environment")
    container: list[str] = option([], "words before python: [apptainer,exec,--nv,image.sif]")
    python: str | None = option(None, "interpreter on the nodes; default: the one that submits", path=True)
    main_address: str | None = option(
        None, "name or address at which the processes of a job meet; default: that of its first node"
    )
    srun: list[str] = option([], "further arguments of srun")
    sbatch: list[str] = option([], "further arguments of sbatch")


@dataclass
class TableConfig:
    """Where a run stands in the table that `anycost report` writes of a multirun; experiments set it."""

    row: str | None = option(None, "row; init_from=row:NAME of another row names this one")
    column: str | None = option(
        None, "architecture whose column the full generator of this run fills (one trained for one width): 0.5"
    )


@dataclass
class TrainConfig:
    """The whole of `train.py`'s configuration."""

    stage: Any = option(MISSING, "what is trained")
    data: DataConfig = option(DataConfig, "images")
    model: ModelConfig = option(ModelConfig, "generator and discriminator")
    schedule: ScheduleConfig = option(ScheduleConfig, "default lengths of the stages", identity=False)
    features: FeaturesConfig = option(FeaturesConfig, "networks that judge images", identity=False)
    trainer: TrainerConfig = option(TrainerConfig, "machine")
    callbacks: CallbacksConfig = option(CallbacksConfig, "what happens beside the training", identity=False)
    logger: LoggerConfig = option(LoggerConfig, "where values go", identity=False)
    metrics: MetricsConfig = option(MetricsConfig, "measurements in training", identity=False)
    paths: PathsConfig = option(PathsConfig, "folders", identity=False)
    cluster: ClusterConfig = option(ClusterConfig, "machines that a multirun uses", identity=False)
    table: TableConfig = option(TableConfig, "place in the table of a multirun", identity=False)
    seed: int = option(0, "seed of everything random", at_least=0)
    run: str | None = option(
        None, "name of the run folder; default: stage, data and a hash of the configuration", identity=False
    )
    resume: str = option(
        "auto", "auto continues the run of the same command, never starts a new one, a path continues from that "
        "checkpoint", path=True, identity=False,
    )  # fmt: skip
    init_from: str = option(
        "auto", "auto (last finished run of the preceding stage), none, a run, a weights file, row:NAME of the same "
        "table, or OWNER/NAME of the hub", path=True,
    )
