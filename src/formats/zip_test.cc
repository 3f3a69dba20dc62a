#include "formats/zip.h"

#include <gtest/gtest.h>

#include "tests/support/zip_builder.h"

namespace timbre {
namespace {

using testing::BuildZip;

Result<SharedBytes> ReadOne(const std::string& zip, const std::string& name) {
  TIMBRE_TRY(ZipArchive archive, ZipArchive::Open(SharedBytes::Own(zip)));
  const ZipEntry* entry = archive.Find(name);
  if (entry == nullptr) return Fail(ErrorCode::kNotFound, "no member " + name);
  return archive.Read(*entry);
}

TEST(Zip, StoredMembersAreViewsAndDeflatedOnesAreUnpacked) {
  const std::string text(10000, 'x');
  const SharedBytes bytes = SharedBytes::Own(BuildZip({{"a/stored", text}, {"a/packed", text, true}, {"empty", ""}}));
  ASSERT_TRUE(ZipArchive::Looks(bytes));
  auto archive = ZipArchive::Open(bytes);
  ASSERT_TRUE(archive) << archive.error().message;
  ASSERT_EQ(archive->entries().size(), 3u);
  EXPECT_EQ(archive->entries()[1].name, "a/packed");
  EXPECT_LT(archive->entries()[1].compressed_size, 100u);
  const auto stored = archive->Read(*archive->Find("a/stored"));
  EXPECT_EQ(stored->text(), text);
  EXPECT_GE(stored->data(), bytes.data());
  EXPECT_LT(stored->data(), bytes.data() + bytes.size());
  EXPECT_EQ(archive->Read(*archive->Find("a/packed"))->text(), text);
  EXPECT_EQ(archive->Read(*archive->Find("empty"))->size(), 0u);
  EXPECT_EQ(archive->Find("other"), nullptr);
}

TEST(Zip, ADirectoryBeforeACommentIsFound) {
  std::string zip = BuildZip({{"a", "text"}});
  zip[zip.size() - 2] = 5;
  EXPECT_FALSE(ReadOne(zip, "a"));
  EXPECT_EQ(ReadOne(zip + "12345", "a")->text(), "text");
}

TEST(Zip, NamesThatOccurTwiceAreRefused) {
  const auto archive = ZipArchive::Open(SharedBytes::Own(BuildZip({{"a", "1"}, {"a", "2"}})));
  ASSERT_FALSE(archive);
  EXPECT_NE(archive.error().message.find("'a' twice"), std::string::npos);
}

TEST(Zip, ChangedBytesAreFoundByTheChecksum) {
  for (const bool deflate : {false, true}) {
    std::string zip = BuildZip({{"a", "some text that is some text that is long", deflate}});
    zip[40] ^= 1;
    EXPECT_FALSE(ReadOne(zip, "a"));
  }
}

TEST(Zip, MembersWithoutAChecksumAreRead) {
  EXPECT_EQ(ReadOne(BuildZip({{"a", "some text", false, 0, true}}), "a")->text(), "some text");
}

TEST(Zip, ABombIsRefusedBeforeItIsUnpacked) {
  const std::string zeros(size_t{80} << 20, '\0');
  const auto declared = ReadOne(BuildZip({{"a", zeros, true}}), "a");
  ASSERT_FALSE(declared);
  EXPECT_NE(declared.error().message.find("80 MiB"), std::string::npos);
  // One that lies about its size stops at that size.
  EXPECT_FALSE(ReadOne(BuildZip({{"a", zeros, true, 1000}}), "a"));
  // Many members that are each below the limit.
  auto archive = ZipArchive::Open(SharedBytes::Own(
      BuildZip({{"a", zeros.substr(0, size_t{40} << 20), true}, {"b", zeros.substr(0, size_t{40} << 20), true}})));
  EXPECT_TRUE(archive->Read(*archive->Find("a")));
  EXPECT_FALSE(archive->Read(*archive->Find("b")));
}

TEST(Zip, EveryTruncationIsAnError) {
  const std::string zip = BuildZip({{"first", "some text"}, {"second", std::string(200, 'y'), true}});
  for (size_t size = 0; size < zip.size(); ++size)
    EXPECT_FALSE(ZipArchive::Open(SharedBytes::Own(zip.substr(0, size))));
}

TEST(Zip, EveryChangedByteIsAnErrorOrHarmless) {
  const std::string zip = BuildZip({{"first", "some text"}, {"second", std::string(200, 'y'), true}});
  for (size_t i = 0; i < zip.size(); ++i) {
    for (const int flip : {1, 0x80, 0xFF}) {
      std::string changed = zip;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      auto archive = ZipArchive::Open(SharedBytes::Own(changed));
      if (!archive) continue;
      for (const ZipEntry& entry : archive->entries()) {
        const auto content = archive->Read(entry);
        if (content) {
          EXPECT_TRUE(content->text() == "some text" || content->text() == std::string(200, 'y')) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace timbre
