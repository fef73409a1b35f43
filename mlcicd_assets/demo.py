"""`make demo`: real flights, from the files that land to a model that answers over HTTP."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlcicd_assets.cli.output import console, table
from mlcicd_assets.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from mlcicd_assets.automation.staleness import Status
    from mlcicd_assets.cli.materialize import Outcome, StepEvent
    from mlcicd_assets.release.verdict import Verdict
    from resources.protocols import ModelVersion

_SHOWN = 5  # columns of a record: enough to recognise it
_STATES = {"done": "done   ", "failed": "failed "}


def main() -> int:
    """Run the demonstration; returns the exit code."""
    from mlcicd_assets.cli.app import exit_code, plain

    try:
        return Demonstration(Session(), console()).run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; 'make demo' goes on where this stopped\n")
        return 130
    except Exception as error:  # noqa: BLE001  the last place where anything can still be told
        sys.stderr.write(f"{plain(error)}\n")
        return exit_code(error)


@dataclass(frozen=True)
class Demonstration:
    """Lets data land, materializes what is stale by Dagster's own command, and tells what came of it."""

    session: Session
    out: "Console"
    model: str = "flight_delay"
    datasets: tuple[str, ...] = ("planes", "weather", "flights")
    until: str = "2013-06"

    def run(self) -> int:
        """Returns 0, or 1 where a gate or a check failed."""
        from mlcicd_assets.cli.init import prepare

        started = time.monotonic()
        prepare(self.session)
        for line in self.land():
            self.say(line)
        stale = [status for status in self.concerned() if status.state == "stale"]
        if stale:
            outcome = self.materialize(stale)
            if not outcome.succeeded:
                self.tell_failure(outcome)
                return 1
            self.summarize()
        else:
            self.say("Everything is fresh: nothing to run.")
        self.ensure_serving()
        self.show_prediction()
        self.what_next(time.monotonic() - started)
        return 0

    def say(self, line: str = "", style: str | None = None) -> None:
        """Print one line as it is."""
        self.out.print(line, markup=False, style=style, soft_wrap=True)

    def land(self) -> Iterator[str]:
        """Play the upstream systems: what has not landed yet lands now."""
        from mlcicd_assets.cli.land import land_files, partitions_between
        from resources.protocols import ResourceError

        for name in self.datasets:
            dataset = self.session.dataset(name).dataset
            missing: list[str] = []
            if dataset.partitions != "none":
                there = set(self.session.landing.partitions(dataset.source.files))
                wanted = partitions_between(dataset, None, self.until)
                missing = [key for key in wanted if key not in there]
                if not missing:
                    continue
            else:
                try:
                    self.session.landing.find(dataset.source.files, None)
                    continue
                except ResourceError:  # it has not landed
                    pass
            yield from (f"landed {file}" for file in land_files(self.session, name, missing))

    def concerned(self) -> "list[Status]":
        """The staleness of this data and model, of all that is declared."""
        from mlcicd_assets.cli.assessment import assess_all

        # The code, too: no model is trained from code that has not passed.
        ours = {"source_code", *self.datasets, self.model}
        return [status for status in assess_all(self.session) if status.asset.split("/")[0] in ours]

    def materialize(self, stale: "list[Status]") -> "Outcome":
        """Run Dagster's own command for what is stale, and show each step."""
        from mlcicd_assets.automation.staleness import partition_range
        from mlcicd_assets.cli.materialize import command, materialize

        chosen, partitions = self.selection(stale), partition_range(stale)
        self.say(f"$ {shlex.join(command(chosen, partitions))}", style="dim")
        with self.progress() as watch:
            return materialize(self.session, chosen, partitions, watch)

    def selection(self, stale: "list[Status]") -> str:
        """What Dagster has to select: whole groups where everything is stale."""
        from mlcicd_assets.automation.blueprint import MODEL_STAGES
        from mlcicd_assets.automation.staleness import selection

        assets = {status.asset for status in stale}
        if {status.asset for status in self.concerned()} <= assets:
            code = ["group:code"] if self.session.catalogue.code else []
            return ",".join([*code, *(f"group:{name}" for name in (*self.datasets, self.model))])
        # What is told of the traffic belongs to the release that changes it.
        released = f"{self.model}/{MODEL_STAGES[-1]}" in assets
        return selection(stale) + (f' or key:"{self.model}/monitoring_report"' if released else "")

    @contextmanager
    def progress(self) -> "Iterator[Callable[[StepEvent], None]]":
        """Shows what runs as it runs: a spinner on a terminal, plain lines elsewhere."""
        with self.out.status("starting Dagster …") as spinner:

            def watch(event: "StepEvent") -> None:
                if event.state == "running":
                    spinner.update(f"{event.step} …")
                else:
                    took = f"  {event.text}" if event.state == "done" else ""
                    self.say(f"{_STATES[event.state]} {event.step}{took}")

            yield watch

    def tell_failure(self, outcome: "Outcome") -> None:
        """Say which check or step failed, and why; and where the whole log is."""
        from mlcicd_assets.cli.status import failed_gates

        for failure in outcome.failures:
            self.say()
            self.say(f"{failure.step} failed:", style="bold red")
            self.say(failure.text)
        if any(failure.step == f"{self.model}/gates" for failure in outcome.failures):
            for line in failed_gates(self.session, self.model):
                self.say(f"  {line}")
            self.say("The champion, if there is one, goes on serving.")
        if not outcome.failures:
            self.say("Dagster's command failed before any step; its last lines:", style="bold red")
            self.say("\n".join(outcome.log.read_text().splitlines()[-15:]))
        self.say()
        self.say(f"The whole log: {outcome.log}")

    def summarize(self) -> None:
        """What was made: data versions, gates with value against threshold, version, digest, signature."""
        from mlcicd_assets.cli.proofs import champion_version
        from mlcicd_assets.cli.status import data_table, dataset_report

        data = [dataset_report(self.session, self.session.dataset(name)) for name in self.datasets]
        self.say()
        self.out.print(data_table(data))
        champion = champion_version(self.session.ledger, self.model)
        version = None if champion is None else self.session.registry.get(self.model, champion)
        if version is not None:
            self.show_release(version)

    def show_release(self, version: "ModelVersion") -> None:
        """Prove the champion again, and show what its verdict says; raises Refused."""
        from mlcicd_assets.cli.proofs import fetched, prove_package, prove_verdict, signer, todays_gates

        with fetched(self.session, version) as found:
            prove_package(found)
            gates = todays_gates(self.session.model(self.model))
            verdict = prove_verdict(self.session, found, gates=gates)
            key = signer(found.verdict)
        self.say()
        self.out.print(table("Gates, all passed", ["gate", "value", "bound"], _gates(verdict)))
        self.say()
        holdout = verdict.holdout
        self.fact("version", f"{self.model} version {version.version}")
        self.fact("digest", version.digest)
        self.fact("signature", f"verified, Ed25519 key {key[:16]}")
        self.fact("commit", f"{verdict.commit[:12]}{' with uncommitted changes' if verdict.dirty else ''}")
        self.fact("holdout", f"{holdout.start} to {holdout.end}, {holdout.rows} rows")

    def fact(self, name: str, value: str) -> None:
        """Print one line of the summary."""
        self.say(f"{name:<10} {value}")

    def ensure_serving(self) -> None:
        """Bring the proxy and the champion's server up where they are not."""
        from mlcicd_assets.cli.serve import repair

        if not self.session.serving.status().running:
            self.session.serving.start()
            self.say("serving was stopped and is up again")
        for line in repair(self.session, self.model):
            self.say(line)

    def show_prediction(self) -> None:
        """Ask the served model for one real record, over HTTP."""
        from mlcicd_assets.cli.predict import address_of, ask, example_record

        record = example_record(self.session, self.session.model(self.model))
        answer = ask(self.session, self.model, record, "production")
        shown = ", ".join(f"{name} {record[name][0]}" for name in record.columns[:_SHOWN])
        self.fact("address", f"{address_of(self.session, 'production')}/v2/models/{self.model}")
        self.fact("record", f"{shown}, …")
        score, label = answer.probabilities[0][-1], answer.labels[0]
        self.fact("prediction", f"{score:.3f}, label {label}; answered by version {answer.version}")

    def what_next(self, seconds: float) -> None:
        """Where to look from here."""
        pages = (self.session.home.reports / self.model).glob("*.html")
        newest = max(pages, key=lambda page: page.stat().st_mtime, default=None)
        self.say()
        if newest is not None:
            self.fact("report", str(newest))
        self.fact("next", "make dev, then http://127.0.0.1:3000: every asset, check and run")
        self.fact("", f".venv/bin/mlcicd verify {self.model}")
        self.say(f"({seconds:.0f} s)", style="dim")


def _gates(verdict: "Verdict") -> list[tuple[str, str, str]]:
    return [
        (gate.name, "–" if gate.value is None else f"{gate.value:.4g}", gate.bound) for gate in verdict.gates
    ]


if __name__ == "__main__":
    sys.exit(main())
