#!/usr/bin/python3
"""Converts small Darknet networks with random weights and compares what they give with the original.

    tests/cross_check/darknet_check.py            # every case
    tests/cross_check/darknet_check.py gru lstm   # some

The references are Darknet itself (Debian's package `darknet`, pjreddie's version) and OpenCV's reader (Debian's
python3-opencv), for the sections that each knows. Exit status: 0 where nothing differs, 1 otherwise, 77 where both
are missing. Needs python3-numpy and a build of the command.
"""
import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from darknet_rows import rows_of, sections

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARY = "/usr/lib/darknet/libdarknet.so"
SKIPPED = 77
BOTH, DARKNET, OPENCV = {"darknet", "opencv"}, {"darknet"}, {"opencv"}


class Net:
    """Text and weights of one network, section by section; keeps count of the sizes that the next section needs."""

    def __init__(self, seed, channels=3, height=13, width=17, inputs=None, version=(0, 2, 0)):
        self.random = np.random.default_rng(seed)
        self.version = version
        self.layers = []
        self.floats = []
        if inputs:
            self.text = f"[net]\nbatch=1\ninputs={inputs}\ntime_steps=1\n"
            self.shape = (inputs,)
        else:
            self.text = f"[net]\nbatch=1\nchannels={channels}\nheight={height}\nwidth={width}\n"
            self.shape = (channels, height, width)
        self.input = self.shape

    def section(self, name, shape=None, **keys):
        self.text += f"\n[{name}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())
        self.shape = shape or self.shape
        self.layers.append(self.shape)
        return self

    def normal(self, *shape, scale=1.0, mean=0.0):
        self.floats.append((mean + scale * self.random.standard_normal(shape)).astype(np.float32).ravel())

    def statistics(self, n):
        self.normal(n, scale=0.2, mean=1)  # scales
        self.normal(n, scale=0.3)
        self.floats.append(self.random.uniform(0.5, 2, n).astype(np.float32))

    def conv_weights(self, n, size, groups, batch_normalize, channels=None):
        channels = channels or self.shape[0]
        self.normal(n, scale=0.3)
        if batch_normalize:
            self.statistics(n)
        fan_in = channels // groups * size * size
        self.normal(n, fan_in, scale=1 / np.sqrt(fan_in))

    def conv(self, n, size=1, stride=1, pad=1, groups=1, batch_normalize=0, activation="linear", dilation=1,
             padding=None, **keys):
        self.conv_weights(n, size, groups, batch_normalize)
        around = size // 2 if pad else padding or 0
        span = dilation * (size - 1) + 1
        out = [(s + 2 * around * dilation - span) // stride + 1 for s in self.shape[1:]]
        if padding is not None:
            keys["padding"] = padding
        for key, value, default in (("groups", groups, 1), ("dilation", dilation, 1)):
            if value != default:
                keys[key] = value
        return self.section("convolutional", (n, *out), batch_normalize=batch_normalize, filters=n, size=size,
                            stride=stride, pad=pad, activation=activation, **keys)

    def dense_weights(self, inputs, outputs, batch_normalize):
        self.normal(outputs, scale=0.3)
        self.normal(outputs, inputs, scale=1 / np.sqrt(inputs))
        if batch_normalize:
            self.statistics(outputs)

    def connected(self, n, batch_normalize=0, activation="linear"):
        self.dense_weights(int(np.prod(self.shape)), n, batch_normalize)
        return self.section("connected", (n,), output=n, batch_normalize=batch_normalize, activation=activation)

    def write(self, folder):
        (folder / "net.cfg").write_text(self.text)
        header = np.array(self.version, "<i4").tobytes()
        wide = self.version[0] * 10 + self.version[1] >= 2 and max(self.version[:2]) < 1000
        header += bytes(8 if wide else 4)
        (folder / "net.weights").write_bytes(header + b"".join(part.tobytes() for part in self.floats))


def pool(net, size, stride, padding=None, **keys):
    padding = size - 1 if padding is None else padding
    out = [(s + padding - size) // stride + 1 for s in net.shape[1:]]
    if padding != size - 1:
        keys["padding"] = padding
    return net.section("maxpool", (net.shape[0], *out), size=size, stride=stride, **keys)


def recurrent(name, batch_normalize, seed, n=12, inputs=10, parts=0, **keys):
    """Weights of `parts` products of the state and as many of the input, in the order of the file."""
    net = Net(seed, inputs=inputs)
    for rows in [n] * parts + [inputs] * parts:
        net.dense_weights(rows, n, batch_normalize)
    return net.section(name, (n,), output=n, batch_normalize=batch_normalize, **keys)


def rnn(seed, batch_normalize, activation, **keys):
    net = Net(seed, inputs=10)
    for inputs in (10, 12, 12):
        net.dense_weights(inputs, 12, batch_normalize)
    return net.section("rnn", (12,), output=12, batch_normalize=batch_normalize, activation=activation, **keys)


# Darknet allots memory for patches to [convolutional] alone, so these nets begin with one that needs more of it.
def crnn(seed, batch_normalize):
    # It also takes the width for the height.
    net = Net(seed, height=15, width=15).conv(6, 7)
    for channels, filters in ((6, 6), (6, 6), (6, 5)):
        net.conv_weights(filters, 3, 1, batch_normalize, channels)
    return net.section("crnn", (5, *net.shape[1:]), hidden_filters=6, output_filters=5, activation="leaky",
                       batch_normalize=batch_normalize)


def local(seed, size=3, stride=1, pad=1):
    net = Net(seed).conv(3, 7)
    out = [(s + 2 * pad - size) // stride + 1 for s in net.shape[1:]]
    patch = net.shape[0] * size * size
    net.normal(4, *out, scale=0.3)
    net.normal(out[0] * out[1], 4, patch, scale=1 / np.sqrt(patch))
    return net.section("local", (4, *out), filters=4, size=size, stride=stride, pad=pad, activation="leaky")


def cases():
    """(name, network, references) of everything that at least one reference knows."""
    for activation in ("logistic", "relu", "relie", "linear", "ramp", "tanh", "leaky", "elu", "loggy", "stair",
                       "hardtan", "lhtan", "plse", "selu"):
        both = BOTH if activation in ("logistic", "relu", "linear", "leaky", "tanh") else DARKNET
        yield f"conv_{activation}", Net(1).conv(8, 3, activation=activation), both
    for activation in ("swish", "mish"):
        yield f"conv_{activation}", Net(1).conv(8, 3, activation=activation), OPENCV
    for batch_normalize in (0, 1):
        bn = {"batch_normalize": batch_normalize}
        yield f"conv_3x3_bn{batch_normalize}", Net(2).conv(8, 3, activation="leaky", **bn), BOTH
        yield f"conv_5x5_stride2_bn{batch_normalize}", Net(3).conv(6, 5, stride=2, activation="leaky", **bn), BOTH
        yield f"conv_no_pad_bn{batch_normalize}", Net(4).conv(6, 3, pad=0, activation="leaky", **bn), BOTH
        yield f"conv_padding_bn{batch_normalize}", Net(5).conv(6, 3, pad=0, padding=2, **bn), BOTH
        yield f"conv_groups_bn{batch_normalize}", Net(6, channels=6).conv(9, 3, groups=3, **bn), BOTH
        yield f"conv_depthwise_bn{batch_normalize}", Net(7, channels=6).conv(6, 3, groups=6, **bn), BOTH
        # OpenCV looks for the statistics before the weights, as those of convolutions are.
        yield f"connected_bn{batch_normalize}", Net(8).connected(10, activation="leaky", **bn), (
            DARKNET if batch_normalize else BOTH)
        yield f"gru_bn{batch_normalize}", recurrent("gru", batch_normalize, 9, parts=3), DARKNET
        yield f"gru_tanh_bn{batch_normalize}", recurrent("gru", batch_normalize, 10, parts=3, tanh=1), DARKNET
        yield f"lstm_bn{batch_normalize}", recurrent("lstm", batch_normalize, 11, parts=4), DARKNET
        yield f"rnn_bn{batch_normalize}", rnn(12, batch_normalize, "leaky"), DARKNET
        yield f"rnn_shortcut_bn{batch_normalize}", rnn(13, batch_normalize, "tanh", shortcut=1), DARKNET
        yield f"crnn_bn{batch_normalize}", crnn(14, batch_normalize), DARKNET
    yield "version_0_1", Net(15, version=(0, 1, 0)).conv(5, 3), BOTH
    yield "transposed", Net(16, version=(0, 1001, 0)).connected(7), DARKNET
    yield "connected_on_connected", Net(17).connected(10, 1, "leaky").connected(4), DARKNET
    for size, stride in ((2, 2), (3, 2), (3, 1), (2, 1), (5, 1)):
        yield f"maxpool_{size}_{stride}", pool(Net(18).conv(4, 3), size, stride), BOTH
    yield "maxpool_padding", pool(Net(19).conv(4, 3), 3, 2, padding=0), BOTH
    yield "avgpool", Net(20).conv(6, 3).section("avgpool", (6, 1, 1)), BOTH
    yield "softmax", Net(21).connected(12).section("softmax"), DARKNET
    yield "softmax_groups", Net(22).connected(12).section("softmax", groups=3, temperature=2), DARKNET
    yield "softmax_picture", Net(23).conv(6, 3).section("avgpool", (6, 1, 1)).section("softmax", groups=1), BOTH
    net = Net(24).conv(4, 3).conv(6, 3).section("route", (10, 13, 17), layers="-1,-2")
    yield "route_two", net.conv(5, 1), BOTH
    net = Net(25).conv(4, 3).conv(6, 3).section("route", (4, 13, 17), layers="0")
    yield "route_absolute", net.conv(5, 1), BOTH
    net = Net(26, channels=4).conv(8, 3).section("route", (4, 13, 17), layers="-1", groups=2, group_id=1)
    yield "route_groups", net.conv(5, 1), OPENCV
    yield "shortcut", Net(27).conv(4, 3).conv(4, 3).section("shortcut", **{"from": -2}, activation="leaky"), BOTH
    net = Net(28, height=12, width=16).conv(6, 3).conv(4, 3, stride=2)
    yield "shortcut_unequal", net.section("shortcut", **{"from": -2}, activation="linear"), DARKNET
    net = Net(29).conv(4, 3).conv(6, 3)
    yield "shortcut_more_channels", net.section("shortcut", **{"from": 0}, activation="linear"), DARKNET
    yield "shortcut_alpha", Net(30).conv(4, 3).conv(4, 3).section(
        "shortcut", **{"from": -2}, activation="linear", alpha=0.5, beta=2), DARKNET
    yield "sam", Net(51).conv(4, 3).conv(4, 3).section("sam", **{"from": -2}), OPENCV
    net = Net(52).conv(4, 3).section("avgpool", (4, 1, 1)).conv(4, activation="logistic")
    yield "scale_channels", net.section("scale_channels", (4, 13, 17), **{"from": 0}), OPENCV
    yield "upsample", Net(31).conv(4, 3).section("upsample", (4, 26, 34), stride=2).conv(3, 1), BOTH
    yield "upsample_scale", Net(32).conv(4, 3).section("upsample", (4, 39, 51), stride=3, scale=0.5), DARKNET
    yield "reorg", Net(33, height=12, width=16).conv(8, 3).section("reorg", (32, 6, 8), stride=2).conv(3, 1), BOTH
    yield "reorg_reverse", Net(34).conv(8, 3).section("reorg", (2, 26, 34), stride=2, reverse=1), DARKNET
    yield "reorg_extra", Net(35).conv(2, 3).section("reorg", (443,), extra=1), DARKNET
    yield "dropout", Net(36).conv(4, 3).section("dropout", probability=0.5).conv(3, 1), BOTH
    yield "crop", Net(37).section("crop", (3, 8, 9), crop_height=8, crop_width=9, flip=1, angle=5), DARKNET
    yield "crop_noadjust", Net(38).section("crop", (3, 8, 9), crop_height=8, crop_width=9, noadjust=1), DARKNET
    yield "activation", Net(39).section("activation", activation="leaky"), DARKNET
    yield "logistic", Net(40).section("logistic"), DARKNET
    yield "l2norm", Net(41).conv(5, 3).section("l2norm"), DARKNET
    for size in (3, 4, 5):
        yield f"normalization_{size}", Net(43, channels=9).section(
            "normalization", size=size, alpha=0.1, beta=0.75, kappa=1.5), DARKNET
    yield "local", local(44), DARKNET
    yield "local_stride", local(45, stride=2), DARKNET
    yield "local_no_pad", local(46, size=4, pad=0), DARKNET
    for softmax in (0, 1):
        yield f"region_softmax{softmax}", Net(47).conv(16, 1).section(
            "region", anchors="1,2,3,4", classes=3, num=2, softmax=softmax), DARKNET
        yield f"detection_softmax{softmax}", Net(48).connected(3 * 3 * (4 + 2 * 5)).section(
            "detection", classes=4, coords=4, num=2, side=3, softmax=softmax, sqrt=1), DARKNET
    for name, keys in (("yolo_rows", {}), ("yolo_rows_scaled", {"scale_x_y": 1.2}),
                       ("yolo_rows_new_coords", {"scale_x_y": 2.0, "new_coords": 1})):
        yield name, Net(53).conv(16, 1, activation="logistic" if "new_coords" in keys else "linear").section(
            "yolo", anchors="10,20,30,40,50,60", mask="0,2", classes=3, num=3, **keys), OPENCV
    yield "region_rows", Net(54).conv(16, 1).section(
        "region", anchors="1,2,3,4", classes=3, num=2, softmax=1), OPENCV
    yield "yolo", Net(49).conv(16, 1).section("yolo", anchors="10,20,30,40,50,60", mask="0,2", classes=3, num=3), DARKNET
    tree = pathlib.Path("/usr/share/darknet/data/9k.tree")
    if tree.exists():
        yield "softmax_tree", Net(50).connected(9418).section("softmax", tree=tree), DARKNET


class Darknet:
    name = "darknet"

    def __init__(self):
        self.library = ctypes.CDLL(LIBRARY)
        self.library.load_network.restype = ctypes.c_void_p
        self.library.load_network.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
        self.library.network_predict.restype = ctypes.POINTER(ctypes.c_float)
        self.library.network_predict.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_float)]

    def run(self, folder, inputs, count):
        """The last layer's output after each of the inputs, one after the other."""
        network = self.library.load_network(bytes(folder / "net.cfg"), bytes(folder / "net.weights"), 0)
        results = []
        for x in inputs:
            data = np.ascontiguousarray(x, np.float32)
            output = self.library.network_predict(network, data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
            results.append(np.ctypeslib.as_array(output, (count,)).copy())
        return results


class OpenCv:
    name = "opencv"

    def __init__(self):
        import cv2
        self.cv2 = cv2

    def run(self, folder, inputs, count):
        network = self.cv2.dnn.readNetFromDarknet(str(folder / "net.cfg"), str(folder / "net.weights"))
        network.setPreferableBackend(self.cv2.dnn.DNN_BACKEND_OPENCV)
        results = []
        for x in inputs:
            network.setInput(np.ascontiguousarray(x, np.float32))
            results.append(network.forward().ravel().copy())
        return results


class Sluice:
    def __init__(self, command):
        self.command = command

    def call(self, *args):
        done = subprocess.run([str(self.command), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def run(self, folder, inputs, options):
        """As the references: what recurrent layers keep goes from one run to the next."""
        model = folder / "net.onnx"
        self.call("convert", folder / "net.cfg", folder / "net.weights", "-o", model, *options)
        states, results = None, []
        for x in inputs:
            np.save(folder / "x.npy", x)
            name = "image" if x.ndim == 4 else "input"
            args = ["--input", f"{name}={folder / 'x.npy'}"]
            if states is None:
                states = self.first_states(model)
            for state, value in states.items():
                np.save(folder / f"{state}.npy", value)
                args += ["--input", f"{state}={folder / state}.npy"]
            self.call("run", model, *args, "--output", folder / "out")
            files = {file.stem: np.load(file) for file in (folder / "out").glob("*.npy")}
            states = {name: files.pop(f"{name}_next") for name in states}
            results.append(next(iter(files.values())).ravel())
        return results

    @staticmethod
    def first_states(model):
        import onnx
        graph = onnx.load(str(model), load_external_data=False).graph
        return {value.name: np.zeros([dim.dim_value for dim in value.type.tensor_type.shape.dim], np.float32)
                for value in graph.input if value.name not in ("image", "input")}


def difference(got, want):
    """The largest difference over what 1e-3 of each value plus 1e-4 of the largest allows; 1 is the limit."""
    if got.shape != want.shape:
        return float("inf")
    allowed = 1e-4 * max(1e-3, np.abs(want).max()) + 1e-3 * np.abs(want)
    worst = np.max(np.abs(got - want) / allowed)
    return worst if np.isfinite(worst) else float("inf")


def as_rows(net, got, want):
    """The output of a head as OpenCV's rows, without the scores that it leaves out as too low."""
    kind, keys = sections(net.text)[-1]
    rows = rows_of(got.reshape(net.shape), keys, kind, *net.input[:0:-1])
    wanted = want.reshape(rows.shape)
    rows[:, 5:][wanted[:, 5:] == 0] = 0
    if "new_coords" in keys:
        rows[:, 4] = wanted[:, 4]  # which OpenCV does not set then
    return rows.ravel()


class Quiet:
    """Darknet prints each layer on the standard outputs."""

    def __enter__(self):
        self.saved = [(fd, os.dup(fd)) for fd in (1, 2)]
        null = os.open(os.devnull, os.O_WRONLY)
        for fd in (1, 2):
            os.dup2(null, fd)
        os.close(null)

    def __exit__(self, *_):
        for fd, saved in self.saved:
            os.dup2(saved, fd)
            os.close(saved)


def references():
    found = []
    for kind in (Darknet, OpenCv):
        try:
            found.append(kind())
        except (OSError, ImportError) as error:
            print(f"{kind.name} is missing, so nothing is compared with it: {error}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of the names of the cases")
    parser.add_argument("--sluice", type=pathlib.Path, default=ROOT / "build/release/tools/sluice")
    args = parser.parse_args()
    known = references()
    if not known:
        print("skipped: neither Debian's package darknet nor python3-opencv is installed")
        return SKIPPED
    sluice = Sluice(args.sluice)
    compared = failed = 0
    worst = 0.0
    for name, net, wanted in cases():
        if args.names and not name.startswith(tuple(args.names)):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            net.write(folder)
            random = np.random.default_rng(1)
            inputs = [random.standard_normal((1, *net.input)).astype(np.float32) for _ in range(3)]
            results = {}
            for reference in known:
                if reference.name not in wanted:
                    continue
                with Quiet():
                    results[reference.name] = reference.run(folder, inputs, int(np.prod(net.shape)))
            for options in ((), ("--no-fold",), ("--opset", "9"), ("--opset", "22")):
                label = " ".join((name, *options))
                try:
                    got = sluice.run(folder, inputs[:1] if options else inputs, options)
                except RuntimeError as error:
                    print(f"{label}: {error}")
                    failed += 1
                    continue
                for reference, want in results.items():
                    if "_rows" in name:
                        got = [as_rows(net, *pair) for pair in zip(got, want)]
                    off = max(difference(a, b) for a, b in zip(got, want))
                    worst = max(worst, off)
                    compared += 1
                    if off > 1:
                        failed += 1
                        print(f"{label}: differs from {reference} by {off:.3g} times what is allowed")
    print(f"{compared} comparisons, {failed} failures; at worst {worst:.2g} of what is allowed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
