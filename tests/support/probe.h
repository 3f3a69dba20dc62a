// A media file as ffprobe, which is not ours, takes it.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace timbre::testing {

// What ffprobe prints of the file for the options `what`: lines of name=value, or what it has to complain of.
inline std::string Probed(const std::string& path, const std::string& what) {
  const std::string command = "ffprobe -v error -count_packets " + what + " -of default=nw=1 '" + path + "' 2>&1";
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && std::fgets(buffer, sizeof(buffer), pipe) != nullptr) text += buffer;
  if (pipe != nullptr) pclose(pipe);
  return text;
}

// That a line of `text` ends in `part`.
inline void ExpectIn(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part + "\n"), std::string::npos) << part << " is missing in\n" << text;
}

}  // namespace timbre::testing
