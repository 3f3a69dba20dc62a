// What a page shows and plays of an asset: a picture of its wave, and samples from anywhere in it.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "apps/server/app.h"
#include "audio/peaks.h"
#include "http/ranges.h"

namespace timbre::server {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);
// What is named by a digest never changes.
constexpr const char* kForever = "private, max-age=31536000, immutable";

// A number of the query; `otherwise` where it isn't given, nothing where it is none from `least` to `most`.
std::optional<int64_t> NumberOf(const http::Request& request, std::string_view name, int64_t otherwise, int64_t least,
                                int64_t most) {
  const std::string_view text = request.QueryValue(name);
  if (text.empty()) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

http::Response NotYet() {
  http::Response response = http::Problem(503, "not-yet", "it is still being computed; ask again in a moment.");
  response.headers.Set("Retry-After", "1");
  return response;
}

// The answer now where it is there already, else as soon as it is.
http::Response NowOrLater(std::function<std::optional<http::Response>()> attempt) {
  if (auto now = attempt(); now) return *std::move(now);
  http::Response response;
  response.patience = kPatience;
  response.later = [attempt = std::move(attempt)](bool last) -> std::optional<http::Response> {
    if (auto answer = attempt(); answer) return answer;
    return last ? std::optional(NotYet()) : std::nullopt;
  };
  return response;
}

// Full scale is 32768, as FFmpeg has it; what lies beyond is clipped.
std::string Bytes16(const std::vector<float>& samples) {
  std::string bytes(samples.size() * 2, '\0');
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto value = static_cast<int16_t>(std::lrint(std::clamp(samples[i] * 32768.0f, -32768.0f, 32767.0f)));
    bytes[2 * i] = static_cast<char>(value & 0xFF);
    bytes[2 * i + 1] = static_cast<char>((value >> 8) & 0xFF);
  }
  return bytes;
}

std::string Bytes32(const std::vector<float>& samples) {
  std::string bytes(samples.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), samples.data(), bytes.size());  // little-endian, as every machine here is
  return bytes;
}

Json PeaksJson(const std::string& id, const engine::Previews::Peaks& peaks) {
  Json levels = Json::array();
  for (int i = 0; i < PeakPyramid::kLevels; ++i) {
    levels.push_back({{"level", i},
                      {"frames_per_bin", PeakPyramid::FramesOf(i)},
                      {"bins", peaks.Bins(i)},
                      {"link", fmt::format("/v1/assets/{}/peaks?level={}", id, i)}});
  }
  return {
      {"sample_rate", peaks.sample_rate}, {"channels", peaks.channels}, {"frames", peaks.frames}, {"levels", levels}};
}

}  // namespace

http::Response App::GetPeaks(http::Request& request) {
  const auto asset = engine_->journal().FindAsset(request.Captured("id"));
  if (!asset) return Refused(asset.error());
  const auto level = NumberOf(request, "level", -1, 0, PeakPyramid::kLevels - 1);
  if (!level) return http::Problem(422, "invalid", "'level' is a number from 0 to 7; without it they are described.");
  return NowOrLater([this, request, id = asset->id, level = *level]() -> std::optional<http::Response> {
    const auto peaks = previews_->FindPeaks(id);
    if (!peaks) return Refused(peaks.error());
    if (!*peaks) return std::nullopt;
    if (level < 0) return http::WithEtag(request, http::Json(200, PeaksJson(id, **peaks)));
    http::OwnedFile file(open(previews_->PeaksPath(id, static_cast<int>(level)).c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return NotYet();  // made room for others just now
    const int64_t bytes = (*peaks)->Bins(static_cast<int>(level)) * (*peaks)->channels * 2;
    http::Response response = http::ServeFile(
        request, std::move(file), bytes, fmt::format("\"{}-{}\"", id.substr(0, 32), level), "application/octet-stream");
    response.headers.Set("Cache-Control", kForever);
    return response;
  });
}

http::Response App::GetPcm(http::Request& request) {
  using engine::Previews;
  const auto asset = engine_->journal().FindAsset(request.Captured("id"));
  if (!asset) return Refused(asset.error());
  const auto from = NumberOf(request, "from", 0, 0, int64_t{1} << 40);
  const auto frames = NumberOf(request, "frames", -1, 1, int64_t{Previews::kMostSeconds} * 768000);
  if (!from || !frames || *frames < 0) {
    return http::Problem(422, "invalid", "'from' and 'frames' say which frames; at most 10 seconds of them.");
  }
  const auto rate = NumberOf(request, "rate", 0, Previews::kLeastRate, Previews::kMostRate);
  if (!rate) return http::Problem(422, "invalid", "'rate' is a number from 8000 to 192000.");
  const std::string_view format = request.QueryValue("format");
  if (!format.empty() && format != "s16" && format != "f32") {
    return http::Problem(422, "invalid", "'format' is s16 or f32.");
  }
  const std::string etag =
      fmt::format("\"{}-{}-{}-{}-{}\"", asset->id.substr(0, 32), *from, *frames, *rate, format == "f32" ? 32 : 16);
  if (http::Evaluate(request, etag) == http::Condition::kNotModified) {
    http::Response response{.status = 304};
    response.headers.Set("ETag", etag);
    return response;
  }
  return NowOrLater([this, id = asset->id, from = *from, frames = *frames, rate = static_cast<int>(*rate),
                     floats = format == "f32", etag]() -> std::optional<http::Response> {
    const auto slice = previews_->Read(id, from, frames, rate);
    if (!slice) return Refused(slice.error());
    if (!*slice) return std::nullopt;
    http::Response response =
        http::Text(200, floats ? Bytes32((*slice)->samples) : Bytes16((*slice)->samples), "application/octet-stream");
    response.headers.Set("ETag", etag);
    response.headers.Set("Cache-Control", kForever);
    response.headers.Set("Timbre-Sample-Rate", std::to_string((*slice)->sample_rate));
    response.headers.Set("Timbre-Channels", std::to_string((*slice)->channels));
    return response;
  });
}

void App::AddPreviewRoutes(http::Router& router) {
  router.Add(
      {.method = "GET",
       .pattern = "/v1/assets/{id}/peaks",
       .name = "getAssetPeaks",
       .summary = "Least and greatest samples for a picture of the wave: which levels there are, or with level= "
                  "its bytes, int8 [bins, channels, 2] with 127 as full scale; ranges of them as of any file",
       .query = {{"level", "integer", "0 is the finest, of 256 frames a bin; each further one has four times that"}},
       .gives = "Peaks",
       .statuses = {200, 206, 304, 404, 412, 416, 422, 503},
       .also_gives = "application/octet-stream",
       .handler = [this](http::Request& request) { return GetPeaks(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/assets/{id}/pcm",
              .name = "getAssetPcm",
              .summary = "Samples, interleaved and little-endian, of at most 10 seconds; fewer only at the end. "
                         "Timbre-Sample-Rate and Timbre-Channels say what they are",
              .query = {{"from", "integer", "the first frame, counted at the rate of the answer"},
                        {"frames", "integer", "how many"},
                        {"rate", "integer", "in Hz, 8000 to 192000; the asset's own where it isn't given"},
                        {"format", "string", "s16, which is what is taken without it, or f32"}},
              .gives = "application/octet-stream",
              .statuses = {200, 304, 404, 422, 503},
              .handler = [this](http::Request& request) { return GetPcm(request); }});
}

}  // namespace timbre::server
