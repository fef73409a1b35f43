"""What challenger and champion were made of, where it is not the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlcicd_assets.ml.training import environment
from mlcicd_assets.ml.training.training_record import DataUsed, TrainingRecord

NONE = "–"


@dataclass(frozen=True)
class Difference:
    """One thing that both have, or one of them."""

    name: str
    mine: str
    theirs: str


@dataclass(frozen=True)
class Differences:
    """All that differs between two trainings; empty lists where they agree."""

    parameters: list[Difference]
    features: list[Difference]
    order: bool  # whether the same features come in another order
    data: list[Difference]
    environment: list[str]
    training: list[Difference]  # windows, rows, commit

    @property
    def any(self) -> bool:
        """Whether anything that makes a model differs."""
        return bool(self.parameters or self.features or self.order or self.data or self.environment)


def differences(mine: TrainingRecord, theirs: TrainingRecord) -> Differences:
    """Challenger (`mine`) against champion, by what their training records say."""
    return Differences(
        parameters=between(parameters(mine), parameters(theirs)),
        features=between(dict.fromkeys(mine.features, "used"), dict.fromkeys(theirs.features, "used")),
        order=mine.features != theirs.features and sorted(mine.features) == sorted(theirs.features),
        data=between(contents(mine.data), contents(theirs.data)),
        environment=environment.differences(theirs.environment, mine.environment)
        if mine.environment
        else ["the environment of the challenger's training is not known"],
        training=between(_training(mine), _training(theirs)),
    )


def between(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[Difference]:
    """Names whose value differs, or that one side has not, in the order of `mine`."""
    return [
        Difference(name, mine.get(name, NONE), theirs.get(name, NONE))
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]


def parameters(record: TrainingRecord) -> dict[str, str]:
    """Everything that a person could have chosen otherwise, as text."""
    return {
        **{name: NONE if value is None else str(value) for name, value in record.params.items()},
        "seed": str(record.seed),
        "class weights": record.imbalance,
        "served by": record.engine,
    }


def contents(data: Sequence[DataUsed]) -> dict[str, str]:
    """The first characters of each partition's content."""
    return {
        used.table if used.partition is None else f"{used.table} {used.partition}": used.content[:12]
        for used in data
    }


def _training(record: TrainingRecord) -> dict[str, str]:
    start, end = record.train
    return {
        "training window": f"{start:%Y-%m-%d} to {end:%Y-%m-%d}",
        "training rows": f"{record.train_rows:,}",
        "commit": record.commit[:12] + (" and changes" if record.dirty else ""),
    }
