"""Writes torch-layers.json: outputs, gradients and buffers of PyTorch's BatchNorm1d, RNN, LSTM and
GRU. The test test/nn/torch-layers.test.ts reads it. Everything is computed in f64 and rounded.

usage: python3 test/golden/torch-layers.py    (with torch 2.13.0+cpu)
"""

import json
import os

import torch

torch.manual_seed(0)
cases = []


def encode(x):
    values = [float(f"{v:.9g}") for v in x.detach().flatten().tolist()]
    return {"shape": list(x.shape), "values": values}


def flatten(x):
    return [x] if isinstance(x, torch.Tensor) else [z for y in x for z in flatten(y)]


def add(layer, args, options, layer_options, *inputs, steps=1, training=True):
    """Records the outputs of the last of several calls, and the gradients of all calls."""
    module = getattr(torch.nn, layer)(*args, **layer_options).double().train(training)
    for p in module.parameters():
        p.data = p.data.float().double()
    state = {k: encode(v) for k, v in module.state_dict().items() if k != "num_batches_tracked"}
    leaves = [x.float().double().requires_grad_(True) for x in inputs]
    for _ in range(steps):
        first, *rest = leaves
        y = module(first, *([rest[0] if len(rest) == 1 else tuple(rest)] if rest else []))
    outputs = flatten(y)
    dys = [torch.randn_like(x).float() for x in outputs]
    torch.autograd.backward(outputs, [dy.double() for dy in dys])
    cases.append(
        {
            "layer": layer,
            "args": args,
            "options": options,
            "training": training,
            "steps": steps,
            "state": state,
            "inputs": [encode(x) for x in leaves],
            "outputs": [encode(x) for x in outputs],
            "dys": [encode(x) for x in dys],
            "inputGrads": [encode(x.grad) for x in leaves],
            "grads": {k: encode(p.grad) for k, p in module.named_parameters()},
            "buffers": {k: encode(b) for k, b in module.named_buffers() if b.dim() > 0},
        }
    )


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


add("BatchNorm1d", [3], {}, {}, 2 * randn(5, 3) + 1)
add("BatchNorm1d", [3], {}, {}, randn(2, 3, 4), steps=3)
add("BatchNorm1d", [3], {}, {}, randn(2, 3, 4), training=False)
add("BatchNorm1d", [2], {"eps": 0.1, "momentum": 0.5, "affine": False}, {"eps": 0.1, "momentum": 0.5, "affine": False}, randn(4, 2))
add("BatchNorm1d", [2], {"trackRunningStats": False}, {"track_running_stats": False}, randn(4, 2), training=False)
add("RNN", [3, 4], {}, {}, randn(5, 2, 3))
add("RNN", [3, 4], {"nonlinearity": "relu", "bias": False}, {"nonlinearity": "relu", "bias": False}, randn(5, 2, 3), randn(1, 2, 4))
add("RNN", [3, 4], {"numLayers": 2, "batchFirst": True}, {"num_layers": 2, "batch_first": True}, randn(2, 5, 3), randn(2, 2, 4))
add("RNN", [3, 4], {}, {}, randn(1, 3))
add("LSTM", [3, 4], {}, {}, randn(5, 2, 3))
add("LSTM", [2, 3], {"numLayers": 2, "bidirectional": True}, {"num_layers": 2, "bidirectional": True}, randn(4, 2, 2), randn(4, 2, 3), randn(4, 2, 3))
add("LSTM", [3, 4], {"batchFirst": True}, {"batch_first": True}, randn(5, 3), randn(1, 4), randn(1, 4))
add("GRU", [3, 4], {}, {}, randn(5, 2, 3))
add("GRU", [2, 3], {"numLayers": 3, "bidirectional": True, "batchFirst": True}, {"num_layers": 3, "bidirectional": True, "batch_first": True}, randn(2, 4, 2), randn(6, 2, 3))
add("GRU", [3, 4], {"bias": False}, {"bias": False}, randn(6, 3))

with open(os.path.join(os.path.dirname(__file__), "torch-layers.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
