#!/usr/bin/env python3
"""Makes a folder and a tarball of the program, its tests and the shared libraries that they need, to run where nothing is installed.

  tools/make_bundle.py BUILD OUT      for instance build/release build/bundle

What the tarball holds:
  timbre, timbre-tests       start the programs below bin/ with the libraries below lib/
  lib/                       libraries that only timbre and they themselves use
  lib/shared-with-drivers/   a folder each for libraries that a Vulkan driver of the host may load too: into one process, the host's own
                             have to come first, and these serve where it has none
  gpu-check                  examines the machine's devices within eight minutes, into one JSON file
The C library is the host's: 2.35 or newer, which every distribution since 2022 has.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Parts of the C library, and the loader: always the host's, which the kernel and the drivers fit.
HOSTS = re.compile(r"^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|mvec|nss_.*|anl)\.so\..*|linux-vdso.*)$")
# What drivers and the LLVM inside some of them link.
DRIVERS = re.compile(
    r"^lib(stdc\+\+|gcc_s|z|zstd|lzma|expat|elf|ffi|xml2|icu(data|uc|i18n)|drm.*|xcb.*|X.*|wayland-.*|xshmfence|udev|bsd|md|tinfo|edit"
    r"|cap|vulkan|glib-2\.0|pcre2-8|systemd|gcrypt|gpg-error|lz4|sensors|va|va-.*|vdpau|GL.*|EGL.*|crypto|ssl|atomic|unwind)\.so(\..*)?$")

LAUNCHER = """#!/bin/sh
# Starts {program} with the libraries that lie beside it.
here=$(dirname "$(readlink -f "$0")")
version=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
if [ -z "$version" ] || [ "$(printf '%s\\n2.35\\n' "$version" | sort -V | head -n1)" != 2.35 ]; then
  echo "timbre: this bundle needs the GNU C library 2.35 or newer, and here is ${{version:-another}}; build timbre from source instead." >&2
  exit 1
fi
# A library that a driver may load too comes from the host where it is there, and newer than ours.
known=$(/sbin/ldconfig -p 2>/dev/null || ldconfig -p 2>/dev/null)
path=
for folder in "$here"/lib/shared-with-drivers/*; do
  name=${{folder##*/}}
  case "$known" in
    *"	$name (libc6,x86-64"*) ;;
    *) path=$path:$folder ;;
  esac
