// Arithmetic on arrays of floats with the machine's vectors. Nothing allocates; results do not depend on alignment.
#pragma once

#include <cstdint>
#include <span>

namespace timbre {

// out[i] = a[i] b[i]. `out` may be `a` or `b`.
void Multiply(const float* a, const float* b, float* out, int64_t count);
// out[i] = a[i] b[i] + c[i]. `out` may be any of them.
void MultiplyAdd(const float* a, const float* b, const float* c, float* out, int64_t count);

// Copies with values that are not finite as 0 and the others cut to [-most, most].
void CopySane(const float* in, float most, float* out, int64_t count);
bool AllFinite(const float* x, int64_t count);
// The largest magnitude; not a number, or infinite, where one of them is.
float LargestMagnitude(const float* x, int64_t count);

// Spectra are [bins][2], real and imaginary parts. A band is a run of widths[b] bins; bands lie one behind another.

// decibels[b] = 10 log10(the mean power of the band's bins + floor).
void BandDecibels(const float* spectrum, std::span<const int> widths, float floor, float* decibels);
// Multiplies each band's bins by its gain.
void ScaleBands(std::span<const int> widths, const float* gains, float* spectrum);
// Divides bins by the root of a running mean of their magnitude: means[i] becomes keep means[i] + (1 - keep) |x[i]|,
// and no less than `least`.
void NormaliseByRunningMean(const float* spectrum, int64_t bins, float keep, float least, float* means, float* out);

}  // namespace timbre
