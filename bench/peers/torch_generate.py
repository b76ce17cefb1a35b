"""Measures generation with a KV cache in PyTorch on the CPU: the optimized baseline for tinybard's generate().

Each token is processed once. Keys and values are stored in one preallocated cache, and its views are created in
advance. The fastest way to multiply one row depends on the machine: the program tries three weight layouts, with one
thread and with all, and measures the fastest. Prints one JSON line."""
import argparse, json, math, signal, statistics, time
import torch, torch.nn.functional as F
from torch_gpt import GPT, PRESETS

def rows(w, b, threads):
    """The layout of nn.Linear: the weights of an output in one row."""
    return lambda x: F.linear(x, w, b)

def columns(w, b, threads):
    """The weights of an input in one row, which is faster for a single row in some libraries."""
    w = w.t().contiguous().t()
    return lambda x: F.linear(x, w, b)

def parts(w, b, threads):
    """The outputs in one part per thread, each a separate matmul, because a matmul of one row uses one thread."""
    if w.shape[0] % threads:
        return columns(w, b, threads)
    w = w.view(threads, -1, w.shape[1]).transpose(1, 2).contiguous()
    b = torch.zeros(w.shape[0], 1, w.shape[2]) if b is None else b.view(w.shape[0], 1, -1)
    return lambda x: torch.baddbmm(b, x.expand(threads, 1, -1), w).view(1, -1)

class Decoder:
    def __init__(self, model, layout, threads, compile):
        self.model = model
        self.m = model.m
        self.D = self.m.C // self.m.H
        m = self.m
        prepare = lambda layer: layout(layer.weight, layer.bias, threads)
        self.head = prepare(model.head)
        self.layers = [(h, *map(prepare, (h.qkv, h.proj, h.fc, h.out))) for h in model.blocks]
        self.cache = torch.zeros(m.L, 2, 1, m.H, m.T, self.D)
        self.slots = [[cache[:, 0, :, t] for t in range(m.T)] for cache in self.cache]
        self.visible = [[(k[:, :, :t + 1], v[:, :, :t + 1]) for t in range(m.T)] for k, v in self.cache]
        self.position_embeddings = list(model.wpe.weight.split(1))
        self.positions = list(torch.arange(m.T).split(1))
        self.causal_mask = torch.full((m.T, m.T), -math.inf).triu(1).view(m.T, 1, 1, m.T)
        self.compiled = torch.compile(self.token_static, fullgraph=True, dynamic=False) if compile else None

    def norm(self, x, layer):
        return F.layer_norm(x, (self.m.C,), layer.weight, layer.bias)

    def prompt(self, ids):
        """Adds the prompt (n) to the cache. Returns the logits of the next token (1, V)."""
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
        """Returns the token that follows token id (1) at position t."""
        x = F.embedding(id, self.model.wte.weight) + self.position_embeddings[t]
        for (h, qkv, proj, fc, out), slots, visible in zip(self.layers, self.slots, self.visible):
            heads = qkv(self.norm(x, h.ln1)).view(3, self.m.H, self.D)
            slots[t].copy_(heads[1:])
            y = F.scaled_dot_product_attention(heads[0].view(1, self.m.H, 1, self.D), *visible[t])
            x = x + proj(y.view(1, -1))
            x = x + out(self.m.act(fc(self.norm(x, h.ln2))))
        return self.sample(self.head(self.norm(x, self.model.ln)))

    def token_static(self, id, t):
        """token() with static shapes, for torch.compile: t is a tensor (1), and a mask hides later positions."""
        x = F.embedding(id, self.model.wte.weight) + self.model.wpe.weight[t]
        for (h, qkv, proj, fc, out), cache in zip(self.layers, self.cache):
            heads = qkv(self.norm(x, h.ln1)).view(3, 1, self.m.H, 1, self.D)
            cache.index_copy_(3, t, heads[1:])
            y = F.scaled_dot_product_attention(heads[0], *cache, attn_mask=self.causal_mask[t])
            x = x + proj(y.view(1, -1))
            x = x + out(self.m.act(fc(self.norm(x, h.ln2))))
        return self.sample(self.head(self.norm(x, self.model.ln)))

    def sample(self, logits):
        """Samples a token (1) from softmax(logits): the argmax of p / e, where e is exponentially distributed."""
        return (logits.softmax(-1) / torch.empty_like(logits).exponential_()).argmax(-1)

    @torch.inference_mode()
    def generate(self, ids, tokens):
        """Returns new tokens after the prompt ids. They stay tensors until all are generated."""
        generated = [self.sample(self.prompt(ids))]
        for t in range(len(ids), len(ids) + tokens - 1):
            last = generated[-1]
            generated.append(self.compiled(last, self.positions[t]) if self.compiled else self.token(last, t))
        return torch.cat(generated).tolist()

def measure(decoder, threads, seconds):
    """Generates for about `seconds`, at least once. Returns the seconds of each generation."""
    torch.set_num_threads(threads)
    durations = []
    ids = torch.arange(a.prompt)
    end = time.perf_counter() + seconds
    while not durations or time.perf_counter() < end:
        start = time.perf_counter()
        decoder.generate(ids, a.tokens)
        durations.append(time.perf_counter() - start)
    return durations

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
    options = argparse.Namespace(dtype="f32", attention="sdpa", pad_vocab=False)
    model = GPT(argparse.Namespace(**PRESETS[a.preset]), options, {})
    model.eval().requires_grad_(False)
    trials = []
    for threads, layout in [(n, layout) for n in {1, a.threads} for layout in (rows, columns, parts)[: 2 + (n > 1)]]:
        decoder = Decoder(model, layout, threads, a.compile)
        measure(decoder, threads, 0)  # the first run compiles and allocates
        trials.append((min(measure(decoder, threads, 0.5)), threads, layout.__name__, decoder))
    _, threads, layout, decoder = min(trials, key=lambda trial: trial[0])
    start = time.perf_counter()
    duration = statistics.median(measure(decoder, threads, a.seconds))
    print(json.dumps(dict(
        preset=a.preset, compile=a.compile, layout=layout, threads=threads,
        tokensPerSecond=round(a.tokens / duration, 1), torch=torch.__version__, setupSeconds=round(start - begin, 2))))
