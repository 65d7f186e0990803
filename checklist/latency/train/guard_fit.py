"""Fits the guard's weights to labelled pairs, and says what cross-validation finds at each threshold.

usage: cargo run -p aplomb-latency --example cache_guard -- checklist/latency/data/pairs/tuned.jsonl | guard_fit.py
needs: numpy

Only pairs that reach the score are fitted. Folds are by (domain, family). The bias is laid so that the score 0.90 is
where cross-validated false hits among reworded pairs are at most the share given as the first argument (default 0.02).
"""

import collections
import hashlib
import json
import sys

import numpy as np

pairs = [json.loads(line) for line in sys.stdin]
ALLOWED = float(sys.argv[1]) if len(sys.argv) > 1 else 0.02


def fold(pair):
    return hashlib.sha256(f"{pair['domain']}/{pair['family']}".encode()).digest()[0] % 10


def fit(x, y, ridge=1.0):
    mean, dev = x.mean(0), x.std(0) + 1e-6
    z = np.hstack([(x - mean) / dev, np.ones((len(x), 1))])
    w = np.zeros(z.shape[1])
    keep = np.full(len(w), ridge)
    keep[-1] = 1e-6
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ w))
        grad = z.T @ (p - y) + keep * w
        hess = (z * (p * (1 - p))[:, None]).T @ z + np.diag(keep)
        w -= np.linalg.solve(hess, grad)
    return w[:-1] / dev, w[-1] - (w[:-1] * mean / dev).sum()


scored = [p for p in pairs if p["ruling"]["reason"] == "score"]
x = np.array([p["facts"] for p in scored])
y = np.array([p["same"] for p in scored], float)
folds = np.array([fold(p) for p in scored])
out = np.zeros(len(scored))
for k in range(10):
    w, b = fit(x[folds != k], y[folds != k])
    out[folds == k] = x[folds == k] @ w + b
weights, bias = fit(x, y)
sums = {p["id"]: s for p, s in zip(scored, out)}
total = collections.Counter(p["set"] for p in pairs)
why = collections.Counter((p["set"], p["ruling"]["reason"]) for p in pairs)
for key, count in sorted(why.items()):
    print(f"{key[0]:10} {key[1]:10} {count:4} of {total[key[0]]}")
cut = 4.0
for t in np.arange(4, -3, -0.1):
    hits = collections.Counter()
    for p in pairs:
        r = p["ruling"]["reason"]
        hits[p["set"]] += r in ("light_edit", "same_text") or (r == "score" and sums[p["id"]] >= t)
    if hits["reworded"] <= ALLOWED * total["reworded"]:
        cut = t
    if abs(t * 2 - round(t * 2)) < 0.01:
        print(f"{t:5.1f}", *(f"{s} {hits[s] / total[s]:.3f}" for s in sorted(total)))
print("cut", cut)
if "-v" in sys.argv:
    for p in pairs:
        r = p["ruling"]["reason"]
        hit = r in ("light_edit", "same_text") or (r == "score" and sums[p["id"]] >= cut)
        if hit != p["same"]:
            print(p["set"][:5], p["kind"][:6], r, f"{sums.get(p['id'], 0):.2f} {p['cosine']}", "|", p["a"], "|", p["b"])
print("weights", ", ".join(f"{w:.3f}" for w in weights))
print(f"bias {bias - cut + np.log(0.9 / 0.1):.3f}")
