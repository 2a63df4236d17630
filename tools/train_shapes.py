#!/usr/bin/python3
"""Trains the bundled detector of coloured shapes and writes it as ONNX with a picture and test data.

Needs Debian's python3-torch, python3-onnx, python3-numpy and python3-pil. Every picture is drawn from
(seed, index), so a picture is held out when its seed was not trained on.
"""
import argparse
import json
import math
import multiprocessing
import os
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional as F

LABELS = ["circle", "square", "triangle", "star", "cross", "ring"]
SIZE = 160  # of the network's input, in pixels
STRIDE = 8
GRID = SIZE // STRIDE
ANCHOR = 32.0  # side in pixels of the box that all-zero logits stand for
ALPHA = 0.1
BARS = 114  # grey of the bars that fit a picture into the square input
# Output channels and stride of every 3x3 block.
BLOCKS = [(16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (64, 1)]

TRAIN_STREAM, HELD_OUT_STREAM, PICTURE_STREAM = 0, 1, 2


# --- pictures ---


def outline(label, radius, angle):
    """Corners [P, 2] of a shape around the origin."""

    def polar(angles, radii):
        return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], 1)

    if label in ("circle", "ring"):
        return polar(np.arange(64) * 2 * math.pi / 64, radius)
    if label == "square":
        return polar(angle + np.arange(4) * math.pi / 2, radius)
    if label == "triangle":
        return polar(angle + np.arange(3) * 2 * math.pi / 3, radius)
    if label == "star":
        radii = np.where(np.arange(10) % 2 == 0, radius, 0.45 * radius)
        return polar(angle + np.arange(10) * math.pi / 5, radii)
    a, b = 0.95 * radius, 0.3 * radius
    cross = np.array([(b, a), (b, b), (a, b), (a, -b), (b, -b), (b, -a), (-b, -a), (-b, -b),
                      (-a, -b), (-a, b), (-b, b), (-b, a)])
    c, s = math.cos(angle), math.sin(angle)
    return cross @ np.array([[c, s], [-s, c]])


def background(rng, height, width):
    """Float [height, width, 3] of 0 to 255: plain, a gradient, stripes, a chequerboard or soft blobs."""
    first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0, 2 * math.pi), rng.uniform(8, 60)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    kind = rng.integers(5)
    if kind == 0:
        mix = np.zeros_like(x)
    elif kind == 1:
        mix = (along - along.min()) / (np.ptp(along) + 1)
    elif kind == 2:
        mix = 0.5 + 0.5 * np.sin(along * 2 * math.pi / period)
    elif kind == 3:
        mix = (np.floor(along / period) + np.floor(across / period)) % 2
    else:
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8))
        mix = np.asarray(coarse.resize((width, height), Image.BICUBIC), np.float32) / 255
    if kind >= 2:  # textures stay fainter than the shapes
        second = first + (second - first) * rng.uniform(0.1, 0.5)
    return first + mix[..., None] * (second - first)


