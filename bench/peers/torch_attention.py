"""Measures causal attention in PyTorch, in bf16, forward and backward, with its flash and cuDNN kernels.

usage: python torch_attention.py B H T D DROPOUT...    Prints a JSON line for each kernel and dropout: the median
milliseconds of both passes by CUDA events. It cycles through several inputs, so that none is in the cache."""
import json, statistics, sys
import torch, torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

B, H, T, D = map(int, sys.argv[1:5])
SETS = 8
ROUNDS = 5

def median(work, items):
    """Returns the median milliseconds of work(item)."""
    times = []
    for item in items * (ROUNDS + 1):
        start, end = torch.cuda.Event(True), torch.cuda.Event(True)
        start.record(), work(item), end.record()
        times.append((start, end))
    torch.cuda.synchronize()
    return statistics.median(s.elapsed_time(e) for s, e in times[len(items):])

def measure(backend, p):
    def random_input():
        return torch.randn(B, T, H, D, device="cuda", dtype=torch.bfloat16).transpose(1, 2).requires_grad_()
    inputs = [(random_input(), random_input(), random_input()) for _ in range(SETS)]
    attend = lambda q: F.scaled_dot_product_attention(*q, dropout_p=p, is_causal=True)
    with sdpa_kernel(backend):
        with torch.no_grad():
            forward = median(attend, inputs)
        results = [(attend(q), q) for q in inputs]
        dy = torch.randn_like(results[0][0])
        backward = median(lambda r: torch.autograd.grad(r[0], r[1], dy, retain_graph=True), results)
    return dict(forwardMs=round(forward, 5), backwardMs=round(backward, 5))

for p in map(float, sys.argv[5:]):
    for name, backend in ("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION):
        try:
            figures = measure(backend, p)
        except RuntimeError as error:
            figures = dict(failed=str(error).splitlines()[0])
        print(json.dumps(dict(kernel=name, shape=[B, H, T, D], dropout=p, **figures)), flush=True)
