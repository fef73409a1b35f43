"""The model server: one process, one version, and nothing loaded before its verdict has been proven.

`python -m mlcicd_assets.serving.runtime --help` lists what it takes. It writes one line to standard error
when it is ready (`ready: …`) and when it will not serve (`refused: …`, exit code 78). SIGTERM drains.
"""

import argparse
import gc
import json
import logging
import os
import re
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.serving.limits import OUT_OF_MEMORY, keep_to_cpus, set_threads, watch_memory
from mlcicd_assets.serving.trial import ENVIRONMENT as EVALUATION
from mlcicd_assets.serving.trial import LOOPBACK, VERSION, NoToken, OnlyForEvaluation, end_with, read_token

if TYPE_CHECKING:
    from mlcicd_assets.ml.artifact.package import Package
    from mlcicd_assets.release.authorisation import Proofs
    from mlcicd_assets.release.signatories import Trust
    from mlcicd_assets.serving.application import App, InferenceService
    from mlcicd_assets.serving.prediction_log import PredictionLog

REFUSED = 78  # EX_CONFIG of sysexits: trying again changes nothing
PORT_IN_USE = 75  # EX_TEMPFAIL: trying again may help
# Longer than the proxy's 60 s: the side that closes an idle connection must be the one that sends requests.
KEEP_ALIVE_S = 75
DRAIN_S = 30
_PEM = re.compile(rb"-----BEGIN [^-]+-----.+?-----END [^-]+-----\n?", re.DOTALL)


class RefusedToServe(RuntimeError):
    """The version may not or cannot be served; says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    args = _parser().parse_args(arguments)
    _set_up_process(args)
    try:
        token = _token_of(args) if args.environment == EVALUATION else None
        # Before the model: connections wait in the queue while it loads, instead of being refused.
        listener = _listen(args.host, args.port)
    except RefusedToServe as refused:
        return _refuse(args, refused)
    except OSError as error:
        _say(f"failed: cannot listen on {args.host}:{args.port} ({error.strerror}); give a free --port")
        return PORT_IN_USE
    try:
        package = prove(args) if token is None else examine(args)
        service = load(package, args.model, args.model_version, threads=args.threads)
        service.log = _prediction_log(args, service) if args.log else None
    except RefusedToServe as refused:
        listener.close()
        return _refuse(args, refused)
    _run(service, listener, token)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=512)


def _refuse(args: argparse.Namespace, refused: RefusedToServe) -> int:
    _say(f"refused: {refused}")
    # A supervisor takes an exit within its start-up time for a failed start, and tries again.
    time.sleep(args.hold_refusal)
    return REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlcicd_assets.serving.runtime", description="Serve one proven version of a model."
    )
    add = parser.add_argument
    add("--package", type=Path, required=True, help="the package folder")
    add("--verdict", type=Path, help="its signed verdict; nothing is served without")
    add("--approval", type=Path, help="the signed approval, where a person must agree")
    add("--override", type=Path, help="the signed override, where a person waived a gate or the approval")
    add("--approvers", type=Path, help="JSON of the people whose own signatures count")
    add("--trusted-keys", type=Path, help="PEM public keys, one after another")
    add("--model", required=True)
    add("--model-version", type=int, default=0, help="the registered version, from 1")
    add("--digest", required=True, help="hex SHA-256 of the package's manifest.json")
    add(
        "--environment",
        choices=["staging", "production", EVALUATION],
        required=True,
        help="evaluation: only for whoever writes a token to standard input, until that ends",
    )
    add("--launched-at", type=_moment, help="when the approval had to be valid, ISO 8601; now by default")
    add("--host", default="127.0.0.1")
    add("--port", type=int, required=True)
    add("--log", type=Path, help="JSON of what to record of its predictions; nothing without")
    add("--log-folder", type=Path, help="where it is recorded")
    add("--log-key", type=Path, help="the key that hashed columns are hashed with")
    add("--threads", type=_count, default=1, help="that one request may use")
    add("--cpus", type=_count, help="cores that the process may use; all by default")
    add("--memory-mb", type=float, help="10^6 bytes resident, beyond which the process ends itself")
    add("--hold-refusal", type=float, default=0.0, help="seconds to stay alive after a refusal")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment has an offset")
    return moment


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("a count is at least 1")
    return number


def _set_up_process(args: argparse.Namespace) -> None:
    # One by default: more threads cost the tail latency dearly.
    set_threads(args.threads)
    if args.cpus:
        keep_to_cpus(args.cpus)
    if args.memory_mb:
        watch_memory(args.memory_mb, lambda resident: _end_out_of_memory(resident, args.memory_mb))
    # KServe's module reads the command line too; it must not stumble over ours.
    sys.argv[1:] = []
    # KServe's use of FastAPI is deprecated there; nothing that this log's reader could act on.
    warnings.filterwarnings("ignore", module="fastapi")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")


def _say(line: str) -> None:
    sys.stderr.write(f"{' '.join(line.split())}\n")
    sys.stderr.flush()


def _end_out_of_memory(resident: float, limit: float) -> None:
    _say(f"ended: {resident:.0f} MB of memory are more than the {limit:.0f} MB that are declared")
    os._exit(OUT_OF_MEMORY)


def _token_of(args: argparse.Namespace) -> bytes:
    """What an evaluation's requests will carry; raises RefusedToServe for a server that others could use."""
    if args.host not in LOOPBACK or args.model_version != VERSION:
        raise RefusedToServe(
            "a server for evaluation is no version and listens on loopback alone: "
            "leave --host and --model-version out"
        )
    try:
        return read_token()
    except NoToken as error:
        raise RefusedToServe(str(error)) from error


