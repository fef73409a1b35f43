"""Serving on one machine: a process per version, Envoy before them, supervisord to keep both alive.

Everything outlives the run that started it and is remembered in the folder: `state.json` says what should
run, and `start` brings the processes in line with it after a stop, a crash or a reboot.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from resources import processes
from resources.envoy import HOST
from resources.envoy_routes import Routing
from resources.model_servers import ModelServers, check_name
from resources.protocols import (
    Environment,
    LaunchRefused,
    Limits,
    Release,
    ResourceError,
    ServerStatus,
    ServingStatus,
    Traffic,
)
from resources.proxy import Proxy
from resources.serving_state import HEADER, Launched, State, exclusive, fallback_of, load, save
from resources.supervisor import Process, Program, Supervisor
from resources.traffic_local import read_traffic
from resources.trial_local import LocalTrial, local_trial

_PROXY = "envoy"
_ALL = 100


class LocalServing:
    """A `ServingTarget` on this machine, kept in one folder. Safe to use from many processes at once."""

    def __init__(
        self,
        folder: Path,
        *,
        server_module: str = "mlcicd_assets.serving.runtime",
        ready_s: float = 60.0,
        drain_s: float = 35.0,
        keys: Path | None = None,
    ) -> None:
        """`ready_s`: patience with a server that loads; `drain_s`: with requests that are under way.

        `keys` is the folder with the key that personal columns are hashed with in the prediction log.
        """
        self.folder = Path(folder).resolve()
        self._drain_s = drain_s
        self._module, self._ready_s = server_module, ready_s
        self._supervisor = Supervisor(self.folder)
        self._servers = ModelServers(self.folder, self._supervisor, server_module, ready_s, keys)

    # -- the whole stack ------------------------------------------------------------------------------

    def start(self) -> ServingStatus:
        """Bring the proxy, the supervisor and every launched server up; failed ones are in the problems."""
        with self._changing():
            self._bring_up()
        return self.status()

    def stop(self) -> None:
        """Take everything down; what was launched and routed is remembered."""
        if self.folder.is_dir():
            with self._changing():
                self._take_down()

    def status(self) -> ServingStatus:
        """What runs and where; starts nothing. The addresses answer only while `running`."""
        state = self._state()
        known = self._supervisor.processes()
        running = _PROXY in known and self._proxy(state).is_ready()
        servers = [self._servers.status(server, state.share(server), known) for server in state.servers]
        return ServingStatus(
            running=running,
            addresses={environment: f"http://{HOST}:{port}" for environment, port in state.ports.items()},
            servers=servers,
            problems=[*self._problems(running, known, servers), *self._unrecorded(state, servers)],
            metrics=f"http://{HOST}:{state.admin_port}/stats/prometheus" if state.admin_port else "",
        )

    def _problems(
        self, running: bool, known: Mapping[str, Process], servers: Sequence[ServerStatus]
    ) -> list[str]:
        problems = []
        if not running and (known or servers):
            words = self._supervisor.last_lines(_PROXY)[-1:] if known else []
            problems.append(" ".join(["the proxy is down; run 'mlcicd serve start'", *words]))
        problems += [
            f"{server.environment}: {server.model} version {server.version} is {server.state} "
            f"with {server.weight} % of the traffic{f': {server.error}' if server.error else ''}"
            for server in servers
            if server.state == "failed" or (running and server.weight and server.state != "ready")
        ]
        return problems

    def _unrecorded(self, state: State, servers: Sequence[ServerStatus]) -> list[str]:
        ready = [server for server, seen in zip(state.servers, servers, strict=True) if seen.state == "ready"]
        lost = {server.name: self._servers.unrecorded(server) for server in ready}
        return [
            f"{name}: predictions were not recorded ({why}); see {self.folder}/logs/{name}.log"
            for name, why in lost.items()
            if why
        ]

    def _bring_up(self) -> State:
        state = self._state()
        if self._supervisor.is_running() and self._revive(state):
            return state
        self._take_down()
        state = state.with_free_ports()
        self._save(state)
        proxy = self._proxy(state)
        proxy.write_all(state)
        self._supervisor.start(self._programs(state))
        self._await_proxy(proxy)
        self._servers.await_settled(state.servers)
        self._await_stand_ins(state)
        return state

    def _revive(self, state: State) -> bool:
        """Start again what is down and repeat what should be in force; whether the proxy came up."""
        for name in (_PROXY, *(server.name for server in state.servers)):
            self._supervisor.add(name)
        proxy = self._proxy(state)
        try:
            self._await_proxy(proxy)
        except ResourceError:
            return False  # its port may have been taken meanwhile: start anew, on others
        proxy.publish_servers(state)
        for environment in state.ports:
            self._publish_routes(state, environment)
        self._servers.await_settled(state.servers)
        self._await_stand_ins(state)
        return True

    def _await_stand_ins(self, state: State) -> None:
        """Wait until who stands in for a canary can, where it runs: else users see the next fault."""
        for server in state.servers:
            for port in state.ports_of(server)[1:]:
                relied_on = next(other for other in state.servers if other.port == port)
                if self._servers.is_ready(relied_on):
                    self._proxy(state).await_host(server.backend.canary, port)

    def _take_down(self) -> None:
        if self._supervisor.is_running():
            self._supervisor.shutdown()
            deadline = time.monotonic() + self._drain_s + 10
            while processes.find(self.folder) and time.monotonic() < deadline:
                time.sleep(0.05)
        processes.end_all(self.folder)  # what a killed supervisor left behind as well

    def _await_proxy(self, proxy: Proxy) -> None:
        try:
            proxy.wait(proxy.is_ready, "Envoy did not start")
        except ResourceError as error:
            words = self._supervisor.last_lines(_PROXY)[-1:]
            raise ResourceError(" ".join([str(error), *words])) from error

    # -- versions -------------------------------------------------------------------------------------

    def launch(self, release: Release, trusted_keys: Sequence[bytes]) -> ServerStatus:
        """Start (or find) the version's server, wait until it is ready and warm; raises LaunchRefused."""
        check_name(release)
        with self._changing():
            state = self._bring_up()
            server = state.server(release.environment, release.model, release.version)
            if server is not None and server.digest != release.digest:
                raise LaunchRefused(
                    f"{server.name} runs with digest {server.digest[:12]}, not {release.digest[:12]}; "
                    "a version never changes: register a new one"
                )
            if server is None or not self._servers.is_ready(server):
                server = self._launched(release, state, server)
                state = state.with_server(server)
                self._start_server(state, server, release, trusted_keys)
            else:
                self._servers.trust(server, trusted_keys)
            self._introduce(state, server)
            return self._servers.status(server, state.share(server), self._supervisor.processes())

    def _launched(self, release: Release, state: State, before: Launched | None) -> Launched:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Launched(
            environment=release.environment,
            model=release.model,
            version=release.version,
            digest=release.digest,
            port=state.free_port(),
            launched_at=before.launched_at if before else release.authorised_at or now,
            approved=release.approval is not None,
            answer_within_s=release.settings.answer_within_s,
            memory_bytes=release.settings.memory_bytes,
            threads=release.settings.threads,
            logs=release.settings.log is not None,
        )

    def _start_server(self, state: State, server: Launched, release: Release, keys: Sequence[bytes]) -> None:
        self._supervisor.remove(server.name)
        self._servers.lay_out(server, release, keys)
        self._save(state)
        self._supervisor.configure(self._programs(state))
        self._supervisor.add(server.name)
        try:
            self._servers.await_ready(server)
        except LaunchRefused:
            # One that has traffic stays remembered: the route still asks for it.
            if not state.share(server):
                self._discard(state, server)
            raise

    def _introduce(self, state: State, server: Launched) -> None:
        proxy = self._proxy(state)
        proxy.publish_servers(state)
        proxy.await_healthy(server.name, server.port)
        self._publish_routes(state, server.environment)

    def retire(self, environment: Environment, model: str, version: int) -> None:
        """Drain and stop a version; refused (ResourceError) while it has a share of the traffic."""
        if not self.folder.is_dir():
            return
        with self._changing():
            state = self._state()
            server = state.server(environment, model, version)
            if server is None:
                return
            if state.share(server):
                raise ResourceError(
                    f"{server.name} has {state.share(server)} % of the traffic; route it elsewhere first"
                )
            if self._is_up():
                self._drain(state, server)
            self._discard(state, server)

    def _drain(self, state: State, server: Launched) -> None:
        remaining, proxy = state.without(server), self._proxy(state)
        self._publish_routes(remaining, server.environment)
        time.sleep(0.05)  # Envoy's worker takes routes up a moment after they were acknowledged
        proxy.await_idle(server.backend, patience_s=self._drain_s)
        proxy.publish_clusters(remaining.backends)
        proxy.publish_endpoints(remaining)

    def _discard(self, state: State, server: Launched) -> None:
        remaining = state.without(server)
        self._supervisor.configure(self._programs(remaining))
        self._supervisor.remove(server.name)
        self._save(remaining)
        self._proxy(state).forget(server.backend)
        self._servers.discard(server)

    # -- traffic --------------------------------------------------------------------------------------

    def route(
        self,
        environment: Environment,
        model: str,
        weights: Mapping[int, int],
        *,
        sticky: str | None = None,
        fallback: int | None = None,
    ) -> None:
        """Give each version its share (percent, summing to 100); returns once the proxy has acknowledged."""
        split = {version: weight for version, weight in weights.items() if weight}
        if sum(split.values()) != _ALL or min(split.values()) < 0:
            raise ResourceError(f"{model}: the shares {dict(weights)} do not sum to 100 %")
        if sticky is not None and not HEADER.match(sticky):
            raise ResourceError(f"{model}: {sticky!r} is no name of a request header, like x-user-id")
        with self._changing():
            before = self._running_state()
            for version in {*split, *([fallback] if fallback is not None else [])}:
                self._check_routable(before, environment, model, version)
            known = before.routed(environment, model)
            mirror = known.mirror if known.mirror and known.mirror[0] not in split else None
            routing = Routing(split, fallback_of(split, fallback, known.fallback), sticky, mirror)
            self._put_in_force(before, before.with_routing(environment, model, routing), environment)

    def mirror(self, environment: Environment, model: str, version: int | None, percent: int = 100) -> None:
        """Send a copy of this percent of the model's requests to a launched version, or end that (None)."""
        if not 1 <= percent <= _ALL:
            raise ResourceError(f"{model}: {percent} % of the requests cannot be copied; 1 to 100")
        if version is None and not self.mirrors(environment, model):
            return
        with self._changing():
            before = self._running_state()
            known = before.routed(environment, model)
            if version is not None:
                self._check_mirrored(before, environment, model, version)
            routing = replace(known, mirror=None if version is None else (version, percent))
            self._put_in_force(before, before.with_routing(environment, model, routing), environment)

    def mirrors(self, environment: Environment, model: str) -> Mapping[int, int]:
        """The mirrored version and its percent, as the proxy has it; empty when there is none."""
        mirror = self._routing(environment, model).mirror
        return dict([mirror]) if mirror else {}

    def routes(self, environment: Environment, model: str) -> Mapping[int, int]:
        """The shares as the proxy has them (while it is down: as it will have them); empty if not routed."""
        return dict(self._routing(environment, model).shares)

    def _routing(self, environment: Environment, model: str) -> Routing:
        state = self._state()
        proxy = self._proxy(state)
        if not proxy.is_ready():
            return state.routed(environment, model)
        return proxy.routing(environment).get(model, Routing())

    def _running_state(self) -> State:
        if not self._is_up():
            raise ResourceError("the servers are down; run 'mlcicd serve start'")
        return self._state()

    def _is_up(self) -> bool:
        """Whether it runs. Where its supervisor was killed it is started anew: a stop leaves no process."""
        if self._supervisor.is_running():
            return True
        if not processes.find(self.folder):
            return False
        self._bring_up()
        return True

    def _check_mirrored(self, state: State, environment: Environment, model: str, version: int) -> None:
        self._check_routable(state, environment, model, version)
        shares = state.routed(environment, model).shares
        if not shares:
            raise ResourceError(f"{environment}: {model} has no traffic that could be copied; route it first")
        if version in shares:
            raise ResourceError(
                f"{environment}: {model} version {version} has {shares[version]} % of the traffic; "
                "route it elsewhere before it gets copies"
            )

    def _check_routable(self, state: State, environment: Environment, model: str, version: int) -> None:
        server = state.server(environment, model, version)
        if server is None:
            raise ResourceError(f"{environment}: {model} version {version} is not launched; launch it first")
        if not self._servers.is_ready(server):
            raise ResourceError(f"{server.name} is not ready and gets no traffic; launch it again")
        proxy = self._proxy(state)
        if server.name not in proxy.hosts():  # who launched it was killed before the proxy learned of it
            proxy.publish_servers(state)
        proxy.await_healthy(server.name, server.port)

    def _put_in_force(self, before: State, after: State, environment: Environment) -> None:
        # Who stands in for a canary is in force before its first request, and for as long as its last.
        self._save(after)
        try:
            self._await_fallbacks(before, after)
            self._publish_routes(after, environment)
        except ResourceError:
            self._save(before)
            raise
        self._proxy(after).publish_endpoints(after)

    def _await_fallbacks(self, before: State, after: State) -> None:
        proxy = self._proxy(after)
        canaries = [server for server in after.servers if len(after.ports_of(server)) > 1]
        proxy.publish_endpoints(after, keeping=before)
        for server in canaries:
            proxy.await_healthy(server.backend.canary, *after.ports_of(server))

    def traffic(self, environment: Environment, model: str) -> list[Traffic]:
        """What the proxy and the servers have counted, by version."""
        state = self._state()
        wanted = [s for s in state.servers if (s.environment, s.model) == (environment, model)]
        known = self._supervisor.processes() if wanted else {}
        pids = {name: process.pid for name, process in known.items()}
        return read_traffic(self._proxy(state), wanted, pids, pids.get(_PROXY))

    # -- before there is a verdict --------------------------------------------------------------------

    def trial(
        self, package: Path, *, model: str, digest: str, limits: Limits
    ) -> AbstractContextManager[LocalTrial]:
        """Start a package to be measured, and nothing else: state, proxy and supervisor stay out."""
        return local_trial(
            self._module, package, model=model, digest=digest, limits=limits, patience_s=self._ready_s
        )

    # -- its parts ------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone, across processes."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise ResourceError(
                f"{self.folder}: cannot be prepared ({error.strerror}); make it writable or set MLCICD_HOME"
            ) from error
        with exclusive(self.folder / "lock"):
            yield

    def _state(self) -> State:
        return load(self.folder / "state.json")

    def _save(self, state: State) -> None:
        save(self.folder / "state.json", state)

    def _proxy(self, state: State) -> Proxy:
        return Proxy(self.folder / "envoy", state.admin_port)

    def _publish_routes(self, state: State, environment: Environment) -> None:
        routing = state.routing.get(environment, {})
        self._proxy(state).publish_routes(environment, state.backends, routing)

    def _programs(self, state: State) -> list[Program]:
        proxy = Program(_PROXY, self._proxy(state).command(), start_s=1, retries=10, stop_s=10, always=True)
        return [proxy, *(self._servers.program(server) for server in state.servers)]
