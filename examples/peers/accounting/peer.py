"""Google's dp-accounting for examples/peers/accounting: reads JSON lines {"by", "delta", "event"}, an event as our accountants
write it, and answers {"epsilon", "seconds"}. Seconds count the accountant alone, not the reading."""

import json
import sys
import time

try:
    import importlib.metadata

    import dp_accounting as dp
    from dp_accounting.pld import privacy_loss_distribution as pld
except ImportError as missing:
    print("no dp-accounting here:", missing, flush=True)
    sys.exit(0)


def event(e):
    kind = e["type"]
    if kind == "gaussian":
        return dp.GaussianDpEvent(e["noise_multiplier"])
    if kind == "laplace":
        return dp.LaplaceDpEvent(e["noise_multiplier"])
    if kind == "discrete_gaussian":
        return dp.ZCDpEvent(e["sensitivity"] ** 2 / (2 * e["sigma"] ** 2))
    if kind == "poisson_sampled":
        return dp.PoissonSampledDpEvent(e["q"], event(e["event"]))
    if kind == "self_composed":
        return dp.SelfComposedDpEvent(event(e["event"]), e["count"])
    if kind == "composed":
        return dp.ComposedDpEvent([event(part) for part in e["events"]])
    raise ValueError(kind)


def by_rdp(e, delta):
    accountant = dp.rdp.RdpAccountant()
    accountant.compose(event(e))
    return accountant.get_epsilon(delta)


def by_pld(e, delta):
    if e["type"] == "self_composed" and e["event"]["type"] == "discrete_gaussian":  # its accountant has no such event
        one = e["event"]
        loss = pld.from_discrete_gaussian_mechanism(one["sigma"], one["sensitivity"])
        return loss.self_compose(e["count"]).get_epsilon_for_delta(delta)
    accountant = dp.pld.PLDAccountant()
    accountant.compose(event(e))
    return accountant.get_epsilon(delta)


print("dp-accounting", importlib.metadata.version("dp-accounting"), "on Python", sys.version.split()[0], flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    start = time.perf_counter()
    epsilon = {"RDP": by_rdp, "PLD": by_pld}[ask["by"]](ask["event"], ask["delta"])
    print(json.dumps({"epsilon": float(epsilon), "seconds": time.perf_counter() - start}), flush=True)
