"""The typed schema of the group `stage`: what is trained, and on what losses."""

from dataclasses import dataclass

from anycost.configuration.fields import MISSING, option


@dataclass
class OptimizerConfig:
    """Adam, the same for generator and discriminator."""

    learning_rate: float = option(0.002, "Adam learning rate of generator and discriminator")
    beta1: float = option(0.0, "Adam beta 1")
    beta2: float = option(0.99, "Adam beta 2")
    lazy_correction: bool = option(
        True,
        "scale learning rate and betas by k/(k+1) for a regulariser that runs every k steps "
        "(the official Anycost code does not)",
    )


@dataclass
class R1Config:
    """Gradient penalty on real images."""

    gamma: float = option(10.0, "weight of the R1 penalty; 0 switches it off", at_least=0)
    every: int = option(16, "steps between R1 phases", at_least=1)
    architecture: str = option(
        "real",
        "which architecture the discriminator is told: the reals' own draw, or the fakes' (official code)",
        ("real", "fake"),
    )


@dataclass
class PathLengthConfig:
    """Path-length regularisation of the generator."""

    weight: float = option(2.0, "weight of the path-length penalty; 0 switches it off", at_least=0)
    every: int = option(4, "steps between path-length phases (official Anycost: 8)", at_least=1)
    decay: float = option(0.01, "rate of the running mean of lengths")
    batch_shrink: int = option(2, "the phase uses batch_size / batch_shrink images", at_least=1)


def _path_length_off() -> PathLengthConfig:
    return PathLengthConfig(weight=0.0)


_OFF_HERE = "path-length regularisation; belongs to stage 1, so off here"


@dataclass
class ConsistencyConfig:
    """Eq. 5: sub-generators imitate the full one."""

    weight: float = option(1.0, "weight of the consistency loss (Eq. 5); 0 switches it off", at_least=0)
    target: str = option(
        "full",
        "what sub-generators imitate: the current full generator, or the frozen generator that the stage "
        "started from (official code)",
        ("full", "teacher"),
    )
    resolutions: str = option(
        "sampled", "resolutions compared: the sampled ones, or all (official code)", ("sampled", "all")
    )
    resize: str = option(
        "pyramid",
        "how the target becomes smaller: the data pyramid's filter, or bilinear with aligned corners "
        "(official code)",
        ("pyramid", "align_corners"),
    )
    perceptual: str = option(
        "lpips", "perceptual distance: LPIPS-VGG, the embedded network's, or none", ("lpips", "embedded", "none")
    )


@dataclass
class StageConfig:
    """Options that every adversarial stage has."""

    name: str = option(MISSING, "stylegan2, multires, ada_ch, attributes or pipeline")
    kimg: float = option(MISSING, "length of the stage in thousands of images", at_least=0, identity=False)
    optimizer: OptimizerConfig = option(OptimizerConfig, "Adam")
    r1: R1Config = option(R1Config, "R1 gradient penalty")
    path_length: PathLengthConfig = option(PathLengthConfig, "path-length regularisation")
    mixing_probability: float = option(0.9, "probability that a batch mixes two styles", at_least=0)
    ema_kimg: float = option(10.0, "half-life of the averaged generator in thousands of images", at_least=0)
    generator_noise: str = option(
        "image",
        "noise maps of the generator phase: one set per image, or one shared by the batch (official code)",
        ("image", "batch"),
    )


@dataclass
class Stylegan2Config(StageConfig):
    """Stage 1: one StyleGAN2 at the full resolution and all channels."""

    name: str = "stylegan2"


@dataclass
class MultiresConfig(StageConfig):
    """Stage 2: outputs of several resolutions are trained, a sampled few at a time."""

    name: str = "multires"
    path_length: PathLengthConfig = option(_path_length_off, _OFF_HERE)
    num_resolutions: int = option(4, "highest resolutions that are trained", at_least=1)
    sampled_resolutions: int = option(1, "resolutions drawn in each phase (official scripts: 2)", at_least=1)
    consistency: ConsistencyConfig = option(ConsistencyConfig, "Eq. 5")


