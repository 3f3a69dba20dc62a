#include "pipelines/studio/notes_painter.h"

#include <cairo.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>
#include <tuple>

#include "base/atomic_file.h"

namespace timbre {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kStrike = 0.85, kFall = 0.4;  // of the height; of the height a second
constexpr double kKickGlow = 0.08;             // seconds before and after
constexpr size_t kMostSeen = 4000;

struct Free {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* cr) const { cairo_destroy(cr); }
  void operator()(cairo_region_t* region) const { cairo_region_destroy(region); }
};
using Region = std::unique_ptr<cairo_region_t, Free>;
using Surface = std::unique_ptr<cairo_surface_t, Free>;
using Context = std::unique_ptr<cairo_t, Free>;

struct Rgb {
  double r, g, b;
};
Rgb ColourOf(const NoteLane& lane) { return {lane.colour[0] / 255.0, lane.colour[1] / 255.0, lane.colour[2] / 255.0}; }
Rgb Lighter(Rgb c, double share) { return {c.r + share * (1 - c.r), c.g + share * (1 - c.g), c.b + share * (1 - c.b)}; }
Rgb Times(Rgb c, double f) { return {c.r * f, c.g * f, c.b * f}; }
void Use(cairo_t* cr, Rgb c, double alpha = 1) { cairo_set_source_rgba(cr, c.r, c.g, c.b, alpha); }

void RoundedBox(cairo_t* cr, double x, double y, double w, double h, double radius) {
  radius = std::min({radius, w / 2, h / 2});
  cairo_new_sub_path(cr);
  cairo_arc(cr, x + w - radius, y + radius, radius, -kPi / 2, 0);
  cairo_arc(cr, x + w - radius, y + h - radius, radius, 0, kPi / 2);
  cairo_arc(cr, x + radius, y + h - radius, radius, kPi / 2, kPi);
  cairo_arc(cr, x + radius, y + radius, radius, kPi, 1.5 * kPi);
  cairo_close_path(cr);
}

// `anchor`: 0 begins at x, 0.5 is centred on it.
void Text(cairo_t* cr, double x, double y, double size, const std::string& text, double anchor = 0) {
  cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
  cairo_set_font_size(cr, size);
  cairo_text_extents_t extents;
  cairo_text_extents(cr, text.c_str(), &extents);
  cairo_move_to(cr, x - anchor * extents.x_advance, y);
  cairo_show_text(cr, text.c_str());
}

Region RegionOf(const std::vector<PaintedPart>& parts) {
  std::vector<cairo_rectangle_int_t> boxes;
  boxes.reserve(parts.size());
  for (const PaintedPart& part : parts) boxes.push_back({part.x0, part.y0, part.x1 - part.x0, part.y1 - part.y0});
  return Region(cairo_region_create_rectangles(boxes.data(), static_cast<int>(boxes.size())));
}

// Of a region, parts that do not overlap.
Result<std::vector<PaintedPart>> PartsOf(const cairo_region_t* region) {
  if (cairo_region_status(region) != CAIRO_STATUS_SUCCESS) {
    return Fail(ErrorCode::kOutOfMemory, "there is no memory for what changes in a picture");
  }
  std::vector<PaintedPart> parts(static_cast<size_t>(cairo_region_num_rectangles(region)));
  for (size_t i = 0; i < parts.size(); ++i) {
    cairo_rectangle_int_t box;
    cairo_region_get_rectangle(region, static_cast<int>(i), &box);
    parts[i] = {box.x, box.y, box.x + box.width, box.y + box.height};
  }
  return parts;
}

class Painter final : public NotesPainter {
 public:
  Painter(const NotesScene& scene, const NotesLook& look, double length)
      : scene_(scene),
        look_(look),
        length_(length),
        scale_(std::min(look.width, look.height) / 1080.0),
        strike_(std::round(kStrike * look.height)),
        fall_(kFall * look.height * look.speed) {
    lanes_ = static_cast<int>(
        std::count_if(scene.lanes.begin(), scene.lanes.end(), [](const NoteLane& lane) { return !lane.bar(); }));
    for (const NoteLane& lane : scene.lanes) {
      columns_.push_back(lane.bar() ? -1
                                    : static_cast<int>(std::count_if(columns_.begin(), columns_.end(),
                                                                     [](int column) { return column >= 0; })));
    }
  }

