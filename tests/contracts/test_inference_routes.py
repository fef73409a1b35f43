"""One contract for both ways to a prediction: our short cut, and KServe's own route that it stands in for."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving import application, protocol
from mlcicd_assets.serving.application import App, Application, InferenceService
from mlcicd_assets.serving.kserve_routes import kserve_application
from tests.fakes.packages import build_package, records

# KServe builds its application with a response class that FastAPI has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ORJSONResponse")

INFER = "/v2/models/shop_risk/infer"
RECORDS = records(50, seed=3)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return Scorer.load(build_package(tmp_path_factory.mktemp("route") / "package"))


class Client:
    """Asks an ASGI application without a network."""

    def __init__(self, app: App) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@pytest.fixture(scope="module")
def routes(scorer: Scorer) -> dict[str, Client]:
    # One for the whole module: KServe's application is a global.
    service = InferenceService(scorer, "shop_risk", 3)
    stock = kserve_application(service)
    return {"fast": Client(Application(service, stock)), "stock": Client(stock)}


@pytest.fixture(params=["fast", "stock"])
def client(request: pytest.FixtureRequest, routes: dict[str, Client]) -> Client:
    return routes[request.param]


@pytest.fixture(scope="module")
def inputs(scorer: Scorer) -> list[Column]:
    return list(scorer.inputs)


def body(inputs: list[Column], rows: int = 2, **more: Any) -> dict[str, Any]:
    return {**protocol.encode(RECORDS.head(rows), inputs), **more}


def present(value: Any) -> Any:
    """Without the optional fields that KServe writes as null."""
    if isinstance(value, dict):
        return {key: present(item) for key, item in value.items() if item is not None}
    return [present(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("rows", [1, 50])
def test_answers_what_the_package_answers(
    client: Client, scorer: Scorer, inputs: list[Column], rows: int
) -> None:
    answer = client.post(INFER, json=body(inputs, rows, id="42"))
    expected = scorer.predict(RECORDS.head(rows))
    assert answer.status_code == 200
    assert present(answer.json()) == protocol.respond(expected, model="shop_risk", version=3, request_id="42")


def test_honours_requested_outputs(client: Client, inputs: list[Column]) -> None:
    answer = client.post(INFER, json=body(inputs, outputs=[{"name": "label"}]))
    assert [output["name"] for output in answer.json()["outputs"]] == ["label"]


def test_takes_null_for_a_missing_value(client: Client, inputs: list[Column]) -> None:
    request = body(inputs)
    request["inputs"][2]["data"] = [None, "a"]
    assert client.post(INFER, json=request).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": []},
        {"inputs": [{"name": "nobody", "shape": [1], "datatype": "FP64", "data": [1]}]},
        {"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64"}]},
        {"inputs": "amount"},
        {"outputs": [{"name": "score"}]},
    ],
)
def test_a_fault_is_a_400_with_a_reason(client: Client, inputs: list[Column], change: dict[str, Any]) -> None:
    answer = client.post(INFER, json={**body(inputs), **change})
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]


def test_what_is_no_json_is_a_400(client: Client) -> None:
    answer = client.post(INFER, content=b'{"inputs": [', headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_another_model_is_a_404(client: Client, inputs: list[Column]) -> None:
    answer = client.post("/v2/models/another/infer", json=body(inputs))
    assert answer.status_code == 404
    assert "another" in answer.json()["error"]


# -- what only the short cut adds ------------------------------------------------------------------------


def test_every_answer_names_the_version_in_a_header(routes: dict[str, Client], inputs: list[Column]) -> None:
    fast = routes["fast"]
    answers = [fast.post(INFER, json=body(inputs)), fast.post(INFER, json={}), fast.get("/v2/health/ready")]
    assert [answer.headers["x-model-version"] for answer in answers] == ["3", "3", "3"]


def test_paths_with_the_version_work(routes: dict[str, Client], inputs: list[Column]) -> None:
    fast, versioned = routes["fast"], "/v2/models/shop_risk/versions/3"
    assert fast.post(f"{versioned}/infer", json=body(inputs)).json()["model_version"] == "3"
    assert fast.get(versioned).json()["versions"] == ["3"]
    assert fast.get(f"{versioned}/ready").json()["ready"] is True


@pytest.mark.parametrize("path", ["versions/4/infer", "versions/30/infer", "versions/4", "versions/"])
def test_another_version_is_a_404(routes: dict[str, Client], path: str) -> None:
    answer = routes["fast"].request("POST" if "infer" in path else "GET", f"/v2/models/shop_risk/{path}")
    assert (answer.status_code, answer.json()) == (404, {"error": "shop_risk is here as version 3 only"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/models/shop_risk/unload"),
        ("POST", "/v1/models/shop_risk:predict"),
        ("GET", "/openapi.json"),
        ("GET", "/anything"),
    ],
)
def test_nothing_else_is_open(routes: dict[str, Client], method: str, path: str) -> None:
    answer = routes["fast"].request(method, path)
    assert answer.status_code == 404
    assert routes["fast"].get("/v2/models/shop_risk/ready").status_code == 200


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models", "/v2", "/metrics"])
def test_the_routes_around_it_are_kserves(routes: dict[str, Client], path: str) -> None:
    assert routes["fast"].get(path).status_code == 200


def test_describes_the_model(routes: dict[str, Client]) -> None:
    assert routes["fast"].get("/v2/models/shop_risk").json() == {
        "name": "shop_risk",
        "versions": ["3"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "at", "datatype": "BYTES", "shape": [-1]},
            {"name": "amount", "datatype": "FP64", "shape": [-1]},
            {"name": "shop", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }


def test_requests_are_counted(routes: dict[str, Client], inputs: list[Column]) -> None:
    line = 'inference_requests_total{code="200",model_name="shop_risk",model_version="3"}'

    def count() -> float:
        lines = routes["fast"].get("/metrics").text.splitlines()
        return sum(float(found.split()[-1]) for found in lines if found.startswith(line))

    before = count()
    routes["fast"].post(INFER, json=body(inputs))
    assert count() == before + 1


def test_the_id_is_the_requests_or_the_proxys(routes: dict[str, Client], inputs: list[Column]) -> None:
    headers = {"x-request-id": "from-the-proxy"}
    answer = routes["fast"].post(INFER, json=body(inputs), headers=headers)
    assert answer.json()["id"] == "from-the-proxy"
    assert routes["fast"].post(INFER, json=body(inputs)).json()["id"]


def test_a_large_request_is_answered_beside_the_loop(
    routes: dict[str, Client], inputs: list[Column], scorer: Scorer
) -> None:
    many = records(2_000, seed=4)
    request = json.dumps(protocol.encode(many, inputs)).encode()
    assert len(request) > application.INLINE_BODY
    answer = routes["fast"].post(INFER, content=request)
    assert answer.json()["outputs"][1]["data"] == scorer.predict(many).labels.tolist()


def test_a_request_beyond_the_limit_is_a_413(
    routes: dict[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "MAX_BODY", 1024 * 1024)
    answer = routes["fast"].post(INFER, content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (
        413,
        {"error": "the request is larger than 1 MiB; send fewer rows"},
    )


def test_binary_tensors_are_declined_in_words(routes: dict[str, Client]) -> None:
    answer = routes["fast"].post(INFER, content=b"{}", headers={"inference-header-content-length": "2"})
    assert answer.status_code == 400
    assert "send JSON" in answer.json()["error"]
