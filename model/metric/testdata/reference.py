"""Writes reference.json: cases and what scikit-learn makes of them.

    python -m venv v && v/bin/pip install scikit-learn==1.9.1
    v/bin/python reference.py > reference.json
"""
import json
import warnings

import numpy as np
from scipy.special import log_softmax
from sklearn import metrics
from sklearn.metrics.pairwise import cosine_similarity

rng = np.random.default_rng(20)
ITEMS, K = 25, 5


def case(several):
    scores = rng.normal(size=ITEMS).astype(np.float32)
    history = rng.choice(ITEMS, size=rng.integers(0, 6), replace=False)
    right = rng.choice(np.setdiff1d(np.arange(ITEMS), history), size=rng.integers(2, 8) if several else 1, replace=False)
    compete = np.setdiff1d(np.arange(ITEMS), history)
    truth = np.isin(compete, right).astype(int)
    own = scores[compete].astype(np.float64)
    order = np.argsort(-own)
    chosen = np.zeros(len(compete), int)
    chosen[order[:K]] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p, r, f, _ = metrics.precision_recall_fscore_support(truth, chosen, average="binary")
    return dict(
        scores=scores.tolist(), history=history.tolist(), right=right.tolist(), list=compete[order[:K]].tolist(),
        want={
            "HR": float(truth[order[:K]].max()),
            "NDCG": metrics.ndcg_score(truth[None], own[None], k=K),
            "MRR": 1 / (1 + np.flatnonzero(truth[order])[0].item()),
            "precision": p, "recall": r, "F1": f,
            "accuracy": float(truth[order[0]]),
            "AUC": metrics.roc_auc_score(truth, own),
            "log loss": float(-log_softmax(own)[truth == 1].mean()),
        },
        # Without cut-off, MAP is scikit-learn's ranking precision.
        map_all=metrics.label_ranking_average_precision_score(truth[None], own[None]),
    )


def binary():
    truth = rng.integers(0, 2, size=60)
    p = np.round(np.clip(0.35 * truth + rng.uniform(0, 0.7, size=60), 0, 1), 1)  # many ties
    said = (p >= 0.5).astype(int)
    pr, re, f1, _ = metrics.precision_recall_fscore_support(truth, said, average="binary")
    inner = np.clip(p, 0.01, 0.99)
    return dict(truth=truth.tolist(), probability=p.tolist(), inner=inner.tolist(), want={
        "accuracy": metrics.accuracy_score(truth, said), "precision": pr, "recall": re, "F1": f1,
        "AUC": metrics.roc_auc_score(truth, p), "log loss": metrics.log_loss(truth, inner)})


def classes():
    truth = rng.integers(0, 4, size=80)
    said = np.where(rng.uniform(size=80) < 0.5, truth, rng.integers(0, 4, size=80))
    p, r, f, _ = metrics.precision_recall_fscore_support(truth, said, average="macro")
    return dict(truth=truth.tolist(), predicted=said.tolist(), accuracy=metrics.accuracy_score(truth, said), macro=[p, r, f])


def ratings():
    truth = rng.integers(1, 6, size=50).astype(float)
    said = truth + rng.normal(size=50)
    return dict(truth=truth.tolist(), predicted=said.tolist(), rmse=metrics.root_mean_squared_error(truth, said), mae=metrics.mean_absolute_error(truth, said))


def lists():
    """Beyond accuracy, by definitions written down another way than in the package."""
    features = rng.normal(size=(ITEMS, 6)).astype(np.float32)
    counts = rng.integers(0, 9, size=ITEMS)
    counts[3] = 0
    all_lists = [rng.choice(15, size=K, replace=False).tolist() for _ in range(12)]
    similar = cosine_similarity(features.astype(np.float64))
    exposure = np.bincount(np.concatenate(all_lists), minlength=ITEMS)
    return dict(
        features=features.ravel().tolist(), counts=counts.tolist(), lists=all_lists,
        diversity=float(np.mean([1 - similar[np.ix_(l, l)][np.triu_indices(K, 1)].mean() for l in all_lists])),
        novelty=float(np.mean([-np.log2(np.maximum(counts[l], 1) / counts.sum()).mean() for l in all_lists])),
        coverage=float((exposure > 0).mean()),
        gini=float(np.abs(exposure[:, None] - exposure[None]).mean() / (2 * exposure.mean())))


one = [case(False) for _ in range(12)]
many = [case(True) for _ in range(12)]
print(json.dumps(dict(items=ITEMS, k=K, cases=one + many, binary=binary(), classes=classes(), ratings=ratings(), lists=lists()), default=float))
