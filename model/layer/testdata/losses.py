"""Writes losses.json: sampled and pointwise losses in PyTorch, float64, with
autograd. Run it with any PyTorch >= 1.13:

    python3 losses.py > losses.json

Nothing in it is shared with the Go code; the inputs come from an integer
generator that the Go test repeats.
"""

import json
import math

import torch
import torch.nn.functional as F

N, V, D, M = 9, 13, 4, 6
SCALE = 0.25
torch.set_default_dtype(torch.float64)


def draws(seed, n):
    """n numbers in [-2, 2) with 16 bits each: exact in float32."""
    out = []
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append((seed >> 16) / 16384 - 2)
    return out


def tensor(seed, *shape):
    return torch.tensor(draws(seed, math.prod(shape))).reshape(shape)


def items(seed, n):
    return [int((x + 2) / 4 * V) for x in draws(seed, n)]


def sampled(kind, each):
    h, table, bias = tensor(1, N, D).requires_grad_(), tensor(2, V, D).requires_grad_(), tensor(3, V).requires_grad_()
    targets = items(4, N)
    targets[2] = -1
    rows = N if each else 1
    negatives = torch.tensor(items(5, rows * M)).reshape(rows, M).expand(N, M)
    log_count = tensor(6, rows, M).expand(N, M)
    loss = torch.zeros(())
    for n in range(N):
        if targets[n] < 0:
            continue
        keep = negatives[n] != targets[n]
        ids = negatives[n][keep]
        own = table[targets[n]] @ h[n] + bias[targets[n]]
        others = table[ids] @ h[n] + bias[ids]
        if kind == "softmax":
            logits = torch.cat([own[None], others - log_count[n][keep]])
            loss = loss + F.cross_entropy(logits[None], torch.tensor([0]))
        elif kind == "gbce":
            alpha, t = M / (V - 1), 0.75
            beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
            positive = -(torch.sigmoid(own) ** beta).log()
            negative = F.binary_cross_entropy_with_logits(others, torch.zeros_like(others), reduction="sum")
            loss = loss + (positive + negative) / (len(ids) + 1)
        else:
            loss = loss - F.logsigmoid(own - others).mean()
    (SCALE * loss).backward()
    return {"Kind": kind, "Each": each, "Loss": loss.item(),
            "DH": h.grad.flatten().tolist(), "DTable": table.grad.flatten().tolist(), "DBias": bias.grad.tolist()}


def pointwise(kind):
    h, e = tensor(11, N, D).requires_grad_(), tensor(12, N, D).requires_grad_()
    w, b = tensor(13, D).requires_grad_(), tensor(14, 1).requires_grad_()
    labels = tensor(15, N)
    if kind == "logistic":
        labels = (labels > 0).double()
    r = (h * e) @ w + b
    if kind == "squared":
        loss = F.mse_loss(r, labels, reduction="sum")
    else:
        loss = F.binary_cross_entropy_with_logits(r, labels, reduction="sum")
    (SCALE * loss).backward()
    return {"Kind": kind, "Loss": loss.item(), "DH": h.grad.flatten().tolist(), "DE": e.grad.flatten().tolist(),
            "DW": w.grad.tolist(), "DB": b.grad.tolist()}


print(json.dumps({
    "Torch": torch.__version__.split("+")[0],
    "Sampled": [sampled(kind, each) for kind in ("softmax", "gbce", "bpr") for each in (False, True)],
    "Pointwise": [pointwise(kind) for kind in ("squared", "logistic")],
}))