done
host=$(printf '%s\\n' "$known" | sed -n 's/^.*libstdc++\\.so\\.6 (libc6,x86-64.*=> //p' | head -n1)
if [ -n "$host" ] && ! grep -q {glibcxx} "$host"; then path=$path:$here/lib/shared-with-drivers/libstdc++.so.6; fi
if [ -n "$path" ]; then
  LD_LIBRARY_PATH=${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH}}$path
  LD_LIBRARY_PATH=${{LD_LIBRARY_PATH#:}}
  export LD_LIBRARY_PATH
fi
{environment}exec "$here/bin/{program}" "$@"
"""


def needed(program):
    """The shared libraries that a program loads: soname -> path."""
    lines = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines()
    missing = [line.strip() for line in lines if "not found" in line]
    if missing:
        sys.exit(f"make_bundle: {program} lacks {missing}")
    return dict(re.findall(r"^\s*(\S+) => (\S+)", "\n".join(lines), re.M))


def opened(program):
    """The shared libraries that a program opens itself, which its own text names: soname -> path, or None where there is none."""
    names = sorted(set(re.findall(rb"(?<![\w/.+-])(lib[a-z]+\.so\.[0-9]+)\0", pathlib.Path(program).read_bytes())))
    linked = needed(program)
    known = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    paths = dict(reversed(re.findall(r"^\s*(\S+) \(libc6,x86-64.*\) => (\S+)$", known, re.M)))
    return {name: paths.get(name) for name in map(bytes.decode, names) if name not in linked}


def main():
    build, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    version = re.search(r"project\(timbre VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    name = f"timbre-{version}-linux-{os.uname().machine}"
    root = out / name
    shutil.rmtree(root, ignore_errors=True)
    (root / "bin").mkdir(parents=True)
    (root / "lib/shared-with-drivers").mkdir(parents=True)
    programs = {"timbre": "", "timbre_tests": 'export TIMBRE_CHECKOUT="$here" TIMBRE_BUILT="$here"\n'}
    libraries = {}
    for program in programs:
        libraries.update(needed(build / "bin" / program))
        target = root / "bin" / program
        shutil.copy(build / "bin" / program, target)
        subprocess.run(["strip", target], check=True)
        # An RPATH, not a RUNPATH: it holds for the libraries' own needs too.
        subprocess.run(["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN/../lib", target], check=True)
    # Opened at run time: FFmpeg's, with all that they need in turn, and the Vulkan loader, where there is one; a bundle on a host without
    # shows that there is no driver.
    for soname, path in opened(build / "bin/timbre").items():
        if path:
            libraries.update({soname: path, **needed(path)})
        elif soname != "libvulkan.so.1":
            sys.exit(f"make_bundle: timbre opens {soname}, which is not here")
    for soname, path in sorted(libraries.items()):
        if HOSTS.match(soname):
            continue
        folder = root / "lib"
        if DRIVERS.match(soname):
            folder = folder / "shared-with-drivers" / soname
            folder.mkdir()
        shutil.copy(os.path.realpath(path), folder / soname)
        # Stripped they are Debian's already; a search path of their own would come before ours.
        subprocess.run(["patchelf", "--remove-rpath", folder / soname], check=True)
    symbols = subprocess.run(["strings", root / "bin/timbre_tests"], check=True, capture_output=True, text=True).stdout
    newest = max(re.findall(r"GLIBCXX_(3\.4\.\d+)", symbols), key=lambda v: [int(n) for n in v.split(".")])
    for program, environment in programs.items():
        launcher = root / program.replace("_", "-")
        launcher.write_text(LAUNCHER.format(program=program, glibcxx=f"GLIBCXX_{newest}", environment=environment))
        launcher.chmod(0o755)
    shutil.copy(ROOT / "tools/gpu-check", root / "gpu-check")
    for folder in ("tests/ops",):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.cc", "*.py"))
    shutil.copy(ROOT / "LICENSE", root / "LICENSE")
    write_notice(root, libraries)
    tarball = out / f"{name}.tar.xz"
    tarball.unlink(missing_ok=True)
    if shutil.which("xz"):
        with open(tarball, "wb") as file:
            tar = subprocess.Popen(["tar", "-C", out, "--sort=name", "--owner=0", "--group=0", "-cf", "-", name], stdout=subprocess.PIPE)
            subprocess.run(["xz", "--lzma2=preset=6,dict=64MiB", "-T1", "-c"], stdin=tar.stdout, stdout=file, check=True)
            if tar.wait() != 0:
                sys.exit("make_bundle: tar failed")
    else:
        with tarfile.open(tarball, "w:xz") as archive:
            archive.add(root, arcname=name)
    size = tarball.stat().st_size
    print(f"{tarball}: {size / 2**20:.1f} MiB")
    if size > 60 * 2**20:
        sys.exit("make_bundle: more than 60 MiB")


def write_notice(root, libraries):
    """Which package each library comes from, as its licence asks for."""
    packages = set()
    for path in libraries.values():
        for candidate in (path, os.path.realpath(path), path.replace("/usr/lib", "/lib", 1), path.replace("/lib", "/usr/lib", 1)):
            found = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True)
            if found.returncode == 0:
                packages.add(found.stdout.split(":")[0])
                break
    lines = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version} (source: ${source:Package})\n", *sorted(packages)], check=True,
                           capture_output=True, text=True).stdout
    (root / "NOTICE").write_text(
        "timbre itself is under the MIT licence (LICENSE). The libraries below lib/ are Debian's builds of these packages, each under its\n"
        "own licence; some, such as x264 and x265, are under the GPL, so that this bundle as a whole may be passed on under the GPL.\n"
        "Their sources are Debian's source packages of the versions named.\n\n" + lines)
    folder = root / "licences"
    folder.mkdir()
    for package in sorted(packages):
        copyright_file = pathlib.Path("/usr/share/doc") / package / "copyright"
        if copyright_file.exists():
            shutil.copy(copyright_file, folder / package)


main()
