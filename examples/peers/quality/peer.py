"""PyTorch SASRec on ml-1m: the recipe and the protocol of `tutti train`, as JSON lines.

    python quality/peer.py --data .../ml-1m --seed 1

Recipe: full-softmax cross-entropy, windows of 64 (60 % at random, 40 % the last one), batch 128, Adam, 1.5e-3 falling to 0
along a cosine, 2,070 steps. Protocol: leave-one-out, full ranking over the whole catalogue, history masked (raw: not masked),
rank = items with a strictly greater score. Time is counted over training steps only: measuring is free for everybody.
"""

import argparse
import json
import math
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import numpy
import torch

import sasrec


def load(folder):
    """Histories of item numbers from 0, oldest first; how many items there are: all of movies.dat, as tutti has them."""
    with open(os.path.join(folder, "interactions.txt")) as f:
        raw = [[int(x) for x in line.split()][1:] for line in f if line.strip()]
    with open(os.path.join(folder, "movies.dat"), encoding="latin-1") as f:
        listed = {int(line.split("::")[0]) for line in f if line.strip()}
    index = {item: i for i, item in enumerate(sorted(listed | {x for h in raw for x in h}))}
    return [[index[x] for x in h] for h in raw if len(h) >= 3], len(index)


def crops(histories, length, batch, random, seed):
    """Batches as tutti's Crops makes them: histories without replacement, reshuffled when all were there."""
    rng, order = numpy.random.default_rng(seed), []
    usable = [h for h in histories if len(h) >= 2]
    while True:
        out = []
        while len(out) < batch:
            if not order:
                order = rng.permutation(len(usable)).tolist()
            h = usable[order.pop()]
            spare = len(h) - length - 1
            if spare > 0 and rng.random() < random:
                h = h[:len(h) - rng.integers(spare + 1)]
            out.append(h[-length - 1:])
        yield out


def pad(sequences, length):
    ids = numpy.zeros((len(sequences), length), dtype=numpy.int64)
    for i, s in enumerate(sequences):
        ids[i, :len(s)] = s
    return torch.from_numpy(ids)


@torch.no_grad()
def measure(model, cases, length, mask=True, k=10):
    """HR@k, NDCG@k and MRR of (history, target) pairs."""
    model.eval()
    hr = ndcg = mrr = 0.0
    for at in range(0, len(cases), 256):
        part = cases[at:at + 256]
        inputs = [h[-length:] for h, _ in part]
        h = model(pad(inputs, max(map(len, inputs))))
        last = h[torch.arange(len(part)), torch.tensor([len(s) - 1 for s in inputs])]
        scores = torch.addmm(model.item_bias, last, model.table.t())
        targets = torch.tensor([t for _, t in part]).unsqueeze(1)
        own = scores.gather(1, targets)
        if mask:
            for i, (history, _) in enumerate(part):
                scores[i, history] = -math.inf
            scores.scatter_(1, targets, own)
        rank = (scores > own).sum(1).double()
        hit = (rank < k).double()
        hr += hit.sum().item()
        ndcg += (hit / torch.log2(rank + 2)).sum().item()
        mrr += (1 / (rank + 1)).sum().item()
    n = len(cases)
    return {"hr": hr / n, "ndcg": ndcg / n, "mrr": mrr / n}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=2070)
    p.add_argument("--length", type=int, default=64)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--dropout", type=float, default=0.2)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--every", type=int, default=69, help="steps between two points of the curve")
    p.add_argument("--attention", default="eager", help="sdpa or eager; eager is the faster one with dropout")
    p.add_argument("--loss", default="fused:256")
    p.add_argument("--adam", default="fused" if hasattr(torch.nn.functional, "scaled_dot_product_attention") else "loop")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    histories, items = load(a.data)
    train = [h[:-2] for h in histories]
    validation = [(h[:-2], h[-2]) for h in histories]
    test = [(h[:-1], h[-1]) for h in histories]
    model = sasrec.SASRec(items, max_len=a.length, dropout=a.dropout, attention=a.attention)
    adam = sasrec.adam(model, a.rate, a.adam)
    print(json.dumps({"torch": torch.__version__, "users": len(histories), "items": items, **vars(a)}), flush=True)

    batches, wall, cpu = crops(train, a.length, a.batch, 0.6, a.seed), 0.0, 0.0
    for step in range(a.steps):
        model.train()
        w, c = time.perf_counter(), time.process_time()
        adam.param_groups[0]["lr"] = a.rate * 0.5 * (1 + math.cos(math.pi * step / a.steps))
        sequences = next(batches)
        inputs = [s[:-1] for s in sequences]
        length = max(map(len, inputs))
        real = torch.tensor([i * length + j for i, s in enumerate(inputs) for j in range(len(s))])
        targets = torch.tensor([t for s in sequences for t in s[1:]])
        adam.zero_grad(set_to_none=True)
        h = model(pad(inputs, length)).flatten(0, 1)
        if len(real) < h.shape[0]:
            h = h[real]
        loss = sasrec.cross_entropy(a.loss, h, model, targets, len(targets))
        loss.backward()
        adam.step()
        loss = loss.item()
        wall += time.perf_counter() - w
        cpu += time.process_time() - c
        if (step + 1) % a.every == 0 or step + 1 == a.steps:
            print(json.dumps({"step": step + 1, "wall": wall, "cpu": cpu, "loss": loss,
                              "validation": measure(model, validation, a.length), "test": measure(model, test, a.length)}), flush=True)
    print(json.dumps({"final": True, "seed": a.seed, "wall": wall, "cpu": cpu,
                      "test": measure(model, test, a.length), "raw": measure(model, test, a.length, mask=False)}), flush=True)


main()
