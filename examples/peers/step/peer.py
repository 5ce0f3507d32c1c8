"""One PyTorch process of examples/peers/step: reads commands, one JSON object a line, and answers each with one.

hello            -> what this PyTorch is and which variants it can try
load {...}       -> prepares one variant of one workload under a name; its loss on the given weights
steps {name, n}  -> n training steps: smallest wall and processor time, and the losses
forget           -> frees everything prepared
"""

import base64
import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import numpy
import torch

import sasrec


class Batch:
    """A ragged batch as one of PyTorch's shapes. parts: what goes through the network at once."""

    def __init__(self, shape, items, targets):
        self.count = sum(len(s) for s in items)
        kind, _, number = shape.partition(":")
        order = list(range(len(items)))
        if kind == "buckets":
            order.sort(key=lambda i: len(items[i]))
        self.packed = kind in ("packed", "nested")
        if self.packed:
            self.nested = kind == "nested"
            self.lengths = [len(s) for s in items]
            self.ids = torch.tensor([i for s in items for i in s])
            self.at = torch.tensor([p for s in items for p in range(len(s))])
            self.offsets = torch.tensor([0] + self.lengths).cumsum(0)
            self.targets = torch.tensor([t for s in targets for t in s])
            return
        size = -(-len(order) // int(number or 1))
        self.parts = [self.pad([items[i] for i in order[a:a + size]], [targets[i] for i in order[a:a + size]])
                      for a in range(0, len(order), size)]

    @staticmethod
    def pad(items, targets):
        """ids (B x L), the places of real tokens in B*L or None if all are, and their targets."""
        longest = max(len(s) for s in items)
        ids = torch.tensor([s + [0] * (longest - len(s)) for s in items])
        real = [b * longest + p for b, s in enumerate(items) for p in range(len(s))]
        return ids, None if len(real) == ids.numel() else torch.tensor(real), torch.tensor([t for s in targets for t in s])


class Contestant:
    def __init__(self, spec):
        attention, loss, optimizer = spec["variant"].split("+")[:3]
        values = numpy.frombuffer(base64.b64decode(spec["params"]), dtype=numpy.float32).copy()
        self.model = sasrec.SASRec(spec["items"], spec["dim"], spec["blocks"], spec["heads"], spec["hidden"], spec["max_len"],
                                   spec["dropout"], attention)
        self.model.load(values, spec["layout"])
        self.loss, self.batch = loss, Batch(spec["shape"], spec["sequences"], spec["targets"])
        self.adam = sasrec.adam(self.model, spec["rate"], optimizer)
        self.part = torch.compile(self.part_loss, dynamic=False) if spec["variant"].endswith("+compile") else self.part_loss

    def losses(self):
        """The loss of each part; they add up to the mean over the batch."""
        b = self.batch
        if b.packed:
            h = self.model.forward_packed(b)
            yield sasrec.cross_entropy(self.loss, h, self.model, b.targets, b.count)
            return
        for ids, real, targets in b.parts:
            yield self.part(ids, real, targets)

    def part_loss(self, ids, real, targets):
        h = self.model(ids).flatten(0, 1)
        if real is not None:
            h = h[real]
        return sasrec.cross_entropy(self.loss, h, self.model, targets, self.batch.count)

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            return sum(float(x) for x in self.losses())

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        total = 0.0
        for x in self.losses():
            x.backward()
            total += x.item()
        self.adam.step()
        return total

    def steps(self, n):
        self.model.train()
        wall, cpu, losses = [], [], []
        for _ in range(n):
            w, c = time.perf_counter(), time.process_time()
            losses.append(self.step())
            cpu.append(time.process_time() - c)
            wall.append(time.perf_counter() - w)
        return {"wall": min(wall), "cpu": min(cpu), "losses": losses[:10]}


def blas():
    """The library that multiplies matrices, seen from what is loaded."""
    with open("/proc/self/maps") as f:
        loaded = {line.split()[-1] for line in f if "blas" in line}
    for line in torch.__config__.show().splitlines():
        if "Math Kernel Library" in line:
            return line.strip(" -").replace("Intel(R) oneAPI Math Kernel Library Version", "MKL").split("-")[0]
    for path in sorted(loaded):
        if "openblas" in path:
            return os.path.basename(os.path.realpath(path))
    return "no optimised BLAS (" + ", ".join(os.path.basename(p) for p in sorted(loaded)) + ")"


def hello():
    new = hasattr(torch.nn.functional, "scaled_dot_product_attention")
    losses = ["fused:256", "fused:1024", "fused", "ce"]
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        losses += ["lce", "lce:256"]
    return {
        "version": torch.__version__, "blas": blas(), "threads": torch.get_num_threads(),
        "isa": [line.split(":")[-1].strip() for line in torch.__config__.show().splitlines() if "CPU capability" in line][0],
        "attention": ["sdpa", "eager"] if new else ["eager"], "loss": losses,
        "adam": ["fused", "foreach"] if new else ["foreach", "loop"],
    }


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(1)
    known = {}
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            if ask["op"] == "hello":
                answer = hello()
            elif ask["op"] == "load":
                known[ask["name"]] = c = Contestant(ask)
                answer = {"loss": c.evaluate()}
            elif ask["op"] == "steps":
                answer = known[ask["name"]].steps(ask["n"])
            else:
                known.clear()
                sasrec.FusedCrossEntropy.scratch.clear()
                answer = {}
        except Exception as e:  # one variant that this PyTorch cannot do is no reason to stop
            answer = {"error": f"{type(e).__name__}: {e}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


main()