  Status Prepare() {
    TIMBRE_CHECK(CheckCrowd());
    TIMBRE_TRY(base_, NewSurface(look_.width, look_.height));
    TIMBRE_TRY(image_, NewSurface(look_.width, look_.height));
    base_yuv_.resize(static_cast<size_t>(look_.width * look_.height * 3 / 2));
    TIMBRE_CHECK(DrawStrike());
    DrawBase();
    cairo_surface_flush(base_.get());
    RgbToYuv(Pixels(base_.get()), look_.width, look_.width, look_.height, PlanesOf(base_yuv_));
    std::memcpy(Pixels(image_.get()), Pixels(base_.get()), Bytes());
    cairo_surface_mark_dirty(image_.get());
    return {};
  }

  Status Paint(double seconds) override;
  std::span<const uint32_t> pixels() const override {
    return {Pixels(image_.get()), static_cast<size_t>(look_.width * look_.height)};
  }
  void ToYuv(const YuvPlanes& planes, PaintedYuv& painted) override;
  Status WritePng(const std::string& path) const override {
    if (cairo_surface_write_to_png(image_.get(), path.c_str()) == CAIRO_STATUS_SUCCESS) return {};
    return Fail(ErrorCode::kIo, "'" + path + "' could not be written; check the folder and the space left.");
  }

 private:
  double S(double pixels) const { return pixels * scale_; }
  size_t Bytes() const { return static_cast<size_t>(look_.width * look_.height) * 4; }
  static uint32_t* Pixels(cairo_surface_t* surface) {
    return reinterpret_cast<uint32_t*>(cairo_image_surface_get_data(surface));
  }
  static Result<Surface> NewSurface(int width, int height) {
    Surface surface(cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width, height));
    // Rows lie one behind the other: cairo pads none of 4 bytes a pixel.
    if (cairo_surface_status(surface.get()) != CAIRO_STATUS_SUCCESS ||
        cairo_image_surface_get_stride(surface.get()) != 4 * width) {
      return Fail(ErrorCode::kOutOfMemory, "there is no memory for a picture of that size");
    }
    return surface;
  }
  YuvPlanes PlanesOf(std::vector<uint8_t>& yuv) const {
    const int area = look_.width * look_.height;
    return {{yuv.data(), yuv.data() + area, yuv.data() + area + area / 4},
            {look_.width, look_.width / 2, look_.width / 2}};
  }

  // The time that a note takes from the upper edge to the line, and from there to the lower edge.
  double Above() const { return strike_ / fall_ + S(80) / fall_; }
  double Below() const { return (look_.height - strike_) / fall_ + S(80) / fall_; }
  Status CheckCrowd() const {
    size_t first = 0;
    for (size_t last = 0; last < scene_.notes.size(); ++last) {
      while (scene_.notes[last].seconds - scene_.notes[first].seconds > Above() + Below()) ++first;
      if (last - first < kMostSeen) continue;
      return Fail(ErrorCode::kUnsupported, fmt::format("more than {} notes would be seen at once, at {:.1f} s",
                                                       kMostSeen, scene_.notes[last].seconds));
    }
    return {};
  }

  double LaneWidth() const { return static_cast<double>(look_.width) / std::max(1, lanes_); }
  double Middle(int lane) const { return (columns_[static_cast<size_t>(lane)] + 0.5) * LaneWidth(); }
  // The lower edge of a note that sounds `ahead` seconds from now, of an integer pixel.
  double EdgeAt(double ahead) const { return std::round(strike_ - ahead * fall_); }

  void Damage(double x, double y, double w, double h) {
    const auto clip = [](double v, int most) { return std::clamp(static_cast<int>(v), 0, most); };
    // Of whole pairs of pixels, as colours are stored.
    const PaintedPart part{clip(std::floor(x), look_.width) & ~1, clip(std::floor(y), look_.height) & ~1,
                           clip(std::ceil(x + w) + 1, look_.width) & ~1, clip(std::ceil(y + h) + 1, look_.height) & ~1};
    if (part.x0 < part.x1 && part.y0 < part.y1) damage_.push_back(part);
  }

  void DrawBase();
  void DrawLegend(cairo_t* cr);
  void DrawBeats(cairo_t* cr, double now);
  void DrawNote(cairo_t* cr, const SceneNote& note, double now);
  void DrawHit(cairo_t* cr, const SceneNote& note, double now);
  void DrawProgress(cairo_t* cr, double now);
  void DrawCount(cairo_t* cr, double now);
  Status DrawStrike();
  void PaintStrike(cairo_t* cr) {
    cairo_set_source_surface(cr, strike_line_.get(), 0, StrikeTop());
    cairo_paint(cr);
  }
  double StrikeTop() const { return strike_ - std::ceil(S(24)); }
  // A note with its glow and trail, drawn once for all of its voice and loudness; its lower edge lies `bottom` below
  // the sprite's upper one.
  struct Sprite {
    Surface surface;
    int width = 0, height = 0;
    double x = 0, bottom = 0;  // x: the sprite's left edge in the picture
  };
  const Sprite* SpriteOf(const SceneNote& note);
  void DrawShape(cairo_t* cr, NoteShape shape, double x, double y, double w, double h) const;

  const NotesScene& scene_;
  const NotesLook look_;
  const double length_, scale_, strike_, fall_;
  int lanes_ = 0;             // with a column of their own
  std::vector<int> columns_;  // of each lane, -1 of bars
  double legend_top_ = look_.height;
  Surface base_, image_, strike_line_;
  std::vector<uint8_t> base_yuv_;
  std::vector<PaintedPart> damage_;  // where the picture differs from the base; when it is painted, without overlaps
  std::map<std::tuple<int, int, int>, Sprite> sprites_;
};

