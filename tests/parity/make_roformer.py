"""Makes tests/data/roformer-rare.safetensors: a BS-RoFormer with what no released one has, computed in float64 from the
networks' definitions, without a library: attention that is linear in the tokens, values mixed with those of the first
block, biases, sums of earlier blocks, several layers a transformer, masks of three layers.

Run it from the repository's root; it takes seconds."""

import cmath
import json
import math
import struct

SEED = 5
DIM, DEPTH, HEADS, HEAD, N_FFT, HOP = 8, 3, 2, 4, 64, 16
BANDS = [(0, 3), (3, 13), (13, 33)]
STEMS, CHANNELS, SAMPLES = 2, 2, 1024
TIME_DEPTH, BAND_DEPTH, LINEAR_DEPTH, MASK_LAYERS, EXPANSION = 2, 1, 1, 3, 2
MASK64 = (1 << 64) - 1


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK64
    return value


def formula(value, index, lo, span):
    z = (value + index + 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    z ^= z >> 31
    return f32(lo + f32(span * ((z >> 40) * 2.0**-24)))


def weight(name, *shape):
    """The noise that tests build networks with, flat."""
    count = math.prod(shape)
    lo, hi = f32(-0.1), f32(0.1)
    if len(shape) > 1:
        hi = f32(math.sqrt(f32(3.0 / math.prod(shape[1:]))))
        lo = -hi
    elif name.endswith(".weight"):
        lo, hi = f32(0.9), f32(1.1)
    hashed = fnv1a64(name) ^ SEED
    return [formula(hashed, i, lo, f32(hi - lo)) for i in range(count)]


def rows_of(flat, columns):
    return [flat[i : i + columns] for i in range(0, len(flat), columns)]


def linear(name, x, out, bias=True):
    matrix = rows_of(weight(name + ".weight", out, len(x[0])), len(x[0]))
    offset = weight(name + ".bias", out) if bias else [0.0] * out
    return [[sum(a * b for a, b in zip(row, w)) + c for w, c in zip(matrix, offset)] for row in x]


def norm(name, x):
    gamma = weight(name + ".gamma", len(x[0]))
    scaled = []
    for row in x:
        length = max(math.sqrt(sum(a * a for a in row)), 1e-12)
        scaled.append([a / length * math.sqrt(len(row)) * g for a, g in zip(row, gamma)])
    return scaled


def add(x, y):
    return [[a + b for a, b in zip(p, q)] for p, q in zip(x, y)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(x):
    top = max(x)
    e = [math.exp(a - top) for a in x]
    return [a / sum(e) for a in e]


def turned(row, position):
    out = []
    for i in range(0, HEAD, 2):
        angle = position * f32(1.0 / f32(10000.0 ** f32(i / HEAD)))
        a, b = row[i], row[i + 1]
        out += [a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)]
    return out


def attention(name, x, first):
    """`first`: the values that later blocks mix theirs with, or None in the first block. The result and the values."""
    inner = HEADS * HEAD
    y = norm(name + ".norm", x)
    qkv = linear(name + ".to_qkv", y, 3 * inner)
    values = [row[2 * inner :] for row in qkv]
    own = values
    if first is not None:
        share = linear(name + ".to_value_residual_mix", y, HEADS)
        values = [
            [v + sigmoid(s[i // HEAD]) * (f - v) for i, (v, f) in enumerate(zip(row, other))]
            for row, other, s in zip(values, first, share)
        ]
    gates = linear(name + ".to_gates", y, HEADS)
    result = [[0.0] * inner for _ in x]
    for h in range(HEADS):
        part = slice(h * HEAD, (h + 1) * HEAD)
        q = [turned(row[part], t) for t, row in enumerate(qkv)]
        k = [turned(row[inner:][part], t) for t, row in enumerate(qkv)]
        for t in range(len(x)):
            shares = softmax([sum(a * b for a, b in zip(q[t], row)) / math.sqrt(HEAD) for row in k])
            for i in range(HEAD):
                seen = sum(s * row[h * HEAD + i] for s, row in zip(shares, values))
                result[t][h * HEAD + i] = seen * sigmoid(gates[t][h])
    return linear(name + ".to_out.0", result, DIM), own


def linear_attention(name, x):
    inner = HEADS * HEAD
    qkv = linear(name + ".to_qkv.0", norm(name + ".norm", x), 3 * inner, bias=False)
    temperature = weight(name + ".temperature", HEADS, 1, 1)
    result = [[0.0] * inner for _ in x]
    for h in range(HEADS):
        # Features of a head as rows over the tokens.
        q, k, v = ([[row[part * inner + h * HEAD + i] for row in qkv] for i in range(HEAD)] for part in range(3))
        q, k = ([[a / max(math.sqrt(sum(b * b for b in row)), 1e-12) for a in row] for row in z] for z in (q, k))
        q = [[a * math.exp(temperature[h]) for a in row] for row in q]
        for i in range(HEAD):
            shares = softmax([8 * sum(a * b for a, b in zip(q[i], row)) for row in k])
            for t in range(len(x)):
                result[t][h * HEAD + i] = sum(s * row[t] for s, row in zip(shares, v))
    return linear(name + ".to_out.1", result, DIM, bias=False)


def forward(name, x):
    h = linear(name + ".net.1", norm(name + ".net.0", x), 4 * DIM)
    h = [[0.5 * a * (1 + math.erf(a / math.sqrt(2))) for a in row] for row in h]
    return linear(name + ".net.4", h, DIM)


def transformer(name, x, depth, first):
    made = first
    for j in range(depth):
        y, own = attention(f"{name}.layers.{j}.0", x, first)
        x = add(x, y)
        x = add(x, forward(f"{name}.layers.{j}.1", x))
        if made is None:
            made = own
    return x, made


def mask(name, x, width):
    for i in range(MASK_LAYERS - 1):
        x = [[math.tanh(a) for a in row] for row in linear(f"{name}.{2 * i}", x, DIM * EXPANSION)]
    x = linear(f"{name}.{2 * (MASK_LAYERS - 1)}", x, 2 * width)
    return [[a * sigmoid(b) for a, b in zip(row[:width], row[width:])] for row in x]


def main():
    hashed = fnv1a64("mix")
    mix = [[formula(hashed, c * SAMPLES + i, -0.5, 1.0) for i in range(SAMPLES)] for c in range(CHANNELS)]
    half, frames, bins = N_FFT // 2, SAMPLES // HOP + 1, N_FFT // 2 + 1
    window = [f32(0.5 - 0.5 * math.cos(2 * math.pi * i / N_FFT)) for i in range(N_FFT)]
    padded = [row[half:0:-1] + row + row[-2 : -half - 2 : -1] for row in mix]
    root = [cmath.exp(-2j * math.pi * i / N_FFT) for i in range(N_FFT)]
    spectrum = [
        [
            [sum(row[t * HOP + i] * window[i] * root[i * k % N_FFT] for i in range(N_FFT)) for k in range(bins)]
            for t in range(frames)
        ]
        for row in padded
    ]
    flat = [
        [part for k in range(bins) for c in range(CHANNELS) for part in (spectrum[c][t][k].real, spectrum[c][t][k].imag)]
        for t in range(frames)
    ]
    each = 2 * CHANNELS
    tokens = []  # [band][frame]
    for b, (begin, end) in enumerate(BANDS):
        name = f"band_split.to_features.{b}"
        tokens.append(linear(name + ".1", norm(name + ".0", [row[begin * each : end * each] for row in flat]), DIM))
    x = [[tokens[b][t] for b in range(len(BANDS))] for t in range(frames)]
    first_time, first_bands = [None] * len(BANDS), [None] * frames
    total = None
    for i in range(DEPTH):
        whole = [row for frame in x for row in frame]
        for j in range(LINEAR_DEPTH):
            whole = add(whole, linear_attention(f"layers.{i}.0.layers.{j}.0", whole))
            whole = add(whole, forward(f"layers.{i}.0.layers.{j}.1", whole))
        x = [whole[t * len(BANDS) : (t + 1) * len(BANDS)] for t in range(frames)]
        if total is not None:
            x = [add(p, q) for p, q in zip(x, total)]
        for b in range(len(BANDS)):
            line, first_time[b] = transformer(f"layers.{i}.1", [frame[b] for frame in x], TIME_DEPTH, first_time[b])
            for t in range(frames):
                x[t][b] = line[t]
        for t in range(frames):
            x[t], first_bands[t] = transformer(f"layers.{i}.2", x[t], BAND_DEPTH, first_bands[t])
        total = x if total is None else [add(p, q) for p, q in zip(total, x)]
        x = [list(frame) for frame in x]
        total = [list(frame) for frame in total]
    x = [norm("final_norm", frame) for frame in x]

    stems = []
    for s in range(STEMS):
        masks = [[] for _ in range(frames)]
        for b, (begin, end) in enumerate(BANDS):
            made = mask(f"mask_estimators.{s}.to_freqs.{b}.0", [frame[b] for frame in x], (end - begin) * each)
            for t in range(frames):
                masks[t] += made[t]
        for c in range(CHANNELS):
            signal, envelope = [0.0] * (SAMPLES + N_FFT), [0.0] * (SAMPLES + N_FFT)
            for t in range(frames):
                z = [
                    complex(masks[t][k * each + 2 * c], masks[t][k * each + 2 * c + 1]) * spectrum[c][t][k]
                    for k in range(bins)
                ]
                z[0] = 0.0
                for i in range(N_FFT):
                    value = z[0].real + (z[-1] * (-1) ** i).real
                    value += 2 * sum((z[k] * root[i * k % N_FFT].conjugate()).real for k in range(1, bins - 1))
                    signal[t * HOP + i] += value / N_FFT * window[i]
                    envelope[t * HOP + i] += window[i] ** 2
            stems += [signal[i] / envelope[i] for i in range(half, half + SAMPLES)]

    tensors = {"mix": ([CHANNELS, SAMPLES], [a for row in mix for a in row]), "stems": ([STEMS, CHANNELS, SAMPLES], stems)}
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        begin = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open("tests/data/roformer-rare.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
