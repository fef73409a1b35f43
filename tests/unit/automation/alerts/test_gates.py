"""What fails stands until it passes, partition by partition."""

from collections.abc import Sequence

from mlcicd_assets.automation.alerts.gates import WHOLE, CheckSeen, Failing, RunSeen, Span, StepSeen
from resources.protocols import Alert

OWNERS = {"sales": "team:shop", "returns": "team:risk"}
YEAR: Span = ("2026-01", "2026-12")


def check(span: Span, *, passed: bool = False, name: str = "contract") -> CheckSeen:
    return CheckSeen("sales/validated_data", name, passed, True, span, "3 rows")


def seen(
    failing: Failing, *told: CheckSeen | StepSeen, refused: Sequence[str] = ()
) -> list[Alert | tuple[str, str]]:
    checks = tuple(one for one in told if isinstance(one, CheckSeen))
    steps = tuple(one for one in told if isinstance(one, StepSeen))
    return list(failing.see(RunSeen("run", checks, steps), OWNERS, lambda _asset, _span: refused))


def test_a_partition_that_passes_does_not_end_what_another_failed() -> None:
    failing = Failing()
    (alert,) = seen(failing, check(("2026-01", "2026-01")))
    assert isinstance(alert, Alert)
    assert alert.subject == "dataset:sales"
    assert alert.owner == "team:shop"
    assert alert.evidence["contract"] == "[2026-01] 3 rows"

    assert seen(failing, check(("2026-02", "2026-02"), passed=True)) == []
    (ended,) = seen(failing, check(("2026-01", "2026-01"), passed=True))

    assert ended[0] == "gates/sales/validated_data"  # type: ignore[index]


def test_of_a_range_only_the_refused_partitions_stand() -> None:
    failing = Failing()
    seen(failing, check(YEAR), refused=["2026-03", "2026-07"])

    assert seen(failing, check(("2026-03", "2026-03"), passed=True)) == []
    assert len(seen(failing, check(("2026-07", "2026-07"), passed=True))) == 1


def test_a_range_that_passes_whole_ends_all_of_its_partitions() -> None:
    failing = Failing()
    seen(failing, check(("2026-03", "2026-03")))
    seen(failing, check(("2026-07", "2026-07")))

    assert len(seen(failing, check(YEAR, passed=True))) == 1


def test_one_gate_less_is_another_state() -> None:
    failing = Failing()
    seen(failing, check(WHOLE), check(WHOLE, name="volume"))

    (alert,) = seen(failing, check(WHOLE, passed=True))

    assert isinstance(alert, Alert)
    assert alert.state == "volume"


def test_a_rollback_that_failed_is_looked_up_where_it_was_asked_for() -> None:
    failed = StepSeen("returns/roll_back", True, "nothing to go back to", "ServingError", asset=False)
    failing = Failing()

    (alert,) = seen(failing, failed)

    assert isinstance(alert, Alert)
    assert (alert.command, alert.subject) == ("mlcicd requests", "model:returns")
    assert seen(failing, StepSeen("other/roll_back", failed=False, asset=False)) == []


def test_a_failed_step_stands_until_its_partition_succeeds() -> None:
    failing = Failing()
    day = ("2026-01-02", "2026-01-02")
    (alert,) = seen(failing, StepSeen("sales/raw_data", True, "damaged", "Failure", day))
    assert isinstance(alert, Alert)
    assert alert.command.endswith("'key:\"sales/raw_data\"' --partition 2026-01-02")

    other = StepSeen("sales/raw_data", failed=False, span=("2026-01-03", "2026-01-03"))
    assert seen(failing, other) == []
    assert seen(failing, StepSeen("sales/raw_data", failed=False, span=day)) == [
        ("run/sales/raw_data", "sales/raw_data succeeded in run run")
    ]
    assert seen(failing, StepSeen("sales/raw_data", failed=False, span=day)) == []
