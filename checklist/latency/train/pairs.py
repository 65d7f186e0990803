"""Writes the labelled pairs from the families of questions, with their cosines.

usage: pairs.py MODEL_DIR       (model.safetensors and tokenizer.json of all-MiniLM-L6-v2)
needs: numpy, safetensors, tokenizers

`tuned.txt` and `held.txt` are read from this script's folder, and ../data/pairs/{tuned,held}.jsonl are written.
A family begins with `+ domain name` (all its lines ask the same) or `- domain name` (the first line, and near
misses of it: `kind|one|text` differs in one slot, `kind|rew|text` is reworded as well).
"""

import hashlib
import json
import math
import pathlib
import random
import re
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
EDITS = ["case", "please", "greeting", "article", "typo", "punctuation"]


class Embedder:
    """Mean-pooled, normalised MiniLM in f32."""

    def __init__(self, folder):
        self.w = load_file(folder / "model.safetensors")
        self.tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tok.no_padding()

    def norm(self, x, name):
        m, v = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - m) / np.sqrt(v + 1e-12) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def __call__(self, text):
        ids = self.tok.encode(text).ids[:128]
        e = "embeddings."
        x = self.w[e + "word_embeddings.weight"][ids] + self.w[e + "position_embeddings.weight"][: len(ids)]
        x = self.norm(x + self.w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for layer in range(6):
            p = f"encoder.layer.{layer}."
            q, k, v = (
                self.linear(x, p + "attention.self." + n).reshape(len(ids), 12, 32).transpose(1, 0, 2)
                for n in ("query", "key", "value")
            )
            s = q @ k.transpose(0, 2, 1) / math.sqrt(32)
            s = np.exp(s - s.max(-1, keepdims=True))
            s /= s.sum(-1, keepdims=True)
            a = (s @ v).transpose(1, 0, 2).reshape(len(ids), 384)
            x = self.norm(x + self.linear(a, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            h = self.linear(x, p + "intermediate.dense")
            h = h * 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
            x = self.norm(x + self.linear(h, p + "output.dense"), p + "output.LayerNorm")
        v = x.mean(0)
        return v / np.linalg.norm(v)


def families(path):
    out = []
    for line in path.read_text().splitlines():
        if line[:2] in ("+ ", "- "):
            out.append((line[0], *line[2:].split(" ", 1), []))
        elif line:
            out[-1][3].append(line)
    return out


def edit(text, kind, rng):
    """The text after a light edit, or None where the edit does not apply."""
    if kind == "case":
        return rng.choice([text.lower(), text.upper(), text.title()])
    if kind == "please":
        low = text[0].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
        return rng.choice([text.rstrip("?") + ", please?", "Please tell me: " + low, text + " Please."])
    if kind == "greeting":
        return rng.choice(["Hi, ", "Hello! ", "Good morning, ", "Hey there. "]) + text + rng.choice(["", " Thanks!", " Thank you."])
    if kind == "article":
        cut = re.sub(r"\b(the|a|an) ", "", text, count=1, flags=re.I)
        return cut if cut != text else None
    if kind == "typo":
        words = [m for m in re.finditer(r"[a-z]{5,}", text) if m.start() and text[m.start() - 1] == " "]
        if not words:
            return None
        m = rng.choice(words)
        w, i = m.group(), rng.randrange(1, len(m.group()) - 2)
        new = rng.choice([w[:i] + w[i + 1] + w[i] + w[i + 2 :], w[:i] + w[i + 1 :], w[: i + 1] + w[i:]])
        return text[: m.start()] + new + text[m.end() :] if new != w else None
    return rng.choice([text.rstrip("?.") + "??", text.rstrip("?."), text.rstrip("?.") + " ?", text.rstrip("?.") + "!"])


def pairs(split):
    for sign, domain, name, lines in families(HERE / f"{split}.txt"):
        base = lines[0]
        rng = random.Random(hashlib.sha256(name.encode()).digest())
        for kind in rng.sample(EDITS, 3):
            new = edit(base, kind, rng)
            if new and new != base:
                yield dict(family=name, domain=domain, set="light", kind=kind, same=True, a=base, b=new)
        for i, line in enumerate(lines[1:]):
            if sign == "+":
                yield dict(family=name, domain=domain, set="paraphrase", kind="paraphrase", same=True, a=base, b=line)
                if i == 1:
                    yield dict(family=name, domain=domain, set="paraphrase", kind="paraphrase", same=True, a=lines[1], b=line)
            else:
                kind, how, text = line.split("|")
                group = "one_slot" if how == "one" else "reworded"
                yield dict(family=name, domain=domain, set=group, kind=kind, same=False, a=base, b=text)


def main():
    embed, cache = Embedder(pathlib.Path(sys.argv[1])), {}

    def vector(text):
        if text not in cache:
            cache[text] = embed(text)
        return cache[text]

    out = HERE.parent / "data" / "pairs"
    for split in ("tuned", "held"):
        with open(out / f"{split}.jsonl", "w") as f:
            for n, p in enumerate(pairs(split)):
                cosine = round(float(vector(p["a"]) @ vector(p["b"])), 4)
                f.write(json.dumps(dict(id=f"{split[0]}{n:04}", split=split, **p, cosine=cosine)) + "\n")


main()
