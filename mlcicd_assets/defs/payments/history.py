"""What the bank knows of card and merchant at the moment of a payment, and nothing later."""

import numpy as np

from mlcicd_assets.defs.payments.population import CUSTOMERS, MERCHANTS, Floats, Ints
from mlcicd_assets.defs.payments.simulator import DAY, Payments, Scenario, draw_day

_MEAN_DAYS = 28
_RATE_FROM, _RATE_TO = 35, 8  # days back: most labels have arrived by then


def amount_over_mean(seed: int, scenario: Scenario, day: int) -> Floats:
    """Amount over the customer's mean of the 28 days before; NaN without any payment then."""
    before = [draw_day(seed, scenario, past) for past in range(day - _MEAN_DAYS, day)]
    customer = np.concatenate([payments.customer for payments in before])
    amount = np.concatenate([payments.amount for payments in before])
    total = np.bincount(customer, amount, CUSTOMERS)
    count = np.bincount(customer, minlength=CUSTOMERS)
    mean = _share(total, count)
    today = draw_day(seed, scenario, day)
    return today.amount / mean[today.customer]


def merchant_fraud_rate(seed: int, scenario: Scenario, day: int) -> Floats:
    """Share of fraud at the merchant 35 to 8 days before; NaN without any payment then."""
    before = [draw_day(seed, scenario, past) for past in range(day - _RATE_FROM, day - _RATE_TO + 1)]
    merchant = np.concatenate([payments.merchant for payments in before])
    fraud = np.concatenate([payments.fraud for payments in before])
    count = np.bincount(merchant, minlength=MERCHANTS)
    frauds = np.bincount(merchant, fraud, MERCHANTS)
    return _share(frauds, count)[draw_day(seed, scenario, day).merchant]


def earlier_payments(seed: int, scenario: Scenario, day: int, seconds: int) -> Ints:
    """How often the card was used in the `seconds` (at most a day) before each payment."""
    today = draw_day(seed, scenario, day)
    known = [draw_day(seed, scenario, day - 1), today]
    key = np.sort(np.concatenate([_card_time(payments) for payments in known]))
    moment = _card_time(today)
    return np.searchsorted(key, moment) - np.searchsorted(key, moment - seconds)


def _card_time(payments: Payments) -> Ints:
    """One sortable number per card and second, cards far enough apart."""
    return payments.customer * (100_000 * DAY) + payments.seconds


def _share(total: np.ndarray, count: Ints) -> Floats:
    result: Floats = np.full(len(count), np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
