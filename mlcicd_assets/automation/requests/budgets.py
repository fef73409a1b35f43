"""A model's budget in this month, from what the ledger says trainings cost; and who may be told of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from mlcicd_assets.assets.training_cost import training_costs
from mlcicd_assets.automation.requests.policy import Policy
from mlcicd_assets.ml.budget import Spending, month_of, spending
from mlcicd_assets.release.history import BUDGET_OVERRIDDEN
from resources.protocols import Alert, Entry, Ledger

MONTH = "month"


def spent_by(policy: Policy, lines: Sequence[Entry], now: datetime) -> Spending | None:
    """The month's spending; None without a budget."""
    if policy.budget is None:
        return None
    month = month_of(now, policy.timezone)
    overridden = next(
        (
            f"{line.actor}: {line.reason}"
            for line in reversed(lines)
            if line.action == BUDGET_OVERRIDDEN and line.details.get(MONTH) == month
        ),
        "",
    )
    return spending(policy.budget, month, policy.timezone, training_costs(lines), policy.rates, overridden)


def override(ledger: Ledger, policy: Policy, now: datetime, *, by: str, reason: str) -> Entry:
    """Let this month's budget be exceeded, in the ledger; raises ValueError where there is none."""
    if policy.budget is None:
        raise ValueError(f"{policy.model} has no budget to override: it declares no 'retrain.budget'")
    month = month_of(now, policy.timezone)
    details = {MONTH: month, "budget": str(policy.budget)}
    return ledger.append(BUDGET_OVERRIDDEN, policy.model, actor=by, reason=reason, details=details)


def budget_alerts(policies: Mapping[str, Policy], spent: Mapping[str, Spending]) -> Iterator[Alert]:
    """From 80 % on, and when no further training may begin; by model and month."""
    for model, found in spent.items():
        if found.level == "within":
            continue
        exhausted = found.level == "exhausted"
        share = f"{found.share:.0%} of the budget of {found.budget} is spent in {found.month}"
        yield Alert(
            cause=budget_cause(model, found.month),
            state=f"{found.level}{' overridden' if found.overridden else ''}",
            severity="critical" if exhausted and not found.overridden else "warning",
            title=f"{model}: {found.refusal if exhausted else share}"
            + (f"; overridden by {found.overridden}" if found.overridden else ""),
            subject=f"model:{model}",
            owner=policies[model].owner,
            evidence={
                "spent": round(found.spent, 4),
                "budget": found.budget.amount,
                "unit": found.budget.unit,
                "share": round(found.share, 4),
                "last training": None if found.last is None else round(found.last, 4),
            },
            command=f"mlcicd requests override {model} --by NAME --reason WHY"
            if exhausted
            else "mlcicd requests",
        )


def budget_cause(model: str, month: str) -> str:
    """`budget/fraud_detector/2026-11`."""
    return f"budget/{model}/{month}"
