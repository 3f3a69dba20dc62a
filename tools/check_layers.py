#!/usr/bin/env python3
"""Fails where a file includes a layer that its own layer may not see. The table is the design's picture."""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "http": {"base"},
    "audio": {"base"},
    "dsp": {"base"},
    "graph": {"base"},
    "formats": {"base", "graph"},
    "kernels": {"base", "graph", "dsp"},
    "runtime": {"base", "graph", "kernels"},
    "models": {"base", "graph", "formats", "dsp"},
    "store": {"base", "formats", "models"},
    "plots": {"base", "dsp"},
    "pipelines": {"base", "audio", "dsp", "graph", "formats", "models", "runtime", "store", "plots"},
    "engine": {"base", "formats", "audio", "dsp", "models", "runtime", "store", "plots", "pipelines"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
root = pathlib.Path(__file__).resolve().parent.parent
failures = []
for path in sorted((root / "src").rglob("*")):
    if path.suffix not in (".h", ".cc", ".inc"):
        continue
    layer = path.relative_to(root / "src").parts[0]
    if layer not in ALLOWED:
        failures.append(f"{path.relative_to(root)}: '{layer}' is no layer")
        continue
    for name in INCLUDE.findall(path.read_text()):
        other = name.split("/")[0]
        if name.startswith("apps/"):
            failures.append(f"{path.relative_to(root)}: includes {name}; nothing includes apps/")
        elif other in ALLOWED and other != layer and other not in ALLOWED[layer] and not path.name.endswith("_test.cc"):
            failures.append(f"{path.relative_to(root)}: {layer} may not include {name}")
print("\n".join(failures) if failures else "layers: every include points the right way")
sys.exit(bool(failures))
