#include "pipelines/frames/frame_store.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/support/resident.h"

namespace timbre {
namespace {

TEST(FrameStore, GivesBackWhatIsReleased) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer keeps what was freed";
#endif
  constexpr int64_t kFrames = 64, kFrameBytes = 4 * 256 * 256 * 4;
  FrameRoom room{.bytes = 2 * kFrameBytes};
  FrameStore store(kFrames, 256, 256, 4, room);
  const std::vector<float> values(static_cast<size_t>(store.floats()), 1.0f);
  const int64_t before = testing::ResidentBytes();
  for (int64_t t = 0; t < kFrames; ++t) {
    ASSERT_TRUE(store.Put(t, values.data()));
    store.ReleaseBefore(t + 1);
  }
  EXPECT_EQ(room.bytes, 2 * kFrameBytes);
  EXPECT_EQ(room.in_files, 0);
  EXPECT_LT(testing::ResidentBytes() - before, 8 * kFrameBytes);
}

}  // namespace
}  // namespace timbre
