"""KServe's own v2 application around our model: metadata, readiness, metrics, and its inference route."""

from collections.abc import Awaitable, Callable
from typing import Any

from mlcicd_assets.ml.artifact.scoring import ScoringError
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.application import App, InferenceService
from mlcicd_assets.serving.protocol import RequestError


def kserve_application(service: InferenceService) -> App:
    """Set KServe's application up; once per process, for it is a global of KServe's module."""
    from kserve.constants.constants import FASTAPI_APP_IMPORT_STRING
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer
    from uvicorn.importer import import_from_string

    class VersionedDataPlane(DataPlane):  # type: ignore[misc]
        async def model_metadata(self, model_name: str) -> dict[str, Any]:
            metadata: dict[str, Any] = await super().model_metadata(model_name)
            return {**metadata, "versions": [str(service.version)], "platform": "onnxruntime_onnx"}

    repository = ModelRepository()
    repository.update(_kserve_model(service))
    extension = ModelRepositoryExtension(model_registry=repository)
    # Its port and host are not used: the runtime binds its own socket, because KServe's is 0.0.0.0 always.
    rest = RESTServer(FASTAPI_APP_IMPORT_STRING, VersionedDataPlane(repository), extension, http_port=0)
    rest.create_application()
    app = import_from_string(FASTAPI_APP_IMPORT_STRING)
    _answer_faults_plainly(app)
    return app  # type: ignore[no-any-return]


def _kserve_model(service: InferenceService) -> Any:
    from kserve import InferRequest, Model
    from kserve.errors import InferenceError, InvalidInput

    class ServedModel(Model):  # type: ignore[misc]
        def predict(self, payload: InferRequest, headers: Any = None) -> dict[str, Any]:
            body = {
                "id": payload.id,
                "inputs": [
                    {"name": i.name, "shape": i.shape, "datatype": i.datatype, "data": i.data}
                    for i in payload.inputs
                ],
                "outputs": [{"name": output.name} for output in payload.request_outputs or ()],
            }
            try:
                return service.infer(body, (headers or {}).get("x-request-id", ""))
            except RequestError as error:
                raise InvalidInput(str(error)) from error
            except ScoringError as error:
                raise InferenceError(str(error)) from error

        def get_input_types(self) -> list[dict[str, Any]]:
            return protocol.describe(service.inputs)

        def get_output_types(self) -> list[dict[str, Any]]:
            return protocol.describe_outputs(service.scorer.signature)

    model = ServedModel(service.model)
    model.load()
    return model


def _answer_faults_plainly(app: Any) -> None:
    # KServe's handlers log a traceback for each request that is at fault; these only answer.
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from kserve.errors import InferenceError, InvalidInput, ModelNotFound

    def handler(status: int) -> Callable[[Any, Exception], Awaitable[Any]]:
        async def answer(_: Any, error: Exception) -> Any:
            reason = "; ".join(_problems(error)) if isinstance(error, RequestValidationError) else str(error)
            return JSONResponse({"error": reason}, status)

        return answer

    for kind, status in (
        (InvalidInput, 400),
        (RequestValidationError, 400),
        (ModelNotFound, 404),
        (InferenceError, 500),
    ):
        app.add_exception_handler(kind, handler(status))


def _problems(error: Any) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
    ]
