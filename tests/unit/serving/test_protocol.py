"""Requests of the Open Inference Protocol: what is understood, and how each fault is named."""

import json
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.package import Column, Feature, Signature
from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.serving import protocol
from mlcicd_assets.serving.protocol import RequestError

AMOUNT = Column(name="amount", dtype="Float64", nullable=False)
SHOP = Column(name="shop", dtype="String")
AT = Column(name="at", dtype="Datetime", nullable=False)
INPUTS = [AT, AMOUNT, SHOP]


def tensor(name: str, datatype: str, *data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    shape = [len(data)] if shape is None else shape
    return {"name": name, "shape": shape, "datatype": datatype, "data": list(data)}


def request(*tensors: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": list(tensors), **more}).encode()


GOOD = {
    "at": tensor("at", "BYTES", "2026-01-31T08:30:00", "2026-02-01"),
    "amount": tensor("amount", "FP64", 12.5, 3),
    "shop": tensor("shop", "BYTES", "a", None),
}


def test_decodes_records_typed_as_the_model_takes_them() -> None:
    frame = protocol.decode(request(*GOOD.values()), INPUTS)
    assert frame.to_dicts() == [
        {"at": datetime(2026, 1, 31, 8, 30), "amount": 12.5, "shop": "a"},
        {"at": datetime(2026, 2, 1), "amount": 3.0, "shop": None},
    ]
    assert dict(frame.schema) == {"at": pl.Datetime("us"), "amount": pl.Float64(), "shop": pl.String()}


def test_order_of_inputs_and_column_shape_do_not_matter() -> None:
    amount = {**GOOD["amount"], "shape": [2, 1], "data": [[12.5], [3.0]]}
    shuffled = protocol.decode(request(GOOD["shop"], amount, GOOD["at"]), INPUTS)
    assert shuffled.equals(protocol.decode(request(*GOOD.values()), INPUTS))


def test_a_nullable_input_may_be_left_out() -> None:
    frame = protocol.decode(request(GOOD["at"], GOOD["amount"]), INPUTS)
    assert frame["shop"].to_list() == [None, None]


def test_nan_means_missing_where_the_column_is_nullable() -> None:
    inputs = [Column(name="dep_delay", dtype="Float32")]
    frame = protocol.decode(request(tensor("dep_delay", "FP32", float("nan"), 2.0)), inputs)
    assert frame["dep_delay"].to_list() == [None, 2.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": None}, "input 'amount' is missing; the model takes FP64"),
        ({"amount": tensor("amount", "FP64", 1.0)}, "input 'amount' has 1 rows, but 'at' has 2"),
        (
            {"amount": tensor("amount", "BYTES", "1", "2")},
            "input 'amount' has datatype 'BYTES', the",
        ),
        ({"amount": tensor("amount", "FP64", 1.0, "2")}, "input 'amount', row 1: '2' is not a number"),
        ({"amount": tensor("amount", "FP64", True, 2.0)}, "input 'amount', row 0: 'True' is not a number"),
        ({"amount": tensor("amount", "FP64", 1.0, None)}, "input 'amount', row 1: must not be missing"),
        (
            {"amount": tensor("amount", "FP64", float("nan"), 1.0)},
            "input 'amount', row 0: must not be missing",
        ),
        (
            {"amount": tensor("amount", "FP64", 1.0, shape=[2])},
            "input 'amount' has 1 values as data",
        ),
        ({"amount": tensor("amount", "FP64", shape=[0])}, r"input 'amount' has shape \[0\]"),
        ({"amount": tensor("amount", "FP64", 1, 2, shape=[2, 2])}, r"input 'amount' has shape \[2, 2\]"),
        ({"amount": tensor("amount", "FP64", 1, 2, shape=[-2])}, r"input 'amount' has shape \[-2\]"),
        ({"amount": tensor("amount", "FP64", 1, 2, shape=["2"])}, "input 'amount' has no shape"),
        (
            {"amount": tensor("amount", "FP64", [1, 2], [3, 4], shape=[2, 1])},
            "input 'amount' has ragged",
        ),
        (
            {"amount": {"name": "amount", "shape": [2], "datatype": "FP64"}},
            "input 'amount' has no list",
        ),
        ({"shop": tensor("shop", "BYTES", "a", 7)}, "input 'shop', row 1: '7' is not text"),
        (
            {"shop": tensor("shops", "BYTES", "a", "b")},
            "there is no input 'shops'; the model takes",
        ),
        ({"at": tensor("at", "BYTES", "2026-01-31", "soon")}, "input 'at', row 1: 'soon' is not a time like"),
        (
            {"at": tensor("at", "BYTES", "2026-01-31", "2026-01-31T00:00Z")},
            "input 'at', row 1: .* an offset",
        ),
    ],
)
def test_a_fault_names_the_input(change: dict[str, Any], words: str) -> None:
    tensors = [tensor for tensor in {**GOOD, **change}.values() if tensor]
    with pytest.raises(RequestError, match=words):
        protocol.decode(request(*tensors), INPUTS)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is not JSON"),
        (b'{"inputs": [', "is not JSON"),
        (b'{"inputs": NaN', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[" * 100_000 + b"NaN", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b"{}", "has no 'inputs'"),
        (b'{"inputs": []}', "has no 'inputs'"),
        (b'{"inputs": {"amount": 1}}', "has no 'inputs'"),
        (b'{"inputs": [7]}', "an input has no name"),
        (request(GOOD["amount"], GOOD["amount"]), "input 'amount' is given twice"),
        (b'{"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1e999]}]}', "not JSON"),
    ],
)
def test_a_request_that_is_none_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        protocol.decode(body, [AMOUNT])


@pytest.mark.parametrize(
    ("dtype", "datatype", "value", "words"),
    [
        ("Int8", "INT64", 300, "row 0: 300 does not fit INT8"),
        ("UInt8", "INT8", -1, "row 0: -1 does not fit UINT8"),
        ("Int64", "INT64", 2**63, "does not fit INT64"),
        ("Int64", "INT64", 2.5, "'2.5' is not a whole number"),
        ("Int64", "FP64", 2.0, "has datatype 'FP64', the model takes INT64"),
        ("Float32", "FP64", 1e39, "does not fit FP32"),
        ("Float64", "FP64", float("inf"), "is not JSON"),
        ("Boolean", "BOOL", 1, "'1' is not true or false"),
        ("Date", "BYTES", "31.1.2026", "is not a date like 2026-01-31"),
        ("Time", "BYTES", "noon", "is not a time like 08:30:00"),
        (
            "Datetime[UTC]",
            "BYTES",
            "2026-01-31T08:30:00",
            "has no offset; write it like 2026-",
        ),
    ],
)
def test_a_value_outside_its_type_is_refused(dtype: str, datatype: str, value: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        protocol.decode(request(tensor("x", datatype, value)), [Column(name="x", dtype=dtype)])


def test_encode_leaves_out_what_the_model_does_not_take() -> None:
    frame = pl.DataFrame({"amount": [1], "at": [datetime(2026, 1, 31)], "label": [0]})
    assert protocol.encode(frame, INPUTS, outputs=["label"]) == {
        "inputs": [tensor("at", "BYTES", "2026-01-31T00:00:00"), tensor("amount", "FP64", 1.0)],
        "outputs": [{"name": "label"}],
    }


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"shop": ["a"]}), "input 'amount' is missing"),
        (pl.DataFrame({"amount": ["a"]}), "input 'amount' is String, the model takes Float64"),
        (pl.DataFrame({"amount": [1.0, None]}), "input 'amount', row 1: must not be missing"),
        (pl.DataFrame({"amount": [float("inf")]}), "input 'amount', row 0: inf does not fit FP64"),
    ],
)
def test_encode_refuses_what_the_server_would_refuse(frame: pl.DataFrame, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        protocol.encode(frame, [AMOUNT, SHOP])


_INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Float64": st.floats(allow_nan=False, allow_infinity=False),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt8": st.integers(0, 255),
    "String": st.text('aé☃\U0001f600 \n"\\\x00'),
    "Boolean": st.booleans(),
    "Date": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "Time": st.times(),
    "Datetime": _INSTANTS,
    "Datetime[Asia/Kolkata]": _INSTANTS.map(lambda at: at.replace(tzinfo=UTC)),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), dtype=st.sampled_from(sorted(_VALUES)), rows=st.sampled_from([1, 3, 100]))
