#!/usr/bin/env python3
"""Says how long and how loud 16-bit WAV files are; fails where one is missing, empty or silent.

    levels.py song.wav song-drums.wav …

Python's standard library only.
"""
import array
import math
import pathlib
import struct
import sys


def read_wav(name):
    """Sample rate, channels and samples of a 16-bit WAV file, plain or extensible."""
    data = pathlib.Path(name).read_bytes()
    at, form, samples = 12, None, None
    while at + 8 <= len(data):
        tag, size = struct.unpack_from("<4sI", data, at)
        if tag == b"fmt ":
            form = struct.unpack_from("<HHIIHH", data, at + 8)
        if tag == b"data":
            samples = array.array("h", data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    if form is None or samples is None or form[0] not in (1, 0xFFFE) or form[5] != 16:
        sys.exit(f"levels.py: {name} is no 16-bit WAV file")
    if sys.byteorder == "big":
        samples.byteswap()
    return form[2], form[1], samples


def decibels(value):
    return f"{20 * math.log10(value):6.1f} dB" if value > 0 else "  silent"


silent = False
print(f"{'file':<28} {'seconds':>8} {'channels':>9} {'peak':>10} {'level':>10}")
for name in sys.argv[1:]:
    rate, channels, samples = read_wav(name)
    seconds = len(samples) / channels / rate
    peak = max(map(abs, samples), default=0) / 32768
    level = math.sqrt(sum(s * s for s in samples) / max(1, len(samples))) / 32768
    silent |= peak == 0
    print(f"{pathlib.Path(name).name:<28} {seconds:>8.2f} {channels:>9} {decibels(peak):>10} {decibels(level):>10}")
sys.exit(silent)
