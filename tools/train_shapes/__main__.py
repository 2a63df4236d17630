#!/usr/bin/python3
"""Trains the bundled detector of coloured shapes and writes it as ONNX with a picture and test data.

Needs Debian's python3-torch, python3-onnx, python3-numpy and python3-pil. Every picture is drawn from
(seed, index), so a picture is held out when its seed was not trained on.
"""
import argparse
import json
import os

import torch
from PIL import Image

from evaluation import held_out_picture, mean_average_precision
from export import export, write_tensor
from network import Detector, to_tensor
from pictures import LABELS
from training import train


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
