"""A project, its records and its Dagster, as far as requests see them: runs go well, fail, or are killed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from mlcicd_assets.automation.blueprint import DATA_STAGES, MODEL_STAGES, Blueprint, DatasetShape
from mlcicd_assets.automation.requests.carrying_out import carry_out
from mlcicd_assets.automation.requests.dispatch import decide
from mlcicd_assets.automation.requests.policy import policies
from mlcicd_assets.automation.requests.scopes import derived
from mlcicd_assets.automation.requests.situation import Ask, Seen, Situation, covers
from mlcicd_assets.automation.staleness import Place, Status, assess
from mlcicd_assets.ml.budget import Spending
from mlcicd_assets.ml.code.asset_code import AssetCode
from resources.protocols import KeptRequest, LandedFile, Launch, Materialization, Request
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.ledger import MemoryLedger
from tests.fakes.requests import MemoryRequests

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVERY: dict[str, Any] = {
    "code": True,
    "data": True,
    "drift": True,
    "performance": True,
    "schedule": "0 2 * * *",
}


def day(number: int) -> str:
    return (date(2026, 1, 1) + timedelta(days=number)).isoformat()


def shape(name: str, partitions: str, **changes: tuple[str, ...]) -> DatasetShape:
    template = f"landing/{name}.csv" if partitions == "none" else f"landing/{name}/{{partition}}.csv"
    made = DatasetShape(
        name, partitions, "2026-01-01", template, template, DATA_STAGES, references=(), lookups=()
    )
    return replace(made, **changes)


@dataclass
class Run:
    """A run of Dagster."""

    launch: Launch
    state: str = "going"
    failure: str = ""


@dataclass
class World:
    """Datasets `events` (daily, looks up `places`) and `places`; models `keen` and `calm` on events."""

    days: int = 3
    retrain: dict[str, dict[str, Any]] = field(default_factory=lambda: {"keen": EVERY, "calm": {}})
    now: datetime = NOON
    runs: dict[str, Run] = field(default_factory=dict)
    records: dict[Place, Materialization] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)
    spending: dict[str, Spending] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    awaits: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.requests = MemoryRequests(lambda: self.now)
        self.landed: dict[str, dict[str | None, str]] = {
            "events": {day(number): "f1" for number in range(self.days)},
            "places": {None: "f1"},
        }
        datasets = {
            "events": shape("events", "daily", lookups=("places",)),
            "places": shape("places", "none", stages=DATA_STAGES[:2]),
        }
        assets = [one.table(stage) for one in datasets.values() for stage in one.stages]
        assets += [f"{model}/{stage}" for model in self.retrain for stage in MODEL_STAGES]
        codes = {asset: AssetCode({"code.py:f": "1"}, {"p": "1"}) for asset in assets}
        declared = {name: {"retrain": values} if values else {} for name, values in self.retrain.items()}
        self.blueprint = Blueprint(datasets, dict.fromkeys(self.retrain, "events"), codes, declared)

    # -- what happens ---------------------------------------------------------------------------------

    def ask(self, scope: str = "model:keen", cause: str = "code", name: str = "a", **fields: Any) -> bool:
        return self.requests.add(Request(scope, cause, name, f"because of {name}", **fields))  # type: ignore[arg-type]

    def land(self, partition: str, content: str) -> None:
        self.landed["events"][partition] = content

    def edit(self, asset: str, text: str) -> None:
        codes = {**self.blueprint.codes, asset: AssetCode({"code.py:f": text}, {"p": "1"})}
        self.blueprint = replace(self.blueprint, codes=codes)

    def tick(self, *, killed: bool = False) -> list[Ask]:
        """One tick of the dispatcher; killed: after it wrote its decision, before Dagster heard of it."""
        self.requests.add_all([*derived(self.requests.pending(), self.blueprint, policies(self.blueprint))])
        asks = carry_out(decide(self.situation()), self.requests)
        for ask in [] if killed else asks:
            self.runs.setdefault(ask.launch.key, Run(ask.launch))  # Dagster makes one run of a key
        return asks

    def end(self, key: str, failure: str = "") -> None:
        """Bring a run to its end; what went well is recorded."""
        run = self.runs[key]
        run.state, run.failure = ("failed", failure) if failure else ("done", "")
        if not failure:
            for status in self.assess():
                if covers(run.launch, status.place):
                    self.make(status.place)

    def lose(self, key: str) -> None:
        """A run's process is killed; nothing of it is recorded."""
        self.runs[key].state = "lost"

    def fresh(self) -> None:
        """Make everything that is stale."""
        while stale := [one for one in self.assess() if one.state == "stale" and not one.behind]:
            for one in stale:
                self.make(one.place)

    def settle(self, ticks: int = 50) -> None:
        """Ticks and ends of runs until nothing goes on."""
        for _ in range(ticks):
            self.tick()
            for key in self.going():
                self.end(key)

    def resources(self, **others: Any) -> dict[str, Any]:
        """What the sensors ask for."""
        return {
            "requests": self.requests,
            "known_landing": _Landed(self),
            "warehouse": object(),
            "repository": object(),
            "records": _Records(self),
            "ledger": MemoryLedger(),
            "alerts": MemoryAlerts(),
            "git": object(),
            **others,
        }

    # -- what can be seen -----------------------------------------------------------------------------

    def situation(self) -> Situation:
        return Situation(
            blueprint=self.blueprint,
            policies=policies(self.blueprint),
            pending=self.requests.pending(),
            dispatched=self.requests.dispatched(),
            runs={key: Seen(f"id-{key}", one.state, one.failure) for key, one in self.runs.items()},  # type: ignore[arg-type]
            busy=self.busy,
            assess=self.assess,
            began=self.last.get,
            spent=self.spending.get,
            awaits=lambda model: self.awaits.get(model, ""),
            now=self.now,
        )

    def assess(self) -> list[Status]:
        return assess(self.blueprint, self.records.values(), self.landed, {})

    def going(self) -> list[str]:
        return [key for key, run in self.runs.items() if run.state == "going"]

    def ran(self) -> list[str]:
        """The runs in order: `events/raw_data events/features 2026-01-01...2026-01-03`."""
        told = []
        for run in self.runs.values():
            over = f" {'...'.join(run.launch.partitions)}" if run.launch.partitions else ""
            told.append(" ".join(run.launch.assets) + over)
        return told

    def kept(self) -> list[KeptRequest]:
        return list(self.requests.kept.values())

    def states(self) -> list[str]:
        return [one.state for one in self.kept()]

    def answers(self) -> list[str]:
        return [one.answer for one in self.kept()]

    # -- records --------------------------------------------------------------------------------------

    def make(self, place: Place, failure: str = "") -> None:
        asset, partition = place
        self.made += 1
        inputs = self._inputs(asset, partition)
        code = self.blueprint.codes[asset]
        content = str(hash((asset, code.version, tuple(sorted(inputs.items())))))
        self.records[place] = Materialization(
            asset,
            partition,
            code.version,
            inputs,
            content,
            f"2030-01-01T00:00:00.{self.made:06}",
            "run",
            1.0,
            code.parts,
            code.parameters,
            failure,
        )

    def _inputs(self, asset: str, partition: str | None) -> Mapping[str, str]:
        owner, stage = asset.split("/")
        at = "" if partition is None else f"@{partition}"
        if stage == "raw_data":
            return {"file": self.landed[owner][partition]}
        if stage in DATA_STAGES:
            before = f"{owner}/{DATA_STAGES[DATA_STAGES.index(stage) - 1]}{at}"
            return self._contents([before, *(["places/validated_data"] if stage == "features" else [])])
        if stage == MODEL_STAGES[0]:
            return self._contents([f"events/features@{key}" for key in self.landed["events"]])
        return self._contents([f"{owner}/{MODEL_STAGES[MODEL_STAGES.index(stage) - 1]}"])

    def _contents(self, names: Iterable[str]) -> dict[str, str]:
        places = {name: (name.partition("@")[0], name.partition("@")[2] or None) for name in names}
        return {name: self.records[place].content for name, place in places.items() if place in self.records}


@dataclass
class _Landed:
    """As the folder of landed files answers."""

    world: World

    def partitions(self, template: str) -> list[str]:
        return sorted(key for key in self.world.landed[template.split("/")[1].split(".")[0]] if key)

    def find(self, template: str, partition: str | None) -> LandedFile:
        landed = self.world.landed[template.split("/")[1].split(".")[0]]
        return LandedFile(Path(template), landed[partition])


@dataclass
class _Records:
    """As the records answer."""

    world: World

    def all(self) -> list[Materialization]:
        return list(self.world.records.values())
