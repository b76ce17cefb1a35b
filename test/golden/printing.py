"""The text of tensors in PyTorch: python test/golden/printing.py > test/golden/printing.json

Needs torch. The values are multiples of 2^-40 or other exact doubles; of large tensors, element i is
i times `step`. The text is the part of PyTorch's that shows the values.
"""

import json
import math
import random

import torch

random.seed(1)
NAN, INF = math.nan, math.inf


def text(x):
    torch.set_printoptions(profile="default")
    return torch._tensor_str._tensor_str(x, 7)


def encode(value):
    return value if math.isfinite(value) else str(value)


cases = []


def case(values, shape, dtype="f32"):
    kinds = {"f32": torch.float32, "f64": torch.float64, "i32": torch.int32, "bf16": torch.bfloat16}
    x = torch.tensor(values, dtype=kinds[dtype]).reshape(shape)
    exact = [encode(value) for value in x.reshape(-1).tolist()]
    cases.append({"values": exact, "shape": list(shape), "dtype": dtype, "text": text(x)})


def large(step, shape, dtype="f32"):
    kinds = {"f32": torch.float32, "f64": torch.float64, "i32": torch.int32}
    x = (torch.arange(math.prod(shape), dtype=torch.float64) * step).to(kinds[dtype]).reshape(shape)
    cases.append({"step": step, "shape": list(shape), "dtype": dtype, "text": text(x)})


for values in [
    [1], [0], [-0.0], [1.5], [NAN], [INF], [-INF], [1e-5], [1e9], [12345678], [0.03125], [0.09375],
    [-0.03125], [1e-7], [123456.789], [1e20], [-1e-30], [1e8], [1.00000001e8], [0.0001], [0.00009],
]:
    case(values, [])
    case(values, [1])
    case(values, [1, 1, 1], "f64")
    case(values, [1], "bf16")
for values in [
    [1, 2, 3], [1, NAN, 3], [1.5, INF, -INF, NAN], [0, 0, 0], [NAN, NAN], [0, NAN, INF, -0.0],
    [1, 1000], [1, 1001], [1.5, 1500], [1.5, 1501], [1e-3, 1], [1e-3, 1.001], [0, 1e-5], [1e9, 1],
    [-1, 10, -100], [0.5, -0.5, 0], [-0.0, 1.5], [-0.0, 1e-6, NAN], [1e-4, 1e-4], [0.99999, 1],
    [100000000, 1], [123, 0.03125], [3e-39, 1e-42], [1 / 3, 2 / 3, 1], [9.99995, 9.99985],
    [1.00005, 2.5], [100005, 1e-3], [262145, 1e-6], [1e-2, 9.9999], [-1000.5, 1], [65537.5, 1e6],
]:
    case(values, [len(values)])
    case(values, [len(values)], "f64")
    case(values, [len(values), 1])
for shape in [[2, 3], [3, 1, 4], [2, 2, 2, 2], [1, 2, 1, 2, 3], [2, 1, 2, 1, 2, 2], [21], [2, 13], [7]]:
    n = math.prod(shape)
    for scale in [1, 1e-3, 50]:
        case([random.gauss(0, 1) * scale for _ in range(n)], shape)
    case([round(random.gauss(0, 30)) for _ in range(n)], shape)
    case([round(random.gauss(0, 3000)) for _ in range(n)], shape, "i32")
    case([random.gauss(0, 1) for _ in range(n)], shape, "bf16")
    case([random.randrange(-64, 64) / 32 for _ in range(n)], shape)
case([2**31 - 1, -(2**31)], [2], "i32")
for shape in [[1000], [1001], [10, 100], [7, 143], [1001, 1], [1, 1001], [6, 200], [200, 6], [2, 8, 70],
              [20, 3, 20], [9, 9, 9, 9], [3, 3, 3, 3, 20], [12, 1, 1, 100]]:
    large(1, shape)
    large(0.25, shape)
    large(1, shape, "i32")
    large(1e-6, shape, "f64")
print(json.dumps(cases, separators=(",", ":"), allow_nan=False).replace('},{', '},\n{'))
