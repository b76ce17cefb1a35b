"""Writes torch-ops.json: results and gradients of PyTorch for the ops that are composites. The test
test/ops/torch-ops.test.ts reads it. Everything is computed in f64 and rounded to f32.

usage: python3 test/golden/torch-ops.py    (with torch 2.13.0+cpu)
"""

import json
import math
import os

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_num_threads(1)
NAN, INF = math.nan, math.inf
SPECIAL = [NAN, INF, -INF, 0.0, -0.0, 1.0, -2.0, 0.5, 1.5, 2.5, -0.3, 8388609.0, 1e20]
cases = []


def number(v):
    if isinstance(v, int):
        return v
    if v != v or math.isinf(v) or (v == 0 and math.copysign(1, v) < 0):
        return str(v)
    return float(f"{v:.9g}")


def encode(x):
    if isinstance(x, (tuple, list)):
        return [encode(y) for y in x]
    x = x.detach()
    if x.dtype == torch.bool:
        x = x.long()
    values = [number(v) for v in x.flatten().tolist()]
    return {"shape": list(x.shape), "values": values, "dtype": "f32" if x.is_floating_point() else "i32"}


def argument(x):
    if isinstance(x, torch.Tensor):
        return encode(x)
    if isinstance(x, list) and x and isinstance(x[0], torch.Tensor):
        return {"list": encode(x)}
    return {"value": number(x) if isinstance(x, float) else x}  # also a list of numbers, or options


def add(op, f, *args):
    """Records op(*args). `f` takes the tensors among the arguments, in order."""
    flat = []
    for x in args:
        flat += x if isinstance(x, list) and x and isinstance(x[0], torch.Tensor) else [x]
    tensors = [x for x in flat if isinstance(x, torch.Tensor)]
    leaves = [
        x.double().detach().clone().requires_grad_(True) if x.is_floating_point() else x for x in tensors
    ]
    y = f(*leaves)
    case = {"op": op, "args": [argument(x) for x in args], "y": encode(y)}
    results = [x for x in (y if isinstance(y, (tuple, list)) else [y]) if x.requires_grad]
    if results:
        dys = [torch.randn(x.shape, dtype=torch.float64).float() for x in results]
        torch.autograd.backward(results, [dy.double() for dy in dys])
        case["dys"] = encode(dys)
        case["grads"] = [
            None if not x.is_floating_point() else encode(torch.zeros_like(x) if x.grad is None else x.grad)
            for x in leaves
        ]
    cases.append(case)


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64).float()


def ints(*shape, low=-3, high=4):
    return torch.randint(low, high, shape, dtype=torch.int64)


def pairs(values):
    a = torch.tensor([x for x in values for _ in values])
    b = torch.tensor([y for _ in values for y in values])
    return a, b


# ---- comparisons, extrema, rounding
special = torch.tensor(SPECIAL)
a, b = pairs([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.0])
i, j = ints(3, 1), ints(4)
for name in ["eq", "ne", "gt", "lt", "ge", "le"]:
    f = getattr(torch, name)
    add(name, f, a, b)
    add(name, lambda x: f(x, 0.5), special, 0.5)
    add(name, f, i, j)
    add(name, f, torch.tensor([16777217, 2147483647]), torch.tensor([16777216, 2147483646]))
    add(name, f, randn(3, 1), randn(2, 1, 4))
    add(name, f, i, randn(3, 4).round())
    add(name, f, torch.zeros(0, 3), torch.zeros(1, 3))
for name in ["maximum", "minimum"]:
    f = getattr(torch, name)
    add(name, f, a, b)
    add(name, f, randn(3, 1), randn(4))
    add(name, f, torch.tensor(1.0), torch.tensor([0.0, 1.0, 2.0]))
    add(name, f, i, j)
add("clamp", lambda x: x.clamp(-1, 1.5), special, -1, 1.5)
add("clamp", lambda x: x.clamp(min=0), special, {"min": 0})
add("clamp", lambda x: x.clamp(max=0.5), special, None, 0.5)
add("clamp", lambda x: x.clamp(2, 1), special, 2, 1)
add("clamp", lambda x: x.clamp(-1, 1), ints(5), -1, 1)
halves = torch.tensor([-2.5, -1.5, -0.5, 0.49999997, 0.5, 4194303.5, -4194304.5, 16777215.0])
for name in ["round", "floor", "ceil", "sign"]:
    for x in [special, halves, ints(4), torch.tensor(1.7), torch.zeros(0, 2)]:
        add(name, getattr(torch, name), x)

