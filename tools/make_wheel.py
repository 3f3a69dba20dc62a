#!/usr/bin/env python3
"""Makes a wheel of bindings/python and the shared library: tools/make_wheel.py BUILD OUT prints its path.

The wheel needs no tool but this: it is a zip file with metadata (PyPA's "binary distribution format"). The library in it
links what timbre was built against: a wheel for this system and ones like it."""
import base64
import hashlib
import pathlib
import re
import sys
import sysconfig
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    build, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    version = re.search(r"project\(timbre VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    tag = "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())
    package = ROOT / "bindings/python/timbre"
    files = {f"timbre/{path.name}": path.read_bytes() for path in sorted(package.iterdir()) if path.suffix in (".py", ".typed")}
    files["timbre/libtimbre.so.0"] = (build / "lib/libtimbre.so.0").read_bytes()
    info = f"timbre-{version}.dist-info"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: timbre\nVersion: {version}\nSummary: Audio models, run natively\n"
        f"License: MIT\nRequires-Python: >=3.9\nRequires-Dist: numpy>=1.21\nDescription-Content-Type: text/markdown\n\n"
        + (ROOT / "docs/library.md").read_text()
    ).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: timbre {version}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{info}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"timbre-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in files.items():
            # The same bytes give the same wheel.
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if name.endswith(".so.0") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    print(wheel)


if __name__ == "__main__":
    main()