def draw(seed, width=SIZE, height=SIZE, scale=1.0, count=None):
    """A picture uint8 [height, width, 3], boxes [n, 4] (left, top, right, bottom in pixels), labels [n]."""
    rng = np.random.default_rng(seed)
    ground = background(rng, height, width)
    # Drawn at twice the size and reduced, for smooth edges.
    canvas = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8)).resize((2 * width, 2 * height))
    mean = ground.mean((0, 1))
    boxes, labels = [], []
    wanted = count or rng.integers(1, 8)
    for _ in range(20 * wanted):
        if len(boxes) == wanted:
            break
        label = int(rng.integers(len(LABELS)))
        radius = math.exp(rng.uniform(math.log(9), math.log(36))) * scale
        if 2 * radius + 4 > min(width, height):
            continue
        center = rng.uniform(radius + 1, (width - radius - 1, height - radius - 1))
        points = outline(LABELS[label], radius, rng.uniform(0, 2 * math.pi)) + center
        box = np.concatenate([points.min(0), points.max(0)])
        if boxes:
            others = np.array(boxes)
            sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
            common = np.clip(sides, 0, None).prod(1)
            smaller = np.minimum((box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1))
            if (common > 0.25 * smaller).any():
                continue
        color = rng.uniform(0, 255, 3)
        while np.abs(color - mean).sum() < 150:
            color = rng.uniform(0, 255, 3)
        # The mask has the hole of a ring, so that what lies behind shows through.
        mask = Image.new("L", canvas.size, 0)
        pen = ImageDraw.Draw(mask)
        pen.polygon([tuple(p) for p in (2 * points).tolist()], fill=255)
        if LABELS[label] == "ring":
            hole = 2 * (center + (points - center) * rng.uniform(0.45, 0.65))
            pen.polygon([tuple(p) for p in hole.tolist()], fill=0)
        canvas.paste(tuple(int(c) for c in color), (0, 0), mask)
        boxes.append(box)
        labels.append(label)
    # Area averages or plain sampling: a detector meets pictures that were reduced in either way.
    how = Image.BOX if rng.random() < 0.6 else Image.NEAREST
    pixels = np.asarray(canvas.resize((width, height), how), np.float32)
    light = rng.uniform(0.75, 1.15)
    pixels = pixels * light + rng.normal(0, rng.uniform(0, 12), pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), np.array(boxes, np.float32).reshape(-1, 4), labels


def sample(seed):
    """As draw, at the input's size; one picture in five is oblong and has grey bars."""
    rng = np.random.default_rng(list(seed) + [1])
    if rng.random() >= 0.2:
        return draw(seed)
    side = int(rng.integers(100, 150))
    pixels, boxes, labels = draw(seed, SIZE, side)
    top = (SIZE - side) // 2
    full = np.full((SIZE, SIZE, 3), BARS, np.uint8)
    full[top:top + side] = pixels
    boxes += np.array([0, top, 0, top], np.float32)
    if rng.random() < 0.5:
        return full.transpose(1, 0, 2).copy(), boxes[:, [1, 0, 3, 2]], labels
    return full, boxes, labels


def letterbox(pixels):
    """Fits a picture into the input; also the factor and the offsets (x, y) from picture to input.

    Bilinear without a low-pass filter, as `sluice detect` does it.
    """
    height, width = pixels.shape[:2]
    factor = SIZE / max(height, width)
    w, h = round(width * factor), round(height * factor)
    x, y = (SIZE - w) // 2, (SIZE - h) // 2

    def taps(size, count):
        place = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        first = place.astype(int)
        return first, np.minimum(first + 1, size - 1), place - first

    top, bottom, down = taps(height, h)
    left, right, along = taps(width, w)
    rows = pixels[top] * (1 - down[:, None, None]) + pixels[bottom] * down[:, None, None]
    fitted = rows[:, left] * (1 - along[:, None]) + rows[:, right] * along[:, None]
    full = np.full((SIZE, SIZE, 3), BARS, np.uint8)
    full[y:y + h, x:x + w] = (fitted + 0.5).astype(np.uint8)
    return full, factor, (x, y)


# --- the network ---


def grid_offsets():
    y, x = np.mgrid[0:GRID, 0:GRID]
    return np.stack([x, y], -1).reshape(1, GRID * GRID, 2).astype(np.float32)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        channels, layers = 3, []
        for out, stride in BLOCKS:
            layers += [nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.LeakyReLU(ALPHA)]
            channels = out
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, 5 + len(LABELS), 1)
        self.head.bias.data[4] = -4.0  # objects are rare
        self.register_buffer("grid", torch.from_numpy(grid_offsets()))

    def logits(self, image):
        """[N, K, 5 + C]: x, y, w, h, objectness, classes."""
        return self.head(self.body(image)).permute(0, 2, 3, 1).flatten(1, 2)

    def boxes(self, logits):
        p = logits[..., :4].sigmoid()
        center = (2 * p[..., :2] - 0.5 + self.grid) * STRIDE
        half = (2 * p[..., 2:]) ** 2 * (ANCHOR / 2)
        return torch.cat([center - half, center + half], -1)

    def forward(self, image):
        logits = self.logits(image)
        p = logits[..., 4:].sigmoid()
        return self.boxes(logits), p[..., :1] * p[..., 1:]