# ---- reductions
x = randn(2, 3, 4)
tied = torch.tensor([[1.0, 3.0, 3.0], [-1.0, NAN, 5.0], [0.0, -0.0, -0.0], [INF, -INF, 1.0]])
zeros = torch.tensor([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0], [1.0, -2.0, 0.5]])
empty = torch.zeros(2, 0)
for dim, keepdim in [(0, False), (-1, True), (1, False)]:
    options = {"dim": dim, "keepdim": keepdim}
    for y in [x, tied]:
        add("min", lambda x: x.min(dim, keepdim).values, y, options)
        add("argmin", lambda x: x.min(dim, keepdim).indices, y, options)
    for y in [x, zeros]:
        add("prod", lambda x: x.prod(dim, keepdim), y, options)
    add("any", lambda x: x.any(dim, keepdim), zeros, options)
    add("all", lambda x: x.all(dim, keepdim), zeros, options)
    add("std", lambda x: x.std(dim, False, keepdim), x, options)
    add("std", lambda x: x.std(dim, True, keepdim), x, {**options, "unbiased": True})
    add("logsumexp", lambda x: x.logsumexp(dim, keepdim), x * 100, options)
    add("logsumexp", lambda x: x.logsumexp(dim, keepdim), tied, options)
    for p in [0, 0.5, 1, 2, 3, INF, -INF]:
        add("norm", lambda x: x.norm(p, dim, keepdim), x, float(p), options)
    add("cumsum", lambda x: x.cumsum(dim), x, dim)
    add("sum", lambda x: x.sum(dim, keepdim), x, dim, keepdim)
    add("sum", lambda x: x.sum(dim, keepdim), ints(2, 3, 4), dim, {"keepdim": keepdim})
    add("mean", lambda x: x.mean(dim, keepdim), x, dim, {"keepdim": keepdim})
    add("max", lambda x: x.max(dim, keepdim).values, ints(3, 3), dim, keepdim)
    add("min", lambda x: x.min(dim, keepdim).values, ints(3, 3), dim, keepdim)
    add("argmax", lambda x: x.argmax(dim, keepdim), x, dim, keepdim)
    add("prod", lambda x: x.prod(dim, keepdim), ints(3, 3), dim, keepdim)
add("sum", lambda x: x.sum([0, 2]), x, [0, 2])
add("mean", lambda x: x.mean([0, -1], True), x, {"dim": [0, -1], "keepdim": True})
add("var", lambda x: x.var([1, 2], False), x, {"dim": [1, 2]})
for y in [x, zeros, torch.tensor(3.0), torch.zeros(0, 3), ints(4, low=1)]:
    add("prod", lambda x: x.prod(), y)
    add("any", lambda x: x.any(), y)
    add("all", lambda x: x.all(), y)
add("any", lambda x: x.any(1), empty, 1)
add("all", lambda x: x.all(1), empty, 1)
add("any", lambda x: x.any(), torch.tensor([0.0, NAN]))
add("std", lambda x: x.std(unbiased=False), torch.tensor([1.0, 1.0]))
add("std", lambda x: x.std(), torch.tensor([1.0]), {"unbiased": True})
add("logsumexp", lambda x: x.logsumexp(1), empty, 1)
add("logsumexp", lambda x: x.logsumexp([0, 1, 2]), x)
ties = torch.tensor([0.0, 3.0, -4.0, 4.0, -4.0, 0.0])
for p in [0, 0.5, 1, 1.5, 2, 3, INF, -INF]:
    add("norm", lambda x: x.norm(p), ties, float(p))
add("norm", lambda x: x.norm(), torch.zeros(3))
add("norm", lambda x: x.norm(), torch.tensor(-2.0))
add("norm", lambda x: x.norm(), torch.zeros(0))
add("min", lambda x: x.min(), torch.tensor(3.0))
for n in [0, 1, 2, 7, 8]:
    add("cumsum", lambda x: x.cumsum(-1), randn(2, n), {"dim": -1})
