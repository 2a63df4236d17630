"""Attention and RotaryEmbedding."""
import numpy as np

from .builder import maker


@maker(23)
def attention(b):
    batch, kv_heads, queries, keys = b.int(1, 2), b.int(1, 3), b.int(1, 40), b.int(1, 60)
    heads = kv_heads * b.int(1, 3)
    size, v_size = b.pick([1, 4, 8, 16, 20]), b.pick([1, 4, 8, 16, 20])
    past = b.int(1, 30) if b.chance(0.3) else 0
    flat = b.chance(0.4)

    def rows(count, length, width):
        return b.input("float32", [batch, length, count * width] if flat else [batch, count, length, width])

    parts = [rows(heads, queries, size), rows(kv_heads, keys, size), rows(kv_heads, keys, v_size), ""]
    if b.chance(0.5):
        shape = [n if b.chance(0.6) else 1 for n in (batch, heads, queries)] + [past + keys]
        mask = b.array("float32", shape[b.int(0, 2):])
        if b.chance(0.5):
            mask = mask > -0.5
            mask[..., 0] = True  # what a query without keys gives differs between runtimes
        parts[3] = b.constant(mask)
    if past:
        parts += [b.input("float32", [batch, kv_heads, past, n]) for n in (size, v_size)]
    how = {"is_causal": b.int(0, 1)}
    if flat:
        how.update(q_num_heads=heads, kv_num_heads=kv_heads)
    if b.chance(0.3):
        how["scale"] = 0.3
    if b.chance(0.3):
        how["softcap"] = 1.5
    shape = [batch, queries, heads * v_size] if flat else [batch, heads, queries, v_size]
    types = [("float32", shape), ("float32", [batch, kv_heads, past + keys, size]),
             ("float32", [batch, kv_heads, past + keys, v_size])]
    count = 3 if past else 1
    b.nodes_of("Attention", parts, outputs=count, types=types[:count], **how)


@maker(23)
def rotary_embedding(b):
    batch, heads, length, size = b.int(1, 3), b.int(1, 4), b.int(1, 9), 2 * b.int(1, 12)
    flat, ids = b.chance(0.4), b.chance(0.6)
    pairs = size // 2
    x = b.input("float32", [batch, length, heads * size] if flat else [batch, heads, length, size])
    angles = b.array("float32", [20, pairs] if ids else [batch, length, pairs])
    parts = [x, b.constant(np.cos(angles)), b.constant(np.sin(angles))]
    if ids:
        parts.append(b.constant(b.rng.integers(0, 20, [batch, length])))
    b.node("RotaryEmbedding", parts, interleaved=b.int(0, 1), num_heads=heads if flat else None,
           types=[("float32", x.shape)])