def examine(args: argparse.Namespace) -> "Package":
    """Verify the package's bytes alone, for a server that nobody is sent to; raises RefusedToServe."""
    from mlcicd_assets.ml.artifact.package import PackageError, read_package

    try:
        return _of_model(read_package(args.package, expected=args.digest), args)
    except PackageError as error:
        raise RefusedToServe(str(error)) from error


def prove(args: argparse.Namespace) -> "Package":
    """Verify the package's bytes, its verdict and, where needed, its approval; raises RefusedToServe."""
    if args.verdict is None or args.trusted_keys is None or args.model_version < 1:
        raise RefusedToServe(
            f"{args.environment} takes a version with a verdict: "
            "give --verdict, --trusted-keys and --model-version"
        )
    from mlcicd_assets.ml.artifact.package import PackageError, read_package
    from mlcicd_assets.release.authorisation import authorise_artifact, authorise_production
    from mlcicd_assets.release.envelope import Refused

    now = args.launched_at or datetime.now(UTC)
    try:
        proofs, trust = _proofs(args), _trust(args)
        package = read_package(args.package, expected=args.digest)
        if args.environment == "production":
            authorise_production(
                proofs, trust, model=args.model, digest=package.digest, version=args.model_version, now=now
            )
        else:
            authorise_artifact(proofs, trust, model=args.model, digest=package.digest, now=now)
    except (PackageError, Refused) as error:
        raise RefusedToServe(str(error)) from error
    return _of_model(package, args)


def _of_model(package: "Package", args: argparse.Namespace) -> "Package":
    if package.signature.model != args.model:
        raise RefusedToServe(
            f"{args.package} holds the model {package.signature.model!r}, not {args.model!r}"
        )
    return package


def _proofs(args: argparse.Namespace) -> "Proofs":
    from mlcicd_assets.release.authorisation import Proofs

    given = [_read(path) if path else None for path in (args.verdict, args.approval, args.override)]
    return Proofs(*given)


def _trust(args: argparse.Namespace) -> "Trust":
    from mlcicd_assets.release.signatories import Trust, read_signatories

    approvers = read_signatories(_read(args.approvers)) if args.approvers else ()
    return Trust(_PEM.findall(_read(args.trusted_keys)), approvers)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedToServe(f"cannot read {path} ({error.strerror})") from error


def load(package: "Package", model: str, version: int, *, threads: int = 1) -> "InferenceService":
    """Load a proven package and warm it up with one prediction; raises RefusedToServe."""
    from mlcicd_assets.ml.artifact.package import PackageError
    from mlcicd_assets.ml.artifact.scoring import Scorer
    from mlcicd_assets.ml.user_code import UserCodeError
    from mlcicd_assets.serving.application import InferenceService

    try:
        service = InferenceService(Scorer.load(package, threads=threads), model, version)
    except (PackageError, UserCodeError) as error:
        raise RefusedToServe(str(error)) from error
    _warm_up(service)
    return service


def _prediction_log(args: argparse.Namespace, service: "InferenceService") -> "PredictionLog":
    from mlcicd_assets.serving.prediction_log import PredictionLog

    about = {"environment": args.environment, "model": args.model, "version": args.model_version}
    try:
        settings = json.loads(_read(args.log))
        key = _read(args.log_key) if args.log_key else None
        inputs = [column.name for column in service.inputs]
        return PredictionLog(args.log_folder, settings, key, inputs, **about)
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedToServe(f"{args.log}: {error}") from error


@contextmanager
def _recording(log: "PredictionLog | None") -> Iterator[None]:
    """Write the log while the block runs, and its rest before the process ends by SIGTERM."""
    if log is None:
        yield
        return
    told: list[int] = []
    # uvicorn drains at SIGTERM and then sends it again to the handler that it found: the default would end
    # the process right there.
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    log.start()
    try:
        yield
    finally:
        log.close()
    if told:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _warm_up(service: "InferenceService") -> None:
    from mlcicd_assets.ml.artifact.scoring import ScoringError
    from mlcicd_assets.serving.protocol import example

    try:
        service.infer(example(service.inputs), request_id="warm-up")
    except ScoringError as error:
        # An invented record may be beyond what the features function understands; real ones decide.
        _say(f"note: warmed up without a prediction: {error}")


def _run(service: "InferenceService", listener: socket.socket, token: bytes | None) -> None:
    import uvicorn

    from mlcicd_assets.serving.application import Application
    from mlcicd_assets.serving.kserve_routes import kserve_application

    app: App = Application(service, kserve_application(service))
    if token is not None:
        app = OnlyForEvaluation(app, token)
        end_with()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    # What the libraries allocated stays for good; the collector need not walk it while requests wait.
    gc.collect()
    gc.freeze()
    host, port = listener.getsockname()[:2]
    _say(f"ready: {service.model} version {service.version} at http://{host}:{port}")
    with _recording(service.log):
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
