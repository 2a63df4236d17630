#!/usr/bin/env python3
"""Runs a model over a folder of pictures on a Dask cluster.

    dask_pictures.py MODEL FOLDER [--workers 2] [--scheduler ADDRESS] [--batch 8] [--top 3] [--labels FILE]

The model takes pictures as [n, 3, height, width] floats from 0 to 1 and gives [n, classes] scores first. Each worker
process loads it once and keeps it; batches of paths go to the workers, the best classes of every picture come back.
Without --scheduler a cluster of that many processes is started on this machine. Needs python3-distributed and
python3-opencv (Debian packages).
"""
import argparse
import pathlib

import cv2
import numpy as np
from distributed import Client, LocalCluster, get_worker

import sluice

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def session_of(model, threads):
    """This worker's session, loaded at its first batch."""
    worker = get_worker()
    sessions = worker.__dict__.setdefault("sluice_sessions", {})
    if model not in sessions:
        sessions[model] = sluice.Session(model, threads=threads)
    return sessions[model]


def read(path, height, width):
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: no picture that can be read")
    picture = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
    return picture.transpose(2, 0, 1).astype(np.float32) / 255


def classify(model, paths, top, threads):
    """[(path, [(class, score)])] of a batch, best class first."""
    session = session_of(model, threads)
    size = [d if isinstance(d, int) and d > 0 else 224 for d in session.inputs[0].shape[2:]]
    fixed = session.inputs[0].shape[0] == 1
    pictures = np.stack([read(path, *size) for path in paths])
    groups = pictures[:, None] if fixed else [pictures]
    scores = np.concatenate([session.run(group)[session.outputs[0].name] for group in groups])
    scores = scores.reshape(len(paths), -1)
    best = np.argsort(-scores, axis=1)[:, :top]
    return [(path, [(int(c), float(row[c])) for c in classes]) for path, row, classes in zip(paths, scores, best)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", help="address of a scheduler that runs already")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--top", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of a session in a worker")
    parser.add_argument("--labels", type=pathlib.Path, help="names of the classes, one a line")
    options = parser.parse_args()

    labels = options.labels.read_text().splitlines() if options.labels else []
    model = str(pathlib.Path(options.model).resolve())
    paths = sorted(str(p.resolve()) for p in options.folder.iterdir() if p.suffix.lower() in ENDINGS)
    if not paths:
        parser.error(f"{options.folder} has no pictures")
    batches = [paths[i:i + options.batch] for i in range(0, len(paths), options.batch)]
    cluster = options.scheduler or LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        futures = client.map(lambda batch: classify(model, batch, options.top, options.threads), batches)
        for result in client.gather(futures):
            for path, classes in result:
                named = ", ".join(f"{labels[c] if c < len(labels) else c} {score:.3f}" for c, score in classes)
                print(f"{pathlib.Path(path).name}: {named}")
    if not options.scheduler:
        cluster.close()


if __name__ == "__main__":
    main()
