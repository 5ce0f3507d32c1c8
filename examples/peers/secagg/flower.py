"""Flower's SecAgg+ for examples/peers/secagg: reads one JSON request a line and answers with one.

hello {}                                          -> versions
round {dim, clients, neighbours, dropped, seed}   -> one whole round: Flower's own secaggplus_mod for every client and its own
    SecAggPlusWorkflow for the server, in this process and on one thread; processor seconds, bytes of the messages, and how far
    the mean that came out is from the plain mean. `dropped` clients share their keys and are never heard of again.

Only what carries the messages is ours: Mailbox hands them over instead of gRPC. Training costs nothing here, carrying is not counted.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import json
import logging
import resource
import sys
import time

import flwr
import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Parameters, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.common.serde import recorddict_to_proto
from flwr.compat.common import recorddict_compat as compat
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation import secaggplus_workflow as server_code
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow, WorkflowState

try:  # newer versions ask who sends a message
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 0
except ImportError:
    pass

logging.getLogger("flwr").setLevel(logging.ERROR)
now = time.process_time  # of all threads: Flower shares its secrets in a pool of them

STAGES = [Stage.SETUP, Stage.SHARE_KEYS, Stage.COLLECT_MASKED_VECTORS, Stage.UNMASK]
CLIP, LEVELS = 1.0, 1 << 16  # 16 bits a coordinate, as ours


class Watch:
    """Counts and times the calls of one of the server's functions."""

    def __init__(self, name):
        self.inner, self.calls, self.seconds = getattr(server_code, name), 0, 0.0
        setattr(server_code, name, self)

    def __call__(self, *args):
        begun = now()
        try:
            return self.inner(*args)
        finally:
            self.calls, self.seconds = self.calls + 1, self.seconds + now() - begun

    def reset(self):
        self.calls, self.seconds = 0, 0.0


shamir, expansion = Watch("combine_shares"), Watch("pseudo_rand_gen")


class Proxy(ClientProxy):
    """A client as the strategy sees it; nothing is called on it."""

    def __init__(self, node):
        super().__init__(str(node))
        self.node_id = node

    def get_properties(self, *_): raise NotImplementedError
    def get_parameters(self, *_): raise NotImplementedError
    def fit(self, *_): raise NotImplementedError
    def evaluate(self, *_): raise NotImplementedError
    def reconnect(self, *_): raise NotImplementedError


class Everybody(FedAvg):
    """Samples every client, and keeps the mean that the protocol opened."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes, self.mean = nodes, None

    def configure_fit(self, server_round, parameters, client_manager):
        return [(Proxy(n), FitIns(parameters, {})) for n in self.nodes]

    def aggregate_fit(self, server_round, results, failures):
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return results[0][1].parameters, {}


class Mailbox:
    """Carries messages between the workflow and the clients, and measures the clients."""

    def __init__(self, nodes, vector, dropped):
        self.contexts = {n: Context(run_id=1, node_id=n, node_config={}, state=RecordDict(), run_config={}) for n in nodes}
        self.vector, self.dropped, self.witness = vector, dropped, next(n for n in nodes if n not in dropped)
        self.seconds = {s: [] for s in STAGES}  # of each client
        self.up, self.down = dict.fromkeys(STAGES, 0), dict.fromkeys(STAGES, 0)  # bytes of one client
        self.inside = 0.0  # everything that is not the server's

    def send_and_receive(self, messages, *, timeout=None):
        begun = now()
        replies = [self.deliver(m) for m in messages]
        self.inside += now() - begun
        return replies

    def deliver(self, message):
        node, stage = message.metadata.dst_node_id, message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
        if node == self.witness:
            self.down[stage] = recorddict_to_proto(message.content).ByteSize()
        if stage == Stage.COLLECT_MASKED_VECTORS and node in self.dropped:
            return Message(Error(0, "gone"), reply_to=message)
        own = RecordDict(dict(message.content))  # the client takes its configuration apart, so it gets one of its own
        own.config_records[RECORD_KEY_CONFIGS] = ConfigRecord(dict(message.content.config_records[RECORD_KEY_CONFIGS]))
        copy = Message(own, metadata=message.metadata)
        trained = 0.0

        def train(msg, _):
            nonlocal trained
            begun = now()
            fit = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([self.vector(node)]), 1, {})
            out = Message(compat.fitres_to_recorddict(fit, keep_input=False), reply_to=msg)
            trained = now() - begun
            return out

        begun = now()
        reply = secaggplus_mod(copy, self.contexts[node], train)
        self.seconds[stage].append(now() - begun - trained)
        if node == self.witness:
            self.up[stage] = recorddict_to_proto(reply.content).ByteSize()
        return reply


def round(dim, clients, neighbours, dropped, seed):
    nodes = list(range(1, clients + 1))
    gone = set(nodes[len(nodes) - dropped:])

    def vector(node):
        return np.random.default_rng([seed, node]).uniform(-CLIP, CLIP, dim).astype(np.float32)

    shares = clients if neighbours >= clients - 1 else neighbours + 1
    if shares != clients and shares % 2 == 0:
        raise ValueError("Flower's graph wants an even number of neighbours")
    strategy, box = Everybody(nodes), Mailbox(nodes, vector, gone)
    workflow = SecAggPlusWorkflow(1.0 if shares == clients else shares, 0.5, max_weight=1.0, clipping_range=CLIP, quantization_range=LEVELS)
    context = LegacyContext(Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}), strategy=strategy)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(ndarrays_to_parameters([np.zeros(1, np.float32)]), True)
    state, server = WorkflowState(), {}
    shamir.reset()
    expansion.reset()
    steps = [workflow.setup_stage, workflow.share_keys_stage, workflow.collect_masked_vectors_stage, workflow.unmask_stage]
    for name, step in zip(STAGES, steps):
        begun, before = now(), box.inside
        if not step(box, context, state):
            raise RuntimeError(f"Flower's server gave up at {name}")
        server[name] = now() - begun - (box.inside - before)
    plain = np.zeros(dim)
    for n in nodes:
        if n not in gone:
            plain += vector(n)
    error = float(np.abs(strategy.mean - plain / (clients - dropped)).max())
    return {
        "client_seconds": {s: float(np.min(v)) for s, v in box.seconds.items()},
        "client_mean_seconds": {s: float(np.mean(v)) for s, v in box.seconds.items()},
        "server_seconds": server, "shamir_seconds": shamir.seconds, "shamir_calls": shamir.calls, "expansions": expansion.calls, "up_bytes": box.up, "down_bytes": box.down,
        "error": error, "step": 2 * CLIP / LEVELS, "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def hello():
    return {"versions": {"flwr": flwr.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}}


for line in sys.stdin:
    ask = json.loads(line)
    op = ask.pop("op")
    try:
        answer = {"hello": hello, "round": round}[op](**ask)
    except Exception as e:
        answer = {"error_message": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
