#include "formats/pickle.h"

#include <gtest/gtest.h>

#include <cmath>

namespace timbre {
namespace {

Result<PickleValue> Read(const std::string& bytes, const PickleLimits& limits = {}) {
  return ReadPickle(std::as_bytes(std::span(bytes.data(), bytes.size())), nullptr, limits);
}

PickleValue Must(const std::string& bytes) {
  auto value = Read(bytes);
  EXPECT_TRUE(value) << value.error().message;
  return value ? *value : PickleValue();
}

std::string ErrorOf(const std::string& bytes) {
  const auto value = Read(bytes);
  return value ? "no error" : value.error().message;
}

std::string Text(const std::string& text) {  // SHORT_BINUNICODE
  return "\x8c" + std::string(1, static_cast<char>(text.size())) + text;
}

const std::string kTensorCall = "ctorch._utils\n_rebuild_tensor_v2\n";

// A tensor over a storage of `count` elements (protocol 0 numbers, so that they can be of any size).
std::string TensorPickle(const std::string& count, const std::string& offset, const std::string& shape,
                         const std::string& strides) {
  return kTensorCall + "((" + Text("storage") + "ctorch\nFloatStorage\n" + Text("0") + Text("cpu") + "I" + count +
         "\ntQI" + offset + "\n(" + shape + "t(" + strides + "t\x89)tR.";
}

// The expected values are what Python's pickle.loads gives for the same bytes.
TEST(Pickle, NumbersAndStringsOfEveryProtocol) {
  EXPECT_TRUE(Must("N.").is_none());
  EXPECT_EQ(Must("I01\n.").Bool(), true);
  EXPECT_EQ(Must("I00\n.").Bool(), false);
  EXPECT_EQ(Must("\x88.").Bool(), true);
  EXPECT_EQ(Must("I-42\n.").Int(), -42);
  EXPECT_EQ(Must("L-42L\n.").Int(), -42);
  EXPECT_EQ(Must("L99999999999999999999L\n.").kind(), PickleKind::kBigInt);
  EXPECT_EQ(Must("K\xff.").Int(), 255);
  EXPECT_EQ(Must("M\xff\xff.").Int(), 65535);
  EXPECT_EQ(Must("J\xfe\xff\xff\xff.").Int(), -2);
  EXPECT_EQ(Must(std::string("\x8a\x00.", 3)).Int(), 0);
  EXPECT_EQ(Must("\x8a\x01\x80.").Int(), -128);
  EXPECT_EQ(Must(std::string("\x8a\x02\xff\x00.", 5)).Int(), 255);
  EXPECT_EQ(Must("F-2.5\n.").Number(), -2.5);
  EXPECT_EQ(Must(std::string("G\x3f\xf8\0\0\0\0\0\0.", 10)).Number(), 1.5);
  EXPECT_EQ(Must("S'a\\'\\x41\\n'\n.").String(), "a'A\n");
  EXPECT_EQ(Must("S'\\xff'\n.").kind(), PickleKind::kBytes);
  EXPECT_EQ(Must("Vh\\u00e9\xe9\\U0001F600\n.").String(), "h\u00e9\u00e9\U0001F600");
  EXPECT_EQ(Must(std::string("\x80\x04\x95\x06\0\0\0\0\0\0\0\x8c\x02hi\x94.", 17)).String(), "hi");
  EXPECT_EQ(Must(std::string("X\x02\0\0\0hi.", 8)).String(), "hi");
  EXPECT_EQ(Must("C\x02\x01\xff.").kind(), PickleKind::kBytes);
}

TEST(Pickle, Containers) {
  const PickleValue list = Must("(lp0\nI1\naI2\na.");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1].Int(), 2);
  EXPECT_TRUE(list[2].is_none());
  const PickleValue dict = Must("}(" + Text("a") + "K\x01" + Text("b") + "K\x02" + Text("a") + "K\x03u.");
  EXPECT_EQ(dict.Find("a")->Int(), 3);  // the last of equal keys, as in Python
  EXPECT_EQ(dict.Find("b")->Int(), 2);
  EXPECT_FALSE(dict.Find("c"));
  EXPECT_EQ(Must("K\x01K\x02K\x03\x87.").size(), 3u);
  EXPECT_EQ(Must("\x8f(K\x01K\x02\x90.").kind(), PickleKind::kSet);
  EXPECT_EQ(Must("ccollections\nOrderedDict\n)R.").kind(), PickleKind::kDict);
  EXPECT_EQ(Must("ccollections\nOrderedDict\n(]((" + Text("k") + "K\x07tetR.").size(), 1u);
  EXPECT_EQ(Must("(K\x01K\x02"
                 "1N.")
                .kind(),
            PickleKind::kNone);
}

