"""What every ledger keeps to, whatever database stands behind it."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.ledger import SqlLedger, entry_hash
from resources.protocols import Conflict, Entry, Ledger, ResourceError
from tests.fakes.databases import database

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path / "ledger.db") as made:
        yield made


@pytest.fixture
def ledger(url: str) -> Ledger:
    return SqlLedger(url, clock=lambda: NOON)


def tamper(url: str, *statements: str) -> None:
    """Change what stands, as somebody with the database's password could."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def unguard(url: str) -> list[str]:
    if url.startswith("sqlite"):
        return [
            f"DROP TRIGGER {name}" for name in ("ledger_no_update", "ledger_no_delete", "ledger_in_order")
        ]
    return ["DROP TRIGGER ledger_no_change ON ledger_entries"]


def promote(ledger: Ledger, expected: str | None, new: str | None) -> Entry:
    return ledger.move(
        "champion/m",
        expected=expected,
        new=new,
        action="promoted",
        model="m",
        actor="run",
        version=int(new or 0),
    )


def append_many(url: str, who: str, count: int) -> None:
    ledger = SqlLedger(url)
    for number in range(count):
        ledger.append("noted", "m", actor=who, details={"number": number})


def try_promote(url: str, version: int) -> bool:
    try:
        promote(SqlLedger(url), None, str(version))
    except Conflict:
        return False
    return True


def climb(url: str, steps: int) -> None:
    """Raise a counter by compare-and-set, reading again after each lost race."""
    ledger = SqlLedger(url)
    while steps:
        standing = ledger.pointer("champion/m")
        try:
            promote(ledger, standing, str(int(standing or 0) + 1))
        except Conflict:
            continue
        steps -= 1


def test_a_new_ledger_is_empty(ledger: Ledger) -> None:
    assert ledger.entries() == []
    assert ledger.pointer("champion/m") is None
    assert ledger.verify() == 0


def test_lines_come_back_as_they_were_written(ledger: Ledger) -> None:
    first = ledger.append(
        "registered", "m", actor="run-1", version=1, digest="a" * 64, details={"ü": [1, None]}
    )
    second = ledger.append("approved", "n", actor="asha", reason="reviewed")

    assert ledger.entries() == [first, second]
    assert ledger.entries("n") == [second]
    assert ledger.entries(after=first.seq) == [second]
    assert ledger.entries("m", after=first.seq) == []
    assert (first.seq, first.at, first.actor, first.version) == (1, "2026-01-31T12:00:00+00:00", "run-1", 1)
    assert first.details == {"ü": [1, None]}
    assert second.previous_hash == first.hash
    assert ledger.verify() == 2


def test_the_clock_is_the_caller_s_and_kept_in_utc(url: str) -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))

    entry = SqlLedger(url, clock=lambda: NOON.astimezone(kolkata)).append("noted", "m", actor="a")

    assert entry.at == "2026-01-31T12:00:00+00:00"


def test_another_connection_sees_what_was_written(url: str, ledger: Ledger) -> None:
    entry = promote(ledger, None, "1")

    assert SqlLedger(url).entries() == [entry]
    assert SqlLedger(url).pointer("champion/m") == "1"


def test_a_pointer_moves_with_its_line(ledger: Ledger) -> None:
    promote(ledger, None, "1")
    entry = promote(ledger, "1", "2")

    assert ledger.pointer("champion/m") == "2"
    assert entry.details["pointer"] == {"name": "champion/m", "from": "1", "to": "2"}
    assert ledger.verify() == 2


def test_a_pointer_may_be_taken_back(ledger: Ledger) -> None:
    promote(ledger, None, "1")
    promote(ledger, "1", None)

    assert ledger.pointer("champion/m") is None
    promote(ledger, None, "2")
    assert ledger.verify() == 3


@pytest.mark.parametrize("expected", [None, "2"])
def test_a_pointer_that_stands_elsewhere_is_a_conflict_and_nothing_changes(
    ledger: Ledger, expected: str | None
) -> None:
    promote(ledger, None, "1")

    with pytest.raises(Conflict, match="champion/m is 1"):
        promote(ledger, expected, "3")

    assert ledger.pointer("champion/m") == "1"
    assert len(ledger.entries()) == 1


def test_details_that_cannot_be_kept_are_refused(ledger: Ledger) -> None:
    for details in ({"value": float("nan")}, {"pointer": {"name": "champion/m"}}):
        with pytest.raises(ValueError, match=r"pointer|JSON"):
            ledger.append("noted", "m", actor="a", details=details)
    assert ledger.entries() == []


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, st.integers(1, 3)), max_size=4))
def test_any_history_verifies(ledger: Ledger, history: list[tuple[str, int]]) -> None:
    before = len(ledger.entries())
    for reason, version in history:
        standing = ledger.pointer("champion/m")
        ledger.append("noted", reason, actor=reason, reason=reason, details={reason: [reason]})
        promote(ledger, standing, str(version))

    assert ledger.verify() == before + 2 * len(history)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET reason = 'better' WHERE seq = 1",
        "DELETE FROM ledger_entries WHERE seq = 2",
        "DELETE FROM ledger_entries",
    ],
)
def test_the_database_itself_refuses_to_change_a_line(url: str, ledger: Ledger, statement: str) -> None:
    promote(ledger, None, "1")
    promote(ledger, "1", "2")

    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        tamper(url, statement)
    assert ledger.verify() == 2