@dataclass
class AdaChConfig(MultiresConfig):
    """Stage 3: sub-generators of sampled channels are trained, the discriminator is told which."""

    name: str = "ada_ch"
    mode: str = option("uniform", "how architectures are drawn", ("uniform", "flexible", "sandwich"))
    min_channels: int = option(8, "flexible: fewest channels of a layer", at_least=1)
    divided_by: int = option(4, "flexible: channel counts are multiples of this", at_least=1)
    discriminator: str = option(
        "conditioned",
        "what the discriminator is to a narrow generator: told its architecture, the same for all, or reduced to its "
        "ratio (stage.mode=uniform only)",
        ("conditioned", "same", "reduced"),
    )
    condition_init: str = option(
        "identity", "first effect of telling it: none, or PyTorch's random one (official code)", ("identity", "random")
    )
    sort_channels: bool = option(True, "sort channels by importance when the stage starts")
    per_rank_architecture: bool = option(False, "every process draws its own architecture (official code)")


@dataclass
class MsgGanConfig(StageConfig):
    """Baseline of Table 1: every resolution at once, the discriminator sees all of them in one pass [MSG-GAN]."""

    name: str = "msg_gan"
    path_length: PathLengthConfig = option(_path_length_off, _OFF_HERE)
    num_resolutions: int = option(4, "highest resolutions that are trained", at_least=1)


@dataclass
class DistillConfig(StageConfig):
    """Baseline of Figure 5: a small generator of its own learns to draw what a wide one draws."""

    name: str = "distill"
    path_length: PathLengthConfig = option(_path_length_off, _OFF_HERE)
    teacher: str = option(MISSING, "wide generator: a run, a weights file or row:NAME of the same table", path=True)
    imitation_weight: float = option(1.0, "weight of the distance to the teacher's pictures", at_least=0)
    perceptual: str = option(
        "lpips", "perceptual part of that distance: LPIPS-VGG, the embedded network's, or none",
        ("lpips", "embedded", "none"),
    )  # fmt: skip
    copy_mapping: bool = option(True, "start with the teacher's mapping network, so that latents mean the same")


@dataclass
class PruneConfig(StageConfig):
    """Baseline of Figure 5: the channels of largest magnitude of a wide generator (`init_from`), trained on."""

    name: str = "prune"
    path_length: PathLengthConfig = option(_path_length_off, _OFF_HERE)


@dataclass
class AttributesConfig:
    """The small embedded network: attributes and label maps of the embedded faces."""

    name: str = "attributes"
    kimg: float = option(MISSING, "length of the stage in thousands of images", at_least=0, identity=False)
    learning_rate: float = option(0.001, "peak Adam learning rate; one cosine over the stage", at_least=0)
    width: int = option(16, "channels of the network's first level; the other three have 2, 4 and 8 times as many",
                        at_least=4)
    attribute_weight: float = option(6.0, "weight of the attributes' loss; that of the label maps is 1", at_least=0)
    texture_weight: float = option(1.0, "weight of the tasks outside faces: rotation, family and crops of textures",
                                   at_least=0)


@dataclass
class PipelineConfig:
    """stylegan2 -> multires -> ada_ch, each initialised from the one before."""

    name: str = "pipeline"
    stylegan2: Stylegan2Config = option(Stylegan2Config, "stage 1")
    multires: MultiresConfig = option(MultiresConfig, "stage 2")
    ada_ch: AdaChConfig = option(AdaChConfig, "stage 3")


STAGES: dict[str, type] = {
    "stylegan2": Stylegan2Config,
    "multires": MultiresConfig,
    "ada_ch": AdaChConfig,
    "msg_gan": MsgGanConfig,
    "distill": DistillConfig,
    "prune": PruneConfig,
    "attributes": AttributesConfig,
    "pipeline": PipelineConfig,
}

PIPELINE = ("stylegan2", "multires", "ada_ch")
"""The stages of a pipeline, and the folders of their runs in its own, in their order."""
