"""Writes family.json: the encoder recommenders in PyTorch, float64, with autograd.

Run it with any PyTorch >= 1.13 (Debian: apt-get install python3-torch):
    /usr/bin/python3 family.py
Nothing in it is shared with the Go code. Layer norm, activations, multi-head
attention and the losses are torch's own; where positions are rotary, attention
is written out, with complex numbers. Weights and data come from an integer
generator that the Go test repeats; negatives are lists that the Go test checks
against what its model draws.
"""

import json
import math
import torch
import torch.nn.functional as F

V, D, HEADS, HIDDEN, L, FEATURES, USER = 13, 8, 2, 6, 7, 5, 3
LENGTHS = [7, 1, 4]
torch.set_default_dtype(torch.float64)

# What the Go model draws for the three sequences, whose seeds are 71, 72 and 73.
SHARED = [10, 11, 8, 12, 10]  # in proportion to item + 1
# 3 for each position, from the other items; zeros where nothing is to be predicted:
GBCE_EACH = [7, 9, 5, 11, 8, 9, 1, 8, 1, 5, 4, 3, 5, 12, 9, 8, 2, 7, 8, 4, 8, 7, 10, 11,
             3, 8, 6, 1, 6, 5, 4, 10, 10, 10, 4, 1]
BPR_EACH = [8, 9, 6, 0, 0, 0, 0, 0, 0, 11, 8, 9, 0, 0, 0, 0, 0, 0, 1, 7, 1, 8, 10, 11,
            3, 9, 7, 0, 0, 0, 0, 0, 0, 1, 7, 6]


def draws(seed, n):
    """n numbers in [-0.5, 0.5) with 16 bits each: exact in float32."""
    state, out = seed, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 16) / 65536 - 0.5)
    return out


def integers(seed, n, below):
    return [int((x + 0.5) * below) for x in draws(seed, n)]


def tensor(seed, *shape):
    return torch.tensor(draws(seed, math.prod(shape))).reshape(shape)


def case(name, blocks=1, arch="causal", norm="pre", positions="learned", activation="gelu", buckets=0, user=0,
         features=0, hybrid=False, rating=0.0, click=0.0, loss="softmax", calibration=0.0, negatives=None):
    return dict(locals())


CASES = [
    case("bidirectional, post-norm, ReLU, times", blocks=2, arch="bidirectional", norm="post", activation="relu",
         buckets=9),
    case("rotary, SwiGLU, times, users", blocks=2, positions="rotary", activation="swiglu", buckets=20, user=USER),
    case("hybrid, post-norm, ratings and clicks", norm="post", features=FEATURES, hybrid=True, rating=0.5, click=2.0),
    case("bidirectional, rotary, post-norm, SwiGLU, features, users, clicks", arch="bidirectional", norm="post",
         positions="rotary", activation="swiglu", features=FEATURES, user=USER, click=0.5),
    case("sampled softmax, hybrid, ReLU", activation="relu", features=FEATURES, hybrid=True, loss="sampled-softmax",
         negatives=SHARED),
    case("gBCE, features, ratings", features=FEATURES, rating=1.0, loss="gbce", calibration=0.75, negatives=GBCE_EACH),
    case("BPR, bidirectional", arch="bidirectional", loss="bpr", negatives=BPR_EACH),
]


def shapes(c):
    table, up = c["features"] == 0 or c["hybrid"], 2 * HIDDEN if c["activation"] == "swiglu" else HIDDEN
    out = [("item.table", (V, D))] * table
    out += [("item.projection", (FEATURES, D))] * (c["features"] > 0)
    out += [("item.bias", (V if table else FEATURES,))]
    out += [("position", (L, D))] * (c["positions"] == "learned")
    out += [("time", (c["buckets"], D))] * (c["buckets"] > 0)
    out += [("time.until", (c["buckets"], D))] * (c["buckets"] > 0 and c["arch"] == "causal")
    out += [("user", (USER, D))] * (c["user"] > 0)
    out += [("mask", (D,))] * (c["arch"] == "bidirectional")
    for b in range(c["blocks"]):
        out += [(f"block{b}.{n}", s) for n, s in [
            ("norm1.gain", (D,)), ("norm1.bias", (D,)), ("qkv.weight", (D, 3 * D)), ("qkv.bias", (3 * D,)),
            ("out.weight", (D, D)), ("out.bias", (D,)), ("norm2.gain", (D,)), ("norm2.bias", (D,)),
            ("up.weight", (D, up)), ("up.bias", (up,)), ("down.weight", (HIDDEN, D)), ("down.bias", (D,))]]
    out += [("final.gain", (D,)), ("final.bias", (D,))] * (c["norm"] == "pre")
    out += [("rating.weight", (D,)), ("rating.bias", (1,))] * (c["rating"] > 0)
    return out + [("click.weight", (D,)), ("click.bias", (1,))] * (c["click"] > 0)


