"""Makes the witnesses in this folder: inputs and outputs of every operator, computed by others than timbre.

    python3 -m venv venv && venv/bin/pip install torch scipy gguf safetensors && venv/bin/python make.py

PyTorch computes in float64 from float32 inputs; the result is rounded to float32. What PyTorch lacks comes from SciPy (the
running mean) and from gguf (weights in blocks). A file an operator: NAME.safetensors holds CASE.inI and CASE.outI in timbre's
layouts (features last); its metadata has for each case the attributes, the inputs that are constants, and the types of
weights in blocks; "made by" says with which versions.
"""

import json
import os

import gguf
import numpy as np
import scipy
import scipy.signal
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20)
torch.set_grad_enabled(False)
MADE_BY = f"torch {torch.__version__.split('+')[0]}, scipy {scipy.__version__}, gguf {gguf.__name__} {__import__('importlib.metadata').metadata.version('gguf')}"
files = {}


def add(op, case, attrs, inputs, outputs, constants=(), blocks=None, scalars=()):
    tensors, metadata = files.setdefault(op, ({}, {"made by": MADE_BY}))
    for kind, list_ in (("in", inputs), ("out", outputs)):
        for i, t in enumerate(list_):
            if t is None:
                continue
            if t.dtype == torch.float64:
                t = t.to(torch.float32)
            tensors[f"{case}.{kind}{i}"] = t.contiguous().clone()
    about = {"attrs": attrs, "inputs": len(inputs), "constants": list(constants)}
    if blocks:
        about["blocks"] = {str(i): {"dtype": name, "shape": list(shape)} for i, (name, shape) in blocks.items()}
    if scalars:
        about["scalars"] = list(scalars)
    metadata[case] = json.dumps(about)


def rand(*shape, lo=-1.0, hi=1.0):
    return torch.rand(*shape, dtype=torch.float32) * (hi - lo) + lo


def first(x):  # features last to PyTorch's features second
    return x.double().movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


# ---- convolutions

def three(values, dims, neutral):
    return [neutral] * (3 - dims) + list(values)


def conv(case, x, w, b, stride, dilation, pad_lo, pad_hi, groups):
    dims = x.dim() - 2
    pads = [p for i in reversed(range(dims)) for p in (pad_lo[i], pad_hi[i])]
    f = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    y = f(F.pad(first(x), pads), w.double(), None if b is None else b.double(), stride=stride, dilation=dilation, groups=groups)
    attrs = {"dims": dims, "kernel": three(w.shape[2:], dims, 1), "stride": three(stride, dims, 1), "dilation": three(dilation, dims, 1),
             "pad_lo": three(pad_lo, dims, 0), "pad_hi": three(pad_hi, dims, 0), "groups": groups}
    add("conv", case, attrs, [x, w, b], [last(y)], (1, 2))


conv("1d", rand(2, 33, 24), rand(48, 24, 8), rand(48), [4], [1], [2], [2], 1)
conv("1d_dilated", rand(1, 20, 16), rand(12, 16, 3), rand(12), [1], [2], [2], [2], 1)
conv("1d_causal", rand(1, 20, 16), rand(12, 16, 3), None, [1], [1], [2], [0], 1)
conv("1d_depthwise", rand(1, 20, 16), rand(16, 1, 5), rand(16), [1], [1], [2], [2], 16)
conv("2d", rand(1, 9, 11, 8), rand(12, 8, 3, 3), rand(12), [1, 1], [1, 1], [1, 1], [1, 1], 1)
conv("2d_wide", rand(1, 8, 10, 32), rand(48, 32, 3, 3), None, [1, 1], [1, 1], [1, 1], [1, 1], 1)
conv("2d_strided_grouped", rand(2, 7, 10, 16), rand(24, 4, 3, 5), rand(24), [2, 1], [1, 2], [1, 0], [0, 3], 4)
conv("3d", rand(1, 4, 5, 6, 8), rand(16, 8, 3, 3, 3), rand(16), [1, 1, 1], [1, 1, 1], [2, 1, 1], [0, 1, 1], 1)
conv("3d_strided", rand(1, 5, 6, 7, 4), rand(8, 4, 3, 2, 3), None, [2, 1, 2], [1, 2, 1], [1, 1, 1], [1, 1, 1], 1)


