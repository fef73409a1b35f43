"""The decision of one tick: which requests begin, go on, wait or end, and which runs they need. Pure.

One batch for each scope: its most urgent request leads, the others are merged into it. What runs for a batch
is decided by the planner of `mlcicd stale`, within the scope and what it is made of, anew after each run.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlcicd_assets.automation.blueprint import MODEL_STAGES
from mlcicd_assets.automation.planning import PlannedRun, next_run, with_what_follows
from mlcicd_assets.automation.requests.answers import finished, nothing_to_do, too_soon
from mlcicd_assets.automation.requests.policy import PRIORITY, URGENT, by_priority, forced
from mlcicd_assets.automation.requests.scopes import ALL, owner_of, unknown
from mlcicd_assets.automation.requests.situation import Ask, Decision, Situation, covers
from mlcicd_assets.automation.staleness import Place
from mlcicd_assets.codebase.areas import ASSET as SOURCE_CODE
from resources.protocols import KeptRequest, Launch, RequestChange, RequestState

_LOST_AT_MOST = 3  # runs of one request; then it is rather the run that kills its machine


def decide(situation: Situation) -> Decision:
    """What is to be done now; the same situation always gives the same decision."""
    return _Tick(situation).decide()


@dataclass(frozen=True)
class _Batch:
    """One scope's requests: the one that leads, and those that join it now."""

    lead: KeptRequest
    others: tuple[KeptRequest, ...] = ()

    @property
    def owner(self) -> str:
        return owner_of(self.lead.request.scope)

    @property
    def begun(self) -> bool:
        return self.lead.state == "dispatched"

    @property
    def rank(self) -> tuple[int, int]:
        causes = [one.request.cause for one in (self.lead, *self.others)]
        return (-max(PRIORITY[cause] for cause in causes), self.lead.id)


