"""The detector: 3x3 blocks of convolution, normalization and Leaky ReLU, and one box for each cell of a grid."""
import numpy as np
import torch
from torch import nn

from pictures import LABELS, SIZE

STRIDE = 8
GRID = SIZE // STRIDE
ANCHOR = 32.0  # side in pixels of the box that all-zero logits stand for
ALPHA = 0.1
# Output channels and stride of every 3x3 block.
BLOCKS = [(16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (64, 1)]


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


def to_tensor(pictures):
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()
