#!/usr/bin/env python3
"""Makes small models with the inputs and outputs of real ones, which know colours instead of things.

    toys.py DIR

Not made here are toy-clip-vision, toy-clip-text, toy-sam-encoder and toy-sam-decoder, which it finds in DIR. Needs the
Python package onnx (scripts/python-env onnx).
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def const(self, value, dtype=np.float32):
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def __call__(self, kind, *inputs, out=None, **attributes):
        self.count += 1
        name = out or f"t{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, inputs, outputs, metadata=None):
        info = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "toy", [info(*i) for i in inputs], [info(*o) for o in outputs], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        if metadata:
            helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model


def spread(g, pixels, cell, channels):
    """The average colour of cells, in the first three of some channels."""
    weight = np.zeros((channels, 3, 1, 1), np.float32)
    weight[:3, :, 0, 0] = np.eye(3)
    pooled = g("AveragePool", pixels, kernel_shape=[cell, cell], strides=[cell, cell])
    return lambda out: g("Conv", pooled, g.const(weight), out=out)


def mobilesam_encoder():
    """Rows of pixels from 0 to 255 of any size, which it pads itself."""
    g = Graph()
    size = g("Shape", "input_image")
    rest = g("Sub", g.ints(1024, 1024), g("Slice", size, g.ints(0), g.ints(2), g.ints(0)))
    planes = g("Unsqueeze", g("Transpose", "input_image", perm=[2, 0, 1]), g.ints(0))
    padded = g("Pad", g("Div", planes, g.const(255)), g("Concat", g.ints(0, 0, 0, 0, 0, 0), rest, axis=0))
    spread(g, padded, 16, 256)("image_embeddings")
    return g.model([("input_image", FLOAT, ["h", "w", 3])], [("image_embeddings", FLOAT, [1, 256, 64, 64])])


def sam2_encoder():
    g = Graph()
    spread(g, "image", 4, 32)("high_res_feats_0")
    spread(g, "image", 8, 64)("high_res_feats_1")
    spread(g, "image", 16, 256)("image_embed")
    return g.model(
        [("image", FLOAT, [1, 3, 1024, 1024])],
        [("high_res_feats_0", FLOAT, [1, 32, 256, 256]), ("high_res_feats_1", FLOAT, [1, 64, 128, 128]), ("image_embed", FLOAT, [1, 256, 64, 64])])


def sam2_decoder():
    """Masks of the colour under the foreground points, or in the middle of the box, and inside of the box."""
    g = Graph()
    colours = g("Transpose", g("Reshape", g("Slice", "high_res_feats_0", g.ints(0), g.ints(3), g.ints(1)), g.ints(3, 65536)), perm=[1, 0])
    label = g("Reshape", "point_labels", g.ints(1, -1))

    def corner(value):  # coordinates of the point of a label, and whether there is one
        is_it = g("Cast", g("Equal", label, g.const(value)), to=FLOAT)
        at = g("ReduceSum", g("Mul", "point_coords", g("Unsqueeze", is_it, g.ints(2))), g.ints(1), keepdims=1)
        return at, g("ReduceMax", is_it, axes=[1], keepdims=1)

    (first, boxed), (last, _) = corner(2.0), corner(3.0)
    middle = g("Mul", g("Add", first, last), g.const(0.5))
    points = g("Concat", "point_coords", middle, axis=1)
    cell = g("Clip", g("Floor", g("Div", points, g.const(4))), g.const(0), g.const(255))
    px, py = (g("Slice", cell, g.ints(k), g.ints(k + 1), g.ints(2)) for k in (0, 1))
    index = g("Reshape", g("Cast", g("Add", g("Mul", py, g.const(256)), px), to=INT64), g.ints(-1))
    wanted = g("Unsqueeze", g("Gather", colours, index, axis=0), g.ints(0))
    off = g("Sub", g("Unsqueeze", colours, g.ints(1)), wanted)
    distance = g("ReduceSum", g("Mul", off, off), g.ints(-1), keepdims=0)

    def nearest(value, extra):  # of the points of a label; extra says whether the middle is one
        flags = g("Concat", g("Cast", g("Equal", label, g.const(value)), to=FLOAT), extra, axis=1)
        far = g("Where", g("Greater", flags, g.const(0.5)), distance, g.const(1e6))
        return g("ReduceMin", far, axes=[1], keepdims=0)

    no_points = g("Sub", g.const(1), g("ReduceMax", g("Cast", g("Equal", label, g.const(1.0)), to=FLOAT), axes=[1], keepdims=1))
    logit = g("Sub", g("Min", nearest(0.0, g.const([[0.0]])), g.const(0.25)), nearest(1.0, g("Mul", boxed, no_points)))
    x = g.const((np.arange(256) * 4 + 2)[None, :])
    y = g.const((np.arange(256) * 4 + 2)[:, None])

    def part(point, k):
        return g("Reshape", g("Slice", point, g.ints(k), g.ints(k + 1), g.ints(2)), g.ints(1))

    inside = g("And", g("And", g("Greater", x, part(first, 0)), g("Less", x, part(last, 0))), g("And", g("Greater", y, part(first, 1)), g("Less", y, part(last, 1))))
    free = g("Less", g("Reshape", boxed, g.ints(1)), g.const(0.5))
    logit = g("Where", g("Reshape", g("Or", inside, free), g.ints(-1)), logit, g.const(-1))
    one = g("Reshape", logit, g.ints(1, 1, 256, 256))
    # What it does not need has to be used all the same.
    unused = [g("ReduceMax", t, keepdims=0) for t in ("image_embed", "high_res_feats_1", "mask_input", "has_mask_input")]
    nothing = g("Mul", g("Sum", *unused), g.const(0))
    one = g("Add", one, nothing)
    g("Concat", g("Sub", one, g.const(0.2)), one, g("Add", one, g.const(0.2)), axis=1, out="masks")
    g("Add", g.const([[0.5, 0.9, 0.7]]), nothing, out="iou_predictions")
    return g.model(
        [("image_embed", FLOAT, [1, 256, 64, 64]), ("high_res_feats_0", FLOAT, [1, 32, 256, 256]), ("high_res_feats_1", FLOAT, [1, 64, 128, 128]),
         ("point_coords", FLOAT, [1, "n", 2]), ("point_labels", FLOAT, [1, "n"]), ("mask_input", FLOAT, [1, 1, 256, 256]), ("has_mask_input", FLOAT, [1])],
        [("masks", FLOAT, [1, 3, 256, 256]), ("iou_predictions", FLOAT, [1, 3])])


NAMES = {"names": str({0: "red", 1: "green", 2: "driver's blue"})}


def detector(size, cell):
    """Boxes around all that is red, green and blue, twice, and how red, green and blue it is: left, top, right, bottom [1, 3], [3, 3]."""
    g = Graph()
    n = size // cell
    pooled = g("AveragePool", "images", kernel_shape=[cell, cell], strides=[cell, cell])
    off = g("Sub", g("Unsqueeze", pooled, g.ints(1)), g.const(np.eye(3).reshape(1, 3, 3, 1, 1)))
    distance = g("ReduceSum", g("Mul", off, off), g.ints(2), keepdims=0)
    score = g("Max", g("Sub", g.const(0.95), g("Mul", distance, g.const(4))), g.const(0))
    is_it = g("Greater", score, g.const(0.5))
    x = g.const(np.broadcast_to(np.arange(n) * cell, (1, 1, n, n)))
    y = g.const(np.broadcast_to((np.arange(n) * cell)[:, None], (1, 1, n, n)))

    def least(t):
        return g("Squeeze", g("ReduceMin", g("Where", is_it, t, g.const(1e4)), axes=[2, 3], keepdims=0), g.ints(0))

    def most(t):
        return g("Squeeze", g("ReduceMax", g("Where", is_it, g("Add", t, g.const(cell)), g.const(0)), axes=[2, 3], keepdims=0), g.ints(0))

    best = g("Squeeze", g("ReduceMax", score, axes=[2, 3], keepdims=0), g.ints(0))
    return g, (least(x), least(y), most(x), most(y)), g("Mul", g.const(np.eye(3)), best)


def yolo8():
    g, (left, top, right, bottom), scores = detector(640, 16)
    half = g.const(0.5)
    columns = [g("Mul", g("Add", left, right), half), g("Mul", g("Add", top, bottom), half), g("Sub", right, left), g("Sub", bottom, top)]
    box = g("Concat", *(g("Unsqueeze", c, g.ints(0)) for c in columns), axis=0)
    shifted = g("Concat", g("Add", box, g.const(4)), g("Mul", scores, g.const(0.8)), axis=0)  # of the same objects, less sure
    g("Unsqueeze", g("Concat", shifted, g("Concat", box, scores, axis=0), axis=1), g.ints(0), out="output0")
    return g.model([("images", FLOAT, [1, 3, 640, 640])], [("output0", FLOAT, [1, 7, 6])], NAMES)


def yolo3():
    g, sides, scores = detector(416, 16)
    box = g("Div", g("Concat", *(g("Unsqueeze", s, g.ints(1)) for s in sides), axis=1), g.const(416))
    g("Unsqueeze", g("Concat", box, box, axis=0), g.ints(0), out="boxes")
    g("Unsqueeze", g("Concat", scores, g("Mul", scores, g.const(0.8)), axis=0), g.ints(0), out="scores")
    return g.model([("images", FLOAT, [1, 3, 416, 416])], [("boxes", FLOAT, [1, 6, 4]), ("scores", FLOAT, [1, 6, 3])], NAMES)


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "crimson", "car", "vehicle", "dog", "a", "##s"]
MEANINGS = [[9, 9, 9, 9], [0, 0, 0, 1], [0, 0, 0, 0.1], [0, 0, 0, 0.1], [1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 1, 0, 0], [0, 0.9, 0.1, 0], [0, 0, 1, 0],
            [0, 0, 0, 0.1], [0, 0, 0, 0.1]]


def sentence():
    g = Graph()
    vectors = g("Gather", g.const(MEANINGS), "input_ids", axis=0)
    nothing = g("Mul", g("Cast", g("Add", "attention_mask", "token_type_ids"), to=FLOAT), g.const(0))
    g("Add", vectors, g("Unsqueeze", nothing, g.ints(2)), out="last_hidden_state")
    return g.model([(name, INT64, ["b", "s"]) for name in ("input_ids", "attention_mask", "token_type_ids")], [("last_hidden_state", FLOAT, ["b", "s", 4])])


def clip_in_one(vision, text):
    """Pictures and texts in one file, as optimum exports it."""
    model = compose.merge_models(compose.add_prefix(text, "t_"), compose.add_prefix(vision, "v_"), io_map=[])
    graph = model.graph
    new = {"t_input_ids": "input_ids", "v_pixel_values": "pixel_values", "t_text_embeds": "text_embeds", "v_image_embeds": "image_embeds"}
    for node in graph.node:
        node.input[:] = [new.get(n, n) for n in node.input]
        node.output[:] = [new.get(n, n) for n in node.output]
    for value in [*graph.input, *graph.output]:
        value.name = new.get(value.name, value.name)
    for value, axes in (("input_ids", ["tb", "s"]), ("pixel_values", ["vb", 3, 224, 224]), ("text_embeds", ["tb", 11]), ("image_embeds", ["vb", 11])):
        info = next(v for v in [*graph.input, *graph.output] if v.name == value)
        info.CopyFrom(helper.make_tensor_value_info(value, info.type.tensor_type.elem_type, axes))
    graph.node.append(helper.make_node("Transpose", ["image_embeds"], ["image_t"], perm=[1, 0]))
    graph.node.append(helper.make_node("MatMul", ["text_embeds", "image_t"], ["products"]))
    graph.node.append(helper.make_node("Cast", ["attention_mask"], ["mask_float"], to=FLOAT))
    graph.node.append(helper.make_node("ReduceMin", ["mask_float"], ["mask_min"], keepdims=0))
    graph.node.append(helper.make_node("Sub", ["mask_min", "mask_min"], ["nothing"]))
    graph.node.append(helper.make_node("Add", ["products", "nothing"], ["logits_per_text"]))
    graph.node.append(helper.make_node("Transpose", ["logits_per_text"], ["logits_per_image"], perm=[1, 0]))
    graph.input.append(helper.make_tensor_value_info("attention_mask", INT64, ["tb", "s"]))
    graph.output.append(helper.make_tensor_value_info("logits_per_image", FLOAT, ["vb", "tb"]))
    graph.output.append(helper.make_tensor_value_info("logits_per_text", FLOAT, ["tb", "vb"]))
    onnx.checker.check_model(model)
    return model


def main():
    folder = Path(sys.argv[1])
    for name, model in {
        "toy-mobilesam-encoder": mobilesam_encoder(), "toy-mobilesam-decoder": onnx.load(folder / "toy-sam-decoder.onnx"),
        "toy-sam2-encoder": sam2_encoder(), "toy-sam2-decoder": sam2_decoder(), "toy-yolo8": yolo8(), "toy-yolo3": yolo3(),
        "toy-sentence/model": sentence(),
        "toy-clip-one/model": clip_in_one(onnx.load(folder / "toy-clip-vision.onnx"), onnx.load(folder / "toy-clip-text.onnx")),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        onnx.save(model, folder / f"{name}.onnx")
    (folder / "toy-sentence" / "vocab.txt").write_text("\n".join(WORDS) + "\n")


if __name__ == "__main__":
    main()