void Painter::DrawBase() {
  const Context context(cairo_create(base_.get()));
  cairo_t* const cr = context.get();
  cairo_set_source_rgb(cr, 0, 0, 0);
  cairo_paint(cr);
  cairo_set_source_rgb(cr, 80 / 255.0, 80 / 255.0, 80 / 255.0);
  cairo_set_line_width(cr, std::max(1.0, std::round(S(1))));
  for (size_t l = 0; l < scene_.lanes.size(); ++l) {
    if (columns_[l] < 0) continue;
    const double x = std::floor(Middle(static_cast<int>(l))) + 0.5;
    cairo_move_to(cr, x, 0);
    cairo_line_to(cr, x, look_.height);
    cairo_stroke(cr);
  }
  PaintStrike(cr);
  if (look_.labels) DrawLegend(cr);
}

// The line and its rings, which lie over the notes of every picture.
Status Painter::DrawStrike() {
  TIMBRE_TRY(strike_line_, NewSurface(look_.width, static_cast<int>(std::ceil(S(24)) + std::ceil(S(28)))));
  const Context context(cairo_create(strike_line_.get()));
  cairo_t* const cr = context.get();
  cairo_translate(cr, 0, -StrikeTop());
  cairo_set_source_rgb(cr, 1, 1, 1);
  cairo_rectangle(cr, 0, strike_, look_.width, std::max(1.0, std::round(S(4))));
  cairo_fill(cr);
  cairo_set_source_rgb(cr, 200 / 255.0, 200 / 255.0, 200 / 255.0);
  cairo_set_line_width(cr, S(2));
  for (size_t l = 0; l < scene_.lanes.size(); ++l) {
    if (columns_[l] < 0) continue;
    cairo_new_sub_path(cr);
    cairo_arc(cr, Middle(static_cast<int>(l)), strike_ + S(2), S(20), 0, 2 * kPi);
    cairo_stroke(cr);
  }
  return {};
}

