#include "plots/roofline.h"

#include <cairo.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "plots/picture.h"

namespace timbre {
namespace {

constexpr double kWidth = 1180, kHeight = 720;
constexpr double kLeft = 84, kRight = 300, kTop = 84, kBottom = 64;  // margins; the legend is on the right

struct Colour {
  double red, green, blue;
};
constexpr Colour Hex(unsigned rgb) {
  return {(rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0};
}
constexpr Colour kPaper = Hex(0xFFFFFF), kPanel = Hex(0xF6F7F9), kInk = Hex(0x1F2933), kFaint = Hex(0x7B8794),
                 kGrid = Hex(0xD3DAE3);
// Told apart by people with the common forms of colour blindness: the palette of Okabe and Ito (2008).
constexpr std::array<Colour, 7> kGroups = {Hex(0x0072B2), Hex(0xD55E00), Hex(0x009E73), Hex(0xCC79A7),
                                           Hex(0xE69F00), Hex(0x56B4E9), Hex(0x8A7A00)};
constexpr Colour kOthers = Hex(0x9AA5B4);

struct Group {
  std::string name;
  double flops = 0, bytes = 0, seconds = 0, least = 0;
  int count = 0;
  Colour colour = kOthers;
};

// The groups, the most time first, with a colour each for the first few.
std::vector<Group> GroupsOf(const Roofline& roof, std::span<const RooflinePoint> points) {
  std::map<std::string, Group> by_name;
  for (const RooflinePoint& p : points) {
    Group& group = by_name[p.group];
    group.name = p.group;
    group.flops += p.flops;
    group.bytes += p.bytes;
    group.seconds += p.seconds;
    group.least += roof.Seconds(p.flops, p.bytes);
    ++group.count;
  }
  std::vector<Group> groups;
  groups.reserve(by_name.size());
  for (auto& [name, group] : by_name) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.seconds > b.seconds; });
  for (size_t i = 0; i < std::min(groups.size(), kGroups.size()); ++i) groups[i].colour = kGroups[i];
  return groups;
}

class Chart {
 public:
  Chart(cairo_t* context, const Roofline& roof, std::span<const RooflinePoint> points) : cr_(context), roof_(roof) {
    // Whole decades around everything there is to see.
    const double ridge = roof.bandwidth_gb_per_s > 0 ? roof.peak_gflops / roof.bandwidth_gb_per_s : 1;
    double lo_x = ridge / 10, hi_x = ridge * 10, lo_y = roof.peak_gflops / 10, hi_y = roof.peak_gflops * 1.2;
    double total = 0;
    for (const RooflinePoint& p : points) total += p.seconds;
    for (const RooflinePoint& p : points) {
      if (!Shown(p) || p.seconds < 1e-4 * total) continue;  // what hardly counts may lie on the edge
      lo_x = std::min(lo_x, p.flops / p.bytes), hi_x = std::max(hi_x, p.flops / p.bytes);
      lo_y = std::min(lo_y, p.flops / p.seconds / 1e9), hi_y = std::max(hi_y, p.flops / p.seconds / 1e9);
    }
    const auto below = [](double value) { return static_cast<int>(std::floor(std::log10(std::max(value, 1e-3)))); };
    const auto above = [](double value) { return static_cast<int>(std::ceil(std::log10(std::max(value, 1e-2)))); };
    x0_ = below(lo_x), x1_ = above(hi_x), y0_ = below(lo_y), y1_ = above(hi_y);
  }

  static bool Shown(const RooflinePoint& p) { return p.flops > 0 && p.bytes > 0 && p.seconds > 0; }

  void Draw(std::span<const RooflinePoint> points, const std::vector<Group>& groups, const std::string& title) {
    Use(kPaper);
    cairo_paint(cr_);
    Use(kInk);
    Text(kLeft, 34, 20, title, 0, true);
    Use(kFaint);
    Text(kLeft, 56, 13,
         fmt::format("peak {:.0f} GFLOP/s, memory {:.1f} GB/s; a circle is a node, its area its time",
                     roof_.peak_gflops, roof_.bandwidth_gb_per_s));
    Grid();
    Points(points, groups);
    Roof();
    Legend(groups);
  }

 private:
  double X(double intensity) const {
    const double at = (std::log10(std::max(intensity, 1e-9)) - x0_) / (x1_ - x0_);
    return kLeft + std::clamp(at, 0.0, 1.0) * (kWidth - kLeft - kRight);
  }
  double Y(double gflops) const {
    const double at = (std::log10(std::max(gflops, 1e-9)) - y0_) / (y1_ - y0_);
    return kHeight - kBottom - std::clamp(at, 0.0, 1.0) * (kHeight - kTop - kBottom);
  }
  void Use(Colour c, double alpha = 1) { cairo_set_source_rgba(cr_, c.red, c.green, c.blue, alpha); }
  void Line(double ax, double ay, double bx, double by, double width) {
    cairo_set_line_width(cr_, width);
    cairo_move_to(cr_, ax, ay);
    cairo_line_to(cr_, bx, by);
    cairo_stroke(cr_);
  }
  void Circle(double x, double y, double radius) {
    cairo_new_path(cr_);
    cairo_arc(cr_, x, y, radius, 0, 2 * 3.14159265358979);
  }
  // `anchor`: 0 begins at x, 0.5 is centred on it, 1 ends at it.
  void Text(double x, double y, double size, const std::string& text, double anchor = 0, bool bold = false) {
    cairo_select_font_face(cr_, "sans", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr_, size);
    cairo_text_extents_t extents;
    cairo_text_extents(cr_, text.c_str(), &extents);
    cairo_move_to(cr_, x - anchor * extents.x_advance, y);
    cairo_show_text(cr_, text.c_str());
  }