@dataclass
class _Tick:
    situation: Situation
    decision: Decision = field(default_factory=Decision)
    # Dataset or model -> the launch of ours that works on it.
    taken: dict[str, Launch] = field(default_factory=dict)

    def decide(self) -> Decision:
        going = [batch for kept in self.situation.dispatched for batch in self._follow(kept)]
        new = list(self._begin())
        for batch in sorted([*going, *new], key=lambda one: one.rank):
            self._advance(batch)
        return self.decision

    def _follow(self, kept: KeptRequest) -> Iterator[_Batch]:
        """Look at the newest run of what was dispatched; yields it when it may go on."""
        seen = self.situation.runs.get(kept.key)
        if seen is None or seen.state == "created":
            self._again(kept)
        elif seen.state == "going":
            self._take(kept.launches[-1])
            if kept.run != seen.run:
                told = f"run {seen.run[:8]} goes on: {_made(kept.launches[-1])}"
                self._change((kept,), "dispatched", told, run=seen.run)
        elif seen.state == "failed":
            self._change((kept,), "failed", seen.failure, run=seen.run)
        elif seen.state == "lost" and self._lost(kept) >= _LOST_AT_MOST:
            told = (
                f"its runs were killed {_LOST_AT_MOST} times: is there enough memory? See run {seen.run[:8]}"
            )
            self._change((kept,), "failed", told, run=seen.run)
        else:
            yield _Batch(kept)

    def _lost(self, kept: KeptRequest) -> int:
        """How many of its runs were killed."""
        return sum(self._was_lost(launch) for launch in kept.launches)

    def _was_lost(self, launch: Launch) -> bool:
        seen = self.situation.runs.get(launch.key)
        return seen is not None and seen.state == "lost"

    def _again(self, kept: KeptRequest) -> None:
        """Ask again for a run that was decided: the daemon may have been killed before it made it."""
        launch = kept.launches[-1]
        lanes = {*self.situation.blueprint.datasets, *self.situation.blueprint.models, SOURCE_CODE}
        gone = [asset for asset in launch.assets if asset.split("/")[0] not in lanes]
        if gone:
            self._change((kept,), "failed", f"{gone[0]} is not declared any more")
            return
        self._take(launch)
        self._ask(launch, kept)

    def _begin(self) -> Iterator[_Batch]:
        """Pending requests by scope, without those that are answered or have to wait."""
        groups: dict[str, list[KeptRequest]] = {}
        for kept in self.situation.pending:
            if kept.request.cause != "rollback" and not self._refused(kept):
                groups.setdefault(kept.request.scope, []).append(kept)
        at_work = {kept.request.scope: kept for kept in self.situation.dispatched}
        for scope, group in groups.items():
            if scope in at_work:
                self._wait(group, f"waits for request {at_work[scope].id}, which is being answered")
            elif batch := self._ready(group):
                yield batch

    def _refused(self, kept: KeptRequest) -> bool:
        request = kept.request
        said = unknown(request.scope, self.situation.blueprint)
        if not said and request.tier != "full":
            said = f"the tier {request.tier!r} is for CI: mlcicd ci --tier {request.tier}"
        if not said and request.scope == ALL:
            self._change((kept,), "merged", "into requests of each dataset and model that it concerns")
            return True
        if not said and request.scope.startswith("model:"):
            said = self.situation.policies[owner_of(request.scope)].objection(request.cause)
        if said:
            self._change((kept,), "refused", said)
        return bool(said)

    def _ready(self, group: Sequence[KeptRequest]) -> _Batch | None:
        lead, *others = by_priority(group)
        batch = _Batch(lead, tuple(others))
        policy = self.situation.policies.get(batch.owner)
        if policy is None or lead.request.scope.startswith("dataset:"):
            return batch
        urgent = any(one.request.cause in URGENT for one in group)
        until = None if urgent else self._until(batch.owner)
        if until:
            self._wait(group, until)
            return None
        if said := self._over_budget(batch):
            self._change(group, "refused", said)
            return None
        return batch

    def _until(self, model: str) -> str:
        every = self.situation.policies[model].at_most_every
        last = self.situation.began(model) if every else None
        if every is None or last is None or self.situation.now >= last + every:
            return ""
        return too_soon(self.situation.policies[model], last, last + every)

    def _over_budget(self, batch: _Batch) -> str:
        """Why the batch may not train; what trains nothing costs nothing."""
        spent = self.situation.spent(batch.owner)
        if spent is None or spent.overridden or not spent.refusal:
            return ""
        trains = self.situation.training(batch.owner).state == "stale" or forced(batch.lead)
        if not trains:
            return ""
        command = f"mlcicd requests override {batch.owner} --by NAME --reason WHY"
        return f"{spent.refusal}; to let it be exceeded: {command}"

    def _advance(self, batch: _Batch) -> None:
        planned = self._plan(batch)
        if planned is None or self._waits_for_a_person(batch, planned):
            self._end(batch)
            return
        owners = dict.fromkeys(asset.split("/")[0] for asset in planned.assets)
        joined = self._joined(planned)
        held_by = next((one for one in owners if one in self.taken or one in self.situation.busy), None)
        if joined is None and held_by is not None:
            theirs = self.situation.busy.get(held_by)
            by = f"run {theirs}" if theirs else f"the run of another request ({self.taken[held_by].key})"
            self._hold(batch, f"waits for {held_by}: {by} works on it")
            return
        launch = joined or Launch(launch_key(batch.lead), tuple(planned.assets), planned.partitions)
        self._take(launch)
        self._launch(batch, launch)

    def _plan(self, batch: _Batch) -> PlannedRun | None:
        """The next run within the scope and what it is made of: data first, then the model's lane, whole."""
        stale, tried = self.situation.stale(self.situation.lanes(batch.owner)), self._tried(batch)
        planned = next_run(self.situation.blueprint, stale, tried)
        above = planned is not None and planned.assets[0].split("/")[0] != batch.owner
        if forced(batch.lead) and not above:
            planned = self._forced(batch, tried) or planned
        return with_what_follows(planned, stale) if planned else None

    def _waits_for_a_person(self, batch: _Batch, planned: PlannedRun) -> bool:
        """Whether only the release is left, which the sensor `approvals` goes on with."""
        return planned.assets == [f"{batch.owner}/{MODEL_STAGES[-1]}"] and bool(
            self.situation.awaits(batch.owner)
        )

    def _forced(self, batch: _Batch, tried: set[Place]) -> PlannedRun | None:
        """The whole lane of a model, once, although nothing of it is stale."""
        if (
            batch.owner not in self.situation.blueprint.models
            or (f"{batch.owner}/{MODEL_STAGES[0]}", None) in tried
        ):
            return None
        if self.situation.training(batch.owner).state in {"waiting", "held"}:
            return None
        return PlannedRun(tuple(self.situation.by_owner[batch.owner]), None)

    def _tried(self, batch: _Batch) -> set[Place]:
        """What ran for it before: not again, so that a batch ends whatever its runs leave stale.

        A run that was killed does not count: what it had not finished runs again.
        """
        launches = [one for one in batch.lead.launches if not self._was_lost(one)]
        lanes = self.situation.lanes(batch.owner) if launches else ()
        places = [status.place for owner in lanes for status in self.situation.by_owner.get(owner, [])]
        return {place for place in places if any(covers(launch, place) for launch in launches)}

    def _joined(self, planned: PlannedRun) -> Launch | None:
        """The launch of ours that makes all of this already."""
        launches = {launch.key: launch for launch in self.taken.values()}.values()
        return next(
            (one for one in launches if all(covers(one, status.place) for status in planned.statuses)), None
        )

    def _end(self, batch: _Batch) -> None:
        everybody = (batch.lead, *batch.others)
        if batch.begun:
            state, said = finished(self.situation, batch.owner, batch.lead.launches)
            self._change(everybody, state, said, run=self.situation.runs[batch.lead.key].run)
        else:
            state, said = nothing_to_do(self.situation, batch.owner)
            self._change(everybody, state, said)

    def _launch(self, batch: _Batch, launch: Launch) -> None:
        told = f"asks for a run: {_made(launch)}"
        lead, merged = batch.lead, tuple(one.id for one in batch.others)
        self.decision.changes.append(
            RequestChange(
                (lead.id,),
                lead.state,
                "dispatched",
                told,
                launch=launch,
                expected_key=lead.key,
                merged=merged,
            )
        )
        self._ask(launch, lead, len(batch.others))

    def _ask(self, launch: Launch, lead: KeptRequest, merged: int = 0) -> None:
        for number, ask in enumerate(self.decision.asks):
            if ask.launch.key == launch.key:
                self.decision.asks[number] = Ask(ask.launch, (*ask.leads, lead), ask.merged + merged)
                return
        self.decision.asks.append(Ask(launch, (lead,), merged))

    def _take(self, launch: Launch) -> None:
        for asset in launch.assets:
            self.taken[asset.split("/")[0]] = launch

    def _hold(self, batch: _Batch, answer: str) -> None:
        if batch.begun:
            if batch.lead.answer != answer:
                self._change((batch.lead,), "dispatched", answer)
        else:
            self._wait((batch.lead, *batch.others), answer)

    def _wait(self, group: Sequence[KeptRequest], answer: str) -> None:
        """Say why it waits, where that is news."""
        told = [one for one in group if one.answer != answer]
        if told:
            self._change(told, "pending", answer)

    def _change(self, group: Sequence[KeptRequest], new: RequestState, answer: str, run: str = "") -> None:
        first = group[0]
        key = first.key if first.state == "dispatched" else None
        ids = tuple(one.id for one in group)
        self.decision.changes.append(
            RequestChange(ids, first.state, new, answer=answer, run=run, expected_key=key)
        )


def _made(launch: Launch) -> str:
    """What a run makes, for people."""
    over = f" {'...'.join(launch.partitions)}" if launch.partitions else ""
    return f"{', '.join(launch.assets)}{over}"


def launch_key(lead: KeptRequest) -> str:
    """Of the next run of a batch: never one that a run had, also not when the requests begin anew at 1."""
    told = f"{lead.at} {lead.request.scope} {lead.request.fingerprint}"
    number = len(lead.launches) + 1
    return f"request-{lead.id}-{number}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
