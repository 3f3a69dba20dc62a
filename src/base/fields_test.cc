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

TEST(Fields, NoTextHoldsAZeroByte) {
  Options o;
  const std::string cut("a\0b", 3);
  EXPECT_EQ(Set(o, "name", {cut}).error().message, "--name takes no text that holds a zero byte.");
  const auto inputs = FieldsFromJson(o.Fields(), {{"input", {"a.wav", cut}}});
  ASSERT_FALSE(inputs);
  EXPECT_EQ(inputs.error().message, "'input' takes no text that holds a zero byte.");
}

TEST(Fields, NumbersMayHaveAPlus) {
  Options o;
  EXPECT_TRUE(Set(o, "count", {"+7"}));
  EXPECT_TRUE(Set(o, "overlap", {"+0.5"}));
  EXPECT_EQ(o.count, 7);
  EXPECT_EQ(o.overlap, 0.5);
}

TEST(Fields, ACommaBehindABackslashPartsNothing) {
  std::vector<std::string> list;
  const Field field{.name = "stop", .value = &list};
  const std::vector<std::string> given = {"END,of\\, this", ",a\\b,"};
  ASSERT_TRUE(SetField(field, given));
  EXPECT_EQ(list, (std::vector<std::string>{"END", "of, this", "a\\b"}));
}

TEST(Fields, RefuseWhatDoesNotFitAndKeepTheValue) {
  Options o;
  for (const char* text : {"0", "11", "x", "", "3x", "+", "+-3", "++3", "1.5", "99999999999999999999"})
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

TEST(Fields, ReadWhatTheyWroteAsJson) {
  Options o;
  o.fast = true, o.fuse = false, o.count = 7, o.seed = UINT64_MAX, o.limit = 0.1, o.name = "a,b";
  o.stems = {"drums"}, o.inputs = {"x,y.wav", "z"}, o.clip = Clip::kClamp;
  Options back;
  const Status read = FieldsFromJson(back.Fields(), FieldsToJson(o.Fields()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(FieldsToJson(back.Fields()), FieldsToJson(o.Fields()));
  EXPECT_TRUE(FieldsFromJson(back.Fields(), {{"count", 3.0}, {"limit", nullptr}}));
  EXPECT_EQ(back.count, 3);
  EXPECT_EQ(back.limit, 0.1) << "null leaves the value";
}

TEST(Fields, RefuseJsonThatDoesNotFitAndNameTheMember) {
  using Json = nlohmann::ordered_json;
  const std::pair<Json, const char*> cases[] = {
      {Json::array(), "options are an object of names and values"},
      {{{"coun", 1}}, "there is no option 'coun'. Did you mean 'count'?"},
      {{{"count", "1"}}, "'count' takes a number, not string"},
      {{{"count", 1.5}}, "'count' takes a whole number from 1 to 10, not '1.5'."},
      {{{"count", 11}}, "'count' takes a whole number from 1 to 10, not '11'."},
      {{{"seed", -1}}, "'seed' takes a whole number, not '-1'."},
      {{{"fast", 1}}, "'fast' takes true or false, not number"},
      {{{"name", false}}, "'name' takes a text, not boolean"},
      {{{"clip", "clmp"}}, "'clip' cannot be 'clmp'. Did you mean 'clamp'?"},
      {{{"two_stems", "drums"}}, "'two_stems' takes a list of texts, not string"},
      {{{"two_stems", Json::array({1, 2})}},
       "'two_stems' takes a list of texts, and one of it is no text but number; write \"1\" for 1"},
      {{{"two_stems", {"drums,vocals"}}}, nullptr},
  };
  for (const auto& [json, message] : cases) {
    Options o;
    const Status read = FieldsFromJson(o.Fields(), json);
    ASSERT_FALSE(read) << json;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    if (message != nullptr) {
      EXPECT_EQ(read.error().message, message);
    }
  }
  std::string needed;
  const FieldList required = {{.name = "model", .value = &needed, .required = true}};
  EXPECT_EQ(FieldsFromJson(required, Json::object()).error().message, "'model' is missing");
}

TEST(Fields, DescribeThemselvesAsASchema) {
  Options o;
  FieldList fields = o.Fields();
  fields[0].help = "do it fast";
  fields[8].required = true;
  const auto schema = FieldsSchema(fields);
  EXPECT_EQ(schema["type"], "object");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["required"].dump(), R"(["input"])");
  EXPECT_EQ(schema["properties"]["fast"].dump(), R"({"description":"do it fast","type":"boolean","default":false})");
  EXPECT_EQ(schema["properties"]["count"].dump(),
            R"({"description":"","type":["integer","null"],"minimum":1.0,"maximum":10.0,"default":3})");
  EXPECT_EQ(schema["properties"]["limit"]["type"].dump(), R"(["number","null"])");
  EXPECT_EQ(schema["properties"]["clip"].dump(),
            R"({"description":"","enum":["rescale","clamp"],"default":"rescale"})");
  EXPECT_EQ(schema["properties"]["two_stems"]["items"].dump(), R"({"enum":["drums","vocals"]})");
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
