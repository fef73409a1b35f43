"""What a command works with: the declarations, and this environment's resources, made when asked for."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mlcicd_assets.ml.catalogue import Catalogue, DataLane, ModelLane
    from resources import Observed
    from resources.home import Home
    from resources.protocols import (
        Alerts,
        Git,
        Inbox,
        Keys,
        Lake,
        Landing,
        Ledger,
        Predictions,
        Records,
        Registry,
        Reports,
        Requests,
        ServingTarget,
        Tracking,
    )


class Session:
    """The composition root of the command line; tests hand in fakes, as `obj` of the invocation."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        catalogue: "Catalogue | None" = None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self._catalogue = catalogue
        self._given = resources

    @cached_property
    def home(self) -> "Home":
        """The home's folders."""
        from resources import home

        return home(self.environment)

    @cached_property
    def catalogue(self) -> "Catalogue":
        """Every declaration; raises DeclarationError."""
        from mlcicd_assets.ml.catalogue import load_all

        return load_all() if self._catalogue is None else self._catalogue

    @cached_property
    def _resources(self) -> Mapping[str, Any]:
        from resources import build_resources

        return build_resources(self.environment) if self._given is None else self._given

    @property
    def given(self) -> bool:
        """Whether somebody handed in declarations, as tests do."""
        return self._catalogue is not None

    @cached_property
    def observed(self) -> "Observed":
        """What staleness is decided from, without the other resources and their imports."""
        from resources import Observed, build_observed

        if self._given is None:
            return build_observed(self.environment)
        from mlcicd_assets.automation.champions import champion_digests

        ledger = self.ledger
        return Observed(
            self.landing,
            self.records,
            lambda models: champion_digests(ledger, models),
            lambda: None,
            lambda: self.git.files(),
        )

    @property
    def lake(self) -> "Lake":
        """Tables."""
        found: Lake = self._resources["lake"]
        return found

    @property
    def landing(self) -> "Landing":
        """What landed."""
        found: Landing = self._resources["landing"]
        return found

    @property
    def records(self) -> "Records":
        """What was made of what."""
        found: Records = self._resources["records"]
        return found

    @property
    def tracking(self) -> "Tracking":
        """Runs and their artifacts."""
        found: Tracking = self._resources["tracking"]
        return found

    @property
    def registry(self) -> "Registry":
        """Versions and aliases."""
        found: Registry = self._resources["registry"]
        return found

    @property
    def ledger(self) -> "Ledger":
        """The history, and who is champion."""
        found: Ledger = self._resources["ledger"]
        return found

    @property
    def reports(self) -> "Reports":
        """Pages for people."""
        found: Reports = self._resources["reports"]
        return found

    @property
    def alerts(self) -> "Alerts":
        """What needs a person."""
        found: Alerts = self._resources["alerts"]
        return found

    @property
    def keys(self) -> "Keys":
        """Signing and trusted keys."""
        found: Keys = self._resources["keys"]
        return found

    @property
    def requests(self) -> "Requests":
        """What was asked for."""
        found: Requests = self._resources["requests"]
        return found

    @property
    def serving(self) -> "ServingTarget":
        """What serves."""
        found: ServingTarget = self._resources["serving"]
        return found

    @property
    def predictions(self) -> "Predictions":
        """What the servers recorded."""
        found: Predictions = self._resources["predictions"]
        return found

    @property
    def inbox(self) -> "Inbox":
        """What webhooks delivered."""
        found: Inbox = self._resources["inbox"]
        return found

    @property
    def git(self) -> "Git":
        """The source tree."""
        found: Git = self._resources["git"]
        return found

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def model(self, name: str) -> "ModelLane":
        """A declared model; raises typer.BadParameter naming those that are declared."""
        found = self.catalogue.models.get(name)
        if found is None:
            raise typer.BadParameter(_unknown("model", name, self.catalogue.models))
        return found

    def dataset(self, name: str) -> "DataLane":
        """A declared dataset; raises typer.BadParameter naming those that are declared."""
        found = self.catalogue.datasets.get(name)
        if found is None:
            raise typer.BadParameter(_unknown("dataset", name, self.catalogue.datasets))
        return found


def _unknown(kind: str, name: str, declared: Mapping[str, Any]) -> str:
    return f"there is no {kind} {name!r}; declared are: {', '.join(sorted(declared)) or 'none'}"


def session_of(context: typer.Context) -> Session:
    """The invocation's session."""
    found = context.find_object(Session)
    return found if found is not None else Session()
