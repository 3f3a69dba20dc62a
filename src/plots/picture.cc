#include "plots/picture.h"

#include <cairo-svg.h>
#include <cairo.h>

#include <memory>

#include "base/atomic_file.h"

namespace timbre {
namespace {

// What cairo writes goes to the file; the first failure is kept for the message.
struct Sink {
  AtomicFile file;
  Status status;
  static cairo_status_t Write(void* sink, const unsigned char* data, unsigned size) {
    auto& self = *static_cast<Sink*>(sink);
    if (self.status) self.status = self.file.Write(std::span(reinterpret_cast<const std::byte*>(data), size));
    return self.status ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
  }
};

}  // namespace

Status CheckPicturePath(const std::string& path) {
  if (path.ends_with(".svg") || path.ends_with(".png")) return {};
  return Fail(ErrorCode::kInvalidArgument, "'" + path + "' must end in .png or .svg, which says what to draw.");
}

Status WritePicture(const std::string& path, double width, double height, const std::function<void(cairo_t*)>& draw,
                    OutputSet* outputs) {
  TIMBRE_CHECK(CheckPicturePath(path));
  const bool svg = path.ends_with(".svg");
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, outputs));
  Sink sink{std::move(file), {}};
  using Surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;
  using Context = std::unique_ptr<cairo_t, decltype(&cairo_destroy)>;
  const Surface surface(
      svg ? cairo_svg_surface_create_for_stream(Sink::Write, &sink, width, height)
          : cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height)),
      cairo_surface_destroy);
  cairo_status_t status = CAIRO_STATUS_SUCCESS;
  {
    const Context context(cairo_create(surface.get()), cairo_destroy);
    draw(context.get());
    status = cairo_status(context.get());
  }
  if (status == CAIRO_STATUS_SUCCESS) {
    if (svg) {
      cairo_surface_finish(surface.get());
      status = cairo_surface_status(surface.get());
    } else {
      status = cairo_surface_write_to_png_stream(surface.get(), Sink::Write, &sink);
    }
  }
  if (!sink.status) return sink.status;
  if (status == CAIRO_STATUS_NO_MEMORY)
    return Fail(ErrorCode::kOutOfMemory, "'" + path + "': there is no memory for the picture.");
  if (status != CAIRO_STATUS_SUCCESS) {
    return Fail(ErrorCode::kInternal, "'" + path + "' could not be drawn: " + cairo_status_to_string(status) + ".");
  }
  return sink.file.Commit();
}

}  // namespace timbre
