"""Draws pictures of coloured shapes, each from a seed, with the boxes and labels of what is in it."""
import math

import numpy as np
from PIL import Image, ImageDraw

LABELS = ["circle", "square", "triangle", "star", "cross", "ring"]
SIZE = 160  # of the network's input, in pixels
BARS = 114  # grey of the bars that fit a picture into the square input


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
