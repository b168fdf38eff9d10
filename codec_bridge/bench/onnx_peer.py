"""The network in ONNX, quantized, and the engines that run it on the CPU: OpenVINO and ONNX Runtime."""

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codec_bridge.bench.input import Float, PeerError, Prepare
from vrcnn_int.network import INPUTS, FloatNetwork


def as_onnx(network: FloatNetwork) -> Any:
    """The float network as an ONNX model: x [1, 1, height, width], or of a joint network [1, 6, height, width] -> y = x + residual."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    x, layers = "x", list[str]()
    for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        outputs = []
        for j, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            name, size = f"layer{i}branch{j}", weight.shape[2]
            parameters = [constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]
            nodes.append(helper.make_node("Conv", [x, *parameters], [name], name, kernel_shape=[size] * 2, pads=[size // 2] * 4))
            if network.added[i]:
                nodes.append(helper.make_node("Add", [name, layers[i - network.added[i]]], [f"{name}.sum"], f"{name}.add"))
                name = f"{name}.sum"
            if i < len(network.bounds):
                limits = [constant(f"{name}.low", 0), constant(f"{name}.high", network.bounds[i])]
                nodes.append(helper.make_node("Clip", [name, *limits], [f"{name}.clipped"], f"{name}.clip"))
            outputs.append(nodes[-1].output[0])
        if len(outputs) > 1:
            nodes.append(helper.make_node("Concat", outputs, [f"layer{i}"], f"layer{i}.concat", axis=1))
        x = nodes[-1].output[0]
        layers.append(x)
    nodes.append(helper.make_node("Add", ["x", x], ["y"], "add"))
    shape: list[str | int | None] = [1, INPUTS[network.kind], "height", "width"]
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph(nodes, "vrcnn", [first], [last], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write_int8(model: Any, path: Path, calibration: list[Float]) -> None:
    """Quantize an ONNX model (QDQ) and write it: weights by channel, activations by tensor, ranges from calibration pictures."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(calibration)

        def get_next(self) -> dict[str, Float] | None:
            picture = next(self.rest, None)
            return None if picture is None else {"x": picture}

    # The 256 values of a sample are the 256 steps of input and output.
    samples = [{"quant_type": QuantType.QUInt8, "scale": np.array(1 / 255, np.float32), "zero_point": np.array(128, np.uint8)}]
    options = {"WeightSymmetric": True, "TensorQuantOverrides": {"x": samples, "y": samples}}
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    logging.disable(logging.WARNING)  # it recommends steps that this model has no use for
    try:
        quantize_static(model, path, Pictures(), quant_format=QuantFormat.QDQ, per_channel=True, extra_options=options, **types)
    finally:
        logging.disable(logging.NOTSET)


def _check_int8(found: int, network: FloatNetwork) -> None:
    wanted = sum(map(len, network.weights))
    if found != wanted:
        raise PeerError(f"{found} of {wanted} convolutions run in int8")


def run_in_openvino(network: FloatNetwork, onnx_file: Path, threads: int) -> Prepare:
    """OpenVINO on the CPU. Raises PeerError unless every convolution runs in int8, which the compiled model tells."""
    # Its import would report over the network that it was imported, from a forked process that outlives this one's end.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}

    def prepare(x: Float) -> Callable[[], Float]:
        model = core.read_model(onnx_file)
        model.reshape(list(x.shape))
        compiled = core.compile_model(model, "CPU", config)
        infos = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ordered_ops()]
        kinds = [tuple(str(info[key].astype(str)) for key in ("layerType", "runtimePrecision")) for info in infos]
        _check_int8(sum(kind == "Convolution" and precision in ("u8", "i8") for kind, precision in kinds), network)
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(x))

        def run() -> Float:
            request.infer()
            filtered: Float = request.get_output_tensor().data
            return filtered

        return run

    return prepare


def run_in_onnxruntime(network: FloatNetwork, onnx_file: Path, threads: int) -> Prepare:
    """ONNX Runtime on the CPU. Raises PeerError unless every convolution is one of int8 in the optimized model."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        operators = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    _check_int8(operators.count("QLinearConv"), network)

    def prepare(x: Float) -> Callable[[], Float]:
        def run() -> Float:
            filtered: Float = session.run(None, {"x": x})[0]
            return filtered

        return run

    return prepare