def conv_transpose(case, x, w, b, stride, padding, output_padding, groups):
    dims = x.dim() - 2
    f = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    y = f(first(x), w.double(), None if b is None else b.double(), stride=stride, padding=padding, output_padding=output_padding, groups=groups)
    attrs = {"dims": dims, "kernel": three(w.shape[2:], dims, 1), "stride": three(stride, dims, 1), "crop_lo": three(padding, dims, 0),
             "crop_hi": three([p - o for p, o in zip(padding, output_padding)], dims, 0), "groups": groups}
    add("conv_transpose", case, attrs, [x, w, b], [last(y)], (1, 2))


conv_transpose("1d", rand(2, 13, 24), rand(24, 12, 8), rand(12), [4], [2], [0], 1)
conv_transpose("2d", rand(1, 6, 7, 16), rand(16, 8, 5, 5), rand(8), [2, 2], [2, 2], [1, 1], 1)
conv_transpose("2d_grouped", rand(1, 4, 9, 16), rand(16, 8, 1, 5), None, [1, 2], [0, 2], [0, 0], 2)
conv_transpose("2d_depthwise", rand(1, 4, 8, 16), rand(16, 1, 1, 3), None, [1, 2], [0, 1], [0, 1], 16)
conv_transpose("3d", rand(1, 3, 4, 5, 8), rand(8, 6, 2, 2, 2), rand(6), [2, 2, 2], [0, 0, 0], [0, 0, 0], 1)

# ---- products

x, w, b = rand(2, 9, 64), rand(48, 64), rand(48)
add("linear", "plain", {}, [x, w, b], [F.linear(x.double(), w.double(), b.double())], (1, 2))
x, w = rand(1, 6, 64), rand(8, 4, 8)
y = torch.einsum("ntgi,goi->ntgo", x.double().reshape(1, 6, 8, 8), w.double()).reshape(1, 6, 32)
add("linear", "grouped", {"groups": 8}, [x, w, None], [y], (1,))
x, w, b = rand(2, 3, 32, 10), rand(8, 32), rand(8)
y = F.linear(x.double().transpose(-1, -2), w.double(), b.double()).transpose(-1, -2)
add("linear", "axis2", {"axis": -2}, [x, w, b], [y], (1, 2))
for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
    for rows in (1, 5, 34):
        x, w, b = rand(rows, 96), rand(33, 96).to(dtype), rand(33)
        add("linear", f"{name}_{rows}", {}, [x, w, b], [F.linear(x.double(), w.double(), b.double())], (1, 2))


