import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

from conftest import build, tensor

EXAMPLE = pathlib.Path(__file__).parents[2] / "runtime" / "python" / "examples" / "dask_pictures.py"


def test_a_folder_of_pictures_on_two_workers(tmp_path):
    pytest.importorskip("distributed")
    cv2 = pytest.importorskip("cv2")
    # Scores are the means of the channels: the class is the colour.
    model = build([helper.make_node("GlobalAveragePool", ["x"], ["mean"]), helper.make_node("Flatten", ["mean"], ["y"])],
                  [tensor("x", ["n", 3, 8, 8])], [tensor("y", ["n", 3])])
    (tmp_path / "model.onnx").write_bytes(model)
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(9):
        picture = np.zeros((10 + i, 12, 3), np.uint8)
        picture[:, :, 2 - i % 3] = 255  # OpenCV has blue first
        cv2.imwrite(str(pictures / f"{i}.png"), picture)
    (pictures / "notes.txt").write_text("no picture")
    done = subprocess.run([sys.executable, str(EXAMPLE), str(tmp_path / "model.onnx"), str(pictures), "--batch", "2",
                           "--top", "1", "--labels", str(tmp_path / "labels.txt")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                          env=dict(os.environ, OMP_NUM_THREADS="1"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{i}.png: {['red', 'green', 'blue'][i % 3]} 1.000" for i in range(9)]
