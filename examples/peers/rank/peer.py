"""The peers of examples/peers/rank: reads one JSON request a line and answers with one.

load {vectors, queries, dim}       -> the searches that can be made here, with versions
build {name, k}                    -> builds an index; seconds and what it found for every query
time {name, k, queries}            -> seconds of each of some queries, one at a time
"""

import json
import sys
import time

import numpy as np

state = {}


def load(vectors, queries, dim):
    state["x"] = np.fromfile(vectors, dtype=np.float32).reshape(-1, dim)
    state["q"] = np.fromfile(queries, dtype=np.float32).reshape(-1, dim)
    found = {"numpy": np.__version__}
    try:
        import torch
        torch.set_num_threads(1)
        state["torch"], found["torch"] = torch, torch.__version__
    except ImportError:
        pass
    try:
        import faiss
        faiss.omp_set_num_threads(1)
        state["faiss"], found["faiss"] = faiss, faiss.__version__ + " " + faiss.get_compile_options().strip()
    except ImportError:
        pass
    names = ["numpy"] + ["torch"] * ("torch" in found)
    if "faiss" in found:
        names += ["faiss flat", "faiss int8"]
        if len(state["x"]) > 50000:
            names += ["faiss ivf:16", "faiss ivf:64", "faiss ivf int8:64"]
            if len(state["x"]) <= 200_000:  # its graph of a million takes a quarter of an hour to build
                names += ["faiss hnsw:64"]
    return {"versions": found, "names": names}


def build(name, k):
    x, q = state["x"], state["q"]
    n, d = x.shape
    start = time.perf_counter()
    kind, _, effort = name.partition(":")
    if kind == "numpy":
        def search(v):
            s = x @ v
            top = np.argpartition(-s, k)[:k]
            return top[np.argsort(-s[top], kind="stable")]
    elif kind == "torch":
        torch, t = state["torch"], state["torch"].from_numpy(x)
        def search(v):
            return torch.topk(torch.mv(t, torch.from_numpy(v)), k).indices.numpy()
    else:
        index = faiss_index(state["faiss"], kind, int(effort or 0), n, d)
        if not index.is_trained:
            index.train(x[np.random.default_rng(1).permutation(n)[:min(n, 100000)]])
        index.add(x)
        def search(v):
            return index.search(v[None], k)[1][0]
    state[name] = search
    return {"seconds": time.perf_counter() - start, "found": [[int(i) for i in search(v)] for v in q]}


def faiss_index(faiss, kind, effort, n, d):
    ip = faiss.METRIC_INNER_PRODUCT
    if kind == "faiss flat":
        return faiss.IndexFlatIP(d)
    if kind == "faiss int8":
        return faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, ip)
    if kind == "faiss hnsw":
        index = faiss.IndexHNSWFlat(d, 16, ip)
        index.hnsw.efConstruction, index.hnsw.efSearch = 40, effort
        return index
    lists, coarse = int(n ** 0.5), faiss.IndexFlatIP(d)
    if kind == "faiss ivf":
        index = faiss.IndexIVFFlat(coarse, d, lists, ip)
    else:
        index = faiss.IndexIVFScalarQuantizer(coarse, d, lists, faiss.ScalarQuantizer.QT_8bit, ip)
    state.setdefault("kept", []).append(coarse)  # or Python forgets it while the index lives
    index.cp.niter, index.nprobe = 8, effort
    return index


def measure(name, queries):
    search, q, out = state[name], state["q"], []
    for i in queries:
        v = q[i]
        start = time.perf_counter()
        search(v)
        out.append(time.perf_counter() - start)
    return {"times": out}


for line in sys.stdin:
    ask = json.loads(line)
    op = ask.pop("op")
    try:
        answer = {"load": load, "build": build, "time": measure}[op](**ask)
    except Exception as e:
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
