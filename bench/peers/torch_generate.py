"""Generation with a KV cache in PyTorch on the CPU, as fast as it honestly goes: the opponent of tinybard's generate().

Every token is read once; keys and values lie in one preallocated cache, whose views are all made beforehand. How a
layer multiplies one row best depends on the machine: three layouts of the weights are tried, on one thread and on all,
and the fastest is measured. Prints one JSON line."""
import argparse, json, math, signal, statistics, time
import torch, torch.nn.functional as F
from torch_gpt import GPT, PRESETS

def rows(w, b, threads):
    """As nn.Linear has its weights: an output's in one row."""
    return lambda x: F.linear(x, w, b)

def columns(w, b, threads):
    """An input's weights in one row, along which a product with a single row runs faster in some libraries."""
    w = w.t().contiguous().t()
    return lambda x: F.linear(x, w, b)

def parts(w, b, threads):
    """The outputs in as many parts as threads, each a product of its own: one with a single row uses one thread."""
    if w.shape[0] % threads:
        return columns(w, b, threads)
    w = w.view(threads, -1, w.shape[1]).transpose(1, 2).contiguous()
    b = torch.zeros(w.shape[0], 1, w.shape[2]) if b is None else b.view(w.shape[0], 1, -1)
    return lambda x: torch.baddbmm(b, x.expand(threads, 1, -1), w).view(1, -1)

class Decoder:
    def __init__(self, model, layout, threads, compile):
        self.model, self.m, self.D = model, model.m, model.m.C // model.m.H
        m, ready = self.m, lambda layer: layout(layer.weight, layer.bias, threads)
        self.head = ready(model.head)
        self.layers = [(h, *map(ready, (h.qkv, h.proj, h.fc, h.out))) for h in model.blocks]
        self.cache = torch.zeros(m.L, 2, 1, m.H, m.T, self.D)
        self.slots = [[cache[:, 0, :, t] for t in range(m.T)] for cache in self.cache]
        self.seen = [[(k[:, :, :t + 1], v[:, :, :t + 1]) for t in range(m.T)] for k, v in self.cache]
        self.places, self.times = list(model.wpe.weight.split(1)), list(torch.arange(m.T).split(1))
        self.future = torch.full((m.T, m.T), -math.inf).triu(1).view(m.T, 1, 1, m.T)
        self.compiled = torch.compile(self.fixed, fullgraph=True, dynamic=False) if compile else None

    def norm(self, x, layer):
        return F.layer_norm(x, (self.m.C,), layer.weight, layer.bias)

    def prompt(self, ids):
        """Reads the prompt (n) into the cache; the logits behind it (1, V)."""
        m, n = self.m, len(ids)
        x = self.model.wte.weight[ids] + self.model.wpe.weight[:n]
        for h, (k, v) in zip(self.model.blocks, self.cache):
            heads = h.qkv(h.ln1(x)).view(n, 3, m.H, self.D).permute(1, 2, 0, 3)[:, None]
            k[:, :, :n], v[:, :, :n] = heads[1], heads[2]
            y = F.scaled_dot_product_attention(*heads, is_causal=True)
            x = x + h.proj(y.transpose(1, 2).reshape(n, m.C))
            x = x + h.out(m.act(h.fc(h.ln2(x))))
        return self.model.head(self.model.ln(x[-1:]))

    def token(self, id, t):
        """The next token after one (1) at place t."""
        x = F.embedding(id, self.model.wte.weight) + self.places[t]
        for (h, qkv, proj, fc, out), slots, seen in zip(self.layers, self.slots, self.seen):
            heads = qkv(self.norm(x, h.ln1)).view(3, self.m.H, self.D)
            slots[t].copy_(heads[1:])
            y = F.scaled_dot_product_attention(heads[0].view(1, self.m.H, 1, self.D), *seen[t])
            x = x + proj(y.view(1, -1))
            x = x + out(self.m.act(fc(self.norm(x, h.ln2))))
        return self.drawn(self.head(self.norm(x, self.model.ln)))

    def fixed(self, id, t):
        """The same in shapes that do not change, for compile: t is a tensor (1), and a mask hides what is to come."""
        x = F.embedding(id, self.model.wte.weight) + self.model.wpe.weight[t]
        for (h, qkv, proj, fc, out), cache in zip(self.layers, self.cache):
            heads = qkv(self.norm(x, h.ln1)).view(3, 1, self.m.H, 1, self.D)
            cache.index_copy_(3, t, heads[1:])
            y = F.scaled_dot_product_attention(heads[0], *cache, attn_mask=self.future[t])
            x = x + proj(y.view(1, -1))
            x = x + out(self.m.act(fc(self.norm(x, h.ln2))))
        return self.drawn(self.head(self.norm(x, self.model.ln)))

    def drawn(self, logits):
        """A token (1) with probability softmax(logits): the argmax of p / e, e exponentially distributed."""
        return (logits.softmax(-1) / torch.empty_like(logits).exponential_()).argmax(-1)

    @torch.inference_mode()
    def generate(self, ids, tokens):
        """New tokens, after reading ids anew; each stays a tensor until all are there."""
        all = [self.drawn(self.prompt(ids))]
        for t in range(len(ids), len(ids) + tokens - 1):
            all.append(self.compiled(all[-1], self.times[t]) if self.compiled else self.token(all[-1], t))
        return torch.cat(all).tolist()

def measure(decoder, threads, seconds):
    """The seconds of each generation, for about so many seconds, at least one."""
    torch.set_num_threads(threads)
    took, ids, end = [], torch.arange(a.prompt), time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        start = time.perf_counter()
        decoder.generate(ids, a.tokens)
        took.append(time.perf_counter() - start)
    return took

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="lecture-10.8m", choices=list(PRESETS))
    for name, value in dict(prompt=16, tokens=200, seconds=5.0, threads=torch.get_num_threads(), limit=900).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--compile", action="store_true")
    a = parser.parse_args()
    signal.alarm(a.limit)
    begin = time.perf_counter()
    torch.manual_seed(1337)
    model = GPT(argparse.Namespace(**PRESETS[a.preset]), argparse.Namespace(dtype="f32", attention="sdpa", pad_vocab=False), {})
    model.eval().requires_grad_(False)
    trials = []
    for threads, layout in [(n, layout) for n in {1, a.threads} for layout in (rows, columns, parts)[: 2 + (n > 1)]]:
        decoder = Decoder(model, layout, threads, a.compile)
        measure(decoder, threads, 0)  # first runs compile, and make their memory
        trials.append((min(measure(decoder, threads, 0.5)), threads, layout.__name__, decoder))
    _, threads, layout, decoder = min(trials, key=lambda trial: trial[0])
    start = time.perf_counter()
    took = statistics.median(measure(decoder, threads, a.seconds))
    print(json.dumps(dict(
        preset=a.preset, compile=a.compile, layout=layout, threads=threads, tokensPerSecond=round(a.tokens / took, 1),
        torch=torch.__version__, setupSeconds=round(start - begin, 2))))
