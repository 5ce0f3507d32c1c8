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
        self.part = self.part_loss
        if spec["variant"].endswith("+compile"):
            torch._dynamo.reset()
            self.part = torch.compile(self.part_loss, dynamic=False)

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

    def evaluate(self):  # never compiled: that would count as a second form of the same thing
        self.model.eval()
        with torch.no_grad():
            part, self.part = self.part, self.part_loss
            total = sum(float(x) for x in self.losses())
            self.part = part
            return total

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
        if os.path.basename(path).startswith("libopenblas"):
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
        "attention": ["sdpa", "eager"] if new else ["eager"], "loss_kinds": losses,
        "adam": ["fused", "foreach"] if new else ["loop", "foreach"],
        "shapes": ["padded", "buckets:4", "buckets:8", "buckets:16", "packed", "nested"] if new else ["padded", "buckets:4", "buckets:8", "buckets:16", "packed"],
        "compile": new, "missing": missing() if new else [],
    }


def missing():
    """The parts of PyTorch that would help and do not train on a CPU, in its own words."""
    def varlen():
        from torch.nn.attention.varlen import varlen_attn
        q, at = torch.rand(12, 2, 32, requires_grad=True), torch.tensor([0, 5, 12], dtype=torch.int32)
        varlen_attn(q, q, q, at, at, 7, 7).sum().backward()

    def flex():
        from torch.nn.attention.flex_attention import flex_attention
        q = torch.rand(1, 2, 128, 32, requires_grad=True)
        flex_attention(q, q, q).sum().backward()

    said = []
    for name, probe in (("varlen_attn", varlen), ("flex_attention", flex)):
        try:
            probe()
        except Exception as e:
            said.append(f"{name}: {type(e).__name__}: {e}".splitlines()[0][:160])
    return said


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(1)
    if hasattr(torch.backends.cuda, "enable_cudnn_sdp"):
        torch.backends.cuda.enable_cudnn_sdp(False)  # or nested tensors look for a GPU
    known = {}
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            if ask["op"] == "hello":
                answer = hello()
            elif ask["op"] == "load":
                known[ask["name"]] = c = Contestant({**ask, **ask["work"]})
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
