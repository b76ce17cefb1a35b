"""Writes muon.json: the updates of torch.optim.Muon. test/optim/muon.test.ts reads it.

PyTorch orthogonalizes in bfloat16. The values are those of its own code without the cast, so that
all of it is f32: only the line with .bfloat16() is replaced.

usage: python3 test/golden/muon.py    (with torch 2.13.0+cpu)
"""

import inspect
import json
import os

import torch
import torch.optim._muon as muon

torch.set_num_threads(1)
source = inspect.getsource(muon._zeropower_via_newtonschulz)
assert source.count("grad.bfloat16()") == 1
exec(source.replace("grad.bfloat16()", "grad.clone()"), muon.__dict__)

NAMES = {
    "weightDecay": "weight_decay",
    "nsSteps": "ns_steps",
    "nsCoefficients": "ns_coefficients",
    "adjustLrFn": "adjust_lr_fn",
}
LR = 0.125
CASES = [
    ((3, 3), {}),
    ((5, 3), {}),
    ((3, 7), {"adjustLrFn": "match_rms_adamw", "momentum": 0.9}),
    ((8, 2), {"nesterov": False, "weightDecay": 0}),
    ((1, 4), {"nsSteps": 3, "nsCoefficients": [3.0, -3.2, 1.2]}),
    ((6, 1), {"adjustLrFn": "match_rms_adamw"}),
    ((17, 9), {"momentum": 0, "nsSteps": 1}),
]


def values(shape, seed):
    """Normal values in multiples of 1/64, which are exact in f32 and short in JSON."""
    generator = torch.Generator().manual_seed(seed)
    return torch.round(64 * torch.randn(shape, generator=generator)) / 64


cases = []
for shape, options in CASES:
    w = torch.nn.Parameter(values(shape, 1))
    start = w.tolist()
    optimizer = torch.optim.Muon([w], lr=LR, **{NAMES.get(k, k): v for k, v in options.items()})
    gradients = [values(shape, seed) for seed in (2, 3, 4)]
    for gradient in gradients:
        w.grad = gradient
        optimizer.step()
    cases.append({
        "options": options,
        "w": start,
        "gradients": [gradient.tolist() for gradient in gradients],
        "result": w.tolist(),
        "momentumBuffer": optimizer.state[w]["momentum_buffer"].tolist(),
    })

path = os.path.join(os.path.dirname(__file__), "muon.json")
with open(path, "w") as file:
    json.dump({"torch": torch.__version__, "lr": LR, "cases": cases}, file, indent=None)
    file.write("\n")