def test_what_is_encoded_decodes_to_the_same(data: st.DataObject, dtype: str, rows: int) -> None:
    column = Column(name="x", dtype=dtype)
    few = data.draw(st.lists(st.none() | _VALUES[dtype], min_size=1, max_size=5))
    frame = pl.DataFrame({"x": pl.Series((few * rows)[:rows], dtype=column.polars)})
    body = json.dumps(protocol.encode(frame, [column])).encode()
    assert protocol.decode(body, [column]).equals(frame)


def test_times_keep_their_instant_across_zones() -> None:
    kolkata = Column(name="at", dtype="Datetime[Asia/Kolkata]")
    frame = protocol.decode(request(tensor("at", "BYTES", "2026-01-31T03:00:00Z")), [kolkata])
    assert frame["at"][0] == datetime(2026, 1, 31, 8, 30, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert time(8, 30) == frame["at"].dt.time()[0]


PREDICTIONS = Predictions(np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32), np.array([1, 0]))


def test_a_response_names_model_version_and_outputs() -> None:
    assert protocol.respond(PREDICTIONS, model="flight_delay", version=3, request_id="42") == {
        "model_name": "flight_delay",
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "probabilities", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 0.5, 0.5]},
            {"name": "label", "shape": [2], "datatype": "INT64", "data": [1, 0]},
        ],
    }


