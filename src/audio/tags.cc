#include "audio/tags.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include "audio/ffmpeg.h"
#include "base/text.h"

namespace timbre {
namespace {

constexpr std::string_view kKept[] = {"title", "artist", "album", "album_artist", "composer",
                                      "track", "disc",   "date",  "genre",        "comment"};
constexpr size_t kLongestText = 4096;
constexpr int kLargestCover = 16 << 20;

// A text that any format can hold, or nothing.
std::string Bounded(const char* value) {
  std::string text(value, strnlen(value, kLongestText));
  while (!text.empty() && !IsUtf8(text) && text.size() > kLongestText - 4) text.pop_back();  // cut within a character
  if (!IsUtf8(text)) return "";
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  for (size_t i = 0; i + 1 < text.size(); ++i) {  // U+0080 to U+009F steer terminals too
    if (text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0) text.replace(i, 2, " ");
  }
  return text;
}

}  // namespace

AudioTags AudioTags::ForPart(const std::string& part) const {
  AudioTags tags = *this;
  for (auto& [key, value] : tags.text) {
    if (key == "title") value += " (" + part + ")";
  }
  return tags;
}

AudioTags TagsOf(const AVFormatContext& format, const AVStream& audio) {
  AudioTags tags;
  for (const std::string_view key : kKept) {
    // Ogg has them in the stream, others in the container.
    for (const AVDictionary* from : {format.metadata, audio.metadata}) {
      const AVDictionaryEntry* entry = av_dict_get(from, std::string(key).c_str(), nullptr, 0);
      std::string value = entry == nullptr ? "" : Bounded(entry->value);
      if (value.empty()) continue;
      tags.text.emplace_back(key, std::move(value));
      break;
    }
  }
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVStream& stream = *format.streams[i];
    const bool picture = (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
    const AVCodecID id = stream.codecpar->codec_id;
    if (!picture || (id != AV_CODEC_ID_MJPEG && id != AV_CODEC_ID_PNG)) continue;
    const AVPacket& packet = stream.attached_pic;
    if (packet.size <= 0 || packet.size > kLargestCover) continue;
    const auto* bytes = reinterpret_cast<const std::byte*>(packet.data);
    tags.cover.assign(bytes, bytes + packet.size);
    tags.png = id == AV_CODEC_ID_PNG;
    break;
  }
  return tags;
}

}  // namespace timbre
