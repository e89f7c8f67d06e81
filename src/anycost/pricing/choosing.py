"""The architecture that a number of milliseconds buys, from a price list with measured latencies."""

from collections.abc import Iterable

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.pricing.price_list import Price, PriceList


def best_within(budget_ms: float, prices: PriceList, candidates: Iterable[Architecture] | None = None) -> Architecture:
    """The architecture of the most true multiply-adds among those of at most `budget_ms` milliseconds.

    `candidates` are a search's results, for example; by default the uniform architectures of the space. Raises
    `UserError` where none is as fast, or where `prices` has no latencies.
    """
    if prices.latency is None:
        raise UserError(f"budget={budget_ms:g}ms needs a price list with measured latencies")
    chosen = prices.space.enumerate("uniform") if candidates is None else candidates
    priced = [(one, prices.price(one)) for one in chosen]
    if not priced:
        raise UserError(f"budget={budget_ms:g}ms: there are no architectures to choose from")
    fitting = [(one, price) for one, price in priced if _ms(price) <= budget_ms]
    if not fitting:
        fastest, price = min(priced, key=lambda pair: _ms(pair[1]))
        raise UserError(
            f"budget={budget_ms:g}ms is below the fastest architecture, {prices.space.label(fastest)}, which takes "
            f"{_ms(price):.3g} ms with the {price.executor} executor on {price.device}"
        )
    return max(fitting, key=lambda pair: pair[1].macs)[0]


def _ms(price: Price) -> float:
    assert price.latency_ms is not None
    return price.latency_ms
