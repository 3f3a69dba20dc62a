#include "pipelines/studio/timeline.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

namespace timbre {
namespace {

using Kind = Timeline::Position::Kind;

TimelineClip Clip(const std::string& name, int64_t length) {
  return {.asset = "asset-" + name, .name = name, .asset_length = length};
}

std::string Names(const Timeline& timeline) {
  std::string names;
  for (const TimelineClip& clip : timeline.clips()) names += clip.name;
  return names;
}

TEST(Timeline, ClipsGoWhereTheyAreMeantTo) {
  Timeline timeline = *Timeline::Create(44100, 2);
  ASSERT_TRUE(timeline.Insert(Clip("a", 100), {}));
  ASSERT_TRUE(timeline.Insert(Clip("z", 100), {.kind = Kind::kOutro}));
  ASSERT_TRUE(timeline.Insert(Clip("i", 100), {.kind = Kind::kIntro}));
  const auto b = timeline.Insert(Clip("b", 100), {});  // the outro stays at the end
  ASSERT_TRUE(b);
  EXPECT_EQ(Names(timeline), "iabz");
  ASSERT_TRUE(timeline.Insert(Clip("c", 100), {.kind = Kind::kNext, .after = *b}));
  ASSERT_TRUE(timeline.Insert(Clip("p", 100), {.kind = Kind::kPrevious}));
  ASSERT_TRUE(timeline.Insert(Clip("x", 100), {.kind = Kind::kIndex, .index = 1}));
  EXPECT_EQ(Names(timeline), "ixabcpz");
  EXPECT_FALSE(timeline.Insert(Clip("n", 100), {.kind = Kind::kIndex, .index = 8}));
  EXPECT_FALSE(timeline.Insert(Clip("n", 100), {.kind = Kind::kNext, .after = "nobody"}));
  EXPECT_EQ(Names(timeline), "ixabcpz");
}

TEST(Timeline, AnOrderNamesEachClipOnce) {
  Timeline timeline = *Timeline::Create(44100, 2);
  const std::string a = *timeline.Insert(Clip("a", 9), {}), b = *timeline.Insert(Clip("b", 9), {});
  const std::string c = *timeline.Insert(Clip("c", 9), {});
  const auto before = timeline.ToJson();
  // As sets, the first two are right.
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{a, a, b, c}, {a, a, b}, {a, b}, {a, b, "d"}, {}}) {
    EXPECT_FALSE(timeline.Reorder(wrong));
    EXPECT_EQ(timeline.ToJson(), before);
  }
  ASSERT_TRUE(timeline.Reorder({c, a, b}));
  EXPECT_EQ(Names(timeline), "cab");
}

