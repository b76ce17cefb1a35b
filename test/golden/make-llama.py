"""Writes test/golden/llama: small random models of transformers with tokenizers and their results.

    pip install torch transformers tokenizers safetensors
    python3 test/golden/make-llama.py
"""

import json
from pathlib import Path

import torch
import transformers as hf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import AddedToken, trainers

FOLDER = Path(__file__).parent / "llama"
TEXT = """
The king's men don't know what they'll do; I'VE SEEN 1234567 ships in 2024, and we're lost.
  Indented lines,\ttabs,\n\n\nblank lines   and trailing spaces   \r\n
Größe, naïve café, Ελληνικά, Привет мир, 日本語のテキスト, العربية, हिन्दी, 🙂👍🏽.
def add(a, b):\n    return a + b  # sum == 3.14\n
What is it that the men of the ship and the king of the land will do when the night is over?
""" * 3
TEXTS = [
    "",
    "The king's ship",
    "WE'RE here, they'LL see; I'm, don't, 'S 'Tis ''s",
    "12345 + 67890 = 3.14159, ½ ② x1y22z333",
    "  two spaces   three\n\n\nlines\r\n \t tab \n",
    "trailing spaces   ",
    "\n",
    " \u00a0\u3000\u2028x\u0085y\ufeffz",
    "caf\u00e9 cafe\u0301 \u1e9b\u0323 \u212b A\u030a ﬁ",
    "日本語のテキスト العربية हिन्दी ไทย 한국어 Ελληνικά Привет",
    "🙂👍🏽👨‍👩‍👧 a\U0001d400b",
    "<|endoftext|>text<|endoftext|>",
    "a <|im_start|>user\nhi<|im_end|> <tool_call>x</tool_call>",
    "$%^&*()!!! --- ... //path/to/file.txt",
    "camelCaseWords HTTPServer iOS ǅungla ʰmod",
    "ſ'ſ K's 'ſx 'Kx",
    "\u0301 combining first, a\u0301b\u0301",
    "def f(x):\n    return x  # ok\n\n\tif y:\n",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(pattern):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train(pre_tokenizer, special, size=300, normalizer=None, ignore_merges=False, bos=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(s, special=s[1] == "|", normalized=False) for s in special])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if bos is None:
        tokenizer.post_processor = byte_level
    else:
        template = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
        tokenizer.post_processor = processors.Sequence([byte_level, template])
    return tokenizer


def randomize(model):
    generator = torch.Generator().manual_seed(1)
    for name, w in model.named_parameters():
        noise = torch.randn(w.shape, generator=generator)
        with torch.no_grad():
            w.copy_(1 + 0.2 * noise if w.ndim == 1 and "norm" in name else 0.2 * noise)


def write(name, model_class, config, tokenizer, dtype=torch.float32, shard="5GB"):
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    model = model_class(config)
    randomize(model)
    model = model.to(dtype)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder, max_shard_size=shard)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    tokenizer.save(str(folder / "tokenizer.json"))
    model = model.float().eval()
    ids = tokenizer.encode("The king's men", add_special_tokens=False).ids
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
        size = tokenizer.get_vocab_size()
        greedy = list(ids)
        for _ in range(12):
            last = model(torch.tensor([greedy])).logits[0, -1, :size]
            greedy.append(int(last.argmax()))
    texts = []
    for text in TEXTS:
        encoded = tokenizer.encode(text, add_special_tokens=False).ids
        texts.append(
            {
                "text": text,
                "ids": encoded,
                "decoded": tokenizer.decode(encoded, skip_special_tokens=False),
            }
        )
    expected = {
        "ids": ids,
        "logits": [[round(x, 6) for x in row] for row in logits[-2:].tolist()],
        "greedy": greedy[len(ids):],
        "texts": texts,
        "prefix": tokenizer.encode("", add_special_tokens=True).ids,
    }
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True) + "\n")


sizes = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
llama3_rope = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

tokenizer = train(split(LLAMA3), ["<|endoftext|>"], ignore_merges=True, bos="<|endoftext|>")
write(
    "llama",
    hf.LlamaForCausalLM,
    hf.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), rope_parameters=llama3_rope, rms_norm_eps=1e-5, **sizes
    ),
    tokenizer,
    torch.bfloat16,
    "30KB",
)
byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
tokenizer = train(digits, special)
write(
    "smollm2",
    hf.LlamaForCausalLM,
    hf.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), tie_word_embeddings=True, rope_theta=100000.0, **sizes
    ),
    tokenizer,
)
tokenizer = train(
    split(QWEN2), special + ["<tool_call>", "</tool_call>"], normalizer=normalizers.NFC()
)
write(
    "qwen2",
    hf.Qwen2ForCausalLM,
    hf.Qwen2Config(vocab_size=320, tie_word_embeddings=True, rope_theta=1000000.0, **sizes),
    tokenizer,
    torch.float16,
)
write(
    "qwen3",
    hf.Qwen3ForCausalLM,
    hf.Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(), head_dim=16, tie_word_embeddings=False, **sizes
    ),
    tokenizer,
)
tokenizer = train(split(TEKKEN), ["<|endoftext|>"])
write(
    "mistral",
    hf.MistralForCausalLM,
    hf.MistralConfig(vocab_size=tokenizer.get_vocab_size(), sliding_window=None, **sizes),
    tokenizer,
)
