#!/usr/bin/env python3
"""Mixes a spoken voice over a song, and noise over the voice, so that the truth about both is known.

    add_voice.py voice.wav song.wav DIR    DIR/mix.wav = DIR/voice.wav + DIR/band.wav; DIR/noisy.wav is DIR/speech.wav
                                           in noise

voice.wav: mono, 22.05 kHz, as espeak-ng writes it; song.wav: stereo, 44.1 kHz; both 16-bit. Python's standard library
only; the same files every time.
"""
import array
import math
import pathlib
import random
import sys
import wave

RATE = 44100
TAPS = 12  # on each side of a sample between two


def read(path, channels, rate):
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getframerate(), file.getsampwidth()) != (channels, rate, 2):
            sys.exit(f"add_voice.py: {path} is not of {channels} channels and 16 bits at {rate} Hz")
        samples = array.array("h", file.readframes(file.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    return [s / 32768 for s in samples]


def write(path, channels, samples):
    pcm = array.array("h", [max(-32768, min(32767, round(s * 32768))) for s in samples])
    if sys.byteorder == "big":
        pcm.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())


def doubled(samples):
    """Twice the rate: every sample, and between two of them the sum of a windowed sinc."""
    weights = []
    for k in range(TAPS):
        x = k + 0.5
        weights.append(math.sin(math.pi * x) / (math.pi * x) * math.cos(math.pi * x / (2 * TAPS)) ** 2)
    padded = [0.0] * TAPS + samples + [0.0] * (TAPS + 1)
    out = []
    for i in range(len(samples)):
        at = i + TAPS
        out.append(padded[at])
        out.append(sum(w * (padded[at - k] + padded[at + 1 + k]) for k, w in enumerate(weights)))
    return out


def level(samples):
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def brown_noise(count, rng):
    """Noise that falls with frequency, as traffic and fans do, and some hiss."""
    out, low = [], 0.0
    for _ in range(count):
        white = rng.gauss(0, 1)
        low = 0.98 * low + 0.2 * white
        out.append(low + 0.25 * white)
    return out


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    voice = doubled(read(sys.argv[1], 1, RATE // 2))
    song = read(sys.argv[2], 2, RATE)
    folder = pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    frames = len(song) // 2
    voice = (voice + [0.0] * frames)[:frames]
    band = [s * 0.5 for s in song]
    scale = level(band) / level(voice)  # as loud as the band
    voice = [s * scale for s in voice]
    stereo = [s for v in voice for s in (v, v)]
    peak = max(1.0, max(abs(a + b) for a, b in zip(stereo, band)) / 0.98)
    write(folder / "voice.wav", 2, [s / peak for s in stereo])
    write(folder / "band.wav", 2, [s / peak for s in band])
    write(folder / "mix.wav", 2, [(a + b) / peak for a, b in zip(stereo, band)])
    noise = brown_noise(frames, random.Random(1))
    louder = level(voice) / level(noise) / 10 ** (5 / 20)  # the voice is 5 dB above it
    write(folder / "speech.wav", 1, [0.5 * s for s in voice])
    write(folder / "noisy.wav", 1, [0.5 * (s + louder * n) for s, n in zip(voice, noise)])


main()