TEST(Timeline, TimesShownAreThoseOfTheSound) {
  Timeline timeline = *Timeline::Create(44100, 2, 2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(timeline.Insert(Clip("a", 10 * 44100), {}));
  const auto json = timeline.ToJson(true);
  EXPECT_EQ(json["seconds"], 26.0);  // two joints of 2 s
  EXPECT_EQ(json["clips"][1]["start_seconds"], 8.0);
  EXPECT_EQ(json["clips"][2]["start"], 16 * 44100);
}

TEST(Timeline, CrossFadesOfAShortClipDoNotMeet) {
  Timeline timeline = *Timeline::Create(1000, 1, 2);
  ASSERT_TRUE(timeline.Insert(Clip("a", 10000), {}));
  ASSERT_TRUE(timeline.Insert(Clip("b", 3000), {}));  // shorter than both fades
  ASSERT_TRUE(timeline.Insert(Clip("c", 10000), {}));
  const std::vector<ClipPlace> places = timeline.Places();
  EXPECT_EQ(places[1].overlap, 2000);
  EXPECT_EQ(places[2].overlap, 1000);
  EXPECT_EQ(timeline.Total(), 20000);
}

TEST(Timeline, SoloLeavesTheOthersOutAndTheirTimeIn) {
  Timeline timeline = *Timeline::Create(1000, 1);
  const std::string a = *timeline.Insert(Clip("a", 100), {}), b = *timeline.Insert(Clip("b", 100), {});
  ASSERT_TRUE(timeline.SetSolo(b, true));
  EXPECT_FALSE(timeline.Places()[0].audible);
  EXPECT_TRUE(timeline.Places()[1].audible);
  ASSERT_TRUE(timeline.SetMute(b, true));
  EXPECT_FALSE(timeline.Places()[1].audible);
  EXPECT_EQ(timeline.Total(), 200);
}

TEST(Timeline, ASplitChangesNothingThatIsHeard) {
  Timeline timeline = *Timeline::Create(1000, 1, 0.5);
  const std::string a = *timeline.Insert(Clip("a", 5000), {});
  ASSERT_TRUE(timeline.Insert(Clip("b", 5000), {}));
  const int64_t total = timeline.Total();
  ASSERT_TRUE(timeline.Split(a, 1200));
  EXPECT_EQ(timeline.Total(), total);
  EXPECT_EQ(timeline.clips()[1].from, 1200);
  EXPECT_EQ(timeline.Places()[1].overlap, 0);
  EXPECT_FALSE(timeline.Split(a, 0));
  EXPECT_FALSE(timeline.Split(a, 1200));
}

void CheckInvariants(const Timeline& timeline) {
  const std::vector<ClipPlace> places = timeline.Places();
  std::set<std::string> ids;
  int64_t sum = 0, overlaps = 0;
  ASSERT_EQ(places.size(), timeline.clips().size());
  for (size_t i = 0; i < places.size(); ++i) {
    const TimelineClip& clip = timeline.clips()[i];
    ASSERT_TRUE(ids.insert(clip.id).second);
    ASSERT_EQ(places[i].end - places[i].start, clip.length);
    ASSERT_GE(places[i].overlap, 0);
    ASSERT_EQ(places[i].start, i == 0 ? 0 : places[i - 1].end - places[i].overlap);
    ASSERT_LE(places[i].overlap + (i + 1 < places.size() ? places[i + 1].overlap : 0), clip.length);
    ASSERT_GE(clip.from, 0);
    ASSERT_LE(clip.from + clip.length, clip.asset_length);
    sum += clip.length;
    overlaps += places[i].overlap;
  }
  ASSERT_EQ(timeline.Total(), sum - overlaps);
}

TEST(Timeline, HoldsItsInvariantsOverTenThousandRandomOperations) {
  std::mt19937 random(7);
  const auto pick = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(0, most)(random); };
  Timeline timeline = *Timeline::Create(1000, 2, 0.25);
  int done = 0, refused = 0;
  for (int step = 0; step < 10000; ++step) {
    const auto& clips = timeline.clips();
    const std::string id = clips.empty() || pick(20) == 0 ? "c" + std::to_string(pick(50))
                                                          : clips[static_cast<size_t>(pick(clips.size() - 1))].id;
    const std::string before = timeline.ToJson().dump();
    const int64_t revision = timeline.revision();
    Status status;
    switch (const int64_t kind = clips.size() > 40 ? 20 : pick(20)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const auto added = timeline.Insert(Clip("x", 1 + pick(2000)), {.kind = static_cast<Kind>(pick(4)),
                                                                       .index = static_cast<int>(pick(10) - 1),
                                                                       .after = pick(3) == 0 ? id : ""});
        if (!added) status = tl::unexpected<Error>(added.error());
        break;
      }
      case 4: status = timeline.Move(id, static_cast<int>(pick(12)) - 1); break;
      case 5: {
        std::vector<std::string> ids;
        for (const TimelineClip& clip : clips) ids.push_back(clip.id);
        std::shuffle(ids.begin(), ids.end(), random);
        if (!ids.empty() && pick(1) == 0) ids[static_cast<size_t>(pick(ids.size() - 1))] = id;
        status = timeline.Reorder(ids);
        break;
      }
      case 6: status = timeline.Trim(id, pick(1500) - 10, pick(1500) - 10); break;
      case 7: {
        const auto added = timeline.Split(id, pick(1500) - 10);
        if (!added) status = tl::unexpected<Error>(added.error());
        break;
      }
      case 8: {
        const auto added = timeline.Duplicate(id);
        if (!added) status = tl::unexpected<Error>(added.error());
        break;
      }
      case 9: status = timeline.SetGain(id, static_cast<double>(pick(100)) - 70); break;
      case 10: status = timeline.SetMute(id, pick(1) == 0); break;
      case 11: status = timeline.SetSolo(id, pick(3) == 0); break;
      case 12:
        status = timeline.SetCrossfade(id, pick(3) == 0 ? std::nullopt : std::optional(pick(1000) / 500.0 - 0.1));
        break;
      case 13:
        status = timeline.SetChain(id, pick(1) == 0 ? std::nullopt : std::optional(*FindPreset("clean_master")));
        break;
      case 14:
      case 15: status = timeline.Remove(id); break;
      case 16:
      case 17: status = timeline.Undo(); break;
      case 18: status = timeline.Redo(); break;
      case 19: status = timeline.SetMaster(pick(1) == 0 ? std::nullopt : std::optional(*FindPreset("edm_club"))); break;
      default: status = kind == 20 && pick(5) == 0 ? timeline.Clear() : timeline.Remove(id);
    }
    CheckInvariants(timeline);
    if (HasFatalFailure()) FAIL() << "at step " << step;
    const std::string after = timeline.ToJson().dump();
    if (!status) {
      ++refused;
      ASSERT_EQ(after, before) << "at step " << step;
      ASSERT_EQ(timeline.revision(), revision);
      continue;
    }
    ++done;
    ASSERT_GT(timeline.revision(), revision);
    // Back, and there again, byte for byte.
    if (timeline.Undo()) {
      ASSERT_TRUE(timeline.Redo());
      ASSERT_EQ(timeline.ToJson().dump(), after) << "at step " << step;
    }
    if (step % 100 == 0) {
      const auto again = Timeline::FromJson(timeline.ToJson(true));
      ASSERT_TRUE(again) << again.error().message;
      ASSERT_EQ(again->ToJson().dump(), after);
    }
  }
  EXPECT_GT(done, 4000);
  EXPECT_GT(refused, 1000);
}