add("cumsum", lambda x: x.cumsum(0), torch.tensor(3.0), 0)
add("cumsum", lambda x: x.cumsum(0), torch.tensor([1.0, NAN, 2.0, INF]), 0)
add("cumsum", lambda x: x.cumsum(1), ints(3, 5), 1)

# ---- i32 with floats
whole = torch.tensor([1, -2, 3])
for name in ["add", "sub", "mul", "div"]:
    f = getattr(torch, name)
    add(name, f, whole, randn(3))
    add(name, f, randn(2, 1), whole)
    add(name, f, whole, torch.tensor([[4], [5]]))
    add(name, lambda x: f(x, 2), whole, 2)
    add(name, lambda x: f(x, 0.5), whole, 0.5)
for name in ["neg", "abs", "exp", "sqrt", "tanh"]:
    add(name, getattr(torch, name), whole.abs() if name == "sqrt" else whole)
add("pow", lambda x: x.pow(2), whole, 2)
add("pow", lambda x: x.float().pow(-1), whole, -1)
mask = torch.tensor([1, 0, 1])
add("where", lambda c, a, b: torch.where(c != 0, a, b), mask, whole, torch.tensor([[7], [8]]))
add("where", lambda c, a, b: torch.where(c != 0, a, b.double()), mask, randn(3), whole)
add("maskedFill", lambda x, m: x.masked_fill(m != 0, 9), whole, mask, 9)

# ---- views and movement
x = randn(2, 3, 4)
n = ints(2, 3, 4)
for y in [x, n]:
    add("view", lambda x: x.view(6, -1), y, 6, -1)
    add("view", lambda x: x.view([4, 6]), y, [4, 6])
    add("reshape", lambda x: x.reshape(3, 8), y, 3, 8)
    add("permute", lambda x: x.permute(2, 0, 1), y, 2, 0, 1)
    add("flatten", lambda x: x.flatten(), y)
    add("flatten", lambda x: x.flatten(1), y, 1)
    add("flatten", lambda x: x.flatten(0, -2), y, 0, -2)
    add("unsqueeze", lambda x: x.unsqueeze(-1), y, -1)
    add("unsqueeze", lambda x: x.unsqueeze(1), y, 1)
    add("expand", lambda x: x.expand(5, -1, 3, -1), y, [5, -1, 3, -1])
    add("repeat", lambda x: x.repeat(2, 1, 3), y, 2, 1, 3)
    add("repeat", lambda x: x.repeat(2, 1, 2, 1), y, [2, 1, 2, 1])
    add("chunk", lambda x: x.chunk(2, 1), y, 2, 1)
    add("chunk", lambda x: x.chunk(3, -1), y, 3, {"dim": -1})
    add("unbind", lambda x: x.unbind(1), y, 1)
    add("flip", lambda x: x.flip(0), y, 0)
    add("flip", lambda x: x.flip(0, -1), y, [0, -1])
    add("roll", lambda x: x.roll(3), y, 3)
    add("roll", lambda x: x.roll(-1, 2), y, -1, 2)
    add("roll", lambda x: x.roll([1, 5], [0, 1]), y, [1, 5], [0, 1])
    add("split", lambda x: x.split(2, 1), y, 2, 1)
    add("cat", lambda a, b: torch.cat([a, b], 1), [y, y.flip(0)], 1)
    add("stack", lambda a, b: torch.stack([a, b], -1), [y, y.flip(0)], -1)
    add("indexSelect", lambda x, i: x.index_select(0, i), y, 0, torch.tensor([1, 1, 0]))
    add("indexSelect", lambda x, i: x.index_select(-1, i), y, -1, torch.tensor([3, 0, 3, 2, 1]))
    add("tril", lambda x: x.tril(1), y, 1)
    add("triu", lambda x: x.triu(), y)
    add("triu", lambda x: x.triu(-1), y, {"diagonal": -1})
    index = torch.randint(0, 3, (2, 5, 3))
    add("gather", lambda x, i: x.gather(1, i), y, 1, index)
    source = (randn if y is x else ints)(3, 6, 4)
    unique = torch.stack([torch.randperm(3) for _ in range(6)]).reshape(2, 3, 3).transpose(1, 2)
    add("scatter", lambda x, i: x.scatter(1, i, 9), y, 1, index, 9)
    add("scatterAdd", lambda x, i, s: x.scatter_add(1, i, s), y, 1, index, source[:2, :5, :3])