class Sequence:
    """What the user of number i did: one more event than the model reads."""

    def __init__(self, c, i, asked=False):
        n = LENGTHS[i]
        ids = integers(500 + i, n + 1, V)
        gaps = [k * k // 256 for k in integers(600 + i, n + 1, 65536)]
        self.times = [1_700_000_000 + sum(gaps[:j + 1]) for j in range(n + 1)]
        self.user = tensor(700 + i, USER)
        if c["arch"] == "bidirectional":
            masked = [j == n - 1 if asked else j % 3 == 0 for j in range(n)]
            self.items = [V if m else id for m, id in zip(masked, ids)]
            self.targets = [id if m else -1 for m, id in zip(masked, ids)]
            self.times = self.times[:n]
        else:
            self.items, self.targets = ids[:-1], ids[1:]
        if i == 2:
            self.times = None  # and nothing is known of this user
            self.user = torch.zeros(USER)
        self.rated = integers(800 + i, n, V)
        self.ratings = [None if j % 3 == 1 else 4 * x + 3 for j, x in enumerate(draws(810 + i, n))]
        self.clicks = [k - 1 for k in integers(820 + i, n, 3)]


def buckets(times, shift, n, count):
    """1 + the bits of the gap in seconds, 0 for an unknown one."""
    out = []
    for i in range(shift, n + shift):
        known = times is not None and 0 < i < len(times)
        out.append(min(1 + (times[i] - times[i - 1]).bit_length(), count - 1) if known else 0)
    return torch.tensor(out)


def rotate(x):
    """x: T x HEADS x D/HEADS, turned by position: RoFormer, eq. 34."""
    t, _, w = x.shape
    angle = torch.arange(t)[:, None] * 10000.0 ** (-torch.arange(0, w, 2) / w)[None]
    turned = torch.view_as_complex(x.reshape(t, HEADS, w // 2, 2)) * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.view_as_real(turned).reshape(t, HEADS, w)


def attention(c, p, b, x):
    w, t = lambda name: p[f"block{b}.{name}"], x.shape[0]
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), 1) if c["arch"] == "causal" else None
    if c["positions"] == "learned":
        y, _ = F.multi_head_attention_forward(
            x[:, None], x[:, None], x[:, None], D, HEADS, w("qkv.weight").T, w("qkv.bias"), None, None, False, 0.0,
            w("out.weight").T, w("out.bias"), attn_mask=future, need_weights=False)
        return y[:, 0]
    q, k, v = (x @ w("qkv.weight") + w("qkv.bias")).reshape(t, 3, HEADS, D // HEADS).unbind(1)
    score = torch.einsum("ihw,jhw->hij", rotate(q), rotate(k)) / math.sqrt(D // HEADS)
    if future is not None:
        score = score.masked_fill(future, -torch.inf)
    return torch.einsum("hij,jhw->ihw", score.softmax(2), v).reshape(t, D) @ w("out.weight") + w("out.bias")


def feed(c, p, b, x):
    up = x @ p[f"block{b}.up.weight"] + p[f"block{b}.up.bias"]
    act = {"gelu": lambda: F.gelu(up, approximate="tanh"), "relu": lambda: F.relu(up),
           "swiglu": lambda: F.silu(up[:, :HIDDEN]) * up[:, HIDDEN:]}[c["activation"]]()
    return act @ p[f"block{b}.down.weight"] + p[f"block{b}.down.bias"]


def catalogue(c, p):
    """The vectors and biases of all items."""
    if c["features"] == 0:
        return p["item.table"], p["item.bias"]
    matrix = 4 * tensor(900, V, FEATURES)
    if c["hybrid"]:
        return p["item.table"] + matrix @ p["item.projection"], p["item.bias"]
    return matrix @ p["item.projection"], matrix @ p["item.bias"]


def outputs(c, p, s):
    n = len(s.items)
    table, _ = catalogue(c, p)
    if c["arch"] == "bidirectional":
        table = torch.cat([table, p["mask"][None]])
    x = table[torch.tensor(s.items)]
    x = x + p["position"][:n] if c["positions"] == "learned" else x
    x = x + p["time"][buckets(s.times, 0, n, c["buckets"])] if "time" in p else x
    x = x + p["time.until"][buckets(s.times, 1, n, c["buckets"])] if "time.until" in p else x
    x = x + s.user @ p["user"] if "user" in p else x
    for b in range(c["blocks"]):
        norm = lambda y, i: F.layer_norm(y, (D,), p[f"block{b}.norm{i}.gain"], p[f"block{b}.norm{i}.bias"])
        if c["norm"] == "pre":
            x = x + attention(c, p, b, norm(x, 1))
            x = x + feed(c, p, b, norm(x, 2))
        else:
            x = norm(x + attention(c, p, b, x), 1)
            x = norm(x + feed(c, p, b, x), 2)
    return F.layer_norm(x, (D,), p["final.gain"], p["final.bias"]) if c["norm"] == "pre" else x


def item_loss(c, score, target, own):
    """score: V, of one position; own: the number of the position in the batch."""
    if c["loss"] == "softmax":
        return F.cross_entropy(score, torch.tensor(target))
    shared = c["loss"] == "sampled-softmax"
    drawn = c["negatives"] if shared else c["negatives"][3 * own:3 * own + 3]
    ids = [j for j in drawn if j != target]
    negatives = score[torch.tensor(ids)]
    if shared:
        chance = torch.tensor([(j + 1) / (V * (V + 1) / 2) for j in ids])
        others = negatives - torch.log(len(drawn) * chance)
        return -score[target] + torch.logsumexp(torch.cat([score[target][None], others]), 0)
    if c["loss"] == "bpr":
        return -F.logsigmoid(score[target] - negatives).mean()
    alpha = len(drawn) / (V - 1)
    beta = alpha * (c["calibration"] * (1 - 1 / alpha) + 1 / alpha)
    return -(beta * F.logsigmoid(score[target]) + F.logsigmoid(-negatives).sum()) / (len(ids) + 1)


def mean_loss(c, p, batch):
    table, bias = catalogue(c, p)
    items, ratings, clicks, at = [], [], [], 0
    for s in batch:
        for h, target, rated, rating, click in zip(outputs(c, p, s), s.targets, s.rated, s.ratings, s.clicks):
            if target >= 0:
                items.append(item_loss(c, table @ h + bias, target, at))
            at += 1
            if c["rating"] and rating is not None:
                ratings.append((p["rating.weight"] @ (h * table[rated]) + p["rating.bias"][0] - rating) ** 2)
            if c["click"] and click >= 0:
                said = p["click.weight"] @ (h * table[rated]) + p["click.bias"][0]
                clicks.append(F.binary_cross_entropy_with_logits(said, torch.tensor(float(click))))
    mean = lambda x: torch.stack(x).mean() if x else 0.0
    return mean(items) + c["rating"] * mean(ratings) + c["click"] * mean(clicks)


def run(c):
    p = {n: tensor(100 + i, *s).requires_grad_() for i, (n, s) in enumerate(shapes(c))}
    batch = [Sequence(c, i) for i in range(len(LENGTHS))]
    loss = mean_loss(c, p, batch)
    loss.backward()
    table, bias = catalogue(c, p)
    logits = table @ outputs(c, p, Sequence(c, 0, asked=True))[-1] + bias
    out = dict(c, loss=loss.item(), kind=c["loss"], logits=logits.tolist(),
               gradient={n: t.grad.flatten().tolist() for n, t in p.items()}, losses=[])
    adam = torch.optim.Adam(p.values(), lr=0.01)
    for _ in range(10):
        adam.zero_grad()
        loss = mean_loss(c, p, batch)
        loss.backward()
        adam.step()
        out["losses"].append(loss.item())
    return out


def short(x):
    """Seven digits are more than float32 is compared to."""
    if isinstance(x, float):
        return float(f"{x:.7g}")
    if isinstance(x, list):
        return [short(v) for v in x]
    return {k: short(v) for k, v in x.items()} if isinstance(x, dict) else x


if __name__ == "__main__":
    cases = [run(c) for c in CASES]
    with open("family.json", "w") as f:
        json.dump(short({"torch": torch.__version__, "cases": cases}), f, separators=(",", ":"))
        f.write("\n")
    print([(c["name"], c["loss"], c["losses"][-1]) for c in cases])
