// Lyrics that a language model writes, in the sections and with the tags that a song is made from.
//
// The frame is ours and the words are the model's: each section's name is put before what the model goes on with, so
// that even a small one keeps to the structure. What it writes is checked: lines that are no lyrics are left out, long
// ones cut where one breathes, and what is then too little, or says the same thing over and over, is written again with
// the next seed. Where nothing comes of that it is an error; there are no words in store.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/text/chat.h"

namespace timbre {

struct LyricsOptions {
  std::string about;         // what the song is about, in the user's words
  std::string style, mood;   // empty: found in `about`, else "pop" and "neutral"
  std::optional<int> tempo;  // beats a minute; else found in `about`, else 120
  std::vector<std::string> structure = {"verse", "chorus", "verse"};  // tags; those without words give the tag alone
  int lines = 4;                                                      // of a section, at most
  uint64_t seed = 0;
  int tries = 8;  // of a section; 1 where another seed gives the same
};

FieldList LyricsFields(LyricsOptions& options);  // style, mood, tempo, structure and lines

// What is to be written, with what was found in the words.
struct LyricsBrief {
  std::string about, style, mood;
  int tempo = 120;
};

// Styles, moods and tempos are found as whole words ("house", not "lighthouse"), the first of each; a tempo also as a
// number, "95 bpm".
LyricsBrief BriefOf(const LyricsOptions& options);

// What a model is to go on from.
struct TextBegun {
  std::vector<ChatMessage> messages;  // none for a model that only continues texts
  std::string text;                   // the beginning of the answer; without messages, of all
};

struct TextWritten {
  std::string text;       // without what it goes on from
  bool complete = false;  // ended by the model or by a stop string, rather than by the number of tokens
};

// Has the model go on, for at most so many tokens, up to one of the strings. The same seed gives the same text.
using ContinueText = std::function<Result<TextWritten>(const TextBegun& begun, int most_tokens,
                                                       std::span<const std::string> stops, uint64_t seed)>;

struct LyricsSection {
  std::string tag;  // "verse"
  std::vector<std::string> lines;
};

struct Lyrics {
  LyricsBrief brief;
  std::vector<LyricsSection> sections;
  int tries = 0;  // texts asked of the model
  // As `timbre song` reads it: "[verse]\nline\n…\n\n[chorus]\n…".
  std::string Text() const;
};

// kInvalidArgument where an option makes no sense: a tag that is none (with the nearest), nothing to write about.
Status CheckLyricsOptions(const LyricsOptions& options);

// `instructed`: the model takes messages. A chorus or hook that comes again has the words of the first. Errors: what
// CheckLyricsOptions says; that nothing usable was written in all tries of a section; what `go_on` says. Asks the
// observer between tries.
Result<Lyrics> WriteLyrics(const LyricsOptions& options, bool instructed, const ContinueText& go_on,
                           Observer& observer);

// The lines in a model's text that can be sung, at most `most`, each of at most 60 bytes: without marks of lists and
// quotation, headings, remarks to the reader, other scripts than Latin, and without a last line that the end of the
// tokens cut off.
std::vector<std::string> SungLines(const TextWritten& written, size_t most);

}  // namespace timbre
