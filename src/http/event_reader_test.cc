#include "http/event_reader.h"

#include <gtest/gtest.h>

#include <vector>

#include "http/message.h"

namespace timbre::http {
namespace {

std::vector<StreamedEvent> Read(std::string_view text, size_t at_once) {
  EventReader reader;
  std::vector<StreamedEvent> events;
  for (size_t i = 0; i < text.size(); i += at_once) {
    EXPECT_TRUE(reader.Add(text.substr(i, at_once)));
    while (auto event = reader.Next()) events.push_back(*std::move(event));
  }
  return events;
}

TEST(EventReader, ReadsWhatAServerWritesHoweverItIsCut) {
  const std::string text = "retry: 2000\n\n" + FormatEvent("snapshot", R"({"jobs":[]})", 41) + ":\n\n" +
                           FormatEvent("job.progress", R"({"job":"x"})") + FormatEvent("job.ended", "{}", 42);
  for (size_t at_once = 1; at_once <= text.size(); ++at_once) {
    const auto events = Read(text, at_once);
    ASSERT_EQ(events.size(), 3u) << at_once;
    EXPECT_EQ(events[0].type, "snapshot");
    EXPECT_EQ(events[0].data, R"({"jobs":[]})");
    EXPECT_EQ(events[0].id, "41");
    EXPECT_EQ(events[1].type, "job.progress");
    EXPECT_EQ(events[1].id, "41");  // has no number of its own: whoever comes back asks from the last that had one
    EXPECT_EQ(events[2].id, "42");
  }
}

// The examples of the specification: fields without a colon or a value, a space that belongs to the value, comments.
TEST(EventReader, ReadsFieldsAsTheSpecificationHasThem) {
  const auto events = Read(
      "data: YHOO\r\ndata:+2\r\ndata\r\n\r\nid\ndata:  spaced\n\n: nothing\nevent: empty\n\ndata:x\n\ndata: cut", 3);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].data, "YHOO\n+2\n");
  EXPECT_EQ(events[0].type, "message");
  EXPECT_EQ(events[1].data, " spaced");
  EXPECT_EQ(events[2].data, "x");
  EXPECT_EQ(events[2].type, "message");  // that of an event without data is forgotten with it
}

TEST(EventReader, HoldsNoMoreThanItMay) {
  EventReader reader;
  const std::string piece(size_t{1} << 20, 'x');
  int taken = 0;
  while (reader.Add(piece) && taken < 100) ++taken;
  EXPECT_EQ(taken, 8);
  EXPECT_FALSE(reader.Next());
}

}  // namespace
}  // namespace timbre::http
