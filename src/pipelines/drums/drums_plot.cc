#include "pipelines/drums/drums_plot.h"

#include <cairo.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "plots/picture.h"

namespace timbre {
namespace {

constexpr double kLeft = 150, kRight = 24, kTop = 84, kBottom = 40;  // margins
constexpr double kLane = 116, kGap = 12;                             // a stem's height, and what parts it from the next
constexpr double kNarrowest = 1200, kWidest = 30000;                 // of the drawing; cairo's images end at 32767
constexpr double kPixelsPerSecond = 110;

struct Colour {
  double red, green, blue;
};
constexpr Colour Hex(unsigned rgb) {
  return {(rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0};
}
constexpr Colour kPaper = Hex(0xFFFFFF), kPanel = Hex(0xF6F7F9), kWave = Hex(0xC3CBD6), kInk = Hex(0x1F2933);
constexpr Colour kFaint = Hex(0x7B8794), kBeat = Hex(0xD3DAE3), kBar = Hex(0x9AA5B4);
// Told apart by people with the common forms of colour blindness: the palette of Okabe and Ito (2008), darkened for
// thin lines.
constexpr std::array<Colour, 4> kVoices = {Hex(0xD55E00), Hex(0x0072B2), Hex(0x008F6B), Hex(0xB5578F)};

struct Drawing {
  cairo_t* cr;
  double seconds, scale, height;

  double X(double t) const { return kLeft + t * scale; }
  void Use(Colour c, double alpha = 1) const { cairo_set_source_rgba(cr, c.red, c.green, c.blue, alpha); }
  void Line(double x0, double y0, double x1, double y1, double width) const {
    cairo_set_line_width(cr, width);
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
  }
  // `anchor`: 0 begins at x, 0.5 is centred on it, 1 ends at it.
  void Text(double x, double y, double size, const std::string& text, double anchor = 0, bool bold = false) const {
    cairo_select_font_face(cr, "sans", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, size);
    cairo_text_extents_t extents;
    cairo_text_extents(cr, text.c_str(), &extents);
    cairo_move_to(cr, x - anchor * extents.x_advance, y);
    cairo_show_text(cr, text.c_str());
  }
};

std::string TempoText(const BeatGrid& grid) {
  if (grid.bpm <= 0) return "no tempo found";
  return fmt::format("{:.1f} BPM, {}", grid.bpm, grid.steady ? "steady" : "drifting");
}

std::string ClockText(double seconds) {
  const int whole = static_cast<int>(seconds);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

void DrawGrid(const Drawing& d, const DrumAnalysis& analysis) {
  const std::vector<double>& beats = analysis.grid.beats;
  const int bar = std::max(1, analysis.grid.metre.beats());
  const bool tight =
      beats.size() > 1 && d.scale * (beats.back() - beats.front()) / static_cast<double>(beats.size()) < 5;
  for (size_t i = 0; i < beats.size(); ++i) {
    const int from_downbeat = static_cast<int>(i) - analysis.grid.downbeat;
    const bool first = from_downbeat % bar == 0;
    if (tight && !first) continue;
    d.Use(first ? kBar : kBeat);
    d.Line(d.X(beats[i]), kTop - (first ? 8 : 0), d.X(beats[i]), d.height - kBottom, first ? 1.2 : 0.8);
    if (first && from_downbeat >= 0) {
      d.Use(kFaint);
      d.Text(d.X(beats[i]) + 3, kTop - 6, 11, std::to_string(from_downbeat / bar + 1));
    }
  }
  // Seconds below, as close as they can be read.
  double step = 1;
  for (double candidate : {1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0}) {
    step = candidate;
    if (candidate * d.scale >= 55) break;
  }
  d.Use(kFaint);
  for (int i = 0; i * step <= d.seconds + 1e-6; ++i) {
    const double t = i * step;
    d.Line(d.X(t), d.height - kBottom, d.X(t), d.height - kBottom + 4, 1);
    d.Text(d.X(t), d.height - kBottom + 18, 11, ClockText(t), 0.5);
  }
}

void DrawWave(const Drawing& d, const OnsetTrack& track, double middle, double half) {
  float peak = 1e-6f;
  for (const auto& [low, high] : track.overview) peak = std::max({peak, -low, high});
  const auto columns = static_cast<int>(std::ceil(track.seconds * d.scale));
  const auto size = static_cast<int64_t>(track.overview.size());
  if (columns < 1 || size == 0) return;
  std::vector<std::array<double, 2>> extremes;
  for (int x = 0; x < columns; ++x) {
    const auto begin = std::min(size - 1, static_cast<int64_t>(x / d.scale / track.overview_seconds));
    const auto end = std::clamp(static_cast<int64_t>((x + 1) / d.scale / track.overview_seconds), begin + 1, size);
    std::array<double, 2> e = {0, 0};
    for (int64_t i = begin; i < end; ++i) {
      e[0] = std::min<double>(e[0], track.overview[static_cast<size_t>(i)][0]);
      e[1] = std::max<double>(e[1], track.overview[static_cast<size_t>(i)][1]);
    }
    extremes.push_back({e[0] / peak, e[1] / peak});
  }
  cairo_move_to(d.cr, kLeft, middle);
  for (int x = 0; x < columns; ++x)
    cairo_line_to(d.cr, kLeft + x + 0.5, middle - half * extremes[static_cast<size_t>(x)][1] - 0.4);
  for (int x = columns; x-- > 0;)
    cairo_line_to(d.cr, kLeft + x + 0.5, middle - half * extremes[static_cast<size_t>(x)][0] + 0.4);
  cairo_close_path(d.cr);
  d.Use(kWave);
  cairo_fill(d.cr);
}

void DrawStem(const Drawing& d, const DrumStem& stem, double top) {
  const double bottom = top + kLane, middle = top + kLane / 2;
  DrawWave(d, stem.track, middle, kLane / 2 - 10);
  auto colour = [&](const DrumVoice* voice) {
    return kVoices[static_cast<size_t>(voice - stem.rules->voices.data()) % kVoices.size()];
  };
  std::vector<int> counts(stem.rules->voices.size(), 0);
  int rejected = 0;
  for (const DrumHit& hit : stem.hits) {
    const double x = d.X(hit.seconds);
    if (!hit.kept) {
      ++rejected;
      d.Use(kFaint, 0.8);
      d.Line(x - 2.5, bottom - 8.5, x + 2.5, bottom - 3.5, 1);
      d.Line(x - 2.5, bottom - 3.5, x + 2.5, bottom - 8.5, 1);
      continue;
    }
    ++counts[static_cast<size_t>(hit.voice - stem.rules->voices.data())];
    const double high = bottom - 12 - (kLane - 22) * hit.velocity / 127.0;
    d.Use(colour(hit.voice), 0.9);
    d.Line(x, bottom - 12, x, high, 1.6);
    cairo_arc(d.cr, x, high, 3.2, 0, 2 * 3.14159265358979);
    cairo_fill(d.cr);
  }
  // The label: the stem, its voices in their colours, and what was rejected.
  d.Use(kInk);
  d.Text(16, top + 20, 15, stem.name, 0, true);
  double y = top + 40;
  for (size_t v = 0; v < counts.size(); ++v) {
    if (counts[v] == 0) continue;
    d.Use(kVoices[v % kVoices.size()]);
    cairo_arc(d.cr, 20, y - 4, 3.6, 0, 2 * 3.14159265358979);
    cairo_fill(d.cr);
    d.Use(kInk);
    d.Text(30, y, 12, fmt::format("{}  {}", stem.rules->voices[v].name, counts[v]));
    y += 17;
  }
  if (rejected > 0) {
    d.Use(kFaint);
    d.Text(30, y, 12, fmt::format("rejected  {}", rejected));
    d.Line(17, y - 7, 23, y - 1, 1);
    d.Line(17, y - 1, 23, y - 7, 1);
  }
}

void Draw(cairo_t* cr, const DrumAnalysis& analysis, const std::string& title, double width, double height) {
  const double seconds = std::max(analysis.seconds, 1e-3);
  const Drawing d{cr, seconds, (width - kLeft - kRight) / seconds, height};
  d.Use(kPaper);
  cairo_paint(cr);
  int kept = 0;
  for (size_t i = 0; i < analysis.stems.size(); ++i) {
    for (const DrumHit& hit : analysis.stems[i].hits) kept += hit.kept;
    d.Use(kPanel);
    cairo_rectangle(cr, kLeft, kTop + static_cast<double>(i) * (kLane + kGap), width - kLeft - kRight, kLane);
    cairo_fill(cr);
  }
  d.Use(kInk);
  d.Text(16, 32, 20, title, 0, true);
  d.Use(kFaint);
  d.Text(16, 54, 13, fmt::format("{}    {} hits    {}", TempoText(analysis.grid), kept, ClockText(analysis.seconds)));
  DrawGrid(d, analysis);
  for (size_t i = 0; i < analysis.stems.size(); ++i) {
    DrawStem(d, analysis.stems[i], kTop + static_cast<double>(i) * (kLane + kGap));
  }
}

}  // namespace

Status PlotDrums(const DrumAnalysis& analysis, const std::string& title, const std::string& path, OutputSet* outputs) {
  const double width = std::clamp(std::round(analysis.seconds * kPixelsPerSecond), kNarrowest, kWidest);
  const double height = kTop + static_cast<double>(analysis.stems.size()) * (kLane + kGap) - kGap + kBottom;
  return WritePicture(
      path, width, height, [&](cairo_t* context) { Draw(context, analysis, title, width, height); }, outputs);
}

}  // namespace timbre
