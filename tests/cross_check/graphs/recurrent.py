"""RNN, GRU and LSTM."""
import numpy as np

from .builder import maker

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@maker()
def recurrent(b):
    op = b.pick(list(GATES))
    gates = GATES[op]
    steps, batch, size, hidden = b.int(1, 5), b.int(1, 3), b.int(1, 6), b.pick([1, 2, 3, 5, 8, 16])
    direction = b.pick(["forward", "reverse", "bidirectional"])
    count = 2 if direction == "bidirectional" else 1
    how = {"hidden_size": hidden, "direction": direction}
    if op == "GRU":
        how["linear_before_reset"] = b.int(0, 1)
    # "Clipping [...] is applied to the input of activations", to the cell's on its way to h as well; ONNX Runtime
    # leaves that one out.
    if b.chance(0.2) and op != "LSTM":
        how["clip"] = 0.6
    if b.chance(0.3):
        per = {"RNN": 1, "GRU": 2, "LSTM": 3}[op]
        how["activations"] = [b.pick(["Tanh", "Sigmoid", "Relu"]) for _ in range(per)] * count
    parts = [b.input("float32", [steps, batch, size])]
    parts += [b.constant(b.array("float32", [count, gates * hidden, k]) * np.float32(0.5)) for k in (size, hidden)]
    parts.append(b.constant(b.array("float32", [count, 2 * gates * hidden])) if b.chance(0.7) else "")
    parts.append(b.constant(b.rng.integers(1, steps + 1, batch).astype(np.int32)) if b.chance(0.3) else "")
    if b.chance(0.4):
        states = 2 if op == "LSTM" else 1
        parts += [b.constant(b.array("float32", [count, batch, hidden])) for _ in range(states)]
        if op == "LSTM" and b.chance(0.4):
            parts.append(b.constant(b.array("float32", [count, 3 * hidden])))
    while parts[-1] == "":
        parts.pop()
    b.nodes_of(op, parts, b.int(1, 3 if op == "LSTM" else 2), **how)
