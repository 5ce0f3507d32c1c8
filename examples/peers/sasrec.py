"""The peer: our default recommender written in PyTorch, as fast as PyTorch lets it be.

SASRec (Kang & McAuley 2018) with pre-layer-norm blocks, GELU (tanh form), learned positions and an item table that is
input and output at once, plus a bias per item: tutti/model/seqrec with its default Config. Runs on PyTorch 1.13 and newer.
A Variant says how the same mathematics is put to PyTorch; step/peer.py tries them all and keeps the fastest.
"""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)


class SASRec(nn.Module):
    """attention: "sdpa" (scaled_dot_product_attention) or "eager" (its parts one by one)."""

    def __init__(self, items, dim=64, blocks=2, heads=2, hidden=64, max_len=64, dropout=0.0, attention="eager"):
        super().__init__()
        self.heads, self.dropout, self.attention = heads, dropout, attention
        self.table = nn.Parameter(torch.empty(items, dim))
        self.item_bias = nn.Parameter(torch.zeros(items))
        self.position = nn.Parameter(torch.empty(max_len, dim))
        self.blocks = nn.ModuleList(Block(dim, hidden) for _ in range(blocks))
        self.final = nn.LayerNorm(dim)
        self.reset()
        mask = torch.full((max_len, max_len), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def reset(self):
        """GPT-2's initial weights, as seqrec.Model.Init has them."""
        residual = 0.02 / math.sqrt(2 * len(self.blocks))
        nn.init.normal_(self.table, std=0.02)
        nn.init.normal_(self.position, std=0.02)
        for b in self.blocks:
            for layer, std in ((b.qkv, 0.02), (b.out, residual), (b.up, 0.02), (b.down, residual)):
                nn.init.normal_(layer.weight, std=std)
                nn.init.zeros_(layer.bias)

    def load(self, values, layout):
        """Takes the weights of tutti: one float32 vector and [name, shape] of its tensors in order."""
        at, own = 0, {}
        for name, shape in layout:
            n = math.prod(shape)
            own[name] = torch.tensor(values[at:at + n]).view(shape)
            at += n
        if at != len(values):
            raise ValueError(f"{len(values)} weights for a layout of {at}")
        with torch.no_grad():
            self.table.copy_(own["item.table"])
            self.item_bias.copy_(own["item.bias"])
            self.position.copy_(own["position"])
            self.final.weight.copy_(own["final.gain"])
            self.final.bias.copy_(own["final.bias"])
            for i, b in enumerate(self.blocks):
                pre = f"block{i}."
                for norm, name in ((b.norm1, "norm1"), (b.norm2, "norm2")):
                    norm.weight.copy_(own[pre + name + ".gain"])
                    norm.bias.copy_(own[pre + name + ".bias"])
                for layer, name in ((b.qkv, "qkv"), (b.out, "out"), (b.up, "up"), (b.down, "down")):
                    layer.weight.copy_(own[pre + name + ".weight"].t())
                    layer.bias.copy_(own[pre + name + ".bias"])

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training) if self.dropout > 0 else x

    def attend(self, qkv):
        """qkv: B x L x 3d; causal self-attention, B x L x d."""
        b, n, d3 = qkv.shape
        h, d = self.heads, d3 // 3
        q, k, v = qkv.view(b, n, 3, h, d // h).permute(2, 0, 3, 1, 4).unbind(0)
        p = self.dropout if self.training else 0.0
        if self.attention == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        else:
            q, k, v = (t.reshape(b * h, n, d // h) for t in (q, k, v))
            s = torch.baddbmm(self.mask[:n, :n], q, k.transpose(1, 2), alpha=1 / math.sqrt(d // h))
            y = torch.bmm(self.drop(torch.softmax(s, -1)), v).view(b, h, n, d // h)
        return y.transpose(1, 2).reshape(b, n, d)

    def encode(self, x, attend):
        """The Transformer over input vectors x; attend maps queries, keys and values to its outputs."""
        x = self.drop(x)
        for b in self.blocks:
            x = x + self.drop(b.out(attend(b.qkv(b.norm1(x)))))
            x = x + self.drop(b.down(F.gelu(b.up(b.norm2(x)), approximate="tanh")))
        return self.final(x)

    def forward(self, ids):
        """ids: B x L, padded at the end with any item; B x L x d. Padding is never seen by what comes before it."""
        x = F.embedding(ids, self.table) + self.position[:ids.shape[1]]
        return self.encode(x, self.attend)

    def forward_packed(self, batch):
        """Sequences one after another without padding: N x d. Only attention looks at one sequence at a time."""
        x = F.embedding(batch.ids, self.table) + F.embedding(batch.at, self.position)
        if batch.nested:
            return self.encode(x, lambda qkv: self.attend_nested(qkv, batch))
        return self.encode(x, lambda qkv: torch.cat([self.attend(part.unsqueeze(0)).squeeze(0) for part in qkv.split(batch.lengths)]))

    def attend_nested(self, qkv, batch):
        """PyTorch's own answer to ragged batches: a jagged nested tensor."""
        d = qkv.shape[1] // 3
        offsets = batch.offsets
        q, k, v = (
            torch.nested.nested_tensor_from_jagged(t.contiguous(), offsets, max_seqlen=max(batch.lengths), min_seqlen=min(batch.lengths))
            .unflatten(-1, [self.heads, d // self.heads]).transpose(1, 2) for t in qkv.chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0)
        return y.transpose(1, 2).flatten(-2).values()


class FusedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of h E^T + b with its gradients made in the forward pass, in chunks whose logits stay in cache and
    in place. What a user with time on their hands writes by hand; several times faster than autograd's passes over N x V."""

    scratch = {}

    @staticmethod
    def forward(ctx, h, table, bias, targets, count, chunk):
        n, v = h.shape[0], table.shape[0]
        chunk = min(chunk or n, n)
        logits = FusedCrossEntropy.buffer(chunk, v)
        dh, dtable, dbias = torch.empty_like(h), torch.zeros_like(table), torch.zeros_like(bias)
        loss, et = 0.0, table.t()
        for at in range(0, n, chunk):
            part, t = h[at:at + chunk], targets[at:at + chunk].unsqueeze(1)
            z = logits[:part.shape[0]]
            torch.addmm(bias, part, et, out=z)
            torch.softmax(z, -1, out=z)
            loss -= z.gather(1, t).log_().sum()
            z.scatter_add_(1, t, z.new_full((1, 1), -1.0).expand_as(t))
            torch.addmm(bias.new_zeros(1), z, table, beta=0, alpha=1 / count, out=dh[at:at + chunk])
            dtable.addmm_(z.t(), part, alpha=1 / count)
            dbias.add_(z.sum(0), alpha=1 / count)
        ctx.save_for_backward(dh, dtable, dbias)
        return loss / count

    @staticmethod
    def backward(ctx, grad):  # grad is 1: the loss is the root
        return (*ctx.saved_tensors, None, None, None)

    @staticmethod
    def buffer(rows, cols):
        own = FusedCrossEntropy.scratch
        if (rows, cols) not in own:
            own.clear()
            own[rows, cols] = torch.empty(rows, cols)
        return own[rows, cols]


def cross_entropy(kind, h, model, targets, count):
    """Sum of the cross-entropies of h (N x d) over count. kind: "ce", "lce[:chunk]" or "fused[:chunk]"."""
    name, _, chunk = kind.partition(":")
    if name == "fused":
        return FusedCrossEntropy.apply(h, model.table, model.item_bias, targets, count, int(chunk or 0))
    if name == "lce":
        options = nn.LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=int(chunk)) if chunk else nn.LinearCrossEntropyOptions()
        total = F.linear_cross_entropy(h, model.table, targets, linear_bias=model.item_bias, reduction="sum", options=options)
    else:
        total = F.cross_entropy(F.linear(h, model.table, model.item_bias), targets, reduction="sum")
    return total / count


def adam(model, rate, kind):
    """kind: "fused", "foreach" or "loop"; not every PyTorch has them all on a CPU."""
    options = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}[kind]
    return torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.999), eps=1e-8, **options)