void Painter::DrawLegend(cairo_t* cr) {
  // As many rows as the names need.
  const double margin = S(10), row = S(40), size = S(16), dot = S(12);
  const auto count = static_cast<int>(scene_.lanes.size());
  const int per_row = std::max(1, std::min(count, static_cast<int>((look_.width - 4 * margin) / S(150))));
  const int rows = (count + per_row - 1) / per_row;
  const double height = std::min(rows * row + S(20), look_.height - strike_ - S(40));
  const double top = legend_top_ = look_.height - margin - height;
  cairo_set_source_rgba(cr, 20 / 255.0, 20 / 255.0, 20 / 255.0, 180 / 255.0);
  RoundedBox(cr, margin, top, look_.width - 2 * margin, height, S(15));
  cairo_fill(cr);
  const double step = (look_.width - 4 * margin) / per_row;
  for (int i = 0; i < count; ++i) {
    const NoteLane& lane = scene_.lanes[static_cast<size_t>(i)];
    const int column = i % per_row, line = i / per_row;
    const double x = 2 * margin + (column + 0.5) * step - S(60);
    const double y = top + S(10) + (line + 0.5) * (height - S(20)) / rows;
    Use(cr, ColourOf(lane));
    cairo_new_sub_path(cr);
    cairo_arc(cr, x, y, dot / 2 + S(2), 0, 2 * kPi);
    cairo_fill(cr);
    cairo_set_source_rgb(cr, 0.92, 0.92, 0.92);
    Text(cr, x + S(16), y + size * 0.36, size, lane.name.substr(0, 12));
  }
}

void Painter::DrawBeats(cairo_t* cr, double now) {
  const auto begin = std::lower_bound(scene_.beats.begin(), scene_.beats.end(), now - Below(),
                                      [](const SceneBeat& beat, double t) { return beat.seconds < t; });
  double last_line = -1e9, last_bar = -1e9;
  for (auto beat = begin; beat != scene_.beats.end() && beat->seconds < now + Above(); ++beat) {
    const double y = EdgeAt(beat->seconds - now), thick = std::max(1.0, std::round(S(beat->first ? 2 : 1)));
    // What lies closer than lines can be told apart is not drawn.
    if (std::abs(y - (beat->first ? last_bar : last_line)) < 4) continue;
    last_line = y;
    if (beat->first) last_bar = y;
    const double grey = beat->first ? 0.42 : 0.22;
    cairo_set_source_rgb(cr, grey, grey, grey);
    cairo_rectangle(cr, 0, y, look_.width, thick);
    cairo_fill(cr);
    Damage(0, y, look_.width, thick);
    if (!beat->first || !look_.labels) continue;
    cairo_set_source_rgb(cr, 0.6, 0.6, 0.6);
    Text(cr, S(8), y - S(6), S(20), std::to_string(beat->bar));
    Damage(S(4), y - S(28), S(120), S(30));
  }
}

void Painter::DrawShape(cairo_t* cr, NoteShape shape, double x, double y, double w, double h) const {
  const double inset = std::min(w / 2, h / 2);
  switch (shape) {
    case NoteShape::kBox:
    case NoteShape::kBar: RoundedBox(cr, x, y, w, h, shape == NoteShape::kBox ? S(8) : 0); break;
    case NoteShape::kRing:
      RoundedBox(cr, x, y, w, h, h / 2);
      // A hole: the other way round.
      cairo_new_sub_path(cr);
      cairo_arc_negative(cr, x + w / 2, y + h / 2, inset * 0.55, 2 * kPi, 0);
      cairo_close_path(cr);
      break;
    case NoteShape::kDiamond:
      cairo_move_to(cr, x + w / 2, y);
      cairo_line_to(cr, x + w, y + h / 2);
      cairo_line_to(cr, x + w / 2, y + h);
      cairo_line_to(cr, x, y + h / 2);
      cairo_close_path(cr);
      break;
    case NoteShape::kCross: {
      // An hour-glass on its side.
      cairo_move_to(cr, x, y);
      cairo_line_to(cr, x + w / 2, y + h * 0.3);
      cairo_line_to(cr, x + w, y);
      cairo_line_to(cr, x + w, y + h);
      cairo_line_to(cr, x + w / 2, y + h * 0.7);
      cairo_line_to(cr, x, y + h);
      cairo_close_path(cr);
      break;
    }
  }
}

