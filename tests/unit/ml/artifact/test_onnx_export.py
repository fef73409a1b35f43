from onnx import TensorProto, helper

from mlcicd_assets.ml.artifact.onnx_export import _stable_bytes


def test_the_order_of_operator_sets_is_immaterial() -> None:
    def graph(*domains: str) -> bytes:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
        body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "model", [value], [value])
        sets = [helper.make_opsetid(domain, 1) for domain in domains]
        return _stable_bytes(helper.make_model(body, opset_imports=sets))

    assert graph("", "ai.onnx.ml") == graph("ai.onnx.ml", "")
    assert graph("", "ai.onnx.ml") != graph("")
