// Falling notes as pictures: each a pure function of scene, options and time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "pipelines/studio/notes_scene.h"
#include "pipelines/studio/yuv.h"

namespace timbre {

struct NotesLook {
  int width = 1920, height = 1080;  // even, 64 to 7680
  double speed = 1;                 // 1: a note is seen 2.1 s before it sounds
  bool labels = true;               // names, numbers and times; what they look like depends on the fonts there are
};

// Where a picture differs from what stays the same in all of them: [x0, x1) and [y0, y1), even numbers.
struct PaintedPart {
  int x0, y0, x1, y1;
};

// What ToYuv wrote last into some planes, so that it need not write all of them again.
struct PaintedYuv {
  bool complete = false;
  std::vector<PaintedPart> parts;
};

// Sizes scale with the shorter side. A note's lower edge touches the line at 85 % of the height when it sounds, to half
// a pixel.
class NotesPainter {
 public:
  // `length`: seconds, for the progress bar. `scene` must outlive the painter. Fails with kUnsupported where more than
  // 4000 notes would be seen at once.
  static Result<std::unique_ptr<NotesPainter>> Create(const NotesScene& scene, const NotesLook& look, double length);
  virtual ~NotesPainter() = default;

  // The picture at `seconds`; negative while counting in.
  virtual Status Paint(double seconds) = 0;
  // Of the picture painted last: [height][width] of 0xFFRRGGBB.
  virtual std::span<const uint32_t> pixels() const = 0;
  // The same as 4:2:0 by BT.709 in limited range. `painted` is of these planes: as the last call of this painter left
  // it and them, or as it is made.
  virtual void ToYuv(const YuvPlanes& planes, PaintedYuv& painted) = 0;
  virtual Status WritePng(const std::string& path) const = 0;
};

}  // namespace timbre
