// What words say about music: genre, mood, tempo, instruments, voice. By whole words, and with the word that said it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace timbre {

struct PromptFinding {
  std::string kind;      // "genre", "mood", "instrument", "tag", "tempo", "vocals"
  std::string value;     // "hip-hop"
  std::string words;     // of the prompt, in lower case: "rap"
  bool negated = false;  // "no drums", "without strings", "not sad"
};

struct PromptAnalysis {
  // In the order of the prompt, each once, without what is negated. Genres at most three, "pop" where there is none;
  // moods at most two.
  std::vector<std::string> genres, moods, instruments, tags;
  std::vector<std::string> without;  // what is negated, of every kind
  double bpm = 120, bpm_low = 100, bpm_high = 140;
  bool vocals = true;
  std::vector<PromptFinding> findings;  // in the order of the prompt

  // "Genre: jazz, blues; BPM: 90; Mood: calm; Instruments: piano", without what is not known.
  std::string Text() const;
};

// English, in any case. Nothing in a prompt is an error; what is longer than 10,000 bytes is cut.
PromptAnalysis AnalysePrompt(std::string_view prompt);

}  // namespace timbre
