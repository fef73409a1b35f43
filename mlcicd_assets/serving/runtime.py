"""The model server: one process, one version, and nothing loaded before its verdict has been proven.

`python -m mlcicd_assets.serving.runtime --help` lists what it takes. It writes one line to standard error
when it is ready (`ready: …`) and when it will not serve (`refused: …`, exit code 78). SIGTERM drains.
"""

import argparse
import gc
import logging
import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlcicd_assets.ml.artifact.package import Package
    from mlcicd_assets.release.authorisation import Proofs
    from mlcicd_assets.release.signatories import Trust
    from mlcicd_assets.serving.application import App, InferenceService

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
    _set_up_process()
    try:
        # First of all: connections wait in the queue while the model loads, instead of being refused.
        listener = socket.create_server((args.host, args.port), backlog=512)
    except OSError as error:
        _say(f"failed: cannot listen on {args.host}:{args.port} ({error.strerror}); give a free --port")
        return PORT_IN_USE
    try:
        package = prove(args)
        service = load(package, args.model, args.model_version)
    except RefusedToServe as refused:
        listener.close()
        _say(f"refused: {refused}")
        # A supervisor takes an exit within its start-up time for a failed start, and tries again.
        time.sleep(args.hold_refusal)
        return REFUSED
    _run(service, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlcicd_assets.serving.runtime", description="Serve one proven version of a model."
    )
    add = parser.add_argument
    add("--package", type=Path, required=True, help="the package folder")
    add("--verdict", type=Path, required=True, help="its signed verdict")
    add("--approval", type=Path, help="the signed approval, where a person must agree")
    add("--override", type=Path, help="the signed override, where a person waived a gate or the approval")
    add("--approvers", type=Path, help="JSON of the people whose own signatures count")
    add("--trusted-keys", type=Path, required=True, help="PEM public keys, one after another")
    add("--model", required=True)
    add("--model-version", type=int, required=True)
    add("--digest", required=True, help="hex SHA-256 of the package's manifest.json")
    add("--environment", choices=["staging", "production"], required=True)
    add("--launched-at", type=_moment, help="when the approval had to be valid, ISO 8601; now by default")
    add("--host", default="127.0.0.1")
    add("--port", type=int, required=True)
    add("--hold-refusal", type=float, default=0.0, help="seconds to stay alive after a refusal")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment has an offset")
    return moment


def _set_up_process() -> None:
    # Read once by the libraries when they are imported; more threads cost the tail latency dearly.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # KServe's module reads the command line too; it must not stumble over ours.
    sys.argv[1:] = []
    # KServe's use of FastAPI is deprecated there; nothing that this log's reader could act on.
    warnings.filterwarnings("ignore", module="fastapi")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")


def _say(line: str) -> None:
    sys.stderr.write(f"{' '.join(line.split())}\n")
    sys.stderr.flush()


def prove(args: argparse.Namespace) -> "Package":
    """Verify the package's bytes, its verdict and, where needed, its approval; raises RefusedToServe."""
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


def load(package: "Package", model: str, version: int) -> "InferenceService":
    """Load a proven package and warm it up with one prediction; raises RefusedToServe."""
    from mlcicd_assets.ml.artifact.package import PackageError
    from mlcicd_assets.ml.artifact.scoring import Scorer
    from mlcicd_assets.ml.user_code import UserCodeError
    from mlcicd_assets.serving.application import InferenceService

    try:
        service = InferenceService(Scorer.load(package), model, version)
    except (PackageError, UserCodeError) as error:
        raise RefusedToServe(str(error)) from error
    _warm_up(service)
    return service


def _warm_up(service: "InferenceService") -> None:
    from mlcicd_assets.ml.artifact.scoring import ScoringError
    from mlcicd_assets.serving.protocol import example

    try:
        service.infer(example(service.inputs), request_id="warm-up")
    except ScoringError as error:
        # An invented record may be beyond what the features function understands; real ones decide.
        _say(f"note: warmed up without a prediction: {error}")


def _run(service: "InferenceService", listener: socket.socket) -> None:
    import uvicorn

    from mlcicd_assets.serving.application import Application
    from mlcicd_assets.serving.kserve_routes import kserve_application

    app: App = Application(service, kserve_application(service))
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
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
