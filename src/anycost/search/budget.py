"""Budgets: how much one picture may cost, in multiply-adds of either convention or in milliseconds."""

import re
from dataclasses import dataclass

from anycost.errors import UserError
from anycost.pricing.price_list import Price

PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
FIELDS = {"mac_paper": "macs_paper", "mac": "macs", "ms": "latency_ms"}
"""Measures of a budget, and the field of `Price` that each limits."""
_NUMBER = r"(?P<number>\d+(?:\.\d*)?|\.\d+)"
_FORM = re.compile(rf"{_NUMBER} ?(?P<unit>ms|[kMGT]?mac(?:_paper)?|[kMGT])")


@dataclass(frozen=True)
class Budget:
    """At most `amount` multiply-adds or milliseconds; `unit` is how it is written.

    `Budget.parse("18G")` is `Budget(18e9, "Gmac_paper")`: a number with a bare prefix is in the paper's convention.
    """

    amount: float
    unit: str

    @staticmethod
    def parse(text: str) -> "Budget":
        """From `18Gmac_paper`, `18G`, `8.4Gmac`, `250Mmac` or `40ms`; raises `UserError` for anything else."""
        match = _FORM.fullmatch(text.strip())
        if not match or not float(match["number"]):
            raise UserError(
                f"budget={text} is not understood; use for example 18G or 18Gmac_paper (the paper's convention), "
                f"8.4Gmac or 250Mmac (true multiply-adds), 40ms, or pareto"
            )
        unit = match["unit"] + ("mac_paper" if match["unit"] in PREFIXES else "")
        return budget_of(float(match["number"]), unit)

    @property
    def field(self) -> str:
        """The field of `Price` that it limits: `macs_paper`, `macs` or `latency_ms`."""
        return FIELDS[_split(self.unit)[1]]

    @property
    def name(self) -> str:
        """The short form, as keys of result files have it: `18G` (paper's convention), `8.4Gmac`, `40ms`."""
        prefix, measure = _split(self.unit)
        return str(self).removesuffix("mac_paper") if prefix and measure == "mac_paper" else str(self)

    def __str__(self) -> str:
        """In full: `18Gmac_paper`."""
        return f"{self.amount / PREFIXES[_split(self.unit)[0]]:.12g}{self.unit}"

    def cost(self, price: Price) -> float:
        """What `price` says in this budget's measure; raises `UserError` where the latency is not known."""
        value = getattr(price, self.field)
        if value is None:
            raise UserError(f"budget={self} needs latencies, and none are measured: set latency=true")
        return value

    def cost_text(self, price: Price) -> str:
        """`cost`, written as `name` is and so comparable by eye: `17.93G`."""
        number = self.cost(price) / PREFIXES[_split(self.unit)[0]]
        return budget_of(float(f"{number:.5g}"), self.unit).name

    def fits(self, price: Price) -> bool:
        return self.cost(price) <= self.amount

    def check(self, cheapest: Price, full: Price) -> None:
        """Raise `UserError` unless the budget lies between what the cheapest and the full architecture cost."""
        low, high = self.cost(cheapest), self.cost(full)
        limits = f"the cheapest costs {self._written(low)}, the full one {self._written(high)}"
        if self.amount < low:
            raise UserError(f"budget={self} is below the cheapest architecture: {limits}")
        if self.amount > high:
            raise UserError(f"budget={self} is above the full architecture, which then is the best: {limits}")

    def _written(self, amount: float) -> str:
        measure = _split(self.unit)[1]
        prefix = "" if measure == "ms" else prefix_of(amount)
        return f"{amount / PREFIXES[prefix]:.4g}{prefix}{measure}"


def budget_of(number: float, unit: str) -> Budget:
    """`budget_of(8.4, "Gmac")`."""
    # 15 digits undo what the multiplication of a decimal fraction adds: 8.4 x 10^9 is 8 400 000 000.
    return Budget(float(f"{number * PREFIXES[_split(unit)[0]]:.15g}"), unit)


def prefix_of(amount: float) -> str:
    """The prefix that leaves one to three digits before the point."""
    return next((prefix for prefix, scale in reversed(PREFIXES.items()) if amount >= scale), "")


def _split(unit: str) -> tuple[str, str]:
    """`Gmac_paper` -> (`G`, `mac_paper`)."""
    prefix = unit[0] if unit[0] in PREFIXES else ""
    return prefix, unit.removeprefix(prefix)
