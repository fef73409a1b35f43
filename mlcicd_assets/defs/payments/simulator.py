"""A day of card payments: purchases, two kinds of fraud, and the drift that can be switched on.

In the manner of the Fraud Detection Handbook (Le Borgne et al., 2022), written from the idea. Every day is
drawn with `default_rng([seed, stream, day])`, so any day regenerates without those before it. Days count from
0; history before the first day exists too.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mlcicd_assets.defs.payments.population import (
    AMOUNT_MULTIPLIER,
    CATEGORIES,
    NEAREST,
    Floats,
    Ints,
    Population,
    draw_population,
)

DRIFT_FROM = 90  # no switch changes anything before this day
DAY = 86_400  # seconds

_SKIM, _THEFT, _PURCHASE, _ATTACK, _TESTING, _LABEL = range(2, 8)  # streams; 0 and 1 draw the population
_EPOCH = 100_000  # added to the day, so that seeds of history are not negative

_WEEKDAY = np.array([0.92, 0.94, 0.96, 1.0, 1.14, 1.18, 0.86])  # Monday first
_SKIMMED_DAYS, _SKIM_RATE = 28, 0.4
_STOLEN_DAYS, _STOLEN_A_DAY, _ATTACKS_A_DAY = 14, 5, 0.35
_OTHER_DEVICE = 0.06  # share of honest online purchases on a device never seen before
_VICTIM_WEIGHT = np.array([1.0, 1.0, 1.3, 2.2])  # by age group
_DIGITAL_GOODS = int(np.flatnonzero(CATEGORIES == "digital_goods")[0])


@dataclass(frozen=True)
class Scenario:
    """Which drifts are switched on, from day 90."""

    covariate: bool = False  # prices rise by 0.4 % a day, more is bought online: harmless
    concept: bool = False  # cards are tested in bursts, and thieves hide better from day 105 on
    prior: bool = False  # twice as many cards are stolen from day 150 on
    festival: bool = False  # 2.5 times the volume on days 150 to 157: an expected false alarm
    tactics: bool = False  # thieves take over their victims' own devices: no new device gives them away

    @classmethod
    def named(cls, name: str) -> "Scenario":
        """`none`, the name of one switch, or `all`; raises ValueError."""
        switches = [switch.name for switch in fields(cls)]
        if name not in {"none", "all", *switches}:
            raise ValueError(f"a scenario is one of none, {', '.join(switches)}, all; not {name!r}")
        return cls(**{switch: name in {switch, "all"} for switch in switches})


class Payments(NamedTuple):
    """Transactions in the order of time."""

    customer: Ints
    merchant: Ints
    online: np.ndarray  # bool
    seconds: Ints  # since the first day's midnight
    amount: Floats
    device_age: Floats  # days; NaN in a shop
    fraud: np.ndarray  # bool
    label_seconds: Ints  # when the label becomes known


@lru_cache(maxsize=128)
def draw_day(seed: int, scenario: Scenario, day: int) -> Payments:
    """All transactions of one day."""
    town = draw_population(seed)
    parts = [
        _purchases(town, scenario, day, _generator(seed, _PURCHASE, day), skimmed_merchants(seed, day)),
        _attacks(town, scenario, day, _generator(seed, _ATTACK, day), stolen_cards(seed, scenario, day)),
    ]
    if scenario.concept and day >= DRIFT_FROM:
        parts.append(_card_testing(town, day, _generator(seed, _TESTING, day)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[3], kind="stable")
    payments = Payments(*(column[order] for column in columns))
    days = np.minimum(_generator(seed, _LABEL, day).lognormal(1.6, 0.7, len(order)), 45.0)
    return payments._replace(label_seconds=payments.seconds + (days * DAY).astype(np.int64))


def skimmed_merchants(seed: int, day: int) -> Ints:
    """The shops whose terminals copy cards on this day: one more every day, each for 28 days."""
    shops = draw_population(seed).merchants.offline
    starts = range(day - _SKIMMED_DAYS + 1, day + 1)
    return np.array([_generator(seed, _SKIM, start).choice(shops) for start in starts])


def stolen_cards(seed: int, scenario: Scenario, day: int) -> Ints:
    """The customers whose cards thieves use on this day: five more every day, each for 14 days."""
    starts = range(day - _STOLEN_DAYS + 1, day + 1)
    return np.concatenate([_stolen_on(seed, scenario, start) for start in starts])


@lru_cache(maxsize=256)
def _stolen_on(seed: int, scenario: Scenario, day: int) -> Ints:
    customers = draw_population(seed).customers
    weight = _VICTIM_WEIGHT[customers.age] * (customers.joined <= day)
    cards = _STOLEN_A_DAY * (2 if scenario.prior and day >= 150 else 1)
    return _generator(seed, _THEFT, day).choice(len(weight), cards, replace=False, p=weight / weight.sum())


def _generator(seed: int, stream: int, day: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream, day + _EPOCH])


def _drifted_days(scenario: Scenario, day: int) -> int:
    return max(day - DRIFT_FROM, 0) if scenario.covariate else 0


def _purchases(
    town: Population, scenario: Scenario, day: int, rng: np.random.Generator, skimmed: Ints
) -> Payments:
    """What customers buy; of what is paid in skimmed shops a share is copied and counts as fraud."""
    people = town.customers
    volume = _WEEKDAY[(day + 3) % 7]  # day 0 is Thursday, 1 January 2026
    if scenario.festival and 150 <= day <= 157:
        volume *= 2.5
    counts = rng.poisson(people.daily_rate * volume * (people.joined <= day))
    customer = np.repeat(np.arange(len(counts)), counts)
    more_online = 1 + 0.009 * _drifted_days(scenario, day)
    online = rng.random(len(customer)) < people.online[customer] * more_online
    merchant = np.where(online, _online_merchants(town, rng, len(customer)), _shops(town, rng, customer))
    hour = np.where(online, rng.normal(19, 4, len(customer)), rng.normal(14, 3.6, len(customer)))
    payments = _payments(town, scenario, day, rng, customer, merchant, online, hour)
    copied = ~online & np.isin(merchant, skimmed) & (rng.random(len(customer)) < _SKIM_RATE)
    return payments._replace(fraud=copied)


def _attacks(
    town: Population, scenario: Scenario, day: int, rng: np.random.Generator, victims: Ints
) -> Payments:
    """What thieves add on stolen cards: online, dear, at night, on a new device, until they learn to hide."""
    customer = np.repeat(victims, rng.poisson(_ATTACKS_A_DAY, len(victims)))
    n = len(customer)
    if scenario.tactics and day >= DRIFT_FROM:
        return _from_own_devices(town, scenario, day, rng, customer)
    hidden = rng.random(n) < (np.clip((day - 105) / 45, 0, 1) if scenario.concept else 0)
    hour = np.where(hidden, rng.normal(19.5, 3, n), rng.normal(2.5, 2.5, n))
    payments = _payments(
        town, scenario, day, rng, customer, _online_merchants(town, rng, n), np.ones(n, bool), hour
    )
    return payments._replace(
        amount=np.round(payments.amount * np.where(hidden, 1.3, 3.0), 2),
        device_age=np.where(hidden, payments.device_age, rng.uniform(0, 2, n)),
        fraud=np.ones(n, bool),
    )


def _from_own_devices(
    town: Population, scenario: Scenario, day: int, rng: np.random.Generator, customer: Ints
) -> Payments:
    """As many payments on stolen cards, at the same shops, but from the victim's own device, at dawn.

    What is known of all payments together stays as it was; only which of them are fraud has changed.
    """
    n = len(customer)
    hour = rng.normal(4.5, 1.0, n)
    shops = _online_merchants(town, rng, n)
    payments = _payments(town, scenario, day, rng, customer, shops, np.ones(n, bool), hour)
    return payments._replace(amount=np.round(payments.amount * 5.0, 2), fraud=np.ones(n, bool))


def _card_testing(town: Population, day: int, rng: np.random.Generator) -> Payments:
    """Bursts of tiny purchases of digital goods that try whether a card still works."""
    active = np.flatnonzero(town.customers.joined <= day)
    victims = rng.choice(active, 2, replace=False)
    customer = np.repeat(victims, 2 + rng.poisson(2, len(victims)))
    n = len(customer)
    shops = np.flatnonzero(town.merchants.category == _DIGITAL_GOODS)
    start = dict(zip(victims, rng.uniform(0, 23.5, len(victims)), strict=True))
    hour = np.array([start[victim] for victim in customer]) + rng.uniform(0, 1 / 3, n)
    payments = _payments(town, Scenario(), day, rng, customer, rng.choice(shops, n), np.ones(n, bool), hour)
    return payments._replace(amount=np.round(rng.uniform(0.5, 3.0, n), 2), fraud=np.ones(n, bool))


def _payments(
    town: Population,
    scenario: Scenario,
    day: int,
    rng: np.random.Generator,
    customer: Ints,
    merchant: Ints,
    online: np.ndarray,
    hour: Floats,
) -> Payments:
    """The transactions' amounts, times and devices, none of them fraud yet."""
    people = town.customers
    multiplier = AMOUNT_MULTIPLIER[town.merchants.category[merchant]]
    inflation = 1.004 ** _drifted_days(scenario, day)
    amount = people.mean_amount[customer] * multiplier * rng.lognormal(0, 0.55, len(customer)) * inflation
    own = (people.device_phase[customer] + day) % people.device_cycle[customer] + hour % 24 / 24
    borrowed = rng.random(len(customer)) < _OTHER_DEVICE
    device = np.where(borrowed, rng.uniform(0, 2, len(customer)), own)
    return Payments(
        customer=customer,
        merchant=merchant,
        online=online,
        seconds=day * DAY + (hour % 24 * 3600).astype(np.int64),
        amount=np.round(np.maximum(amount, 0.01), 2),
        device_age=np.where(online, device, np.nan),
        fraud=np.zeros(len(customer), bool),
        label_seconds=np.zeros(len(customer), np.int64),
    )


def _online_merchants(town: Population, rng: np.random.Generator, n: int) -> Ints:
    return town.merchants.online[np.searchsorted(town.online_odds, rng.random(n))]


def _shops(town: Population, rng: np.random.Generator, customer: Ints) -> Ints:
    rank = (rng.geometric(0.1, len(customer)) - 1) % NEAREST
    return town.nearest[customer, rank]
