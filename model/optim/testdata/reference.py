"""Writes reference.json: what PyTorch's optimisers and schedulers do in float64.

    python3 reference.py > reference.json

The Go test makes the same weights and gradients with the same generator."""

import json

import torch

WEIGHTS, STEPS = 5, 20


def draws(seed, n):
    out = []
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append((seed >> 16) / 65536 - 0.5)
    return out


def gradient(step):
    """Of very different sizes; the last coordinate is often exactly 0."""
    g = draws(1000 + step, WEIGHTS)
    g[0] *= 1000
    g[1] *= 1e-3
    if step % 3:
        g[4] = 0.0
    return g


def rate(step):
    return 0.1 / (1 + step)


CASES = [
    ("sgd", {}, lambda p: torch.optim.SGD(p, lr=1)),
    ("sgd", {"WeightDecay": 0.1}, lambda p: torch.optim.SGD(p, lr=1, weight_decay=0.1)),
    ("sgd", {"Momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=1, momentum=0.9)),
    ("sgd", {"Momentum": 0.9, "WeightDecay": 0.1}, lambda p: torch.optim.SGD(p, lr=1, momentum=0.9, weight_decay=0.1)),
    ("sgd", {"Momentum": 0.9, "Nesterov": True, "WeightDecay": 0.1},
     lambda p: torch.optim.SGD(p, lr=1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("adam", {}, lambda p: torch.optim.Adam(p)),
    ("adam", {"WeightDecay": 0.1}, lambda p: torch.optim.Adam(p, weight_decay=0.1)),
    ("adam", {"Beta1": 0.5, "Beta2": 0.9, "Epsilon": 1e-3}, lambda p: torch.optim.Adam(p, betas=(0.5, 0.9), eps=1e-3)),
    ("adamw", {}, lambda p: torch.optim.AdamW(p)),
    ("adamw", {"WeightDecay": 0.3}, lambda p: torch.optim.AdamW(p, weight_decay=0.3)),
    ("rmsprop", {}, lambda p: torch.optim.RMSprop(p)),
    ("rmsprop", {"WeightDecay": 0.1}, lambda p: torch.optim.RMSprop(p, weight_decay=0.1)),
    ("rmsprop", {"Momentum": 0.9, "Beta2": 0.9}, lambda p: torch.optim.RMSprop(p, momentum=0.9, alpha=0.9)),
    ("adagrad", {}, lambda p: torch.optim.Adagrad(p)),
    ("adagrad", {"WeightDecay": 0.1}, lambda p: torch.optim.Adagrad(p, weight_decay=0.1)),
]


def optimiser(rule, constants, make):
    p = torch.tensor(draws(7, WEIGHTS), dtype=torch.float64, requires_grad=True)
    opt = make([p])
    after = []
    for step in range(STEPS):
        opt.param_groups[0]["lr"] = rate(step)
        p.grad = torch.tensor(gradient(step), dtype=torch.float64)
        opt.step()
        after.append(p.tolist())
    return {"Rule": rule, "Constants": constants, "After": after}


def schedule(make):
    p = torch.zeros(1, requires_grad=True)
    opt = torch.optim.SGD([p], lr=0.3)
    s = make(opt)
    rates = []
    for _ in range(STEPS):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        s.step()
    return rates


sched = torch.optim.lr_scheduler
print(json.dumps({
    "Torch": torch.__version__.split("+")[0],
    "Optimisers": [optimiser(*case) for case in CASES],
    "Cosine": schedule(lambda o: sched.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.01)),
    "Exponential": schedule(lambda o: sched.ExponentialLR(o, gamma=0.8)),
    "Stairs": schedule(lambda o: sched.StepLR(o, step_size=4, gamma=0.5)),
    "WarmUp": schedule(lambda o: sched.LinearLR(o, start_factor=1 / 8, end_factor=1, total_iters=7)),
}))