TEST(Pickle, FractionsOfOldAndNewPython) {
  EXPECT_EQ(Must("cfractions\nFraction\n(" + Text("39/5") + "tR.").Number(), 7.8);
  EXPECT_EQ(Must("cfractions\nFraction\n(" + Text("2") + "tR.").Number(), 2.0);
  EXPECT_EQ(Must("cfractions\nFraction\n(K\x27K\x05tR.").Number(), 7.8);
  EXPECT_FALSE(Must("cfractions\nFraction\n(K\x27" + std::string("K\0", 2) + "tR.").Number());
  EXPECT_FALSE(Must("cfractions\nFraction\n(" + Text("1/2/3") + "tR.").Number());
}

TEST(Pickle, ClassesOfModelPackagesAreOnlyNamed) {
  const PickleValue klass = Must("cdemucs.htdemucs\nHTDemucs\n.");
  EXPECT_EQ(klass.kind(), PickleKind::kGlobal);
  EXPECT_EQ(klass.class_name(), "demucs.htdemucs.HTDemucs");
  const PickleValue object = Must("cdemucs.x\nY\n(K\x01tR}b.");
  EXPECT_EQ(object.kind(), PickleKind::kObject);
  EXPECT_EQ(object.class_name(), "demucs.x.Y");
  EXPECT_EQ(object.args()[0].Int(), 1);
  EXPECT_TRUE(object.state().is_dict());
}

TEST(Pickle, WhatWouldRunCodeIsRefusedByName) {
  EXPECT_NE(ErrorOf("cos\nsystem\n(S'echo'\ntR.").find("'os.system'"), std::string::npos);
  EXPECT_NE(ErrorOf("(S'echo'\nios\nsystem\n.").find("'os.system'"), std::string::npos);
  EXPECT_NE(ErrorOf(Text("posix") + Text("system") + "\x93.").find("'posix.system'"), std::string::npos);
  for (const char* name :
       {"builtins\neval", "builtins\nexec", "builtins\ngetattr", "__builtin__\neval", "subprocess\nPopen",
        "torch\nload", "torch.hub\nload", "numpy\nload", "runpy\nrun_path", "demucs\n", "demucsx.a\nb",
        "torch.nn.modules.linear\nLinear", "\n", "torch\nFloatStorage2"}) {
    EXPECT_FALSE(Read("c" + std::string(name) + "\n.")) << name;
  }
  EXPECT_NE(ErrorOf("c\x1b[31m\nx\n.").find("'?[31m.x'"), std::string::npos);  // no escape reaches a terminal
  // The extension registry, persistent names and out-of-band buffers.
  for (const std::string bytes : {"\x82\x01.", "\x83\x01\x01.", "Pabc\n.", "\x97.", "\x98."}) EXPECT_FALSE(Read(bytes));
}

TEST(Pickle, TensorsStayInsideTheirStorage) {
  const PickleValue value = Must(TensorPickle("6", "0", "I2\nI3\n", "I3\nI1\n"));
  ASSERT_NE(value.Tensor(), nullptr);
  EXPECT_EQ(value.Tensor()->shape, (Shape{2, 3}));
  EXPECT_EQ(value.tree()->storages[0].elements, 6);
  EXPECT_TRUE(Read(TensorPickle("6", "5", "", "")));
  EXPECT_TRUE(Read(TensorPickle("0", "0", "I0\nI3\n", "I3\nI1\n")));
  const std::string outside[] = {
      TensorPickle("6", "1", "I2\nI3\n", "I3\nI1\n"),
      TensorPickle("6", "6", "", ""),
      TensorPickle("6", "-1", "I2\n", "I1\n"),
      TensorPickle("6", "0", "I2\nI3\n", "I4\nI1\n"),
      TensorPickle("6", "0", "I-2\n", "I1\n"),
      TensorPickle("6", "0", "I2\n", "I-1\n"),
      TensorPickle("6", "0", "I2\nI3\n", "I1\n"),
      TensorPickle("6", "0", "I1099511627776\nI1099511627776\n", "I0\nI0\n"),
      TensorPickle("6", "0", "I1099511627776\nI1099511627776\n", "I1099511627776\nI1\n"),
      TensorPickle("6", "0", "I9223372036854775807\n", "I1\n"),
      TensorPickle("-6", "0", "", ""),
      TensorPickle("99999999999999999", "0", "", ""),
      TensorPickle("6", "0", "I1\nI1\nI1\nI1\nI1\nI1\nI1\n", "I1\nI1\nI1\nI1\nI1\nI1\nI1\n"),
  };
  for (const std::string& bytes : outside) EXPECT_FALSE(Read(bytes)) << bytes;
  EXPECT_NE(ErrorOf(outside[0]).find("reaches beyond its storage of 6 elements"), std::string::npos);
}

