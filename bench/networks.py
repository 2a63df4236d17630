#!/usr/bin/python3
"""Writes the benchmark networks as ONNX files: well known architectures with seeded random weights.

    bench/networks.py --output build/networks [--only yolov3 ...] [--activation leaky|none]

Convolution, BatchNormalization and activation stay separate nodes, as exporters write them, so that
what a runtime fuses is its own doing. Needs python3-onnx and python3-numpy.
"""
import argparse
import pathlib
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

OPSET = 13


class Net:
    """Collects nodes; every method takes and returns value names. Channels are tracked by value."""

    def __init__(self, name, inputs, activation=True):
        self.name, self.random = name, np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.weights, self.count, self.activations = [], [], 0, activation
        self.inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
        self.channels = {n: s[1] for n, s in inputs.items()}

    def constant(self, array, name=None):
        name = name or f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, kind, inputs, channels=None, outputs=1, **attrs):
        self.count += 1
        names = [f"{kind.lower()}{self.count}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], **attrs))
        for name in names:
            self.channels[name] = channels if channels is not None else self.channels[inputs[0]]
        return names[0] if outputs == 1 else names

    def normal(self, *shape, fan_in):
        return (self.random.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)

    def conv(self, x, oc, k=3, s=1, p=None, groups=1, bias=True, dims=2, dilation=1):
        ic = self.channels[x]
        p = (k - 1) * dilation // 2 if p is None else p
        inputs = [x, self.constant(self.normal(oc, ic // groups, *[k] * dims, fan_in=ic // groups * k**dims))]
        if bias:
            inputs.append(self.constant(self.normal(oc, fan_in=200)))
        return self.op("Conv", inputs, oc, kernel_shape=[k] * dims, strides=[s] * dims, pads=[p] * 2 * dims,
                       group=groups, dilations=[dilation] * dims)

    def deconv(self, x, oc, k, s, p, bias=True, dims=2):
        ic = self.channels[x]
        inputs = [x, self.constant(self.normal(ic, oc, *[k] * dims, fan_in=ic * k**dims / s**dims))]
        if bias:
            inputs.append(self.constant(self.normal(oc, fan_in=200)))
        return self.op("ConvTranspose", inputs, oc, kernel_shape=[k] * dims, strides=[s] * dims, pads=[p] * 2 * dims)

    def norm(self, x):
        c = self.channels[x]
        one = lambda spread: (1 + spread * self.random.standard_normal(c)).astype(np.float32)
        small = lambda: (0.1 * self.random.standard_normal(c)).astype(np.float32)
        variance = (0.5 + self.random.random(c)).astype(np.float32)
        names = [self.constant(a) for a in (one(0.1), small(), small(), variance)]
        return self.op("BatchNormalization", [x, *names], epsilon=1e-5)

    def instance_norm(self, x):
        c = self.channels[x]
        scale = self.constant((1 + 0.1 * self.random.standard_normal(c)).astype(np.float32))
        return self.op("InstanceNormalization", [x, scale, self.constant(self.normal(c, fan_in=200))], epsilon=1e-5)

    def leaky(self, x, alpha=0.1):
        return self.op("LeakyRelu", [x], alpha=alpha) if self.activations else x

    def relu(self, x):
        return self.op("Relu", [x])

    def relu6(self, x):
        low, high = self.constant(np.float32(0)), self.constant(np.float32(6))
        return self.op("Clip", [x, low, high])

    def silu(self, x):
        return self.op("Mul", [x, self.op("Sigmoid", [x])])

    def add(self, a, b):
        return self.op("Add", [a, b])

    def concat(self, *values):
        return self.op("Concat", list(values), sum(self.channels[v] for v in values), axis=1)

    def pool(self, x, k=2, s=2, pads=None):
        return self.op("MaxPool", [x], kernel_shape=[k, k], strides=[s, s], pads=pads or [0] * 4)

    def upsample(self, x, factor=2):
        scales = self.constant(np.array([1, 1, factor, factor], np.float32))
        return self.op("Resize", [x, "", scales], mode="nearest", nearest_mode="floor",
                       coordinate_transformation_mode="asymmetric")

    def cbl(self, x, oc, k=3, s=1, alpha=0.1):
        return self.leaky(self.norm(self.conv(x, oc, k, s, bias=False)), alpha)

    def cbs(self, x, oc, k=3, s=1):
        return self.silu(self.norm(self.conv(x, oc, k, s, bias=False)))

    def model(self, *outputs):
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, self.weights)
        model = helper.make_model(graph, producer_name="sluice bench/networks.py",
                                  opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        sized = shape_inference.infer_shapes(model, strict_mode=True)
        model.graph.ClearField("output")
        model.graph.output.extend(sized.graph.output)
        return model


def yolov2_tiny(net):
    x = "image"
    for i, c in enumerate([16, 32, 64, 128, 256]):
        x = net.pool(net.cbl(x, c))
    x = net.pool(net.cbl(x, 512), 2, 1, [0, 0, 1, 1])
    x = net.cbl(net.cbl(x, 1024), 1024)
    return [net.conv(x, 425, 1)]


def yolov3_tiny(net):
    x = "image"
    for c in [16, 32, 64, 128]:
        x = net.pool(net.cbl(x, c))
    route = net.cbl(x, 256)
    x = net.pool(net.cbl(net.pool(route), 512), 2, 1, [0, 0, 1, 1])
    x = net.cbl(net.cbl(x, 1024), 256, 1)
    first = net.conv(net.cbl(x, 512), 255, 1)
    x = net.concat(net.upsample(net.cbl(x, 128, 1)), route)
    return [first, net.conv(net.cbl(x, 256), 255, 1)]


def yolov3(net):
    x = net.cbl("image", 32)
    routes = []
    for c, blocks in [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)]:
        x = net.cbl(x, c, 3, 2)
        for _ in range(blocks):
            x = net.add(x, net.cbl(net.cbl(x, c // 2, 1), c))
        routes.append(x)
    outputs = []
    for i, c in enumerate([512, 256, 128]):
        if i > 0:
            x = net.concat(net.upsample(net.cbl(x, c, 1)), routes[4 - i])
        for _ in range(2):
            x = net.cbl(net.cbl(x, c, 1), 2 * c)
        x = net.cbl(x, c, 1)
        outputs.append(net.conv(net.cbl(x, 2 * c), 255, 1))
    return outputs


def darknet19(net):
    x = net.pool(net.cbl("image", 32))
    x = net.pool(net.cbl(x, 64))
    for c, repeats in [(128, 1), (256, 1), (512, 2), (1024, 2)]:
        x = net.cbl(x, c)
        for _ in range(repeats):
            x = net.cbl(net.cbl(x, c // 2, 1), c)
        if c != 1024:
            x = net.pool(x)
    return [net.op("GlobalAveragePool", [net.conv(x, 1000, 1)])]


def vgg16(net):
    x, size = "image", 224
    for c, repeats in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(repeats):
            x = net.leaky(net.conv(x, c))
        x, size = net.pool(x), size // 2
    x = net.op("Flatten", [x], 512 * size * size, axis=1)
    for out in (4096, 4096, 1000):
        weights = net.constant(net.normal(out, net.channels[x], fan_in=net.channels[x]))
        x = net.op("Gemm", [x, weights, net.constant(net.normal(out, fan_in=200))], out, transB=1)
        x = net.leaky(x) if out == 4096 else x
    return [x]


def dcgan_discriminator(net):
    x = net.leaky(net.conv("image", 64, 4, 2, 1, bias=False), 0.2)
    for c in (128, 256, 512):
        x = net.leaky(net.norm(net.conv(x, c, 4, 2, 1, bias=False)), 0.2)
    return [net.op("Sigmoid", [net.conv(x, 1, 4, 1, 0, bias=False)])]


def dcgan_generator(net):
    x = net.relu(net.norm(net.deconv("noise", 512, 4, 1, 0, bias=False)))
    for c in (256, 128, 64):
        x = net.relu(net.norm(net.deconv(x, c, 4, 2, 1, bias=False)))
    return [net.op("Tanh", [net.deconv(x, 3, 4, 2, 1, bias=False)])]


def esrgan(net):
    scale = lambda x: net.op("Mul", [x, net.constant(np.float32(0.2))])

    def dense(x):
        parts = [x]
        for _ in range(4):
            joined = net.concat(*parts) if len(parts) > 1 else x
            parts.append(net.leaky(net.conv(joined, 32), 0.2))
        return net.add(scale(net.conv(net.concat(*parts), 64)), x)

    first = net.conv("image", 64)
    x = first
    for _ in range(4):
        y = x
        for _ in range(3):
            y = dense(y)
        x = net.add(scale(y), x)
    x = net.add(net.conv(x, 64), first)
    for _ in range(2):
        x = net.leaky(net.conv(net.upsample(x), 64), 0.2)
    return [net.conv(net.leaky(net.conv(x, 64), 0.2), 3)]


def unet(net):
    def block(x, c):
        for _ in range(2):
            x = net.leaky(net.instance_norm(net.conv(x, c)), 0.01)
        return x

    x, skips = "image", []
    for c in (32, 64, 128, 256):
        skips.append(block(x, c))
        x = net.pool(skips[-1])
    x = block(x, 512)
    for c, skip in zip((256, 128, 64, 32), reversed(skips)):
        x = block(net.concat(net.deconv(x, c, 2, 2, 0), skip), c)
    return [net.conv(x, 4, 1)]


def hifigan(net):
    leaky = lambda x: net.leaky(x, 0.1)
    x = net.conv("mel", 512, 7, dims=1)
    channels = 512
    for k, s in [(16, 8), (16, 8), (4, 2), (4, 2)]:
        channels //= 2
        x = net.deconv(leaky(x), channels, k, s, (k - s) // 2, dims=1)
        total = None
        for kernel in (3, 7, 11):
            y = x
            for dilation in (1, 3, 5):
                z = net.conv(leaky(y), channels, kernel, dilation=dilation, dims=1)
                y = net.add(net.conv(leaky(z), channels, kernel, dims=1), y)
            total = y if total is None else net.add(total, y)
        x = net.op("Div", [total, net.constant(np.float32(3))])
    return [net.op("Tanh", [net.conv(net.leaky(x, 0.01), 1, 7, dims=1)])]


def resnet50(net):
    cb = lambda x, c, k=1, s=1: net.norm(net.conv(x, c, k, s, bias=False))
    x = net.pool(net.relu(cb("image", 64, 7, 2)), 3, 2, [1, 1, 1, 1])
    for stage, (c, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for i in range(blocks):
            s = 2 if stage > 0 and i == 0 else 1
            y = cb(net.relu(cb(net.relu(cb(x, c)), c, 3, s)), 4 * c)
            x = net.relu(net.add(y, cb(x, 4 * c, 1, s) if i == 0 else x))
    x = net.op("Flatten", [net.op("GlobalAveragePool", [x])], axis=1)
    weights = net.constant(net.normal(1000, 2048, fan_in=2048))
    return [net.op("Gemm", [x, weights, net.constant(net.normal(1000, fan_in=200))], 1000, transB=1)]


def mobilenetv2(net):
    x = net.relu6(net.norm(net.conv("image", 32, 3, 2, bias=False)))
    for t, c, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                       (6, 320, 1, 1)]:
        for i in range(n):
            hidden, y = net.channels[x] * t, x
            if t != 1:
                y = net.relu6(net.norm(net.conv(y, hidden, 1, bias=False)))
            y = net.relu6(net.norm(net.conv(y, hidden, 3, s if i == 0 else 1, groups=hidden, bias=False)))
            y = net.norm(net.conv(y, c, 1, bias=False))
            x = net.add(x, y) if i > 0 else y
    x = net.relu6(net.norm(net.conv(x, 1280, 1, bias=False)))
    x = net.op("Flatten", [net.op("GlobalAveragePool", [x])], axis=1)
    weights = net.constant(net.normal(1000, 1280, fan_in=1280))
    return [net.op("Gemm", [x, weights, net.constant(net.normal(1000, fan_in=200))], 1000, transB=1)]


def yolov8n(net):
    def c2f(x, c, n, shortcut):
        both = net.cbs(x, c, 1)
        parts = net.op("Split", [both, net.constant(np.array([c // 2, c // 2], np.int64))], c // 2, outputs=2, axis=1)
        for _ in range(n):
            y = net.cbs(net.cbs(parts[-1], c // 2), c // 2)
            parts.append(net.add(parts[-1], y) if shortcut else y)
        return net.cbs(net.concat(*parts), c, 1)

    x = net.cbs(net.cbs("image", 16, 3, 2), 32, 3, 2)
    x = c2f(x, 32, 1, True)
    p3 = c2f(net.cbs(x, 64, 3, 2), 64, 2, True)
    p4 = c2f(net.cbs(p3, 128, 3, 2), 128, 2, True)
    x = c2f(net.cbs(p4, 256, 3, 2), 256, 1, True)
    pools = [net.cbs(x, 128, 1)]
    for _ in range(3):
        pools.append(net.pool(pools[-1], 5, 1, [2] * 4))
    p5 = net.cbs(net.concat(*pools), 256, 1)
    h4 = c2f(net.concat(net.upsample(p5), p4), 128, 1, False)
    h3 = c2f(net.concat(net.upsample(h4), p3), 64, 1, False)
    h4 = c2f(net.concat(net.cbs(h3, 64, 3, 2), h4), 128, 1, False)
    h5 = c2f(net.concat(net.cbs(h4, 128, 3, 2), p5), 256, 1, False)
    outputs = []
    for h in (h3, h4, h5):
        boxes = net.conv(net.cbs(net.cbs(h, 64), 64), 64, 1)
        classes = net.conv(net.cbs(net.cbs(h, 80), 80), 80, 1)
        outputs.append(net.concat(boxes, classes))
    return outputs


NETWORKS = {
    "yolov2-tiny": (yolov2_tiny, {"image": [1, 3, 416, 416]}),
    "yolov3-tiny": (yolov3_tiny, {"image": [1, 3, 416, 416]}),
    "yolov3": (yolov3, {"image": [1, 3, 416, 416]}),
    "darknet19": (darknet19, {"image": [1, 3, 224, 224]}),
    "vgg16-leaky": (vgg16, {"image": [1, 3, 224, 224]}),
    "dcgan-discriminator": (dcgan_discriminator, {"image": [16, 3, 64, 64]}),
    "dcgan-generator": (dcgan_generator, {"noise": [16, 100, 1, 1]}),
    "esrgan": (esrgan, {"image": [1, 3, 64, 64]}),
    "unet": (unet, {"image": [1, 3, 256, 256]}),
    "hifigan": (hifigan, {"mel": [1, 80, 32]}),
    "resnet50": (resnet50, {"image": [1, 3, 224, 224]}),
    "mobilenetv2": (mobilenetv2, {"image": [1, 3, 224, 224]}),
    "yolov8n": (yolov8n, {"image": [1, 3, 640, 640]}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for NAME.onnx")
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), help="these networks alone")
    parser.add_argument("--activation", choices=["leaky", "none"], default="leaky",
                        help="none leaves the Leaky ReLU nodes out, to see what they cost")
    parser.add_argument("--batch", type=int, help="instead of the usual one")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.only or NETWORKS:
        build, inputs = NETWORKS[name]
        if args.batch:
            inputs = {n: [args.batch, *s[1:]] for n, s in inputs.items()}
        path = args.output / f"{name}.onnx"
        net = Net(name, inputs, args.activation == "leaky")
        onnx.save(net.model(*build(net)), path)
        print(f"{path}  {len(net.nodes)} nodes, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
