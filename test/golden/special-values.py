"""Writes special-values.json: what PyTorch computes from NaN, infinities, -0, subnormal and huge
numbers. test/ops/special-values.test.ts reads it.

Functions of one number are computed in f64 and rounded to f32, because PyTorch's f32 kernels
overflow and underflow in between, each in its own way. Everything else is computed in f32. Where
PyTorch's kernels disagree with each other, the value is the one of IEEE 754: pow(x, 0.5) is that of
the power function, not that of sqrt, and gelu(-0) is -0. One value is ours: the gradient of a row
that crossEntropy ignores is 0, even if the row is NaN.

usage: python3 test/golden/special-values.py    (with torch 2.13.0+cpu)
"""

import json
import math
import os

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False
NAN, INF, MAX = math.nan, math.inf, 3.4028234663852886e38
TINY, SMALL = 1.401298464324817e-45, 1e-40  # subnormal

# 37 values: no vector width divides the number
VALUES = [
    NAN, INF, -INF, 0.0, -0.0, TINY, -TINY, SMALL, -SMALL, 1.1754943508222875e-38,
    -1.1754943508222875e-38, 1e-20, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, 5.5, -5.5, 13.0, -14.0, 20.0, -20.0,
    86.5, -86.5, 88.75, -88.75, 95.0, -100.0, -120.0, 1e6, -1e6, 1e20, -1e20, MAX, -MAX,
]
FEW = [NAN, INF, -INF, 0.0, -0.0, SMALL, 1.0, -2.0, MAX]
GRADS = [NAN, INF, -INF, 0.0, 1.0]

cases = []
arrays = {}  # each distinct array once, as JSON, and its index


def encode_number(v):
    if v != v or math.isinf(v) or (v == 0 and math.copysign(1, v) < 0):
        return json.dumps(str(v))
    return f"{v:.9g}"


def encode(x):
    x = x.detach().to(torch.float32 if x.is_floating_point() else x.dtype)
    values = ",".join(encode_number(v) for v in x.flatten().tolist())
    text = f'{{"shape":{json.dumps(list(x.shape))},"values":[{values}]}}'
    return arrays.setdefault(text, len(arrays))


def add(op, f, inputs, params=None, dy=None, constants=(), dtype=torch.float32):
    """Records f(*inputs) and its gradients; `constants` names inputs without a gradient."""
    tensors = {}
    for name, x in inputs.items():
        x = x.to(dtype) if x.is_floating_point() else x
        tensors[name] = x.clone().requires_grad_(x.is_floating_point() and name not in constants)
    y = f(*tensors.values())
    case = {"op": op, "params": params or {}, "inputs": {n: encode(x) for n, x in tensors.items()}}
    case["ints"] = [n for n, x in inputs.items() if not x.is_floating_point()]
    case["y"] = encode(y)
    if y.requires_grad:
        if dy is not None:
            case["dy"] = encode(dy)  # otherwise ones
        y.backward(torch.ones_like(y) if dy is None else dy.to(dtype))
        grads = {n: x.grad for n, x in tensors.items() if x.grad is not None}
        if op == "crossEntropy":
            grads["x"][tensors["target"] == -100] = 0
        case["grads"] = {n: encode(x) for n, x in grads.items()}
    cases.append(case)


def grid(a, b):
    pairs = [(x, y) for x in a for y in b]
    return torch.tensor([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])


def rows(*lists):
    return torch.tensor(lists)


unary = {
    "neg": torch.neg, "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "abs": torch.abs,
    "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh, "relu": torch.relu,
    "sigmoid": torch.sigmoid, "silu": F.silu,
}
for name, f in unary.items():
    add(name, f, {"x": torch.tensor(VALUES)}, dtype=torch.float64)
    x, dy = grid(FEW, GRADS)
    add(name, f, {"x": x}, dy=dy, dtype=torch.float64)
for approximate in ["none", "tanh"]:
    f = lambda x: F.gelu(x, approximate=approximate)
    add("gelu", f, {"x": torch.tensor(VALUES)}, {"approximate": approximate}, dtype=torch.float64)
    x, dy = grid(FEW, GRADS)
    add("gelu", f, {"x": x}, {"approximate": approximate}, dy, dtype=torch.float64)
