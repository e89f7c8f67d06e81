"""Channel pruning of a generator by magnitude: the baseline "ChannelPrune" of Figure 5 [Anycost].

The family is that of He et al. (ICCV 2017, arXiv 1707.06168); the criterion is the magnitude of Li et al. (ICLR 2017,
arXiv 1608.08710), each layer judged independently of what is dropped elsewhere. A generator has styles, so a channel
counts as it does in channel sorting: summed kernel magnitude of its consumer times its mean style magnitude.
"""

import copy
from collections.abc import Sequence

from anycost.networks.generator import Generator
from anycost.networks.sorting import sort_channels


def prune(generator: Generator, channels: Sequence[int], num_latents: int = 100_000, seed: int = 0) -> Generator:
    """A standalone generator of `channels` per point, made of the most important channels of each point.

    It draws what `generator` draws once nothing reads the channels that are dropped; `generator` stays as it is.
    Styles are averaged over `num_latents` drawn by `seed`. Raises `UserError` where a point is to get more channels
    than it has.
    """
    kept = generator.space.from_channels(channels)
    ordered = copy.deepcopy(generator)
    sort_channels(ordered, num_latents, seed)
    return ordered.extract(kept)
