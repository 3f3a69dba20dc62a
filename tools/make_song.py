#!/usr/bin/env python3
"""Synthesises a short stereo song (drums, bass, chords, lead): something to separate where no music is at hand.

    make_song.py song.wav                  the mix: 16-bit, 44.1 kHz, about 12 s at 112 beats a minute
    make_song.py song.wav --stems DIR      also what it was mixed from: drums, bass, chords, lead (they sum to the mix)
    make_song.py song.wav --parts DIR      also what the drums are made of: kick, snare, toms, hihat, cymbals

Python's standard library only; the same file every time.
"""
import argparse
import array
import math
import pathlib
import random
import sys
import wave

RATE = 44100
TEMPO = 112.0
BEAT = 60.0 / TEMPO
BARS = 5
SECONDS = BARS * 4 * BEAT + 1.3  # the last bar and what rings after it
FRAMES = round(SECONDS * RATE)
TABLE_BITS = 11
TABLE = 1 << TABLE_BITS


def wavetable(harmonics):
    """One period of a sum of sines, peak 1."""
    table = [sum(a * math.sin(2 * math.pi * k * i / TABLE) for k, a in harmonics) for i in range(TABLE)]
    peak = max(abs(v) for v in table)
    return [v / peak for v in table]


class Track:
    """A stereo stem under construction."""

    def __init__(self):
        self.left = [0.0] * FRAMES
        self.right = [0.0] * FRAMES

    def add(self, seconds, samples, gain, pan=0.0):
        """Mixes mono samples in at a time; pan -1 is left, +1 right, at constant power."""
        start = round(seconds * RATE)
        samples = samples[: max(0, FRAMES - start)]
        angle = (pan + 1) * math.pi / 4
        for side, g in ((self.left, gain * math.cos(angle)), (self.right, gain * math.sin(angle))):
            stop = start + len(samples)
            side[start:stop] = [a + g * b for a, b in zip(side[start:stop], samples)]


def hertz(note):
    return 440.0 * 2 ** ((note - 69) / 12)


def tone(table, note, seconds, attack, release, decay=0.0, vibrato=0.0):
    """A note from a wavetable: linear attack and release, exponential decay (a rate per second), vibrato in semitones."""
    count = round(seconds * RATE)
    step = hertz(note) * TABLE / RATE
    rise, fall = max(1, round(attack * RATE)), max(1, round(release * RATE))
    factor = math.exp(-decay / RATE)
    wobble = 2 * math.pi * 5.5 / RATE
    out, phase, level = [], 0.0, 1.0
    for i in range(count):
        out.append(table[int(phase) & (TABLE - 1)] * level * min(1.0, i / rise, (count - i) / fall))
        level *= factor
        if vibrato:
            phase += step * (1 + vibrato * 0.0578 * math.sin(wobble * i) * min(1.0, i / 9000))
        else:
            phase += step
    return out


def kick():
    out, phase = [], 0.0
    for i in range(round(0.32 * RATE)):
        t = i / RATE
        phase += 2 * math.pi * (48 + 130 * math.exp(-t * 38)) / RATE
        out.append(math.sin(phase) * math.exp(-t * 11) + 0.4 * math.exp(-t * 700) * math.sin(2 * math.pi * 2400 * t))
    return out


def noise_hit(rng, seconds, decay, brightness, body=()):
    """Noise through `brightness` first differences (each tilts it up by 6 dB an octave), and sines (Hz, gain, decay)."""
    count = round(seconds * RATE)
    noise = [rng.uniform(-1, 1) for _ in range(count)]
    for _ in range(brightness):
        noise = [0.7 * (a - b) for a, b in zip(noise, [0.0] + noise)]
    out = [n * math.exp(-decay * i / RATE) for i, n in enumerate(noise)]
    for frequency, gain, rate in body:
        for i in range(count):
            t = i / RATE
            out[i] += gain * math.exp(-rate * t) * math.sin(2 * math.pi * frequency * t)
    return out


