"""The seams between the pipeline and the world, and the plain data that crosses them.

The package (`mlcicd_assets`) knows these names only; which backend stands behind each is chosen once,
in `resources.build_resources`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from resources.alert import Alert as Alert
from resources.alert import Alerts as Alerts
from resources.alert import Severity as Severity
from resources.alert import StandingAlert as StandingAlert
from resources.alert import Telling as Telling
from resources.archive import Compacted as Compacted
from resources.archive import PredictionArchive as PredictionArchive
from resources.arrival import Arrived as Arrived
from resources.arrival import Unfinished as Unfinished
from resources.inbox import Delivery as Delivery
from resources.inbox import Inbox as Inbox
from resources.redaction import redact
from resources.repository import Commit as Commit
from resources.repository import Movement as Movement
from resources.repository import Repository as Repository
from resources.request import Cause as Cause
from resources.request import KeptRequest as KeptRequest
from resources.request import Launch as Launch
from resources.request import Request as Request
from resources.request import RequestChange as RequestChange
from resources.request import Requests as Requests
from resources.request import RequestState as RequestState
from resources.traffic import Traffic as Traffic
from resources.traffic import increase as increase
from resources.traffic_history import Counted as Counted
from resources.traffic_history import TrafficHistory as TrafficHistory

if TYPE_CHECKING:
    import polars as pl

Environment = Literal["staging", "production"]


class ResourceError(RuntimeError):
    """Something outside the pipeline refused or failed; the message names the place and the remedy.

    What a library says in it may hold a password: it is redacted here, before anybody can log or keep it.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact(one) if isinstance(one, str) else one for one in args))


# -- data -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableVersion:
    """One partition of a lake table as it was written once."""

    table: str  # "flights/raw_data"
    partition: str | None  # None for an unpartitioned table
    version: int  # the table's Delta version that this write made
    content: str  # hex SHA-256 of the rows, whatever their order and the files' layout
    rows: int


class Lake(Protocol):
    """Versioned tables, overwritten by partition, atomically."""

    def write(self, table: str, frame: "pl.DataFrame", *, partition: str | None = None) -> TableVersion:
        """Replace the partition's rows (the whole table when None). A failed write leaves what was there.

        Same content again writes nothing and returns the version that already holds it.
        """
        ...

    def scan(
        self, table: str, *, partitions: Sequence[str] | None = None, version: int | None = None
    ) -> "pl.LazyFrame":
        """Read rows, without the partition column; raises ResourceError naming what to materialize."""
        ...

    def versions(self, table: str) -> dict[str | None, TableVersion]:
        """The newest version by partition; empty when the table does not exist."""
        ...

    def table_version(self, table: str) -> int:
        """The table's current Delta version, to be recorded by readers; ResourceError when missing."""
        ...

    def vacuum(
        self, table: str, *, older_than: timedelta, keep: Collection[int] = (), dry_run: bool = True
    ) -> list[str]:
        """Delete the files that only replaced versions of the table need; returns them. Empty for no table.

        Files replaced less than `older_than` ago stay, and those of the table versions in `keep`.
        """
        ...


@dataclass(frozen=True)
class LandedFile:
    """What landed for one partition."""

    path: Path
    fingerprint: str  # hex SHA-256 of the file's bytes, or of what an object store says of them
    uri: str | None = None  # its address in object storage; then `path` is only its name


class Landing(Protocol):
    """The folder where upstream systems let files land."""

    @property
    def root(self) -> Path:
        """The home that templates are relative to."""
        ...

    def find(self, template: str, partition: str | None) -> LandedFile:
        """Locate the file of `landing/flights/{partition}.parquet`; raises ResourceError when missing."""
        ...

    def partitions(self, template: str) -> list[str]:
        """The partition keys whose files have landed, sorted."""
        ...

    def read(self, landed: LandedFile) -> "pl.DataFrame":
        """Read csv, parquet or json lines by suffix; ResourceError on empty, truncated or unreadable."""
        ...


class Arrivals(Landing, Protocol):
    """A landing folder of whole files only: `partitions` leaves out what is still being written."""

    def look(self, template: str, *, fresh: bool = False) -> Arrived:
        """What is there. Object storage is listed once a minute, unless `fresh`. Raises ResourceError."""
        ...


class Warehouse(Protocol):
    """Databases that are read by query."""

    def query(self, sql: str, url_env: str, bounds: Mapping[str, str | datetime | None]) -> "pl.DataFrame":
        """Run a query with those of `bounds` that it names: :partition, :start and :end.

        `url_env` is the environment variable with the database's URL. Raises ResourceError, without the
        password, when it is not set, the query fails, or there are no records.
        """
        ...

    def marks(self, sql: str, url_env: str, *, max_age_s: float = 60.0) -> dict[str | None, str]:
        """What the query says of each partition: column `partition` -> hash of the other columns.

        An answer that is no older than `max_age_s` is given again. Raises ResourceError.
        """
        ...


