"""Writes reference.json: the recommender in PyTorch, float64, with autograd.

Run it with any PyTorch >= 1.13 (Debian: apt-get install python3-torch):
    /usr/bin/python3 reference.py
Nothing in it is shared with the Go code; it is built from torch.nn parts.
Weights and data come from an integer generator that the Go test repeats.
"""

import json
import torch
import torch.nn.functional as F

V, D, BLOCKS, HEADS, HIDDEN, L, FEATURES = 29, 8, 2, 2, 12, 9, 5
LENGTHS = [9, 1, 4, 7]
torch.set_default_dtype(torch.float64)


def draws(seed, n):
    """n numbers in [-0.5, 0.5) with 16 bits each: exact in float32."""
    state, out = seed, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 16) / 65536 - 0.5)
    return out


def tensor(seed, *shape):
    n = 1
    for s in shape:
        n *= s
    return torch.tensor(draws(seed, n)).reshape(shape)


def shapes(features):
    out = [("item.projection", (FEATURES, D)), ("item.bias", (FEATURES,))] if features else [
        ("item.table", (V, D)), ("item.bias", (V,))]
    out.append(("position", (L, D)))
    for b in range(BLOCKS):
        out += [(f"block{b}.{n}", s) for n, s in [
            ("norm1.gain", (D,)), ("norm1.bias", (D,)), ("qkv.weight", (D, 3 * D)), ("qkv.bias", (3 * D,)),
            ("out.weight", (D, D)), ("out.bias", (D,)), ("norm2.gain", (D,)), ("norm2.bias", (D,)),
            ("up.weight", (D, HIDDEN)), ("up.bias", (HIDDEN,)), ("down.weight", (HIDDEN, D)), ("down.bias", (D,))]]
    return out + [("final.gain", (D,)), ("final.bias", (D,))]


def block(p, b, x):
    """x: T x D, one sequence."""
    t = x.shape[0]
    w = lambda name: p[f"block{b}.{name}"]
    y = F.layer_norm(x, (D,), w("norm1.gain"), w("norm1.bias"))
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), 1)
    y, _ = F.multi_head_attention_forward(
        y[:, None], y[:, None], y[:, None], D, HEADS, w("qkv.weight").T, w("qkv.bias"), None, None, False, 0.0,
        w("out.weight").T, w("out.bias"), attn_mask=future, need_weights=False)
    x = x + y[:, 0]
    y = F.layer_norm(x, (D,), w("norm2.gain"), w("norm2.bias"))
    y = F.gelu(F.linear(y, w("up.weight").T, w("up.bias")), approximate="tanh")
    return x + F.linear(y, w("down.weight").T, w("down.bias"))


def logits(p, features, items):
    table = p["item.table"] if features is None else features @ p["item.projection"]
    bias = p["item.bias"] if features is None else features @ p["item.bias"]
    x = table[items] + p["position"][:len(items)]
    for b in range(BLOCKS):
        x = block(p, b, x)
    x = F.layer_norm(x, (D,), p["final.gain"], p["final.bias"])
    return x @ table.T + bias


def mean_loss(p, features, batch, soft):
    total, tokens = 0.0, 0
    for i, (items, targets) in enumerate(batch):
        out = logits(p, features, items)
        goal = torch.softmax(3 * tensor(1000 + i, len(items), V), 1).float().double() if soft else targets
        total = total + F.cross_entropy(out, goal, reduction="sum")
        tokens += len(items)
    return total / tokens


def case(name, features, soft):
    p = {n: tensor(100 + i, *s).requires_grad_() for i, (n, s) in enumerate(shapes(features is not None))}
    batch = []
    for i, n in enumerate(LENGTHS):
        ids = torch.tensor([int((x + 0.5) * V) for x in draws(500 + i, n + 1)])
        batch.append((ids[:-1], ids[1:]))
    loss = mean_loss(p, features, batch, soft)
    loss.backward()
    out = {
        "name": name, "soft": soft, "features": features is not None, "loss": loss.item(),
        "logits": logits(p, features, batch[2][0])[-1].tolist(),
        "gradient": {n: t.grad.flatten().tolist() for n, t in p.items()}, "losses": [],
    }
    adam = torch.optim.Adam(p.values(), lr=0.01)
    for _ in range(10):
        adam.zero_grad()
        loss = mean_loss(p, features, batch, soft)
        loss.backward()
        adam.step()
        out["losses"].append(loss.item())
    return out


def short(x):
    """Ten digits are far more than float32 is compared to."""
    if isinstance(x, float):
        return float(f"{x:.10g}")
    if isinstance(x, list):
        return [short(v) for v in x]
    return {k: short(v) for k, v in x.items()} if isinstance(x, dict) else x


features = 4 * tensor(900, V, FEATURES)
cases = [case("table", None, False), case("table, soft targets", None, True),
         case("features", features, False), case("features, soft targets", features, True)]
with open("reference.json", "w") as f:
    json.dump(short({"torch": torch.__version__, "cases": cases}), f, indent=None, separators=(",\n", ":"))
    f.write("\n")
print([c["loss"] for c in cases], [c["losses"][-1] for c in cases])
