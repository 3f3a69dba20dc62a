// What a file says of its music: title, artist, cover and the like.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

struct AVFormatContext;
struct AVStream;

namespace timbre {

// All of it is from outside: text is UTF-8 without control characters, a few kilobytes at most; the cover is no more
// than its bytes.
struct AudioTags {
  // By FFmpeg's names, each once: title, artist, album, album_artist, composer, track, disc, date, genre, comment.
  std::vector<std::pair<std::string, std::string>> text;
  std::vector<std::byte> cover;  // a JPEG or PNG file; empty where there is none
  bool png = false;

  bool empty() const { return text.empty() && cover.empty(); }
  // The same, with a part's name behind the title, where there is one: "Song (vocals)".
  AudioTags ForPart(const std::string& part) const;
};

// Those of an opened container and its audio stream.
AudioTags TagsOf(const AVFormatContext& format, const AVStream& audio);

}  // namespace timbre
