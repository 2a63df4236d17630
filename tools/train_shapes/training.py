"""Trains the detector on pictures that another process draws."""
import multiprocessing
import time

import numpy as np
import torch
from torch.nn import functional as F

from network import GRID, STRIDE, grid_offsets, to_tensor
from pictures import LABELS, sample

TRAIN_STREAM = 0  # second number of a picture's seed


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