const Painter::Sprite* Painter::SpriteOf(const SceneNote& note) {
  const int loudness = note.velocity / 8;
  auto [found, fresh] = sprites_.try_emplace({note.lane, note.voice, loudness});
  Sprite& sprite = found->second;
  if (!fresh) return &sprite;
  const NoteLane& lane = scene_.lanes[static_cast<size_t>(note.lane)];
  const NoteShape shape = lane.voices[static_cast<size_t>(note.voice)].shape;
  const bool bar = lane.bar();
  const double pad = std::ceil(S(6)), trail = S(bar ? 2 : 3);
  const double w = bar ? look_.width : std::max(S(8), LaneWidth() - S(20)), h = std::round(S(bar ? 30 : 60));
  sprite.x = bar ? 0 : std::round(Middle(note.lane) - w / 2) - pad;
  sprite.width = static_cast<int>(std::ceil(w + (bar ? 0 : 2 * pad)));
  sprite.height = static_cast<int>(std::ceil(h + 2 * pad + 2 * trail));
  sprite.bottom = std::ceil(2 * trail) + pad + h;
  auto surface = NewSurface(sprite.width, sprite.height);
  if (!surface) return &sprite;
  sprite.surface = *std::move(surface);
  const Context context(cairo_create(sprite.surface.get()));
  cairo_t* const cr = context.get();
  const double x = bar ? 0 : pad, y = sprite.bottom - h;
  const Rgb colour = Times(ColourOf(lane), 0.5 + 0.5 * (8 * loudness + 7) / 127.0), edge = Lighter(colour, 0.8);
  for (int i = 2; i >= 1; --i) {
    DrawShape(cr, shape, x, y - i * trail, w, h);
    Use(cr, colour, 0.3 * (1 - i / 3.0));
    cairo_fill(cr);
  }
  // A glow, the note, its edge; a ghost note is its edge alone.
  DrawShape(cr, shape, x, y, w, h);
  Use(cr, colour, note.ghost() ? 0.15 : 1);
  cairo_fill_preserve(cr);
  Use(cr, edge, 0.25);
  cairo_set_line_width(cr, S(8));
  cairo_stroke_preserve(cr);
  Use(cr, note.ghost() ? colour : edge);
  cairo_set_line_width(cr, S(2));
  // The edge lies inside, so that the lower one of the note is where the note's is.
  cairo_save(cr);
  cairo_clip_preserve(cr);
  cairo_set_line_width(cr, S(4));
  cairo_stroke(cr);
  cairo_restore(cr);
  return &sprite;
}

void Painter::DrawNote(cairo_t* cr, const SceneNote& note, double now) {
  const Sprite* const sprite = SpriteOf(note);
  if (sprite->surface == nullptr) return;
  const double edge = EdgeAt(note.seconds - now), y = edge - sprite->bottom;
  const double alpha =
      edge <= strike_ ? 1 : std::max(0.2, 1 - 0.8 * (edge - strike_) / std::max(1.0, look_.height - strike_));
  cairo_set_source_surface(cr, sprite->surface.get(), sprite->x, y);
  if (alpha < 1) {
    cairo_paint_with_alpha(cr, alpha);
  } else {
    cairo_paint(cr);
  }
  Damage(sprite->x, y, sprite->width, sprite->height);
}

