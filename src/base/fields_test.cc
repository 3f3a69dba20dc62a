#include "base/fields.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace timbre {
namespace {

enum class Clip { kRescale, kClamp };

struct Options {
  bool fast = false;
  bool fuse = true;
  int count = 3;
  uint64_t seed = 0;
  double overlap = 0.25;
  std::optional<double> limit;
  std::string name = "x";
  std::vector<std::string> stems;
  std::vector<std::string> inputs;
  Clip clip = Clip::kRescale;

  FieldList Fields() {
    return {{.name = "fast", .value = &fast},
            {.name = "fuse", .value = &fuse},
            {.name = "count", .value = &count, .min = 1, .max = 10},
            {.name = "seed", .value = &seed},
            {.name = "overlap", .value = &overlap, .min = 0, .max = 0.99},
            {.name = "limit", .value = &limit, .min = 0},
            {.name = "name", .value = &name},
            {.name = "two-stems", .value = &stems, .choices = {"drums", "vocals"}},
            {.name = "input", .value = &inputs, .positional = true},
            ChoiceField<Clip>("clip", &clip, {{"rescale", Clip::kRescale}, {"clamp", Clip::kClamp}}, "")};
  }
};

const Field& Named(const FieldList& fields, const std::string& name) {
  for (const Field& field : fields) {
    if (field.name == name) return field;
  }
  ADD_FAILURE() << name;
  return fields[0];
}

Status Set(Options& options, const std::string& name, std::vector<std::string> values) {
  const FieldList fields = options.Fields();
  return SetField(Named(fields, name), values);
}

TEST(Fields, TakeTheirValues) {
  Options o;
  EXPECT_TRUE(Set(o, "fast", {"true"}));
  EXPECT_TRUE(Set(o, "count", {"4", "7"}));
  EXPECT_TRUE(Set(o, "seed", {"18446744073709551615"}));
  EXPECT_TRUE(Set(o, "overlap", {"0.5"}));
  EXPECT_TRUE(Set(o, "limit", {"12"}));
  EXPECT_TRUE(Set(o, "two-stems", {"drums,vocals", "drums"}));
  EXPECT_TRUE(Set(o, "input", {"a,b.wav", "c"}));
  EXPECT_TRUE(Set(o, "clip", {"clamp"}));
  EXPECT_TRUE(o.fast);
  EXPECT_EQ(o.count, 7);
  EXPECT_EQ(o.seed, UINT64_MAX);
  EXPECT_EQ(o.overlap, 0.5);
  EXPECT_EQ(o.limit, 12.0);
  EXPECT_EQ(o.stems, (std::vector<std::string>{"drums", "vocals", "drums"}));
  EXPECT_EQ(o.inputs, (std::vector<std::string>{"a,b.wav", "c"}));
  EXPECT_EQ(o.clip, Clip::kClamp);
}

TEST(Fields, RefuseWhatDoesNotFitAndKeepTheValue) {
  Options o;
  for (const char* text : {"0", "11", "x", "", "3x", "1.5", "99999999999999999999"})
    EXPECT_FALSE(Set(o, "count", {text})) << text;
  for (const char* text : {"-0.1", "1", "nan", "inf", "1e999", "0.5 "}) EXPECT_FALSE(Set(o, "overlap", {text})) << text;
  EXPECT_FALSE(Set(o, "seed", {"-1"}));
  EXPECT_FALSE(Set(o, "fast", {"yes"}));
  EXPECT_EQ(o.count, 3);
  EXPECT_EQ(o.overlap, 0.25);
  EXPECT_EQ(Set(o, "count", {"11"}).error().message, "--count takes a whole number from 1 to 10, not '11'.");
  EXPECT_EQ(Set(o, "clip", {"clmp"}).error().message, "--clip cannot be 'clmp'. Did you mean 'clamp'?");
  EXPECT_EQ(Set(o, "two-stems", {"drum"}).error().message, "--two-stems cannot be 'drum'. Did you mean 'drums'?");
}

TEST(Fields, WriteThemselvesAsJson) {
  Options o;
  EXPECT_EQ(FieldsToJson(o.Fields()).dump(),
            R"({"fast":false,"fuse":true,"count":3,"seed":0,"overlap":0.25,"limit":null,"name":"x","two_stems":[],)"
            R"("input":[],"clip":"rescale"})");
}

TEST(Fields, ADefaultOutsideTheRangeIsNotGiven) {
  double segment = 0;
  const FieldList fields = {{.name = "segment", .value = &segment, .min = 1}};
  EXPECT_EQ(ValueText(fields[0]), "");
  EXPECT_EQ(FieldsToJson(fields).dump(), R"({"segment":null})");
}

TEST(Fields, AFlagThatIsOnIsSwitchedOff) {
  Options o;
  const FieldList fields = o.Fields();
  EXPECT_EQ(FlagOf(Named(fields, "fast")), "--fast");
  EXPECT_EQ(FlagOf(Named(fields, "fuse")), "--no-fuse");
  EXPECT_EQ(FlagOf(Named(fields, "input")), "INPUT");
  EXPECT_EQ(ValueText(Named(fields, "overlap")), "0.25");
}

}  // namespace
}  // namespace timbre