add("scatter", lambda x, i, s: x.scatter(1, i, s), x, 1, unique, randn(2, 3, 3))
add("expand", lambda x: x.expand(3, 4), randn(3, 1), 3, 4)
add("expand", lambda x: x.expand(2, 3), torch.tensor(5.0), 2, 3)
add("expand", lambda x: x.expand(0, 3), randn(1, 3), 0, 3)
ones = randn(1, 3, 1)
add("squeeze", lambda x: x.squeeze(), ones)
add("squeeze", lambda x: x.squeeze(0), ones, 0)
add("squeeze", lambda x: x.squeeze(1), ones, 1)
add("squeeze", lambda x: x.squeeze(-1), torch.tensor(1.0), -1)
add("flatten", lambda x: x.flatten(), torch.tensor(1.0))
add("repeat", lambda x: x.repeat(0, 2), randn(2), 0, 2)
add("repeat", lambda x: x.repeat(3), torch.tensor(2.0), 3)
add("chunk", lambda x: x.chunk(3), torch.zeros(0, 2), 3)
add("chunk", lambda x: x.chunk(4), randn(5), 4)
add("unbind", lambda x: x.unbind(), randn(2, 2))
add("flip", lambda x: x.flip(0), torch.zeros(0, 2), 0)
add("roll", lambda x: x.roll(1, 0), torch.zeros(0, 2), 1, 0)
add("gather", lambda x, i: x.gather(0, i), randn(5), 0, torch.tensor([4, 0, 0]))
add("gather", lambda x, i: x.gather(0, i), randn(3, 2), 0, torch.zeros(0, 2).long())
add("indexSelect", lambda x, i: x.index_select(0, i), torch.tensor([NAN, 1.0]), 0, torch.tensor([0, 1, 0]))
add("oneHot", lambda i: F.one_hot(i), torch.tensor([[0, 2], [1, 1]]))
add("oneHot", lambda i: F.one_hot(i, 4), torch.tensor(3), 4)
for diagonal in [0, 1, -2]:
    add("diag", lambda x: x.diag(diagonal), randn(3), diagonal)
    add("diag", lambda x: x.diag(diagonal), randn(3, 4), diagonal)
    add("diag", lambda x: x.diag(diagonal), ints(3, 4), {"diagonal": diagonal})
add("linspace", lambda: torch.linspace(-1, 2, 7), -1, 2, 7)
add("linspace", lambda: torch.linspace(3, 4, 1), 3, 4, 1)
add("eye", lambda: torch.eye(3), 3)
add("eye", lambda: torch.eye(2, 4), 2, 4)
add("zeros", lambda: torch.zeros(2, 3), 2, 3)
add("ones", lambda: torch.ones(3), 3)
for name, f in [("zerosLike", torch.zeros_like), ("onesLike", torch.ones_like)]:
    add(name, lambda x: f(x).detach(), x)
    add(name, f, n)
add("fullLike", lambda n: torch.full_like(n, 7), n, 7)

# ---- sorting
values = torch.tensor([[3.0, NAN, -1.0, 3.0], [INF, 0.5, -INF, 0.25]])
for y in [values, randn(3, 5), ints(2, 5), torch.tensor(2.0), torch.zeros(2, 0)]:
    for descending in [False, True]:
        f = lambda x: x.sort(dim=-1, descending=descending, stable=True)
        add("sort", f, y, -1, descending)
        add("argsort", lambda x: f(x)[1], y, {"dim": -1, "descending": descending})
add("sort", lambda x: x.sort(0), randn(4, 2), {"dim": 0})
for k, dim, largest in [(2, -1, True), (1, 0, False), (3, 1, False), (0, 1, True)]:
    add("topk", lambda x: x.topk(k, dim, largest), randn(3, 4), k, {"dim": dim, "largest": largest})