void Painter::DrawHit(cairo_t* cr, const SceneNote& note, double now) {
  const NoteLane& lane = scene_.lanes[static_cast<size_t>(note.lane)];
  const double dt = note.seconds - now, loud = note.velocity / 127.0;
  if (lane.bar()) {
    if (std::abs(dt) >= kKickGlow) return;
    const double pulse = std::sin((1 - std::abs(dt) / kKickGlow) * kPi / 2);
    for (int layer = 2; layer >= 0; --layer) {
      const double grow = S(8) * layer * pulse, y = strike_ - S(15) - grow, h = S(30) + 2 * grow;
      Use(cr, Lighter(ColourOf(lane), 0.5), (layer == 0 ? 0.6 : 0.2) * pulse * (0.5 + 0.5 * loud));
      cairo_rectangle(cr, 0, y, look_.width, h);
      cairo_fill(cr);
      Damage(0, y, look_.width, h);
    }
    return;
  }
  // While the note's middle is near the line.
  const double reach = S(45), middle = EdgeAt(dt) - S(30), off = middle - strike_;
  if (std::abs(off) >= reach) return;
  const double pulse = std::sin(kPi * (off + reach) / (2 * reach));
  const double radius = S(50 + 20 * pulse) * (0.7 + 0.3 * loud), x = Middle(note.lane), y = strike_ + S(2);
  const Rgb colour = ColourOf(lane);
  for (int ring = 3; ring >= 1; --ring) {
    cairo_new_sub_path(cr);
    cairo_arc(cr, x, y, radius + S(8) * ring, 0, 2 * kPi);
    Use(cr, colour, 0.25 * pulse / ring);
    cairo_set_line_width(cr, S(4));
    cairo_stroke(cr);
  }
  cairo_new_sub_path(cr);
  cairo_arc(cr, x, y, radius, 0, 2 * kPi);
  Use(cr, Lighter(colour, 0.7 * pulse), 220 / 255.0 * (0.3 + 0.7 * pulse) * 0.6);
  cairo_fill(cr);
  const double most = radius + S(28);
  Damage(x - most, y - most, 2 * most, 2 * most);
}

void Painter::DrawProgress(cairo_t* cr, double now) {
  const double margin = S(20), height = S(50), width = look_.width - 2 * margin;
  const double share = length_ > 0 ? std::clamp(now / length_, 0.0, 1.0) : 0;
  cairo_set_source_rgba(cr, 20 / 255.0, 20 / 255.0, 20 / 255.0, 153 / 255.0);
  RoundedBox(cr, margin, margin, width, height, S(8));
  cairo_fill(cr);
  if (share > 0) {
    cairo_set_source_rgba(cr, 0, 200 / 255.0, 1, 153 / 255.0);
    cairo_rectangle(cr, margin, margin, width * share, height);
    cairo_fill(cr);
  }
  if (look_.labels) {
    const auto clock = [](double t) {
      const int s = static_cast<int>(std::max(0.0, t));
      return fmt::format("{}:{:02}", s / 60, s % 60);
    };
    cairo_set_source_rgb(cr, 1, 1, 1);
    Text(cr, look_.width / 2.0, margin + height * 0.64, S(24), clock(now) + " / " + clock(length_), 0.5);
  }
  Damage(margin - 1, margin - 1, width + 2, height + 2);
}

void Painter::DrawCount(cairo_t* cr, double now) {
  if (now >= scene_.count_until || scene_.beat_seconds <= 0) return;
  const int left = static_cast<int>(std::ceil((scene_.count_until - now) / scene_.beat_seconds - 1e-9));
  const int beat = scene_.beats_per_bar - (left - 1) % scene_.beats_per_bar;
  const double x = look_.width / 2.0, y = look_.height * 0.45, radius = S(110);
  cairo_set_source_rgba(cr, 0.1, 0.1, 0.1, 0.85);
  cairo_new_sub_path(cr);
  cairo_arc(cr, x, y, radius, 0, 2 * kPi);
  cairo_fill(cr);
  // What is left of the bar, as a pie; and in numbers, where there are any.
  cairo_set_source_rgb(cr, 1, 1, 1);
  cairo_set_line_width(cr, S(10));
  cairo_new_sub_path(cr);
  cairo_arc(cr, x, y, radius, -kPi / 2, -kPi / 2 + 2 * kPi * beat / scene_.beats_per_bar);
  cairo_stroke(cr);
  if (look_.labels) Text(cr, x, y + S(44), S(120), std::to_string(beat), 0.5);
  Damage(x - radius - S(8), y - radius - S(8), 2 * radius + S(16), 2 * radius + S(16));
}

