#include "audio/ffmpeg.h"

#include "audio/ffmpeg_process.h"

namespace timbre {

TIMBRE_AVFORMAT(TIMBRE_DEFINE_FUNCTION)
TIMBRE_AVCODEC(TIMBRE_DEFINE_FUNCTION)
TIMBRE_AVUTIL(TIMBRE_DEFINE_FUNCTION)
TIMBRE_SWSCALE(TIMBRE_DEFINE_FUNCTION)

namespace {

#define TIMBRE_LIBRARY(name, major) \
  { "lib" name ".so." AV_STRINGIFY(major), "lib" name AV_STRINGIFY(major), "audio and video files need FFmpeg's" }
constexpr SharedLibrary kFormat = TIMBRE_LIBRARY("avformat", LIBAVFORMAT_VERSION_MAJOR);
constexpr SharedLibrary kCodec = TIMBRE_LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR);
constexpr SharedLibrary kUtil = TIMBRE_LIBRARY("avutil", LIBAVUTIL_VERSION_MAJOR);
constexpr SharedLibrary kScale = TIMBRE_LIBRARY("swscale", LIBSWSCALE_VERSION_MAJOR);
#undef TIMBRE_LIBRARY

constexpr LibraryFunction kOfFormat[] = {TIMBRE_AVFORMAT(TIMBRE_FIND_FUNCTION)};
constexpr LibraryFunction kOfCodec[] = {TIMBRE_AVCODEC(TIMBRE_FIND_FUNCTION)};
constexpr LibraryFunction kOfUtil[] = {TIMBRE_AVUTIL(TIMBRE_FIND_FUNCTION)};
constexpr LibraryFunction kOfScale[] = {TIMBRE_SWSCALE(TIMBRE_FIND_FUNCTION)};

Status Load() {
  TIMBRE_CHECK(OpenLibrary(kUtil, kOfUtil));
  TIMBRE_CHECK(OpenLibrary(kCodec, kOfCodec));
  TIMBRE_CHECK(OpenLibrary(kFormat, kOfFormat));
  TIMBRE_CHECK(OpenLibrary(kScale, kOfScale));
  FfmpegIsLoaded();
  return {};
}

}  // namespace

Status LoadFfmpeg() {
  static const Status loaded = Load();
  return loaded;
}

}  // namespace timbre
