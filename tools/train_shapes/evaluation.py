"""Detections of the trained model, and how good they are on pictures that it was not trained on."""
import numpy as np
import torch

from network import to_tensor
from pictures import LABELS, draw, letterbox, sample

HELD_OUT_STREAM, PICTURE_STREAM = 1, 2  # second number of a picture's seed


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