  void Grid() {
    Use(kPanel);
    cairo_rectangle(cr_, kLeft, kTop, kWidth - kLeft - kRight, kHeight - kTop - kBottom);
    cairo_fill(cr_);
    for (int decade = x0_; decade <= x1_; ++decade) {
      const double value = std::pow(10, decade);
      Use(kGrid);
      Line(X(value), kTop, X(value), kHeight - kBottom, 1);
      Use(kFaint);
      Text(X(value), kHeight - kBottom + 20, 12, fmt::format("{:g}", value), 0.5);
    }
    for (int decade = y0_; decade <= y1_; ++decade) {
      const double value = std::pow(10, decade);
      Use(kGrid);
      Line(kLeft, Y(value), kWidth - kRight, Y(value), 1);
      Use(kFaint);
      Text(kLeft - 8, Y(value) + 4, 12, fmt::format("{:g}", value), 1);
    }
    Use(kInk);
    Text((kLeft + kWidth - kRight) / 2, kHeight - 18, 13, "arithmetic intensity, FLOP/byte", 0.5);
    cairo_save(cr_);
    cairo_translate(cr_, 24, (kTop + kHeight - kBottom) / 2);
    cairo_rotate(cr_, -3.14159265358979 / 2);
    Text(0, 0, 13, "GFLOP/s", 0.5);
    cairo_restore(cr_);
  }

  void Points(std::span<const RooflinePoint> points, const std::vector<Group>& groups) {
    double total = 0;
    for (const RooflinePoint& p : points) total += p.seconds;
    // Small ones on top of large ones.
    std::vector<const RooflinePoint*> order;
    for (const RooflinePoint& p : points) {
      if (Shown(p)) order.push_back(&p);
    }
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->seconds > b->seconds; });
    for (const RooflinePoint* p : order) {
      Colour colour = kOthers;
      for (const Group& group : groups) {
        if (group.name == p->group) colour = group.colour;
      }
      Circle(X(p->flops / p->bytes), Y(p->flops / p->seconds / 1e9), 2 + 28 * std::sqrt(p->seconds / total));
      Use(colour, 0.45);
      cairo_fill_preserve(cr_);
      Use(colour, 0.9);
      cairo_set_line_width(cr_, 1);
      cairo_stroke(cr_);
    }
  }

  void Roof() {
    if (!(roof_.peak_gflops > 0) || !(roof_.bandwidth_gb_per_s > 0)) return;
    const double lowest = std::pow(10, y0_), ridge = roof_.peak_gflops / roof_.bandwidth_gb_per_s;
    const double first = std::max(std::pow(10, x0_), lowest / roof_.bandwidth_gb_per_s);
    Use(kInk);
    Line(X(first), Y(roof_.Bound(first)), X(ridge), Y(roof_.peak_gflops), 2);
    Line(X(ridge), Y(roof_.peak_gflops), kWidth - kRight, Y(roof_.peak_gflops), 2);
  }

  void Legend(const std::vector<Group>& groups) {
    const double x = kWidth - kRight + 20;
    double y = kTop + 12, total = 0;
    for (const Group& group : groups) total += group.seconds;
    Use(kInk);
    Text(x, y, 13, "time, and how much of the bound", 0, true);
    for (const Group& group : groups) {
      y += 38;
      if (y > kHeight - kBottom - 20) break;
      Circle(x + 6, y - 4, 6);
      Use(group.colour);
      cairo_fill(cr_);
      Use(kInk);
      Text(x + 20, y, 12, group.name);
      Use(kFaint);
      const double time = total > 0 ? 100 * group.seconds / total : 0;
      const double of_bound = group.seconds > 0 ? 100 * group.least / group.seconds : 0;
      Text(x + 20, y + 15, 11,
           fmt::format("{:.1f} %, {:.0f} % of the bound{}", time, of_bound, group.flops > 0 ? "" : " (moves only)"));
    }
  }

  cairo_t* cr_;
  const Roofline& roof_;
  int x0_ = 0, x1_ = 1, y0_ = 0, y1_ = 1;  // decades
};

}  // namespace

double Roofline::Seconds(double flops, double bytes) const {
  const double computing = peak_gflops > 0 ? flops / peak_gflops / 1e9 : 0;
  const double moving = bandwidth_gb_per_s > 0 ? bytes / bandwidth_gb_per_s / 1e9 : 0;
  return std::max(computing, moving);
}

double Roofline::Bound(double intensity) const { return std::min(peak_gflops, intensity * bandwidth_gb_per_s); }

Status PlotRoofline(const Roofline& roof, std::span<const RooflinePoint> points, const std::string& title,
                    const std::string& path) {
  return WritePicture(path, kWidth, kHeight, [&](cairo_t* context) {
    Chart(context, roof, points).Draw(points, GroupsOf(roof, points), title);
  });
}

}  // namespace timbre
