"""Writes decoder.json: the encoder-decoder in PyTorch, float64, with autograd.

Run it with any PyTorch >= 1.13 (Debian: apt-get install python3-torch):
    /usr/bin/python3 decoder.py
Nothing in it is shared with the Go code; attention is torch's own, or written
out where positions are rotary. Weights and data come from an integer generator
that the Go test repeats.
"""

import json
import math
import torch
import torch.nn.functional as F

V, D, BLOCKS, HEADS, HIDDEN, L, FEATURES = 29, 8, 2, 2, 12, 9, 5
DECODER_BLOCKS, HORIZON = 2, 6
READ, LEARNT = [9, 1, 4, 7], [3, 6, 1, 5]  # items before and after the split
torch.set_default_dtype(torch.float64)


def draws(seed, n):
    """n numbers in [-0.5, 0.5) with 16 bits each: exact in float32."""
    state, out = seed, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 16) / 65536 - 0.5)
    return out


def tensor(seed, *shape):
    return torch.tensor(draws(seed, math.prod(shape))).reshape(shape)


def weights(name, seed, shape):
    """Gains around 1, as trained ones are: with gains around 0 a norm's output is
    so small that attention is even and its gradients cancel."""
    return tensor(seed, *shape) + name.endswith(".gain")


class Model:
    def __init__(self, features, norm, positions, activation):
        self.features, self.norm, self.positions, self.activation = features, norm, positions, activation
        self.p = {n: weights(n, 100 + i, s).requires_grad_() for i, (n, s) in enumerate(self.shapes())}

    def shapes(self):
        learned, pre = self.positions == "learned", self.norm == "pre"
        up = 2 * HIDDEN if self.activation == "swiglu" else HIDDEN
        out = [("item.projection", (FEATURES, D)), ("item.bias", (FEATURES,))] if self.features is not None else [
            ("item.table", (V, D)), ("item.bias", (V,))]
        out += [("position", (L, D))] * learned
        attention = [
            ("norm1.gain", (D,)), ("norm1.bias", (D,)), ("qkv.weight", (D, 3 * D)), ("qkv.bias", (3 * D,)),
            ("out.weight", (D, D)), ("out.bias", (D,)), ("norm2.gain", (D,)), ("norm2.bias", (D,))]
        cross = [
            ("cross.q", (D, D)), ("cross.q.bias", (D,)), ("cross.kv", (D, 2 * D)), ("cross.kv.bias", (2 * D,)),
            ("cross.out", (D, D)), ("cross.out.bias", (D,)), ("norm3.gain", (D,)), ("norm3.bias", (D,))]
        feed = [("up.weight", (D, up)), ("up.bias", (up,)), ("down.weight", (HIDDEN, D)), ("down.bias", (D,))]
        for b in range(BLOCKS):
            out += [(f"block{b}.{n}", s) for n, s in attention + feed]
        out += [("final.gain", (D,)), ("final.bias", (D,))] * pre
        out += [("decoder.position", (HORIZON, D))] * learned + [("decoder.start", (D,))]
        for b in range(DECODER_BLOCKS):
            out += [(f"decoder{b}.{n}", s) for n, s in attention + cross + feed]
        return out + [("decoder.final.gain", (D,)), ("decoder.final.bias", (D,))] * pre

    def normed(self, x, name):
        return F.layer_norm(x, (D,), self.p[name + ".gain"], self.p[name + ".bias"])

    def sublayer(self, x, name, f):
        """x + f(norm(x)), or norm(x + f(x))."""
        if self.norm == "pre":
            return x + f(self.normed(x, name))
        return self.normed(x + f(x), name)

    def attend(self, x, memory, weights, biases, out, out_bias, causal, first):
        """Queries at positions first, first+1, ..., keys at 0, 1, ..."""
        n, m = x.shape[0], memory.shape[0]
        hidden = torch.triu(torch.ones(n, m, dtype=torch.bool), 1) if causal else None
        if self.positions == "learned":
            y, _ = F.multi_head_attention_forward(
                x[:, None], memory[:, None], memory[:, None], D, HEADS, weights.T, biases, None, None, False, 0.0,
                out.T, out_bias, attn_mask=hidden, need_weights=False)
            return y[:, 0]
        q = x @ weights[:, :D] + biases[:D]
        k, v = (memory @ weights[:, D:] + biases[D:]).chunk(2, 1)
        heads = []
        for h in range(HEADS):
            part = slice(h * D // HEADS, (h + 1) * D // HEADS)
            scores = rotate(q[:, part], first) @ rotate(k[:, part], 0).T / math.sqrt(D / HEADS)
            if causal:
                scores = scores.masked_fill(hidden, -math.inf)
            heads.append(torch.softmax(scores, 1) @ v[:, part])
        return torch.cat(heads, 1) @ out + out_bias

    def self_attention(self, b, x, causal):
        w = lambda name: self.p[f"{b}.{name}"]
        return self.attend(x, x, w("qkv.weight"), w("qkv.bias"), w("out.weight"), w("out.bias"), causal, 0)

    def cross_attention(self, b, x, memory):
        w = lambda name: self.p[f"{b}.{name}"]
        weights, biases = torch.cat([w("cross.q"), w("cross.kv")], 1), torch.cat([w("cross.q.bias"), w("cross.kv.bias")])
        return self.attend(x, memory, weights, biases, w("cross.out"), w("cross.out.bias"), False, memory.shape[0])

    def feed_forward(self, b, x):
        w = lambda name: self.p[f"{b}.{name}"]
        x = x @ w("up.weight") + w("up.bias")
        if self.activation == "swiglu":
            gate, linear = x.chunk(2, 1)
            x = F.silu(gate) * linear
        else:
            x = F.relu(x) if self.activation == "relu" else F.gelu(x, approximate="tanh")
        return x @ w("down.weight") + w("down.bias")

    def logits(self, items, following):
        p = self.p
        table = p["item.table"] if self.features is None else self.features @ p["item.projection"]
        bias = p["item.bias"] if self.features is None else self.features @ p["item.bias"]
        x = table[items]
        y = table[torch.cat([items[-1:], following[:-1]])]
        y = torch.cat([y[:1] + p["decoder.start"], y[1:]])
        if self.positions == "learned":
            x, y = x + p["position"][:len(x)], y + p["decoder.position"][:len(y)]
        for b in range(BLOCKS):
            b = f"block{b}"
            x = self.sublayer(x, b + ".norm1", lambda x: self.self_attention(b, x, False))
            x = self.sublayer(x, b + ".norm2", lambda x: self.feed_forward(b, x))
        if self.norm == "pre":
            x = self.normed(x, "final")
        for b in range(DECODER_BLOCKS):
            b = f"decoder{b}"
            y = self.sublayer(y, b + ".norm1", lambda y: self.self_attention(b, y, True))
            y = self.sublayer(y, b + ".norm2", lambda y: self.cross_attention(b, y, x))
            y = self.sublayer(y, b + ".norm3", lambda y: self.feed_forward(b, y))
        if self.norm == "pre":
            y = self.normed(y, "decoder.final")
        return y @ table.T + bias

    def mean_loss(self, batch):
        total = sum(F.cross_entropy(self.logits(*s), s[1], reduction="sum") for s in batch)
        return total / sum(len(s[1]) for s in batch)


def rotate(x, first):
    """Su et al. 2021, section 3.2.2: pairs of neighbours, angles 10000^(-2i/width)."""
    width = x.shape[1]
    angle = torch.arange(first, first + len(x))[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
    even, odd = x[:, 0::2], x[:, 1::2]
    return torch.stack([even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos()], 2).reshape(x.shape)


def case(features, norm, positions, activation):
    m = Model(features, norm, positions, activation)
    batch = []
    for i, (n, t) in enumerate(zip(READ, LEARNT)):
        ids = torch.tensor([int((x + 0.5) * V) for x in draws(500 + i, n + t)])
        batch.append((ids[:n], ids[n:]))
    loss = m.mean_loss(batch)
    loss.backward()
    out = {
        "norm": norm, "positions": positions, "activation": activation, "features": features is not None,
        "loss": loss.item(), "logits": m.logits(*batch[2])[0].tolist(),
        "gradient": {n: t.grad.flatten().tolist() for n, t in m.p.items()}, "losses": [],
    }
    adam = torch.optim.Adam(m.p.values(), lr=0.01)
    for _ in range(10):
        adam.zero_grad()
        loss = m.mean_loss(batch)
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


cases = [
    case(None, "pre", "learned", "gelu"), case(4 * tensor(900, V, FEATURES), "pre", "learned", "gelu"),
    case(None, "post", "learned", "relu"), case(None, "pre", "rotary", "swiglu")]
with open("decoder.json", "w") as f:
    json.dump(short({"torch": torch.__version__, "cases": cases}), f, indent=None, separators=(",\n", ":"))
    f.write("\n")
print([c["loss"] for c in cases], [c["losses"][-1] for c in cases])