TEST(Timeline, Keeps200ChangesToGoBackTo) {
  Timeline timeline = *Timeline::Create(44100, 2);
  const std::string id = *timeline.Insert(Clip("a", 100), {});
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(timeline.SetGain(id, -i / 10.0));
  int back = 0;
  while (timeline.Undo()) ++back;
  EXPECT_EQ(back, 200);
  while (timeline.Redo()) --back;
  EXPECT_EQ(back, 0);
  EXPECT_EQ(timeline.clips()[0].gain_db, -29.9);
}

TEST(Timeline, NewIdsAreNeverOldOnes) {
  Timeline timeline = *Timeline::Create(44100, 2);
  const std::string a = *timeline.Insert(Clip("a", 100), {});
  ASSERT_TRUE(timeline.Undo());
  EXPECT_NE(*timeline.Insert(Clip("b", 100), {}), a);
  auto read = Timeline::FromJson(timeline.ToJson());
  ASSERT_TRUE(read);
  const std::string c = *read->Insert(Clip("c", 100), {});
  EXPECT_NE(c, read->clips()[0].id);
}

TEST(Timeline, ErrorsInJsonNameTheirPlace) {
  const auto error = [](const char* text) {
    const auto timeline = Timeline::FromJson(nlohmann::ordered_json::parse(text));
    return timeline ? "" : timeline.error().message;
  };
  EXPECT_EQ(error(R"({"sample_rate": 44100})"), "");
  EXPECT_NE(error("[]"), "");
  EXPECT_NE(error("{}").find("sample_rate"), std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 1e9})").find("sample_rate"), std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 44100, "clips": {}})").find("list"), std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 44100, "clips": [{"id": "a"}]})").find("clips[0]: 'asset' is missing"),
            std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 44100, "clips": [{"id": "a", "asset": "x", "asset_length": 5, "from": 3,
                      "length": 3}]})")
                .find("clips[0]: a clip must be a part of its sound"),
            std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 44100, "clips": [{"id": "a", "asset": "x", "asset_length": 5, "length": 5},
                      {"id": "a", "asset": "x", "asset_length": 5, "length": 5}]})")
                .find("clips[1]: its id"),
            std::string::npos);
  EXPECT_NE(error(R"({"sample_rate": 44100, "master": {"bands": 1}})").find("master: bands"), std::string::npos);
}

}  // namespace
}  // namespace timbre