for exponent in [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.0, -0.5, 2.5, INF, -INF, NAN]:
    add("pow", lambda x: torch.pow(x, torch.full_like(x, exponent)), {"x": torch.tensor(VALUES)},
        {"exponent": exponent if math.isfinite(exponent) else str(exponent)}, dtype=torch.float64)

a, b = grid(FEW, FEW)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}.items():
    add(name, f, {"a": a, "b": b})
cond = torch.arange(len(a)) % 2
for dy in [None, torch.tensor(FEW).repeat(len(FEW))]:
    add("where", lambda c, a, b: torch.where(c != 0, a, b), {"cond": cond, "a": a, "b": b}, dy=dy)
    add("maskedFill", lambda x, m: x.masked_fill(m != 0, 1.5), {"x": a, "mask": cond}, {"value": 1.5},
        dy)

# rows of one to many elements, special ones at the start, within and at the end
lists = []
for n in [1, 3, 17]:
    base = [0.25 * (i % 5) - 0.5 for i in range(n)]
    for special in [NAN, INF, -INF, -0.0, MAX, None]:
        for at in sorted({0, n - 1}):
            row = list(base)
            if special is not None:
                row[at] = special
            lists.append(row)
    lists += [[s] * n for s in [NAN, INF, -INF, 0.0, -0.0, SMALL, MAX, -MAX]]
    if n > 1:
        lists += [base[:-2] + [INF, -INF], base[:-2] + [NAN, INF], [-INF] * (n - 1) + [1.0]]
        lists += [[0.0] * (n - 1) + [-0.0], [-0.0] * (n - 1) + [0.0], [-INF, NAN] * (n // 2) + [INF]]
for n in [1, 3, 17]:
    x = torch.tensor([row for row in lists if len(row) == n])
    w = torch.tensor([0.5 + 0.25 * (i % 3) for i in range(n)])
    b = torch.tensor([0.125 * (i % 4) for i in range(n)])
    target = torch.arange(len(x)) % n
    for dim in [0, 1]:
        data = x if dim == 1 else x.t().contiguous()
        p = {"dim": dim}
        add("sum", lambda x: x.sum(dim), {"x": data}, p)
        add("mean", lambda x: x.mean(dim), {"x": data}, p)
        small = data.clone()  # squares of huge numbers overflow in f32, and not in ts
        small[small.abs() == MAX] = 1.5
        add("var", lambda x: x.var(dim, unbiased=False), {"x": small}, p)
        add("max", lambda x: x.max(dim).values, {"x": data}, p)
        add("argmax", lambda x: x.max(dim).indices, {"x": data}, p, constants=["x"])
        dy = torch.linspace(-1, 1, x.numel()).reshape(data.shape)
        add("softmax", lambda x: F.softmax(x, dim), {"x": data}, p, dy)
        add("logSoftmax", lambda x: F.log_softmax(x, dim), {"x": data}, p, dy)
    dy = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
    x = torch.where(x.abs() == MAX, 1.5, x)
    add("layerNorm", lambda x, w, b: F.layer_norm(x, [n], w, b, 1e-5), {"x": x, "w": w, "b": b},
        {"eps": 1e-5}, dy)
    add("rmsNorm", lambda x, w: F.rms_norm(x, [n], w, 1e-5), {"x": x, "w": w}, {"eps": 1e-5}, dy)
    for i, row in enumerate(x):  # one at a time: the mean over all rows would be NaN
        ignored = torch.full([n], [NAN, INF, 1.0][i % 3])
        logits = torch.stack([row, ignored, torch.full([n], 0.5)])
        add("crossEntropy", lambda x, t: F.cross_entropy(x, t),
            {"x": logits, "target": torch.tensor([i % n, -100, 0])})
add("crossEntropy", lambda x, t: F.cross_entropy(x, t),
    {"x": rows([1.0, NAN], [INF, 0.0]), "target": torch.tensor([-100, -100])})

# a special element in one row of each factor
for M, K, N in [(3, 5, 4), (17, 9, 18)]:
    a = torch.linspace(-1, 2, M * K).reshape(M, K)
    b = torch.linspace(1, -2, K * N).reshape(K, N)
    bias = torch.linspace(-1, 1, N)
    for special in [NAN, INF, -INF, SMALL]:
        a1, b1, bias1 = a.clone(), b.clone(), bias.clone()
        a1[M // 2, K - 1] = special
        b1[K // 2, N - 1] = special
        bias1[0] = special
        for x, y in [(a1, b), (a, b1)]:
            add("matmul", torch.matmul, {"a": x, "b": y})
            add("linear", F.linear, {"x": x, "w": y.t().contiguous(), "b": bias})
        add("linear", F.linear, {"x": a, "w": b.t().contiguous(), "b": bias1})
        add("embedding", F.embedding, {"idx": torch.tensor([0, M // 2, M // 2, 1]), "w": a1})
        dy = torch.ones(4, K)
        dy[1, 0] = special
        add("embedding", F.embedding, {"idx": torch.tensor([0, M // 2, M // 2, 1]), "w": a}, dy=dy)

# rows of no elements
empty = torch.zeros([2, 0])
for op, f in {"sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1),
              "var": lambda x: x.var(1, unbiased=False), "softmax": lambda x: F.softmax(x, 1),
              "logSoftmax": lambda x: F.log_softmax(x, 1)}.items():
    add(op, f, {"x": empty}, {"dim": 1})
    add(op, f, {"x": torch.zeros([0, 0])}, {"dim": 1})
add("sum", lambda x: x.sum(0), {"x": torch.zeros([0, 3])}, {"dim": 0})
add("mean", lambda x: x.mean(0), {"x": torch.zeros([0, 3])}, {"dim": 0})
add("matmul", torch.matmul, {"a": torch.zeros([2, 0]), "b": torch.zeros([0, 3])})
add("linear", F.linear, {"x": empty, "w": torch.zeros([3, 0]), "b": rows(NAN, -0.0, 1.0)})
add("crossEntropy", lambda x, t: F.cross_entropy(x, t),
    {"x": torch.zeros([0, 3]), "target": torch.zeros([0], dtype=torch.int64)})

# optimizers: weights and gradients, three steps
w, g = grid(FEW, FEW)
optimizers = {
    "SGD": ({"lr": 0.1}, torch.optim.SGD),
    "SGD with momentum": ({"lr": 0.1, "momentum": 0.9, "weightDecay": 0.1}, torch.optim.SGD),
    "Adam": ({"lr": 0.1}, torch.optim.Adam),
    "AdamW": ({"lr": 0.1, "weightDecay": 0.1}, torch.optim.AdamW),
}
for name, (options, make) in optimizers.items():
    x = w.clone().requires_grad_(True)
    renamed = {"weight_decay" if k == "weightDecay" else k: v for k, v in options.items()}
    optimizer = make([x], **renamed)
    for _ in range(3):
        x.grad = g.clone()
        optimizer.step()
    cases.append({"op": name.split()[0], "params": options, "ints": [],
                  "inputs": {"w": encode(w), "g": encode(g)}, "y": encode(x)})
for values in [[3.0, 4.0], [NAN, 1.0], [INF, 1.0, 0.0], [-INF, NAN], [MAX, MAX], [SMALL, TINY], [0.0, -0.0]]:
    for max_norm in [1.0, 100.0]:
        x = torch.tensor(values)
        y = x.clone().requires_grad_(True)
        y.grad = x.clone()
        norm = torch.nn.utils.clip_grad_norm_([y], max_norm)
        cases.append({"op": "clipGradNorm", "params": {"maxNorm": max_norm},
                      "ints": [], "inputs": {"g": encode(x)}, "y": encode(torch.cat([norm[None], y.grad]))})

# the gradient is a function of the result, in which small numbers underflow and huge ones overflow
for values, grads in [(VALUES, [1.0]), ([x for x in FEW if x != SMALL], GRADS)]:
    x, dy = grid([x for x in values if not 1e19 < abs(x) < INF], grads)
    add("relu2", lambda x: F.relu(x).square(), {"x": x}, dy=dy, dtype=torch.float64)

path = os.path.join(os.path.dirname(__file__), "special-values.json")
with open(path, "w") as file:
    texts = [json.dumps(case, separators=(",", ":")) for case in cases]
    file.write('{"arrays":[\n' + ",\n".join(arrays) + '\n],\n"cases":[\n' + ",\n".join(texts) + "\n]}\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