def drum_parts(rng):
    """By the names that timbre drums --separated looks for."""
    parts = {name: Track() for name in ("kick", "snare", "toms", "hihat", "cymbals")}
    kick_hit = kick()
    snare_hit = noise_hit(rng, 0.28, 17, 1, ((185, 0.9, 22), (330, 0.5, 30)))
    hat_hit = noise_hit(rng, 0.09, 60, 3)
    open_hit = noise_hit(rng, 0.45, 9, 3)
    crash_hit = noise_hit(rng, 2.2, 2.2, 2)
    toms = [noise_hit(rng, 0.4, 40, 0, ((f, 1.6, 9), (f * 1.5, 0.4, 16))) for f in (165, 125, 92)]
    parts["cymbals"].add(0, crash_hit, 0.28, 0.3)
    for bar in range(BARS):
        start = bar * 4 * BEAT
        for eighth in range(8):
            opened = eighth == 7 and bar % 2 == 1
            gain = 0.30 if eighth % 2 == 0 else 0.2
            parts["hihat"].add(start + eighth * BEAT / 2, open_hit if opened else hat_hit, gain, -0.35)
        for beat in (0, 1.5, 2) if bar % 2 == 0 else (0, 2, 2.5):
            parts["kick"].add(start + beat * BEAT, kick_hit, 0.85)
        last = bar == BARS - 1
        for beat in (1,) if last else (1, 3):
            parts["snare"].add(start + beat * BEAT, snare_hit, 0.55, 0.05)
        if last:  # a fill down the toms
            for k in range(8):
                parts["toms"].add(start + (2 + k / 4) * BEAT, toms[min(2, k // 3)], 0.4, -0.4 + 0.1 * k)
    parts["cymbals"].add(BARS * 4 * BEAT, crash_hit, 0.3, 0.3)
    parts["kick"].add(BARS * 4 * BEAT, kick_hit, 0.85)
    return parts


def together(tracks):
    track = Track()
    track.left, track.right = ([sum(values) for values in zip(*(getattr(t, s) for t in tracks))] for s in ("left", "right"))
    return track


CHORDS = ((57, 60, 64), (53, 57, 60), (60, 64, 67), (55, 59, 62), (57, 60, 64))  # Am F C G Am
LEAD = (  # (beat, length in beats, MIDI note), over the five bars
    (0, 1.5, 76), (1.5, 0.5, 74), (2, 1, 72), (3, 1, 69),
    (4, 1.5, 72), (5.5, 0.5, 74), (6, 2, 69),
    (8, 1, 67), (9, 1, 72), (10, 1.5, 76), (11.5, 0.5, 79),
    (12, 2.5, 74), (14.5, 0.5, 72), (15, 1, 71),
    (16, 2, 72), (18, 1, 71), (19, 3, 69),
)  # fmt: skip


def bass():
    track = Track()
    table = wavetable([(1, 1.0), (2, 0.5), (3, 0.3), (4, 0.12), (5, 0.06)])
    for bar, chord in enumerate(CHORDS):
        root = chord[0] - 24 if chord[0] >= 57 else chord[0] - 12
        for beat, length, step in ((0, 1.4, 0), (1.5, 0.45, 0), (2, 0.9, 0), (3, 0.45, 7), (3.5, 0.45, 12)):
            track.add((bar * 4 + beat) * BEAT, tone(table, root + step, length * BEAT, 0.006, 0.03, 1.5), 0.32)
    return track


def chords():
    track = Track()
    table = wavetable([(1, 1.0), (2, 0.35), (3, 0.2), (4, 0.1), (6, 0.05)])
    for bar, chord in enumerate(CHORDS):
        for voice, note in enumerate(chord):
            samples = tone(table, note, 4 * BEAT, 0.03, 0.08, 0.5)
            for detune, pan in ((-3, -0.7), (3, 0.7)):  # two players, some samples apart
                track.add(max(0.0, bar * 4 * BEAT + (detune + voice) * 0.002), samples, 0.085, pan)
    return track


def lead():
    track = Track()
    table = wavetable([(k, 1.0 / k) for k in range(1, 12)])
    for beat, length, note in LEAD:
        samples = tone(table, note, length * BEAT * 0.96, 0.015, 0.05, 0.7, 0.25)
        track.add(beat * BEAT, samples, 0.13, 0.1)
        track.add((beat + 0.75) * BEAT, samples, 0.03, -0.5)  # an echo
    return track


def write(path, left, right):
    """Interleaved 16-bit samples; nothing clips, since the mix is scaled below full scale before."""
    pcm = array.array("h", bytes(4 * FRAMES))
    pcm[0::2] = array.array("h", [round(v * 32767) for v in left])
    pcm[1::2] = array.array("h", [round(v * 32767) for v in right])
    if sys.byteorder == "big":
        pcm.byteswap()
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.tobytes())


def main():
    parser = argparse.ArgumentParser(description="Synthesise a short song.")
    parser.add_argument("output", type=pathlib.Path, help="the WAV file to write")
    parser.add_argument("--stems", type=pathlib.Path, metavar="DIR", help="also write each stem as DIR/NAME.wav")
    parser.add_argument("--parts", type=pathlib.Path, metavar="DIR", help="also write the drums' parts as DIR/NAME.wav")
    options = parser.parse_args()

    parts = drum_parts(random.Random(1))
    stems = {"drums": together(parts.values()), "bass": bass(), "chords": chords(), "lead": lead()}
    mix = [[sum(values) for values in zip(*(getattr(t, side) for t in stems.values()))] for side in ("left", "right")]
    scale = 0.9 / max(max(map(abs, side)) for side in mix)

    def scaled(values):
        return [v * scale for v in values]

    options.output.parent.mkdir(parents=True, exist_ok=True)
    write(options.output, *map(scaled, mix))
    for folder, tracks in ((options.stems, stems), (options.parts, parts)):
        if folder is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, track in tracks.items():
            write(folder / f"{name}.wav", scaled(track.left), scaled(track.right))


if __name__ == "__main__":
    main()