def in_blocks(name, rows, columns):
    """Random bytes with scales of plausible size, and what gguf makes of them."""
    kind = getattr(gguf.GGMLQuantizationType, name)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    raw = np.random.default_rng(len(name) + rows).integers(0, 256, (rows, columns // elements, size), dtype=np.uint8)
    halves = {"Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}[name]
    small = {"Q4_K": 1e-3, "Q5_K": 5e-4, "Q6_K": 3e-4, "Q8_0": 8e-3}.get(name, 0.06)
    for n, at in enumerate(halves):
        scale = (np.random.default_rng(at + rows).random((rows, columns // elements)) + 0.5) * small * (-1 if n and name.endswith("_1") else 1)
        raw[:, :, at : at + 2] = scale.astype(np.float16)[..., None].view(np.uint8)
    values = gguf.quants.dequantize(raw.reshape(rows, -1), kind).reshape(rows, columns)
    return torch.from_numpy(raw.reshape(-1)), torch.from_numpy(values.astype(np.float32))


for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"):
    raw, values = in_blocks(name, 11, 256)
    for rows in (1, 6, 34):
        x = rand(rows, 256)
        add("linear", f"{name}_{rows}", {}, [x, raw, None], [F.linear(x.double(), values.double())], (1,), {1: (name, (11, 256))})
    ids = torch.tensor([3, 0, 10], dtype=torch.int32)
    add("embedding", name, {}, [ids, raw], [F.embedding(ids.long(), values)], (1,), {1: (name, (11, 256))})

a, b = rand(2, 3, 5, 7), rand(2, 3, 7, 9)
add("matmul", "plain", {}, [a, b], [a.double() @ b.double()])
a, b = rand(3, 17, 32), rand(3, 19, 32)
add("matmul", "transposed", {"transpose_b": True, "scale": 0.125}, [a, b], [a.double() @ b.double().mT * 0.125])

ids, table = torch.randint(0, 9, (2, 5), dtype=torch.int32), rand(9, 12)
add("embedding", "float32", {}, [ids, table], [F.embedding(ids.long(), table)], (1,))
for dtype in (torch.float16, torch.bfloat16):
    stored = table.to(dtype)
    add("embedding", str(dtype)[6:], {}, [ids, stored], [F.embedding(ids.long(), stored).float()], (1,))


# ---- attention

def rotary(case, x, heads, dims, interleaved, position, first_position, inverse, scalar=False):
    n, t, f = x.shape
    p = (torch.arange(t) + first_position if position is None else position).float()
    angle = (p[..., None] * inverse).double()  # a product of float32 numbers
    cos, sin = angle.cos(), angle.sin()
    cos, sin = (a if a.dim() == 3 else a[None] for a in (cos, sin))
    cos, sin = cos[:, :, None], sin[:, :, None]
    heads_x = x.double().reshape(n, t, heads, f // heads)
    turned, rest = heads_x[..., :dims], heads_x[..., dims:]
    if interleaved:
        z = torch.view_as_complex(turned.reshape(n, t, heads, dims // 2, 2)) * torch.complex(cos, sin)
        turned = torch.view_as_real(z).flatten(-2)
    else:
        a, b = turned.chunk(2, -1)
        turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    attrs = {"heads": heads, "dims": dims, "interleaved": interleaved, **({"at": 0} if scalar else {"first": first_position})}
    add("rotary", case, attrs, [x, inverse, position], [torch.cat([turned, rest], -1).reshape(n, t, f)], (1,), None, [first_position] if scalar else ())


def inverse(dims, base=10000.0):
    return 1.0 / base ** (torch.arange(0, dims, 2).float() / dims)


rotary("halves", rand(2, 9, 32), 2, 16, False, None, 0, inverse(16))
rotary("interleaved", rand(2, 9, 32), 2, 16, True, None, 0, inverse(16))
rotary("partial", rand(1, 5, 60), 3, 8, False, None, 100, inverse(8))
rotary("partial_interleaved", rand(1, 5, 60), 3, 8, True, None, 100, inverse(8))
rotary("far", rand(1, 4, 128), 1, 128, False, torch.tensor([2047, 8191, 100000, 3], dtype=torch.int32), 0, inverse(128, 1e6))
rotary("scalar", rand(1, 3, 64), 2, 32, False, None, 321, inverse(32), True)
rotary("positions", rand(2, 3, 64), 2, 32, False, torch.tensor([[7, 8, 9], [1000, 0, 5]], dtype=torch.int32), 0, inverse(32))


def attention(case, q, k, v, heads, groups, scale, mask, attrs, scalars=()):
    def split(x, h):
        return x.double().reshape(*x.shape[:2], h, -1).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(q, heads), split(k, groups), split(v, groups), attn_mask=mask, scale=scale, enable_gqa=groups != heads)
    attrs = {"heads": heads, "scale": scale, **attrs}
    if groups != heads:
        attrs["kv_heads"] = groups
    add("attention", case, attrs, [q, k, v], [y.transpose(1, 2).reshape(q.shape)], (), None, scalars)


def seen(queries, keys, length=None, causal=False, past=None, block=1):
    length = keys if length is None else length
    past = length - queries if past is None else past
    i, j = torch.arange(queries)[:, None], torch.arange(keys)[None]
    return (j < length) & ((j < past + (i // block + 1) * block) if causal else (j >= 0))


attention("plain", rand(2, 11, 64), rand(2, 19, 64), rand(2, 19, 64), 4, 4, 0.25, None, {})
attention("causal", rand(1, 13, 32), rand(1, 13, 32), rand(1, 13, 32), 2, 2, 0.5, seen(13, 13, causal=True), {"causal": True})
attention("causal_cached", rand(1, 3, 32), rand(1, 13, 32), rand(1, 13, 32), 2, 2, 0.5, seen(3, 13, causal=True), {"causal": True})
attention("grouped", rand(2, 7, 96), rand(2, 9, 32), rand(2, 9, 32), 6, 2, 0.25, None, {})
attention("length", rand(2, 3, 32), rand(2, 20, 32), rand(2, 20, 32), 2, 2, 0.25, seen(3, 20, 13), {"length": 13})
attention("step", rand(1, 1, 72), rand(1, 40, 24), rand(1, 40, 24), 9, 3, 0.3, seen(1, 40, 33, True), {"length": 33, "causal": True})
attention("past", rand(1, 12, 24), rand(1, 32, 24), rand(1, 32, 24), 2, 2, 0.3, seen(12, 32, 9, True, 5), {"length": 9, "past": 5, "causal": True})
attention("scalars", rand(1, 5, 72), rand(1, 40, 24), rand(1, 40, 24), 9, 3, 0.3, seen(5, 40, 23, True, 19), {"causal": True, "valid": 0, "older": 1}, (23, 19))
attention("frames", rand(1, 24, 40), rand(1, 24, 40), rand(1, 24, 40), 1, 1, 0.2, seen(24, 24, None, True, 0, 6), {"causal": True, "block": 6})

# ---- norms

x, g, b = rand(2, 9, 48), rand(48), rand(48)
add("norm", "layer", {"groups": 1, "keep": 2}, [x, g, b], [F.layer_norm(x.double(), (48,), g.double(), b.double())], (1, 2))
x = rand(1, 5, 48, lo=9, hi=11)
add("norm", "rms", {"groups": 1, "keep": 2, "eps": 1e-6, "subtract_mean": False}, [x, g, None], [F.rms_norm(x.double(), (48,), g.double(), 1e-6)], (1,))
x, g, b = rand(2, 33, 32), rand(32), rand(32)
add("norm", "group", {"groups": 4}, [x, g, b], [last(F.group_norm(first(x), 4, g.double(), b.double(), 1e-5))], (1, 2))
x, g, b = rand(2, 5, 9, 16), rand(16), rand(16)
add("norm", "instance", {"groups": 16}, [x, g, b], [last(F.instance_norm(first(x), weight=g.double(), bias=b.double()))], (1, 2))
x, g, b = rand(2, 7, 9, 16), rand(16), rand(16)  # statistics of each row of planes: groups of one batch an index
y = F.group_norm(first(x).permute(0, 2, 1, 3).reshape(14, 16, 9), 2, g.double(), b.double(), 1e-5)
add("norm", "keep", {"groups": 2, "keep": 2}, [x, g, b], [y.reshape(2, 7, 16, 9).permute(0, 1, 3, 2)], (1, 2))
x, m, v, g, b = rand(2, 5, 6, 24), rand(24), rand(24, lo=0.5, hi=2), rand(24), rand(24)
y = F.batch_norm(first(x), m.double(), v.double(), g.double(), b.double(), eps=1e-5)
add("batch_norm", "affine", {"eps": 1e-5}, [x, m, v, g, b], [last(y)], (1, 2, 3, 4))

# ---- element by element

UNARY = {
    "identity": (lambda x: x, {}, -1, 1),
    "relu": (F.relu, {}, -1, 1),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), {"alpha": 0.25}, -1, 1),
    "elu": (F.elu, {"alpha": 1.0}, -6, 2),
    "gelu": (F.gelu, {}, -7, 7),
    "silu": (F.silu, {}, -20, 20),
    "sigmoid": (torch.sigmoid, {}, -30, 30),
    "tanh": (torch.tanh, {}, -6, 6),
    "exp": (torch.exp, {}, -20, 4),
    "log": (torch.log, {}, 1e-6, 10),
    "sqrt": (torch.sqrt, {}, 0, 10),
    "rsqrt": (torch.rsqrt, {}, 0.01, 10),
    "abs": (torch.abs, {}, -1, 1),
    "neg": (torch.neg, {}, -1, 1),
    "square": (torch.square, {}, -3, 3),
    "sin": (torch.sin, {}, -6, 6),
    "cos": (torch.cos, {}, -6, 6),
    "snake": (lambda x: x + torch.sin(0.75 * x) ** 2 / 0.75, {"alpha": 0.75}, -3, 3),
    "clamp": (lambda x: torch.clamp(x, -0.5, 1), {"alpha": -0.5, "beta": 1.0}, -2, 2),
    "scale": (lambda x: torch.add(torch.mul(x, 3), -1), {"alpha": 3.0, "beta": -1.0}, -2, 2),
    "pow": (lambda x: torch.pow(x, 0.625), {"alpha": 0.625}, 0.01, 2),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), {}, -7, 7),
}
for name, (f, attrs, lo, hi) in UNARY.items():
    x = rand(3, 101, lo=lo, hi=hi)
    add("unary", name, {"fn": name, **attrs}, [x], [f(x.double())])

BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "max": torch.maximum, "min": torch.minimum, "atan2": torch.atan2}
for name, f in BINARY.items():
    lo = 0.5 if name == "div" else -1
    for case, s, t in (("", (2, 9, 13), (2, 9, 13)), ("_features", (2, 9, 13), (13,)), ("_middle", (2, 4, 9, 8), (2, 1, 9, 1)), ("_left", (1, 9, 1), (3, 9, 5))):
        x, y = rand(*s), rand(*t, lo=lo, hi=2)
        add("binary", name + case, {"fn": name}, [x, y], [f(x.double(), y.double())])
x, y = rand(3, 5, 2), rand(3, 5, 2)
add("binary", "complex_mul", {"fn": "complex_mul"}, [x, y], [torch.view_as_real(torch.view_as_complex(x.double()) * torch.view_as_complex(y.double()))])
for case, slopes in (("one", 1), ("each", 9)):
    x, w = rand(2, 5, 9), rand(slopes)
    add("prelu", case, {}, [x, w], [last(F.prelu(first(x), w.double()))], (1,))
x = rand(2, 5, 18, lo=-9, hi=9)
add("glu", "plain", {}, [x], [F.glu(x.double(), -1)])
x = rand(2, 7, 100, lo=-30, hi=30)
add("softmax", "plain", {}, [x], [torch.softmax(x.double(), -1)])

# ---- reductions and moves

x = rand(2, 5, 6, 7)
for axes in ((1, 2, 3), (3,), (1,)):
    for name, f in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}.items():
        add("reduce", f"{name}_{len(axes)}_{axes[0]}", {"fn": name, "axes": sum(1 << a for a in axes)}, [x], [f(x.double(), dim=axes, keepdim=True)])
    for ddof in (0, 1):
        add("reduce", f"std{ddof}_{len(axes)}_{axes[0]}", {"fn": "std", "axes": sum(1 << a for a in axes), "ddof": ddof}, [x], [torch.std(x.double(), dim=axes, correction=ddof, keepdim=True)])
x = rand(2, 3, 5)
add("reshape", "plain", {"shape": [2, 15]}, [x], [x.reshape(2, 15)])
x = rand(2, 3, 4, 5)
add("transpose", "plain", {"perm": [2, 0, 3, 1]}, [x], [x.permute(2, 0, 3, 1)])
x = rand(2, 9, 6)
add("slice", "plain", {"axis": 2, "begin": 1, "end": 4}, [x], [x[:, :, 1:4]])
add("slice", "step", {"axis": 1, "begin": 1, "end": 8, "step": 3}, [x], [x[:, 1:8:3]])
a, b, c = rand(2, 5, 6), rand(2, 1, 6), rand(2, 2, 6)
add("concat", "rows", {"axis": 1}, [a, b, c], [torch.cat([a, b, c], 1)])
for mode, theirs in (("zero", "constant"), ("reflect", "reflect"), ("replicate", "replicate")):
    x = rand(2, 5, 6)
    add("pad", mode, {"axis": 2, "lo": 4, "hi": 3, "mode": mode}, [x], [F.pad(x, (4, 3), mode=theirs)])
    y = last(F.pad(x.movedim(-1, 1), (2, 4), mode=theirs))
    add("pad", mode + "_rows", {"axis": 1, "lo": 2, "hi": 4, "mode": mode}, [x], [y])
x = rand(2, 5, 6)
add("upsample", "rows", {"axis": 1, "factor": 3}, [x], [last(F.interpolate(x.movedim(-1, 1), scale_factor=3, mode="nearest"))])
add("upsample", "features", {"axis": 2, "factor": 2}, [x], [F.interpolate(x, scale_factor=2, mode="nearest")])

# ---- transforms

def stft(case, x, window, n_fft, hop, scale):
    n, t, c = x.shape
    z = torch.stft(first(x).reshape(n * c, t), n_fft, hop, window.shape[0], window.double(), center=False, return_complex=True) * scale
    y = torch.view_as_real(z.reshape(n, c, *z.shape[1:]))  # n, c, bins, frames, 2
    add("stft", case, {"n_fft": n_fft, "hop": hop, "scale": scale}, [x, window], [y.permute(0, 3, 2, 1, 4).flatten(-2)], (1,))


stft("64_stereo", rand(2, 200, 2), torch.hann_window(64), 64, 16, 0.125)
stft("960", rand(1, 1920, 1), torch.hann_window(960).sqrt(), 960, 480, 1.0)
stft("short_window", rand(1, 200, 1), torch.hamming_window(48), 64, 16, 1.0)


def istft(case, frames, channels, n_fft, hop, window, scale, length):
    z = rand(1, frames, n_fft // 2 + 1, 2 * channels)
    pairs = torch.view_as_complex(z.double().reshape(frames, n_fft // 2 + 1, channels, 2)).permute(2, 1, 0)
    pairs = pairs.clone()
    y = torch.istft(pairs * scale, n_fft, hop, window=window.double(), center=True, length=length)
    attrs = {"n_fft": n_fft, "hop": hop, "crop": n_fft // 2, "length": length, "scale": scale, "normalize": True}
    add("istft", case, attrs, [z, window], [y.T[None]], (1,))


istft("64_stereo", 9, 2, 64, 16, torch.hann_window(64), 8.0, 120)
istft("512", 4, 1, 512, 256, torch.hann_window(512).sqrt(), 1.0, 700)
z, window = rand(1, 5, 49, 2), torch.hann_window(96).sqrt()
y = torch.fft.irfft(torch.view_as_complex(z[0].double().reshape(5, 49, 2)), 96) * 2.0 * window.double()
y = F.fold(y.T[None], (1, 4 * 48 + 96), (1, 96), stride=(1, 48)).reshape(1, -1, 1)
add("istft", "raw", {"n_fft": 96, "hop": 48, "crop": 0, "length": 288, "scale": 2.0, "normalize": False}, [z, window], [y], (1,))

# ---- recurrences

for op, layer, gates in (("gru", torch.nn.GRU, 3), ("lstm", torch.nn.LSTM, 4)):
    for case, reverse, bias in (("forward", False, True), ("reverse", True, True), ("no_bias", False, False)):
        n, t, i, h = 2, 7, 12, 16
        net = layer(i, h, batch_first=True, bias=bias).double()
        for p in net.parameters():
            p.copy_(p.float())
        x, states = rand(n, t, i), [rand(n, h) for _ in range(gates - 2)]
        s = [a.double()[None] for a in states]
        y, final = net(x.double().flip(1) if reverse else x.double(), s[0] if gates == 3 else tuple(s))
        final = [final] if gates == 3 else list(final)
        parameters = [net.weight_ih_l0, net.weight_hh_l0] + ([net.bias_ih_l0, net.bias_hh_l0] if bias else [None, None])
        parameters = [None if p is None else p.detach() for p in parameters]
        add(op, case, {"reverse": reverse}, [x, *parameters, *states], [y.flip(1) if reverse else y, *[a[0] for a in final]], (1, 2, 3, 4))

x, state, alpha = rand(2, 30, 9, lo=0), rand(2, 9), np.float64(np.float32(0.99))
y, final = scipy.signal.lfilter([1 - alpha], [1, -alpha], x.double().numpy(), axis=1, zi=alpha * state.double().numpy()[:, None])
add("cumulative_mean", "features", {"alpha": 0.99}, [x, state], [torch.from_numpy(y), torch.from_numpy(final[:, 0] / alpha)])

x, alpha, scale, taps = rand(2, 37, 9), rand(9, lo=0.5, hi=3), rand(9, lo=0.2, hi=1), torch.kaiser_window(12, False, 4.66) * 0.2
z = F.conv_transpose1d(F.pad(first(x), (5, 5), mode="replicate"), taps.double().expand(9, 1, 12), stride=2, groups=9)[..., 15:-15] * 2
z = z + scale.double()[:, None] * torch.sin(alpha.double()[:, None] * z) ** 2
z = F.conv1d(F.pad(z, (5, 6), mode="replicate"), taps.double().expand(9, 1, 12), stride=2, groups=9)
add("alias_free_snake", "plain", {}, [x, alpha, scale, taps, taps], [last(z)], (1, 2, 3, 4))

state, x = rand(2, 9, 6), rand(2, 3, 6)
y = state.clone()
y[:, 4:7] = x
add("state_write", "places", {"axis": 1, "at": 0}, [state, x], [y], (), None, (4,))
add("state_write", "whole", {}, [state, state.flip(0)], [state.flip(0)])

folder = os.path.dirname(os.path.abspath(__file__))
total = 0
for op, (tensors, metadata) in sorted(files.items()):
    path = os.path.join(folder, op + ".safetensors")
    save_file(tensors, path, metadata)
    os.chmod(path, 0o644)
    total += os.path.getsize(path)
print(len(files), "files,", total, "bytes")
