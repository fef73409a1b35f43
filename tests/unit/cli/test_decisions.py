"""People's own keys, four eyes, and the emergency override, by command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlcicd_assets.release.override import open_override
from mlcicd_assets.release.signatories import Trust
from resources.protocols import Approver
from tests.fakes.releases import PUBLIC, key_pair

WHY = ("--reason", "the old one is broken")
FAILED = [
    {"name": "roc_auc", "value": 0.5, "bound": ">= 0.60", "passed": False},
    {"name": "beats_champion", "value": None, "bound": ">= 0", "passed": True},
]


def declare(world: Any, **rule: Any) -> None:
    """Change the model's approval rule, as its YAML would."""
    lane = world.catalogue.models["shop_risk"]
    changed = lane.model.model_copy(update={"approval": lane.model.approval.model_copy(update=rule)})
    world.catalogue.models["shop_risk"] = type(lane)(changed, lane.folder, lane.data)


@pytest.fixture
def risky(make_world: Callable[..., Any]) -> Any:
    world = make_world(risk="high")
    world.registered()
    return world


def test_with_a_key_of_ones_own_the_person_is_proven(risky: Any, mlcicd: Any) -> None:
    private, public = key_pair(11)
    declare(risky, approvers=["team:risk"])
    risky.keys.people = [Approver("Ada@example.org", public, ("team:risk",))]
    risky.keys.private = {"ada@example.org": private}

    decision = mlcicd.json(risky, "approve", "shop_risk", "1", "--by", "ada@example.org", *WHY)

    assert decision["signed_by"] == "the key of Ada@example.org"
    assert risky.ledger.entries("shop_risk")[-1].details["signed by"] == "the key of Ada@example.org"


@pytest.mark.parametrize("by", ["ada@example.org", "eve@example.org"])
def test_where_approvers_are_declared_the_pipelines_key_is_not_enough(
    risky: Any, mlcicd: Any, by: str
) -> None:
    declare(risky, approvers=["ada@example.org"])
    before = len(risky.ledger.entries())

    result = mlcicd(risky, "approve", "shop_risk", "1", "--by", by, *WHY)

    assert result.exit_code == 1
    assert "proves no person" in result.stderr
    assert len(risky.ledger.entries()) == before


def test_the_author_cannot_approve_where_four_eyes_are_declared(
    make_world: Callable[..., Any], mlcicd: Any
) -> None:
    world = make_world(risk="high")
    world.registered(author="Ada <ada@example.org>")
    declare(world, four_eyes=True)

    refused = mlcicd(world, "approve", "shop_risk", "1", "--by", "Ada", *WHY)

    assert refused.exit_code == 1
    assert "four eyes are declared" in refused.stderr
    assert mlcicd(world, "approve", "shop_risk", "1", "--by", "bob", *WHY).exit_code == 0


def test_an_approval_lasts_no_longer_than_declared(risky: Any, mlcicd: Any) -> None:
    declare(risky, expires="2d")

    result = mlcicd(risky, "approve", "shop_risk", "1", "--by", "ada", *WHY, "--expires", "3d")

    assert result.exit_code == 2
    assert "longer than" in result.stderr


def test_low_risk_may_ask_a_person_as_well(world: Any, mlcicd: Any) -> None:
    world.registered()
    declare(world, required=True)

    assert mlcicd(world, "approve", "shop_risk", "1", "--by", "ada", *WHY).exit_code == 0


def test_an_override_is_loud_signed_and_written_down(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world()
    run = world.trained(gates=FAILED)

    result = mlcicd(world, "override", "shop_risk", "--gates", "roc_auc", "--by", "ada", *WHY)

    assert result.exit_code == 0, result.stderr
    assert "OVERRIDE: shop_risk" in result.stderr
    kept, _ = open_override((world.tracking.root / run / "override.json").read_bytes(), Trust([PUBLIC]))
    assert (kept.gates, kept.approval, kept.digest) == (("roc_auc",), False, world.made.digest)
    line = world.ledger.entries("shop_risk")[-1]
    assert (line.action, line.actor, line.reason) == ("overridden", "ada", WHY[1])
    assert line.details["failed gates"] == ["roc_auc"]
    assert "!! OVERRIDE: gate roc_auc waived" in mlcicd(world, "audit", "shop_risk").stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "names the gates"),
        (("--gates", "accuracy_of_taste"), "there is no gate 'accuracy_of_taste'"),
        (("--gates", "roc_auc", "--expires", "2d"), "longer than"),
    ],
)
def test_an_override_that_cannot_be_is_bad_usage(
    world: Any, mlcicd: Any, options: tuple[str, ...], told: str
) -> None:
    world.trained(gates=FAILED)

    result = mlcicd(world, "override", "shop_risk", *options, "--by", "ada", *WHY)

    assert result.exit_code == 2
    assert told in result.stderr


def test_keys_are_made_trusted_and_listed(world: Any, mlcicd: Any, tmp_path: Path) -> None:
    assert "kept in" in mlcicd(world, "keys", "new", "ada@example.org", "--team", "team:risk").stdout
    theirs = tmp_path / "bob.pem"
    theirs.write_bytes(key_pair(12)[1])
    assert mlcicd(world, "keys", "trust", "bob", str(theirs)).exit_code == 0
    again = mlcicd(world, "keys", "new", "ADA@example.org")
    stolen = mlcicd(world, "keys", "trust", "eve", str(theirs))

    assert again.exit_code == 2
    assert "has a key already" in again.stderr
    assert "that is the key of bob" in stolen.stderr
    folder = world.folder / "home" / "keys" / "approvers"
    assert {file.suffix: oct(file.stat().st_mode & 0o777) for file in folder.glob("*.pem")} == {
        ".pem": "0o600"
    }
    assert len(list(folder.glob("*.json"))) == 2
    assert [line.action for line in world.ledger.entries("")] == ["approver_trusted"] * 2