@dataclass(frozen=True)
class Materialization:
    """The provenance of one asset's (partition's) current content: what staleness is decided from."""

    asset: str  # "flights/raw_data"
    partition: str | None
    code: str  # fingerprint of code and declaration
    inputs: Mapping[str, str]  # "flights/raw_data@2013-01" -> content; "file:landing/…" -> fingerprint
    content: str  # data version of the result
    at: str  # ISO 8601, UTC
    run: str  # Dagster run id
    seconds: float
    # What `code` was made of, so that a change can be named; empty in records from before it was kept.
    parts: Mapping[str, str] = field(default_factory=dict)  # "flights/features.py:features" -> fingerprint
    parameters: Mapping[str, str] = field(default_factory=dict)  # "train" -> "120d"
    # Why a check refused what was made of these inputs; then `content` is what stood before ("" for nothing).
    failure: str = ""
    details: str = ""  # JSON: what was found, for the report of a change; of checks of the code only


class Records(Protocol):
    """Remembers the provenance of what stands, per asset and partition (the newest only)."""

    def write(self, record: Materialization) -> None:
        """Replace the record of this asset and partition."""
        ...

    def all(self) -> list[Materialization]:
        """Every record."""
        ...


# -- runs and models ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One tracked training run; ended as finished or failed by `Tracking.run`."""

    id: str
    url: str


@dataclass(frozen=True)
class RunAge:
    """A run and when it began."""

    id: str
    started: str  # ISO 8601, UTC
    parent: str | None = None  # the run that it is a part of


class Studies(Protocol):
    """Where searches for parameters stand, so that one that was killed goes on."""

    def storage(self) -> Any:
        """An `optuna.storages.BaseStorage`; raises ResourceError where it cannot be opened."""
        ...


class Tracking(Protocol):
    """Where runs, parameters, metrics and artifacts are kept (MLflow)."""

    def run(
        self, experiment: str, name: str, tags: Mapping[str, str], *, parent: str | None = None
    ) -> AbstractContextManager[Run]:
        """Open a run, shown below a `parent`; it ends FINISHED, or FAILED when the block raises."""
        ...

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record in one batch; allowed on an ended run as well (evaluation comes later)."""
        ...

    def store(self, run_id: str, source: Path, into: str) -> None:
        """Keep a file or a folder's files under the artifact path `into`."""
        ...

    def has(self, run_id: str, path: str) -> bool:
        """Whether the run keeps an artifact file of this path."""
        ...

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        """Bring an artifact file or folder to the local folder `into`; returns its local path."""
        ...

    def url(self, run_id: str) -> str:
        """Where a person looks at the run."""
        ...

    def list_runs(self, experiment: str) -> list["RunAge"]:
        """The experiment's runs that are not deleted, oldest first; empty for an unknown one."""
        ...

    def delete(self, run_id: str) -> None:
        """Remove a run's artifacts, then the run; nothing happens when it is gone. Idempotent."""
        ...


@dataclass(frozen=True)
class ModelVersion:
    """A registered version of a model."""

    model: str
    version: int
    digest: str  # hex SHA-256 of the package's manifest
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created: str = ""  # ISO 8601, UTC


class Registry(Protocol):
    """Versions and aliases (MLflow). `champion` is a mirror of the ledger's pointer, never the truth."""

    def register(
        self, model: str, digest: str, run_id: str, tags: Mapping[str, str], *, about: str = ""
    ) -> ModelVersion:
        """Make a version of the run's package; the same digest again returns the version that exists.

        `about` is a new version's description, for people.
        """
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first; empty for an unknown model."""
        ...

    def get(self, model: str, which: int | str) -> ModelVersion | None:
        """By version number or by alias."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias to a version, or remove it (None). Idempotent."""
        ...

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        ...

    def fetch(self, model: str, version: int, into: Path) -> Path:
        """Download the version's `package` folder and its `verdict.json` into `into`; returns `into`.

        Refuses sources that leave the artifact store (`..`, absolute paths, symlinks).
        """
        ...

    def delete_version(self, model: str, version: int) -> None:
        """Remove a version; its number is never given again. ResourceError while it has an alias."""
        ...


# -- proof ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Approver:
    """A person whose own key signs approvals; trusted apart from the pipeline's keys."""

    name: str  # a name, a handle or an e-mail address
    key: bytes  # PEM public key
    teams: tuple[str, ...] = ()  # "team:risk"