def test_guards_that_are_gone_come_back_with_the_next_process(url: str, ledger: Ledger) -> None:
    promote(ledger, None, "1")
    tamper(url, *unguard(url))

    assert SqlLedger(url).verify() == 1
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        tamper(url, "DELETE FROM ledger_entries")


def test_a_line_cannot_be_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    promote(SqlLedger(url), None, "1")

    with (
        sqlite3.connect(tmp_path / "ledger.db") as raw,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        raw.execute("INSERT OR REPLACE INTO ledger_entries SELECT * FROM ledger_entries WHERE seq = 1")
    raw.close()
    assert SqlLedger(url).verify() == 1


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE ledger_entries SET reason = 'better' WHERE seq = 2", "line 2"),
        ("UPDATE ledger_entries SET details = '{}' WHERE seq = 1", "line 1"),
        ("DELETE FROM ledger_entries WHERE seq = 2", "line 2"),
        ("DELETE FROM ledger_entries WHERE seq = 3", "pointer champion/m"),
        ("UPDATE ledger_entries SET seq = 9 WHERE seq = 3", "line 3"),
        ("UPDATE ledger_pointers SET value = '1'", "pointer champion/m"),
        ("DELETE FROM ledger_pointers", "pointer champion/m"),
        ("INSERT INTO ledger_pointers VALUES ('champion/other', '1', 1)", "pointer champion/other"),
    ],
)
def test_verify_finds_what_was_tampered_with(url: str, ledger: Ledger, statement: str, place: str) -> None:
    for version in range(3):
        promote(ledger, str(version) if version else None, str(version + 1))
    tamper(url, *unguard(url), statement)

    with pytest.raises(ResourceError, match=f"tampered with.*{place}"):
        ledger.verify()


def test_a_line_forged_with_a_right_hash_still_breaks_the_chain(url: str, ledger: Ledger) -> None:
    promote(ledger, None, "1")
    forged = replace(promote(ledger, "1", "2"), reason="better")
    promote(ledger, "2", "3")
    tamper(
        url,
        *unguard(url),
        f"UPDATE ledger_entries SET reason = 'better', hash = '{entry_hash(forged)}' WHERE seq = 2",  # noqa: S608
    )

    with pytest.raises(ResourceError, match="line 3"):
        ledger.verify()


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_of_many_that_race_for_a_pointer_exactly_one_wins(
    url: str, workers: str, pool: Callable[[str], ThreadPoolExecutor | ProcessPoolExecutor]
) -> None:
    with pool(workers) as racers:
        won = list(racers.map(try_promote, [url] * 8, range(1, 9)))

    ledger = SqlLedger(url)
    assert won.count(True) == 1
    assert ledger.pointer("champion/m") == str(won.index(True) + 1)
    assert ledger.verify() == 1


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_no_move_is_lost_and_no_line_forks_the_chain(
    url: str, workers: str, pool: Callable[[str], ThreadPoolExecutor | ProcessPoolExecutor]
) -> None:
    with pool(workers) as racers:
        climbing = [racers.submit(climb, url, 5) for _ in range(4)]
        writing = [racers.submit(append_many, url, f"w{number}", 5) for number in range(4)]
        for work in [*climbing, *writing]:
            work.result()

    ledger = SqlLedger(url)
    assert ledger.pointer("champion/m") == "20"
    assert ledger.verify() == 40


@pytest.fixture
def pool() -> Callable[[str], ThreadPoolExecutor | ProcessPoolExecutor]:
    def make(workers: str) -> ThreadPoolExecutor | ProcessPoolExecutor:
        if workers == "threads":
            return ThreadPoolExecutor(3)
        return ProcessPoolExecutor(3, mp_context=get_context("spawn"))

    return make


@pytest.mark.parametrize("place", ["sqlite:////proc/ledger.db", "sqlite:////dev/null/ledger.db"])
def test_a_place_that_cannot_be_written_is_named(place: str) -> None:
    with pytest.raises(ResourceError, match=rf"{place} failed.*MLCICD_LEDGER_URL"):
        SqlLedger(place).append("noted", "m", actor="a")


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ResourceError) as caught:
        SqlLedger("postgresql+nodriver://user:s3cret@host/db").entries()

    assert "s3cret" not in str(caught.value)


def test_a_pointer_moves_only_while_those_it_holds_on_to_stand(ledger: Ledger) -> None:
    # given a rollout that somebody else has moved on since it was read
    ledger.move("rollout/m", expected=None, new="baking", action="rollout_step", model="m", actor="a")
    ledger.move("rollout/m", expected="baking", new="aborted", action="rolled_back", model="m", actor="b")
    promotion = {"expected": None, "new": "2", "action": "promoted", "model": "m", "actor": "a"}

    with pytest.raises(Conflict, match="rollout/m is aborted, not baking"):
        ledger.move("champion/m", **promotion, holding={"rollout/m": "baking"})

    assert ledger.pointer("champion/m") is None
    ledger.move("champion/m", **promotion, holding={"rollout/m": "aborted"})
    assert ledger.pointer("champion/m") == "2"
    assert ledger.verify() == 3