def test_requested_outputs_are_honoured() -> None:
    asked = protocol.requested_outputs({"outputs": [{"name": "label"}]}, ("probabilities", "label"))
    body = protocol.respond(PREDICTIONS, model="m", version=1, request_id="", outputs=asked)
    assert [output["name"] for output in body["outputs"]] == ["label"]
    assert protocol.requested_outputs({}, ("probabilities", "label")) == ("probabilities", "label")


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([{"name": "score"}], "there is no output 'score'; the model gives probabilities and label"),
        (["label"], "'outputs' is not a list of objects"),
        ("label", "'outputs' is not a list of objects"),
    ],
)
def test_an_unknown_output_is_refused(outputs: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        protocol.requested_outputs({"outputs": outputs}, ("probabilities", "label"))


def test_describes_what_goes_in_and_out() -> None:
    assert protocol.describe([AT, AMOUNT]) == [
        {"name": "at", "datatype": "BYTES", "shape": [-1]},
        {"name": "amount", "datatype": "FP64", "shape": [-1]},
    ]
    assert protocol.describe_outputs(signature(task="binary", threshold=0.5)) == [
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ]


def signature(**fields: Any) -> Signature:
    return Signature(model="m", inputs=[AT], features=[Feature(name="x", dtype="Float32")], **fields)


def test_a_class_may_be_text_and_a_regression_gives_a_value() -> None:
    many = signature(task="multiclass", classes=["cat", "dog", "owl"])
    number = signature(task="regression", classes=[])
    assert [(o["name"], o["datatype"], o["shape"]) for o in protocol.describe_outputs(many)] == [
        ("probabilities", "FP64", [-1, 3]),
        ("label", "BYTES", [-1]),
    ]
    assert protocol.describe_outputs(number) == [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    probabilities = np.array([[0.25, 0.5, 0.25]], dtype=np.float32)
    named = protocol.respond(
        Predictions(probabilities, np.array(["dog"])), model="m", version=1, request_id=""
    )
    value = protocol.respond(Predictions(np.array([1.5])), model="m", version=1, request_id="")
    assert named["outputs"][1] == {"name": "label", "shape": [1], "datatype": "BYTES", "data": ["dog"]}
    assert value["outputs"] == [{"name": "value", "shape": [1], "datatype": "FP64", "data": [1.5]}]


def test_keys_travel_beside_the_inputs_as_text():
    body = request(*GOOD.values(), tensor("order_id", "INT64", 17, 18), tensor("till", "BYTES", "a", None))
    frame = protocol.decode(body, INPUTS, ["order_id", "till", "day"])
    assert frame.select("order_id", "till", "day").rows() == [("17", "a", None), ("18", None, None)]
    assert frame.drop("order_id", "till", "day").equals(protocol.decode(request(*GOOD.values()), INPUTS))


def test_a_key_that_is_none_is_refused():
    with pytest.raises(protocol.RequestError, match=r"'order_id', row 1: '1.5' is no key"):
        protocol.decode(request(*GOOD.values(), tensor("order_id", "FP64", 1, 1.5)), INPUTS, ["order_id"])
    with pytest.raises(protocol.RequestError, match="no input of the model"):
        protocol.decode(request(tensor("order_id", "INT64", 1)), INPUTS, ["order_id"])