class Keys(Protocol):
    """Ed25519 keys for verdicts and approvals."""

    def private_key(self) -> bytes:
        """PKCS#8 PEM. Never logged, never in an error."""
        ...

    def trusted_keys(self) -> Sequence[bytes]:
        """PEM public keys whose signatures count."""
        ...

    def approvers(self) -> Sequence[Approver]:
        """The people whose own signatures count; empty where nobody has a key of their own."""
        ...

    def approver_key(self, name: str) -> bytes | None:
        """A person's private key (PKCS#8 PEM) on this machine; None where it is not here."""
        ...


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    seq: int
    at: str  # ISO 8601, UTC
    actor: str
    action: str  # "registered", "verdict", "approved", "promoted", "rolled_back", …
    model: str
    version: int | None
    digest: str | None
    reason: str
    details: Mapping[str, Any]
    previous_hash: str
    hash: str


class Conflict(ResourceError):
    """Somebody else moved the pointer first; read it again before deciding anew."""


class Ledger(Protocol):
    """Append-only, hash-chained history, and the pointers that only it may move."""

    def append(
        self,
        action: str,
        model: str,
        *,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Add a line."""
        ...

    def pointer(self, name: str) -> str | None:
        """The value of a pointer, for example `champion/flight_delay` → `"3"`."""
        ...

    def move(
        self,
        name: str,
        *,
        expected: str | None,
        new: str | None,
        action: str,
        model: str,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
        holding: Mapping[str, str | None] | None = None,
    ) -> Entry:
        """Compare-and-set a pointer and add its line in one transaction; raises Conflict.

        `holding`: other pointers that must stand so in the same transaction, or nothing moves.
        """
        ...

    def entries(self, model: str | None = None, *, after: int = 0) -> list[Entry]:
        """The lines, oldest first; `after`: those that came after the line of this number."""
        ...

    def verify(self) -> int:
        """Prove chain and pointers; returns the number of lines, raises ResourceError at the break."""
        ...


@dataclass(frozen=True)
class Page:
    """A kept page and when it was written."""

    name: str
    at: str  # ISO 8601, UTC


class Reports(Protocol):
    """Where pages for people are put."""

    def save(self, name: str, page: str) -> str:
        """Keep an HTML page under `name` ("flight_delay/1a2b.html"); returns the path or address to open."""
        ...

    def pages(self, folder: str) -> list["Page"]:
        """The pages below a folder ("flight_delay"), by name."""
        ...

    def remove(self, name: str) -> None:
        """Delete a page; nothing happens when it is gone."""
        ...


# -- serving --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerSettings:
    """How a version is served; nothing here changes what it predicts."""

    # Patience with one attempt at a version that another one stands in for, seconds; None: the proxy's own.
    answer_within_s: float | None = None
    memory_bytes: int | None = None  # a server that grows beyond it is restarted; None: no limit
    threads: int = 1  # that one request may use
    log: Mapping[str, Any] | None = None  # what the server writes down of its predictions; None: nothing


@dataclass(frozen=True)
class Limits:
    """What one server may use, as production declares it; None is no limit."""

    memory_mb: float | None = None  # resident, in 10^6 bytes; a server that exceeds it is ended
    cpus: int | None = None
    threads: int = 1  # that one request may use


@dataclass(frozen=True)
class Release:
    """Everything a server needs to prove and serve one version."""

    model: str
    version: int
    digest: str
    package: Path  # the package folder
    verdict: Path  # DSSE envelope
    environment: Environment
    approval: Path | None = None  # DSSE envelope, where the verdict's risk asks for one
    override: Path | None = None  # DSSE envelope, where a person waived a gate or the approval
    approvers: tuple[Approver, ...] = ()  # whose own signatures count on approval and override
    authorised_at: str = ""  # ISO 8601: when approval and override had to be valid; now when empty
    settings: ServerSettings = ServerSettings()


@dataclass(frozen=True)
class ServerStatus:
    """One server process."""

    model: str
    version: int
    environment: Environment
    digest: str
    state: Literal["starting", "ready", "stopped", "failed"]
    address: str  # http://127.0.0.1:PORT, direct
    pid: int | None
    weight: int  # share of the environment's traffic for this model, percent
    error: str = ""  # why it failed: the server's own last words


@dataclass(frozen=True)
class ServingStatus:
    """The whole serving stack of this home."""

    running: bool  # supervisor and proxy are up
    addresses: Mapping[str, str]  # environment -> http://host:port, through the proxy
    servers: Sequence[ServerStatus]
    problems: Sequence[str] = ()
    metrics: str = ""  # where the proxy gives its counters as Prometheus text; empty where it does not


class LaunchRefused(ResourceError):
    """The server did not become ready; the message carries its own reason."""


class TrialEnded(ResourceError):
    """The server under trial did not start, or ended before its time; the message carries its own reason."""


class Trial(Protocol):
    """A candidate's server that runs for as long as it is measured, and answers only whom it was made for."""

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT, direct: no proxy knows it."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What each request must carry; without them it answers 403 to everything."""
        ...

    @property
    def cold_start_s(self) -> float:
        """From the start of its process until it was ready and warm."""
        ...

    def peak_memory_mb(self) -> float:
        """The most that it has had resident, in 10^6 bytes; raises TrialEnded when it runs no more."""
        ...

    def ended(self) -> str:
        """Why it ended, in its own last words; empty while it runs."""
        ...


class ServingTarget(Protocol):
    """Where versions run and traffic is moved. Every method is idempotent."""

    def start(self) -> ServingStatus:
        """Bring the proxy, the supervisor and every launched server up."""
        ...

    def stop(self) -> None:
        """Take all of it down; what was launched and routed is remembered."""
        ...

    def status(self) -> ServingStatus:
        """What runs and where; starts nothing."""
        ...

    def launch(self, release: Release, trusted_keys: Sequence[bytes]) -> ServerStatus:
        """Start (or find) the version's server, wait until it is ready and warm; raises LaunchRefused."""
        ...

    def route(
        self,
        environment: Environment,
        model: str,
        weights: Mapping[int, int],
        *,
        sticky: str | None = None,
        fallback: int | None = None,
    ) -> None:
        """Give each version its share (percent, summing to 100); returns once the proxy has acknowledged.

        `sticky` names a request header: requests with the same value go to the same version, and raising a
        share moves nobody back; requests without it are spread at random. `fallback` is the launched version
        that answers for any other one that fails (crash, 5xx, too slow), so that users see nothing of it; by
        default the one of the split that was relied on before, or has the largest share. Every call says all
        of it: what is not asked for again, ends.
        """
        ...

    def routes(self, environment: Environment, model: str) -> Mapping[int, int]:
        """The shares as the proxy has them; empty when the model is not routed."""
        ...

    def retire(self, environment: Environment, model: str, version: int) -> None:
        """Drain and stop a version; refused (ResourceError) while it has a share of the traffic."""
        ...

    def mirror(self, environment: Environment, model: str, version: int | None, percent: int = 100) -> None:
        """Send a copy of this percent of the model's requests to a launched version, or end that (None).

        Its answers are never returned and never waited for. Copies keep `x-request-id` and get a host that
        ends in `-shadow`. Raises ResourceError for a version that is not launched or has a share of the
        traffic; giving it a share ends the mirroring.
        """
        ...

    def mirrors(self, environment: Environment, model: str) -> Mapping[int, int]:
        """The mirrored version and its percent, as the proxy has it; empty when there is none."""
        ...

    def traffic(self, environment: Environment, model: str) -> list[Traffic]:
        """What was counted, by version; two readings make an interval (`resources.traffic.increase`)."""
        ...

    def trial(
        self, package: Path, *, model: str, digest: str, limits: Limits
    ) -> AbstractContextManager[Trial]:
        """Start a package that has no verdict yet, to be measured and nothing else; raises TrialEnded.

        It is no version, is never routed, and ends with the block or with this process.
        """
        ...


# -- code -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Revision:
    """The state of the source tree."""

    commit: str  # full SHA-1, or "none" outside a repository
    dirty: bool
    author: str


@runtime_checkable
class Git(Protocol):
    """The source repository."""

    @property
    def root(self) -> Path:
        """The project's folder."""
        ...

    def revision(self) -> Revision:
        """The checked-out state."""
        ...

    def branch(self) -> str:
        """The checked-out branch; empty where there is none."""
        ...

    def files(self) -> Mapping[str, str]:
        """Path below `root` -> hex SHA-256 of every file that is no ignored one, as it is on disk now."""
        ...

    def fork_point(self, base: str) -> str:
        """The commit where the checked-out state left a branch or commit; raises ResourceError."""
        ...

    def changed(self, base: str) -> Sequence[str]:
        """The files that differ from the fork point, uncommitted ones included; raises ResourceError."""
        ...

    def export(self, commit: str, into: Path) -> Path:
        """Write the project's files as they were at a commit below `into`; raises ResourceError when gone."""
        ...


class Predictions(Protocol):
    """The prediction log of every model that was served."""

    def scan(
        self,
        model: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        environment: Environment = "production",
        versions: Sequence[int] | None = None,
    ) -> "pl.LazyFrame":
        """Predicted rows with start <= at < end.

        Columns: request_id (the proxy's; a copy for a shadow has the same), client_id, row (within its
        request), at (UTC), role ("live" or "shadow"), latency_ms (of scoring), score, label, environment,
        model, version, and inputs (the recorded raw columns). Empty when nothing was recorded.
        """
        ...
