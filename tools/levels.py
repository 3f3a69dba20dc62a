#!/usr/bin/env python3
"""Says how long and how loud 16-bit WAV files are; fails where one is missing, empty or silent.

    levels.py song.wav song-drums.wav …

Python's standard library only.
"""
import array
import math
import pathlib
import sys
import wave


def decibels(value):
    return f"{20 * math.log10(value):6.1f} dB" if value > 0 else "  silent"


silent = False
print(f"{'file':<28} {'seconds':>8} {'channels':>9} {'peak':>10} {'level':>10}")
for name in sys.argv[1:]:
    with wave.open(name) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        seconds, channels = file.getnframes() / file.getframerate(), file.getnchannels()
    if sys.byteorder == "big":
        samples.byteswap()
    peak = max(map(abs, samples), default=0) / 32768
    level = math.sqrt(sum(s * s for s in samples) / max(1, len(samples))) / 32768
    silent |= peak == 0
    print(f"{pathlib.Path(name).name:<28} {seconds:>8.2f} {channels:>9} {decibels(peak):>10} {decibels(level):>10}")
sys.exit(silent)