Status Painter::Paint(double seconds) {
  // Back to the base, where the last picture differs from it.
  uint32_t* const to = Pixels(image_.get());
  const uint32_t* const from = Pixels(base_.get());
  cairo_surface_flush(image_.get());
  for (const PaintedPart& part : damage_) {
    for (int y = part.y0; y < part.y1; ++y) {
      const size_t at = static_cast<size_t>(y) * static_cast<size_t>(look_.width) + static_cast<size_t>(part.x0);
      std::memcpy(to + at, from + at, static_cast<size_t>(part.x1 - part.x0) * 4);
    }
  }
  cairo_surface_mark_dirty(image_.get());
  damage_.clear();
  const Context context(cairo_create(image_.get()));
  cairo_t* const cr = context.get();
  DrawBeats(cr, seconds);
  const auto begin = std::lower_bound(scene_.notes.begin(), scene_.notes.end(), seconds - Below(),
                                      [](const SceneNote& note, double t) { return note.seconds < t; });
  const auto end = std::lower_bound(begin, scene_.notes.end(), seconds + Above(),
                                    [](const SceneNote& note, double t) { return note.seconds < t; });
  // The legend stays as it is.
  cairo_save(cr);
  cairo_rectangle(cr, 0, 0, look_.width, legend_top_);
  cairo_clip(cr);
  for (auto note = begin; note != end; ++note) DrawNote(cr, *note, seconds);
  cairo_restore(cr);
  for (auto note = begin; note != end; ++note) DrawHit(cr, *note, seconds);
  PaintStrike(cr);
  Damage(0, strike_ - S(24), look_.width, S(50));
  DrawProgress(cr, seconds);
  DrawCount(cr, seconds);
  if (cairo_status(cr) != CAIRO_STATUS_SUCCESS) return Fail(ErrorCode::kOutOfMemory, "a picture could not be drawn");
  cairo_surface_flush(image_.get());
  TIMBRE_TRY(damage_, PartsOf(RegionOf(damage_).get()));
  return {};
}

void CopyPart(const YuvPlanes& from, const YuvPlanes& to, const PaintedPart& part) {
  for (int p = 0; p < 3; ++p) {
    const int half = p == 0 ? 1 : 2;
    for (int y = part.y0 / half; y < part.y1 / half; ++y) {
      std::memcpy(to.data[p] + static_cast<ptrdiff_t>(y) * to.stride[p] + part.x0 / half,
                  from.data[p] + static_cast<ptrdiff_t>(y) * from.stride[p] + part.x0 / half,
                  static_cast<size_t>((part.x1 - part.x0) / half));
    }
  }
}

// As the picture itself: back to the base where nothing else comes, and what is new.
void Painter::ToYuv(const YuvPlanes& planes, PaintedYuv& painted) {
  const YuvPlanes base = PlanesOf(base_yuv_);
  if (!painted.complete) painted = {true, {{0, 0, look_.width, look_.height}}};
  const Region old = RegionOf(painted.parts);
  cairo_region_subtract(old.get(), RegionOf(damage_).get());
  for (const PaintedPart& part : PartsOf(old.get()).value_or(painted.parts)) CopyPart(base, planes, part);
  for (const PaintedPart& part : damage_) {
    const auto at = [&](int plane, int x, int y) {
      return planes.data[plane] + static_cast<ptrdiff_t>(y) * planes.stride[plane] + x;
    };
    RgbToYuv(Pixels(image_.get()) + static_cast<ptrdiff_t>(part.y0) * look_.width + part.x0, look_.width,
             part.x1 - part.x0, part.y1 - part.y0,
             {{at(0, part.x0, part.y0), at(1, part.x0 / 2, part.y0 / 2), at(2, part.x0 / 2, part.y0 / 2)},
              {planes.stride[0], planes.stride[1], planes.stride[2]}});
  }
  painted.parts = damage_;
}

}  // namespace

Result<std::unique_ptr<NotesPainter>> NotesPainter::Create(const NotesScene& scene, const NotesLook& look,
                                                           double length) {
  const auto fits = [](int side) { return side >= 64 && side <= 7680 && side % 2 == 0; };
  if (!fits(look.width) || !fits(look.height)) {
    return Fail(ErrorCode::kInvalidArgument, "a picture's sides are even numbers from 64 to 7680.");
  }
  auto painter = std::make_unique<Painter>(scene, look, length);
  TIMBRE_CHECK(painter->Prepare());
  return painter;
}

}  // namespace timbre