TEST(Pickle, BrokenInstructionsAreErrors) {
  for (const std::string bytes : {"",
                                  ".",
                                  "0.",
                                  "2.",
                                  "t.",
                                  "u.",
                                  "a.",
                                  "\x85.",
                                  "h\x05.",
                                  "g5\n.",
                                  "gx\n.",
                                  "N)R.",
                                  "cdemucs.a\nb\nNR.",
                                  "NNs.",
                                  "}Ns.",
                                  "](K\x01u.",
                                  "}(K\x01u.",
                                  "(K\x01"
                                  "d.",
                                  "Ix\n.",
                                  "I\n.",
                                  "Fx\n.",
                                  "S'a\n.",
                                  "Sa\n.",
                                  "S'\\q'\n.",
                                  "V\\u12\n.",
                                  "(.",
                                  "K",
                                  "X\xff\xff\xff\x7fhi.",
                                  "\x8e\xff\xff\xff\xff\xff\xff\xff\xffhi.",
                                  "\x8c\x02\xc3(.",
                                  "\x80\x06N.",
                                  "\xff.",
                                  "}Q.",
                                  "N)\x81.",
                                  "(o.",
                                  "Nb.",
                                  "q\x01.",
                                  "((K\x01"
                                  "00.",
                                  "cbuiltins\nset\n(K\x01tR.",
                                  "ccollections\nOrderedDict\n(](K\x01tatR."}) {
    const auto value = Read(bytes);
    EXPECT_FALSE(value) << bytes;
  }
}

TEST(Pickle, EveryTruncationIsAnError) {
  const std::string whole = "\x80\x02}(" + Text("w") + TensorPickle("6", "0", "I2\nI3\n", "I3\nI1\n");
  const std::string pickle = whole.substr(0, whole.size() - 1) + "u.";
  ASSERT_TRUE(Read(pickle));
  for (size_t size = 0; size < pickle.size(); ++size) EXPECT_FALSE(Read(pickle.substr(0, size))) << size;
}

TEST(Pickle, DeepNestingTakesNoStack) {
  const size_t depth = 300000;
  std::string bytes(depth, ']');
  bytes += std::string(depth - 1, 'a') + ".";
  const PickleValue value = Must(bytes);
  EXPECT_EQ(value.size(), 1u);
}

TEST(Pickle, ValuesThatContainThemselves) {
  const PickleValue list = Must("]q" + std::string("\0h\0a.", 5));
  EXPECT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].id(), list.id());
}

TEST(Pickle, MemoryIsBounded) {
  // A list of many items, copied again and again by calls that take a few bytes each.
  std::string bomb = "](";
  for (int i = 0; i < 100000; ++i) bomb += "K\x01";
  bomb += "eq" + std::string("\0", 1) +
          "0cbuiltins\nlist\nq\x01"
          "0";
  for (int i = 0; i < 100000; ++i) bomb += std::string("h\x01h\0\x85R", 6);
  const std::string error = ErrorOf(bomb + ".");
  EXPECT_NE(error.find("more memory than is allowed"), std::string::npos) << error;
  // The memo, filled at scattered places.
  std::string memo = "N";
  for (int i = 0; i < 1000000; ++i) {
    memo += 'r';
    for (int k = 0; k < 4; ++k) memo += static_cast<char>(i * 2654435761u >> (8 * k));
  }
  PickleLimits small;
  small.memory = 1 << 20;
  EXPECT_FALSE(Read(memo + ".", small));
  EXPECT_FALSE(Read(std::string(100000, '(') + "N.", small));
  EXPECT_FALSE(Read("N" + std::string(200000, '2') + ".", small));
  EXPECT_FALSE(Read(std::string("B\x00\x00\x20\x00", 5) + std::string(0x200000, 'x') + ".", small));
  // A long tuple of arguments, recalled for one call after another.
  std::string args = "(";
  for (int i = 0; i < 101; ++i) args += 'N';
  EXPECT_NE(ErrorOf("cdemucs.a\nb\n" + args + "tR.").find("too many arguments"), std::string::npos);
}

TEST(Pickle, OnlyTheFirstOfSeveralIsRead) {
  const std::string bytes = "K\x01.K\x02.";
  size_t consumed = 0;
  const auto value = ReadPickle(std::as_bytes(std::span(bytes.data(), bytes.size())), &consumed);
  EXPECT_EQ(value->Int(), 1);
  EXPECT_EQ(consumed, 3u);
}

}  // namespace
}  // namespace timbre