add("topk", lambda x: x.topk(2), torch.tensor([1.0, NAN, 3.0]), 2)

# ---- products
add("bmm", torch.bmm, randn(2, 3, 4), randn(2, 4, 5))
add("dot", torch.dot, randn(5), randn(5))
add("dot", torch.dot, torch.zeros(0), torch.zeros(0))
add("outer", torch.outer, randn(3), randn(4))
for equation, *shapes in [
    ("ij,jk->ik", (2, 3), (3, 4)), ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)), ("ij->ji", (2, 3)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("i,i->", (4,), (4,)), ("i,j", (2,), (3,)), ("ij->j", (2, 3)),
    ("ij,ij->ij", (2, 3), (2, 3)), ("...ij,...jk->...ik", (6, 2, 3, 4), (2, 4, 5)), ("...i->...", (2, 3)),
    ("a,b,c->abc", (2,), (3,), (2,)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("ji", (2, 3)),
    ("bij,bi->bj", (2, 3, 4), (2, 3)), ("ij,k->", (2, 3), (4,)), ("ab,ab", (2, 3), (1, 3)),
    ("bji,bjk->k i b", (2, 3, 4), (2, 3, 5)), ("ij,jk->ik", (0, 3), (3, 2)), ("ij,jk->ik", (2, 0), (0, 2)),
]:
    add("einsum", lambda *x: torch.einsum(equation, *x), equation, *[randn(*shape) for shape in shapes])

# ---- activations
wide = torch.tensor(SPECIAL + [-30.0, -20.0, -1e-4, 1e-4, -0.49, 0.51, 3.0, 19.9, 20.1, 100.0, -100.0])
for y in [wide, randn(3, 5), torch.tensor(0.3), torch.zeros(0, 2)]:
    add("softplus", F.softplus, y)
    add("softplus", lambda x: F.softplus(x, 2, 5), y, {"beta": 2, "threshold": 5})
    add("leakyRelu", F.leaky_relu, y)
    add("leakyRelu", lambda x: F.leaky_relu(x, 0.5), y, 0.5)
    add("elu", F.elu, y)
    add("elu", lambda x: F.elu(x, 0.5), y, {"alpha": 0.5})
    add("erf", torch.erf, y)

# ---- losses
x, t = randn(3, 4), randn(3, 4)
p = torch.rand(3, 4)
for reduction in [None, "mean", "sum", "none"]:
    options = [] if reduction is None else [{"reduction": reduction}]
    r = reduction or "mean"
    add("mseLoss", lambda x, t: F.mse_loss(x, t, reduction=r), x, t, *options)
    add("l1Loss", lambda x, t: F.l1_loss(x, t, reduction=r), x, t, *options)
    f = F.binary_cross_entropy_with_logits
    add("binaryCrossEntropyWithLogits", lambda x, t: f(x, t, reduction=r), x * 30, p, *options)
    add("klDiv", lambda x, t: F.kl_div(x, t, reduction=r), x, p, *options)
    for size in [(3,), (2, 3)]:
        logits, target = randn(*size, 4), torch.randint(0, 4, size)
        target.flatten()[1] = -100
        flat = lambda x: x.reshape(-1, 4)
        shape = size if r == "none" else []
        add("nllLoss", lambda x, t: F.nll_loss(flat(x), t.flatten(), reduction=r).reshape(shape),
            logits, target, *options)
        add("crossEntropy", lambda x, t: F.cross_entropy(flat(x), t.flatten(), reduction=r).reshape(shape),
            logits, target, *options)
add("klDiv", lambda x, t: F.kl_div(x, t, reduction="batchmean"), x, p, {"reduction": "batchmean"})
add("klDiv", lambda x, t: F.kl_div(x, t, log_target=True), x, t, {"logTarget": True})
add("binaryCrossEntropyWithLogits", lambda x, t: f(x, t.double()), torch.tensor([100.0, -100.0, 0.0]),
    torch.tensor([0, 1, 1]))
add("binaryCrossEntropyWithLogits", lambda x, t: f(x, t, pos_weight=torch.tensor(3.0)), x, p,
    {"posWeight": 3})
add("nllLoss", lambda x, t: F.nll_loss(x, t, ignore_index=2), x, torch.tensor([2, 1, 2]), {"ignoreIndex": 2})
add("nllLoss", lambda x, t: F.nll_loss(x, t), x, torch.tensor([-100, -100, -100]))
add("nllLoss", lambda x, t: F.nll_loss(x, t), torch.tensor([1.0, 2.0]), torch.tensor(1))
add("mseLoss", F.mse_loss, torch.zeros(0), torch.zeros(0))
add("mseLoss", F.mse_loss, torch.tensor(1.0), torch.tensor(3.0))
add("mseLoss", lambda x, t: F.mse_loss(x, t.double()), randn(3), ints(3))

# ---- convolution
x, w, bias = randn(2, 3, 5, 6), randn(4, 3, 3, 2), randn(4)
add("conv2d", F.conv2d, x, w)
add("conv2d", F.conv2d, x, w, bias)
add("conv2d", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), x, w, bias, {"stride": 2, "padding": 1})
add("conv2d", lambda x, w, b: F.conv2d(x, w, b, stride=(1, 2), padding=(2, 0), dilation=(2, 1)), x, w, bias,
    {"stride": [1, 2], "padding": [2, 0], "dilation": [2, 1]})
