"""ONNX Runtime's npm package, in a process of its own."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ROOT / "build" / "peers" / "node_modules"
SKIPPED = 77


def install():
    """The package that bench/peers uses; its install script only fetches GPU libraries, so it is not run."""
    if not (shutil.which("node") and shutil.which("npm")):
        print("skipped: Node.js with npm is missing")
        sys.exit(SKIPPED)
    if (MODULES / "onnxruntime-node").exists():
        return
    MODULES.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "bench" / "peers" / "package.json", MODULES.parent)
    command = ["npm", "install", "--ignore-scripts", "--silent", "--prefix", str(MODULES.parent)]
    if subprocess.run(command).returncode != 0:
        print("skipped: npm cannot install onnxruntime-node")
        sys.exit(SKIPPED)


class OnnxRuntime:
    def __init__(self):
        self.start()

    def start(self):
        environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", SLUICE_PEERS_MODULES=str(MODULES))
        self.process = subprocess.Popen(["node", str(HERE / "ort_worker.js")], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, model, inputs, folder):
        """name -> array of the outputs; throws RuntimeError with the message where ONNX Runtime refuses."""
        request = {"model": str(model), "inputs": [], "output": str(folder)}
        for i, (name, array) in enumerate(inputs.items()):
            file = folder / f"input_{i}.bin"
            array.tofile(file)
            request["inputs"].append(
                {"name": name, "type": str(array.dtype), "dims": array.shape, "file": str(file)})
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.start()
            raise RuntimeError(f"its process ended with {status}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return {output["name"]: np.fromfile(output["file"], output["type"]).reshape(output["dims"])
                for output in reply["outputs"]}