def targets(boxes, labels):
    """For each of the K cells the index of its object or -1: cells within 0.8 strides of a centre."""
    owner = np.full(GRID * GRID, -1, np.int64)
    nearest = np.full(GRID * GRID, 0.8, np.float32)
    cells = grid_offsets()[0] + 0.5
    for i, box in enumerate(boxes):
        center = (box[:2] + box[2:]) / 2 / STRIDE
        distance = np.abs(cells - center).max(1)
        mine = distance < nearest
        owner[mine], nearest[mine] = i, distance[mine]
    box_target = np.zeros((GRID * GRID, 4), np.float32)
    class_target = np.full(GRID * GRID, -1, np.int64)
    if len(boxes):
        box_target[owner >= 0] = boxes[owner[owner >= 0]]
        class_target[owner >= 0] = np.array(labels)[owner[owner >= 0]]
    return box_target, class_target


def training_sample(seed):
    pixels, boxes, labels = sample(seed)
    return (pixels,) + targets(boxes, labels)


def giou(a, b):
    common = (torch.min(a[:, 2:], b[:, 2:]) - torch.max(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - common
    hull = (torch.max(a[:, 2:], b[:, 2:]) - torch.min(a[:, :2], b[:, :2])).prod(1)
    return common / union - (hull - union) / hull


def loss_of(model, pixels, box_target, class_target):
    logits = model.logits(pixels)
    found = class_target >= 0
    count = max(1, int(found.sum()))
    objectness = F.binary_cross_entropy_with_logits(logits[..., 4], found.float(), reduction="none")
    doubt = torch.where(found, 1 - logits[..., 4].sigmoid(), logits[..., 4].sigmoid()).detach()
    loss = (objectness * doubt).sum() / count * 2
    if found.any():
        loss = loss + 2 * (1 - giou(model.boxes(logits)[found], box_target[found])).mean()
        wanted = F.one_hot(class_target[found], len(LABELS)).float()
        loss = loss + F.binary_cross_entropy_with_logits(logits[found][:, 5:], wanted) * 3
    return loss


def to_tensor(pictures):
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()


def train(model, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.rate, total_steps=args.steps,
                                                   pct_start=0.15)
    seeds = ([args.seed, TRAIN_STREAM, i] for i in range(args.steps * args.batch))
    started = time.time()
    batch, running = [], 0.0
    with multiprocessing.get_context("fork").Pool(1) as pool:
        step = 0
        for item in pool.imap(training_sample, seeds, chunksize=args.batch):
            batch.append(item)
            if len(batch) < args.batch:
                continue
            pixels, boxes, classes = zip(*batch)
            batch = []
            loss = loss_of(model, to_tensor(pixels), torch.from_numpy(np.stack(boxes)),
                           torch.from_numpy(np.stack(classes)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
            if step % 100 == 0:
                elapsed = time.time() - started
                print(f"step {step}/{args.steps} loss {running:.3f} {elapsed:.0f} s", flush=True)
            if step % 500 == 0 and args.checkpoint:
                torch.save(model.state_dict(), args.checkpoint)
    if args.checkpoint:
        torch.save(model.state_dict(), args.checkpoint)


# --- evaluation ---


def iou(box, others):
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.clip(sides, 0, None).prod(1)
    return common / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - common)


def detections(boxes, scores, threshold, nms=0.45):
    """(score, class, box) after suppression in each class, best first; boxes [K, 4], scores [K, C]."""
    found = []
    for c in range(scores.shape[1]):
        keep = np.flatnonzero(scores[:, c] >= threshold)
        keep = keep[np.argsort(-scores[keep, c], kind="stable")]
        while len(keep):
            best, keep = keep[0], keep[1:]
            found.append((float(scores[best, c]), c, boxes[best]))
            keep = keep[iou(boxes[best], boxes[keep]) <= nms]
    return sorted(found, key=lambda d: -d[0])


def mean_average_precision(model, args):
    """mAP at an IoU of 0.5 over the held-out pictures, area under the interpolated curve."""
    model.eval()
    hits = [[] for _ in LABELS]
    totals = np.zeros(len(LABELS))
    for i in range(args.held_out):
        pixels, truth, labels = sample([args.seed + 1, HELD_OUT_STREAM, i])
        labels = np.array(labels)
        for label in labels:
            totals[label] += 1
        with torch.no_grad():
            boxes, scores = (t[0].numpy() for t in model(to_tensor([pixels])))
        taken = np.zeros(len(labels), bool)
        for score, c, box in detections(boxes, scores, 0.01):
            overlaps = np.where((labels == c) & ~taken, iou(box, truth), 0)
            best = int(overlaps.argmax())
            hit = bool(overlaps[best] >= 0.5)
            taken[best] |= hit
            hits[c].append((score, hit))
    precisions = []
    for c in range(len(LABELS)):
        ordered = np.array([h for _, h in sorted(hits[c], key=lambda x: -x[0])], float)
        positives = np.cumsum(ordered)
        precision = positives / np.arange(1, len(ordered) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        precisions.append(float((precision * ordered).sum() / totals[c]))
    return float(np.mean(precisions)), precisions


# --- files ---


def export(model, path, metadata):
    """Convolutions, normalizations and activations stay separate nodes; the graph decodes the boxes."""
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(op, inputs, outputs, **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def array(tensor):
        return tensor.detach().numpy().astype(np.float32)

    value = "image"
    for i, (_, stride) in enumerate(BLOCKS):
        conv, norm = model.body[3 * i], model.body[3 * i + 1]
        weight = constant(f"block{i}.conv.weight", array(conv.weight))
        value = add("Conv", [value, weight], f"block{i}.conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                    strides=[stride, stride])
        parameters = [constant(f"block{i}.norm.{name}", array(getattr(norm, name)))
                      for name in ("weight", "bias", "running_mean", "running_var")]
        value = add("BatchNormalization", [value] + parameters, f"block{i}.norm", epsilon=norm.eps)
        value = add("LeakyRelu", [value], f"block{i}.leaky", alpha=ALPHA)
    head = [constant("head.weight", array(model.head.weight)), constant("head.bias", array(model.head.bias))]
    value = add("Conv", [value] + head, "head", kernel_shape=[1, 1])
    value = add("Transpose", [value], "cells", perm=[0, 2, 3, 1])
    rows = constant("rows", np.array([0, GRID * GRID, 5 + len(LABELS)], np.int64))
    value = add("Reshape", [value, rows], "logits")
    value = add("Sigmoid", [value], "probabilities")
    add("Split", [value, constant("parts", np.array([2, 2, 1, len(LABELS)], np.int64))],
        ["xy", "wh", "objectness", "classes"], axis=2)
    two = constant("two", np.array(2, np.float32))
    value = add("Mul", ["xy", two], "xy_twice")
    value = add("Add", [value, constant("grid", grid_offsets() - np.float32(0.5))], "xy_cells")
    center = add("Mul", [value, constant("stride", np.array(STRIDE, np.float32))], "center")
    value = add("Mul", ["wh", two], "wh_twice")
    value = add("Mul", [value, value], "wh_square")
    half = add("Mul", [value, constant("half_anchor", np.array(ANCHOR / 2, np.float32))], "half")
    corners = [add("Sub", [center, half], "top_left"), add("Add", [center, half], "bottom_right")]
    add("Concat", corners, "boxes", axis=2)
    add("Mul", ["objectness", "classes"], "scores")

    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes, "shapes", [info("image", ["N", 3, SIZE, SIZE])],
        [info("boxes", ["N", GRID * GRID, 4]), info("scores", ["N", GRID * GRID, len(LABELS)])], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                              producer_name="train_shapes.py")
    proto.ir_version = 7
    helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def held_out_picture(model, args):
    """The first picture of its stream with five classes in which the model errs nowhere, by a margin."""
    for i in range(500):
        pixels, truth, labels = draw([args.seed + 1, PICTURE_STREAM, i], 400, 300, 2.2, 8)
        if len(truth) < 8 or len(set(labels)) < 5:
            continue
        full, factor, offset = letterbox(pixels)
        with torch.no_grad():
            boxes, scores = (t[0].numpy() for t in model(to_tensor([full])))
        found = detections(boxes, scores, 0.15)
        if len(found) != len(truth) or any(score < 0.65 for score, _, _ in found):
            continue
        mapped = truth * factor + np.array(offset * 2, np.float32)
        if all(any(c == label and iou(box, mapped[k:k + 1])[0] > 0.65 for _, c, box in found)
               for k, label in enumerate(labels)):
            return i, pixels, truth, labels, full
    raise SystemExit("no picture in which the model finds everything: train longer")


def write_tensor(path, array, name):
    with open(path, "wb") as file:
        file.write(numpy_helper.from_array(np.ascontiguousarray(array), name).SerializeToString())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", default="tools/data", help="folder for shapes.onnx, .png and .expected.json")
    parser.add_argument("--test-data", default="tests/data/shapes/model/test_data_set_0",
                        help="folder for input_0.pb, output_0.pb and output_1.pb")
    parser.add_argument("--seed", type=int, default=7,
                        help="pictures and weights; held-out pictures use seed + 1")
    parser.add_argument("--steps", type=int, default=1300, help="batches to train on")
    parser.add_argument("--batch", type=int, default=16, help="pictures in a batch")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--held-out", type=int, default=400, help="pictures for the mAP")
    parser.add_argument("--threads", type=int, default=1, help="of torch; one more process draws")
    parser.add_argument("--checkpoint", default="", help="file for the weights, every 500 steps")
    parser.add_argument("--resume", default="", help="take the weights from this checkpoint, do not train")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    model = Detector()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    if args.resume:
        model.load_state_dict(torch.load(args.resume))
    else:
        train(model, args)
    value, per_class = mean_average_precision(model, args)
    print(f"mAP@0.5 {value:.4f} on {args.held_out} held-out pictures:",
          ", ".join(f"{label} {ap:.3f}" for label, ap in zip(LABELS, per_class)), flush=True)

    os.makedirs(args.out, exist_ok=True)
    os.makedirs(args.test_data, exist_ok=True)
    export(model, f"{args.out}/shapes.onnx", {
        "labels": ",".join(LABELS), "seed": str(args.seed), "map50": f"{value:.4f}", "color": "rgb",
        "scale": "0.00392156862745098"})
    index, pixels, boxes, labels, full = held_out_picture(model, args)
    print(f"picture {index}")
    Image.fromarray(pixels).save(f"{args.out}/shapes.png", optimize=True)
    with open(f"{args.out}/shapes.expected.json", "w") as file:
        objects = [{"label": LABELS[label], "box": [round(float(v), 2) for v in box]}
                   for label, box in zip(labels, boxes)]
        json.dump({"width": pixels.shape[1], "height": pixels.shape[0], "objects": objects}, file, indent=2)
        file.write("\n")
    image = to_tensor([full])
    with torch.no_grad():
        found_boxes, scores = model(image)
    write_tensor(f"{args.test_data}/input_0.pb", image.numpy(), "image")
    write_tensor(f"{args.test_data}/output_0.pb", found_boxes.numpy(), "boxes")
    write_tensor(f"{args.test_data}/output_1.pb", scores.numpy(), "scores")


if __name__ == "__main__":
    main()