add("conv1d", lambda x, w, b: F.conv1d(x, w, b, padding=1), randn(2, 3, 7), randn(4, 3, 3), bias, {"padding": 1})
add("conv1d", lambda x, w: F.conv1d(x, w, stride=2), randn(2, 1, 7), randn(1, 1, 2), None, {"stride": 2})
add("maxPool2d", lambda x: F.max_pool2d(x, 2), x, 2)
add("maxPool2d", lambda x: F.max_pool2d(x, (3, 2), 1, 1), x, [3, 2], {"stride": 1, "padding": 1})
add("maxPool2d", lambda x: F.max_pool2d(x, 2), torch.ones(1, 1, 4, 4), 2)

# ---- added later: new cases come last, so that the numbers of those above stay
finite = torch.tensor([5.3, -5.3, 0.0, -0.0, 7.5, -1e-3, 1e10, -2.0])
for divisor in [2, -3, 0.125, 2.0**80]:
    add("remainder", lambda x: torch.remainder(x, divisor), finite, divisor)
add("remainder", torch.remainder, *pairs([NAN, INF, -INF, 0.0, 1.5, -2.0]))
add("remainder", torch.remainder, randn(3, 1) * 9, randn(2, 1, 4))
add("remainder", torch.remainder, ints(3, 1, low=-9, high=9), torch.tensor([1, -2, 3, 7]))
add("remainder", torch.remainder, ints(3, low=-9, high=9), torch.tensor([2.5, -1.5, 4.0]))
for i in [0, 2, -1]:
    add("select", lambda x: x.select(1, i), randn(2, 3, 4), 1, i)
    add("select", lambda x: x.select(-1, i), ints(2, 3), -1, i)
add("clone", torch.clone, randn(2, 3))
add("clone", torch.clone, ints(2, 0))
for name in ["isnan", "isinf", "isfinite"]:
    add(name, getattr(torch, name), special)
    add(name, getattr(torch, name), ints(3))
x, t = randn(4, 3), torch.tensor([2, 0, -100, 1])
weights = torch.rand(3) + 0.2
for smoothing in [0.0, 0.1, 1.0]:
    for r in ["mean", "sum", "none"]:
        options = {"labelSmoothing": smoothing, "reduction": r}
        add("crossEntropy", lambda x, t: F.cross_entropy(x, t, label_smoothing=smoothing, reduction=r), x, t, options)
logits = torch.tensor([[0.0, -INF, 1.0], [INF, 0.0, 1.0], [1e20, 0.0, -1e20]])
add("crossEntropy", lambda x, t: F.cross_entropy(x, t, reduction="sum"), logits, torch.tensor([2, 1, -100]),
    {"reduction": "sum"})

path = os.path.join(os.path.dirname(__file__), "torch-ops.json")
with open(path, "w") as file:
    texts = [json.dumps(case, separators=(",", ":")) for case in cases]
    file.write("[\n" + ",\n".join(texts) + "\n]\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
