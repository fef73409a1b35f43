"""Who pays whom: customers and merchants of the simulated town, drawn once per seed."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGE_GROUPS = np.array(["18-25", "26-40", "41-60", "60+"])
GENDERS = np.array(["female", "male"])
CATEGORIES = np.array(
    [
        *("grocery", "fuel", "restaurant", "pharmacy", "fashion", "electronics"),
        *("travel", "gaming", "utilities", "jewellery", "digital_goods", "transfer"),
    ]
)
AMOUNT_MULTIPLIER = np.array([0.8, 1.1, 0.7, 0.5, 1.4, 2.5, 4.0, 0.6, 1.6, 5.0, 0.4, 2.0])
POPULARITY = np.array([0.22, 0.10, 0.16, 0.08, 0.10, 0.06, 0.04, 0.05, 0.06, 0.02, 0.07, 0.04])
ONLINE_SHARE = np.array([0.05, 0.0, 0.10, 0.10, 0.40, 0.50, 0.80, 0.95, 0.60, 0.15, 1.0, 1.0])

CUSTOMERS, MERCHANTS = 6_000, 4_000
NEAREST = 40
TOWN_KM = 100.0

_AGE_SHARE = [0.22, 0.36, 0.28, 0.14]
_DAILY_RATE = np.array([0.6, 0.7, 0.5, 0.3])
_LOG_AMOUNT = np.array([2.9, 3.5, 3.7, 3.4])
_ONLINE_SHIFT = np.array([0.25, 0.1, -0.1, -0.25])
_JOIN_DURING_YEAR = 0.25


@dataclass(frozen=True)
class Customers:
    """One entry per customer; days count from the first day of the simulation."""

    age: Ints  # index into AGE_GROUPS
    gender: Ints  # index into GENDERS
    daily_rate: Floats
    mean_amount: Floats
    online: Floats  # share of purchases made online
    place: Floats  # kilometres, [n, 2]
    joined: Ints  # first day; negative: was there before
    device_phase: Floats  # age of the device on day 0, days
    device_cycle: Floats  # a device is replaced after so many days


@dataclass(frozen=True)
class Merchants:
    """One entry per merchant."""

    category: Ints  # index into CATEGORIES
    place: Floats  # kilometres, [n, 2]
    popularity: Floats
    online: Ints  # the merchants that sell online
    offline: Ints  # the merchants that have a shop


@dataclass(frozen=True)
class Population:
    """The town, and for each customer the nearest shops by rank."""

    customers: Customers
    merchants: Merchants
    nearest: Ints  # merchants, [customers, NEAREST]
    online_odds: Floats  # cumulative, over merchants.online


@lru_cache(maxsize=4)
def draw_population(seed: int) -> Population:
    """The same town for the same seed."""
    customers = _draw_customers(np.random.default_rng([seed, 0, 0]))
    merchants = _draw_merchants(np.random.default_rng([seed, 1, 0]))
    odds = np.cumsum(merchants.popularity[merchants.online])
    return Population(customers, merchants, _nearest(customers, merchants), odds / odds[-1])


def _draw_customers(rng: np.random.Generator) -> Customers:
    age = rng.choice(4, CUSTOMERS, p=_AGE_SHARE)
    joins = rng.random(CUSTOMERS) < _JOIN_DURING_YEAR
    cycle = rng.uniform(300, 1_100, CUSTOMERS)
    return Customers(
        age=age,
        gender=rng.integers(0, 2, CUSTOMERS),
        daily_rate=rng.gamma(2.0, _DAILY_RATE[age] / 2.0),
        mean_amount=rng.lognormal(_LOG_AMOUNT[age], 0.5),
        online=np.clip(rng.beta(4, 4, CUSTOMERS) + _ONLINE_SHIFT[age], 0, 1) * 0.6,
        place=rng.uniform(0, TOWN_KM, (CUSTOMERS, 2)),
        joined=np.where(joins, rng.integers(0, 365, CUSTOMERS), -1_000_000),
        device_phase=rng.uniform(0, cycle),
        device_cycle=cycle,
    )


def _draw_merchants(rng: np.random.Generator) -> Merchants:
    category = rng.choice(len(CATEGORIES), MERCHANTS, p=POPULARITY)
    online = rng.random(MERCHANTS) < ONLINE_SHARE[category]
    return Merchants(
        category=category,
        place=rng.uniform(0, TOWN_KM, (MERCHANTS, 2)),
        popularity=rng.pareto(1.5, MERCHANTS) + 1,
        online=np.flatnonzero(online),
        offline=np.flatnonzero(~online),
    )


def _nearest(customers: Customers, merchants: Merchants) -> Ints:
    shops = merchants.place[merchants.offline]
    ranks = np.empty((CUSTOMERS, NEAREST), dtype=np.int64)
    for start in range(0, CUSTOMERS, 500):  # blocks keep the distances small
        homes = customers.place[start : start + 500]
        distance = ((homes[:, None, :] - shops[None, :, :]) ** 2).sum(axis=2)
        near = np.argpartition(distance, NEAREST, axis=1)[:, :NEAREST]
        order = np.take_along_axis(distance, near, axis=1).argsort(axis=1, kind="stable")
        ranks[start : start + 500] = merchants.offline[np.take_along_axis(near, order, axis=1)]
    return ranks
