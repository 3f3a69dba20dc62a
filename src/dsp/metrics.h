// How close an estimate is to its reference: energy ratios in decibels, and the intelligibility of speech.
//
// Every function takes a reference and an estimate of equal length, already aligned and at the same rate, and fails
// with kInvalidArgument where they differ in length, are empty, hold a value that is not finite, or the reference is
// silent (no ratio to silence means anything). Sums run in double precision.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace timbre {

// No ratio leaves ±200 dB, so that equal signals and a silent estimate have a value that can be printed and averaged.
// Float32 samples can't come nearer than about 144 dB to each other without being equal.
inline constexpr double kRatioLimitDb = 200.0;

// Signal-to-distortion ratio, dB: 10·log10(Σ s² / Σ (s − ŝ)²) over all samples and channels at once (`reference` and
// `estimate` interleaved, or one channel). What the Music Demixing Challenge 2021 ranked by (Mitsufuji et al., 2022).
Result<double> Sdr(std::span<const float> reference, std::span<const float> estimate);

// The median of Sdr over consecutive frames of `frame` values (channels × samples of interleaved signals), dB. With
// frames of one second it is the SDR of BSS Eval v4 as the museval package reports it (Stöter et al., 2018): its
// distortion filters move error between ISR, SIR and SAR, and leave their sum, which is SDR, as it is. As there, a rest
// shorter than a frame is left out (a signal shorter than one frame is one frame), and so is a frame where either
// signal is silent. Fails where no frame is left.
Result<double> MedianFrameSdr(std::span<const float> reference, std::span<const float> estimate, int64_t frame);

// Scale-invariant signal-to-distortion ratio, dB: 10·log10(‖αs‖² / ‖αs − ŝ‖²) with α = ⟨ŝ,s⟩ / ‖s‖², no mean removed
// (Le Roux et al., "SDR – half-baked or well done?", 2019, equation 3).
Result<double> SiSdr(std::span<const float> reference, std::span<const float> estimate);

// Segmental signal-to-noise ratio of one channel, dB: the mean over Hann-windowed frames of 30 ms, hop a quarter of
// that, of each frame's ratio limited to [−10, 35] dB (Hansen and Pellom, 1998; frames, window and limits as in Loizou,
// "Speech Enhancement: Theory and Practice", comp_snr). Frames where the reference is silent count as −10 dB.
Result<double> SegmentalSnr(std::span<const float> reference, std::span<const float> estimate, int sample_rate);

// The rate that Stoi and ExtendedStoi work at, Hz.
inline constexpr int kStoiRate = 10000;

// Short-time objective intelligibility of one channel at kStoiRate, about 0 (none) to 1 (Taal, Hendriks, Heusdens and
// Jensen, "An Algorithm for Intelligibility Prediction of Time–Frequency Weighted Noisy Speech", 2011): frames more
// than 40 dB below the reference's loudest are removed, 15 third-octave bands from 150 Hz, correlations over 30 frames
// (384 ms) clipped at −15 dB. Fails where fewer than 30 frames are left.
Result<double> Stoi(std::span<const float> reference, std::span<const float> estimate);

// The extended measure, which also holds for modulated maskers: the same bands, but each 384 ms spectrogram normalised
// over time and then over bands, with no clipping (Jensen and Taal, 2016).
Result<double> ExtendedStoi(std::span<const float> reference, std::span<const float> estimate);

}  // namespace timbre
