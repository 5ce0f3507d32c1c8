"""PyTorch's matrix products for examples/peers/gemm: reads lines "m n k layout seconds", answers with the best GFLOP/s."""

import sys
import time

import torch

torch.set_num_threads(1)
mkl = [s.split("Version ")[1].split("-")[0] for s in torch.__config__.show().splitlines() if "Math Kernel Library" in s]
print("torch", torch.__version__, "MKL " + mkl[0] if mkl else "without MKL", flush=True)
for line in sys.stdin:
    m, n, k, layout, seconds = line.split()
    m, n, k, repeat, best = int(m), int(n), int(k), 1, float("inf")
    a = torch.rand(k, m).t() if layout[0] == "T" else torch.rand(m, k)
    b = torch.rand(n, k).t() if layout[1] == "T" else torch.rand(k, n)
    c = torch.empty(m, n)
    end = time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        t = time.perf_counter()
        for _ in range(repeat):
            torch.mm(a, b, out=c)
        t = time.perf_counter() - t
        if t < 5e-5:
            repeat *= 2
            continue
        best = min(best, t / repeat)
    print(f"{2 * m * n * k / best / 1e9:.2f}", flush=True)
