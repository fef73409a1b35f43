"""How traffic moves to a new version, as a model declares it.

The words are those of Argo Rollouts and Flagger where they have one: weights, bake, failure limit, mirror.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlcicd_assets.ml.declared import BoundText, Declaration, DurationText
from mlcicd_assets.ml.thresholds import Bound, parse_duration

Strategy = Literal["blue_green", "canary", "shadow"]


def _at_most(value: str) -> str:
    if Bound.parse(value).sign != "<=":
        raise ValueError(f"a limit reads like '<= 0.001', not {value!r}")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _share(value: str) -> str:
    bound = Bound.parse(value)
    if bound.sign != ">=" or not 0 < bound.limit <= 1:
        raise ValueError(f"a least share reads like '>= 0.98', not {value!r}")
    return value


AtLeastShare = Annotated[BoundText, AfterValidator(_share)]
AtMost = Annotated[BoundText, AfterValidator(_at_most)]


class Slo(Declaration):
    """What the new version is held to during a rollout, beside not failing more often than the champion."""

    error_rate: AtMost | None = Field(
        default="<= 0.01", description="Share of requests that may fail; the default is Flagger's."
    )
    latency_p99_ms: AtMost | None = None
    p99_ratio: AtMost | None = Field(default="<= 2", description="Its p99 over the champion's.")
    psi: AtMost | None = Field(
        default="<= 0.25", description="Stability index of its scores, against the champion's."
    )
    memory_mb: AtMost | None = Field(default=None, description="Resident memory of its server.")
    agreement: AtLeastShare | None = Field(
        default=None, description="Shadow: share of the rows that get the champion's label, '>= 0.98'."
    )
    labelled: Literal["optional", "required"] = Field(
        default="optional",
        description="required: a step waits for labels of what was asked in it, not only uses them.",
    )


class Shadow(Declaration):
    """Copies of the requests, whose answers no user sees."""

    percent: int = Field(default=100, ge=1, le=100, description="Share of the requests that is copied.")
    bake: DurationText = Field(default="10m", description="How long.")


class Rollout(Declaration):
    """How traffic moves to a new version, what it is watched for, and what happens then."""

    strategy: Annotated[
        list[Strategy], BeforeValidator(_listed, json_schema_input_type=Strategy | list[Strategy])
    ] = Field(
        default=["blue_green"],
        min_length=1,
        description="blue_green, canary or shadow; [shadow, canary] is one after the other.",
    )
    weights: list[int] = Field(
        default=[10, 50, 100], description="Canary: the shares of the traffic, in percent; 100 promotes."
    )
    bake: DurationText = Field(default="10m", description="Canary: how long each weight is watched.")
    shadow: Shadow = Shadow()
    keep_warm: DurationText = Field(
        default="30s", description="How long the old version stays ready after the switch."
    )
    interval: DurationText | None = Field(
        default=None, description="How often a measurement counts; by default a fifth of the bake."
    )
    minimum_requests: int = Field(default=100, ge=1, description="Below this, a step is inconclusive.")
    minimum_labelled: int = Field(
        default=100, ge=1, description="Labelled rows of each version that slo.labelled: required asks for."
    )
    slo: Slo = Slo()
    failure_limit: int = Field(default=0, ge=0, description="Failed measurements in a step that are borne.")
    error_limit: int = Field(
        default=4, ge=0, description="Consecutive measurements that may fail to be made."
    )
    hold: DurationText = Field(
        default="1h", description="How long an inconclusive step waits for evidence after its bake."
    )
    on_inconclusive: Literal["hold", "rollback"] = Field(
        default="hold", description="Then: wait for a person, or roll back."
    )
    sticky_header: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+$",
        description="Canary: requests with the same value of this header reach the same version.",
    )
    within_run: DurationText = Field(
        default="2m", description="A longer rollout is advanced by the sensor 'rollouts', not by the run."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> "Rollout":
        if len(set(self.strategy)) != len(self.strategy):
            raise ValueError("strategy names each kind once: [shadow, canary]")
        if "blue_green" in self.strategy and len(self.strategy) > 1:
            raise ValueError("blue_green stands alone: after a shadow, all traffic is switched anyway")
        if self.strategy == ["canary", "shadow"]:
            raise ValueError("a shadow comes before the canary: strategy: [shadow, canary]")
        if self.slo.agreement and "shadow" not in self.strategy:
            raise ValueError("slo.agreement is of a shadow; add it to the strategy: [shadow, canary]")
        if self.slo.labelled == "required" and "blue_green" in self.strategy:
            raise ValueError("slo.labelled: required needs a step to wait in: strategy: canary, or shadow")
        self._check_weights()
        return self

    def _check_weights(self) -> None:
        if any(not 1 <= weight <= 100 for weight in self.weights):
            raise ValueError(f"weights are percent, from 1 to 100, not {self.weights}")
        if sorted(set(self.weights)) != self.weights:
            raise ValueError(f"weights ascend, for example [10, 50, 100], not {self.weights}")
        if self.weights[-1:] != [100]:
            raise ValueError(f"weights end at 100, where the new version is promoted, not {self.weights}")

    def limit(self, name: str) -> float | None:
        """The number of an slo; None where it is not asked for."""
        text = getattr(self.slo, name)
        return None if text is None else Bound.parse(text).limit

    def seconds(self, name: str) -> float:
        """A duration of this declaration, in seconds."""
        return parse_duration(getattr(self, name)).total_seconds()
