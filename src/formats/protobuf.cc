#include "formats/protobuf.h"

namespace timbre {
namespace {

// The three low bits of a field's key.
enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::optional<uint64_t> TakeFixed(std::string_view* bytes, size_t size) {
  if (bytes->size() < size) return {};
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>((*bytes)[i]);
  bytes->remove_prefix(size);
  return value;
}

}  // namespace

std::optional<uint64_t> TakeVarint(std::string_view* bytes) {
  constexpr size_t kMostBytes = 10;
  uint64_t value = 0;
  for (size_t i = 0; i < kMostBytes && i < bytes->size(); ++i) {
    const auto byte = static_cast<uint8_t>((*bytes)[i]);
    if (i == kMostBytes - 1 && byte > 1) return {};
    value |= uint64_t{byte & 127u} << (7 * i);
    if (byte < 128) {
      bytes->remove_prefix(i + 1);
      return value;
    }
  }
  return {};
}

bool ProtoReader::Next(ProtoField* field) {
  if (rest_.empty() || broken_) return false;
  *field = {};
  broken_ = true;  // until the field is whole
  const auto key = TakeVarint(&rest_);
  if (!key || *key >> 3 == 0 || *key >> 32 != 0) return false;
  field->number = static_cast<uint32_t>(*key >> 3);
  const auto wire = static_cast<uint32_t>(*key & 7);
  field->is_bytes = wire == kBytes;
  const auto value = wire == kVarint || wire == kBytes ? TakeVarint(&rest_)
                     : wire == kFixed64                ? TakeFixed(&rest_, 8)
                     : wire == kFixed32                ? TakeFixed(&rest_, 4)
                                                       : std::optional<uint64_t>();
  if (!value) return false;
  if (field->is_bytes) {
    if (*value > rest_.size()) return false;
    field->bytes = rest_.substr(0, *value);
    rest_.remove_prefix(*value);
  } else {
    field->value = *value;
  }
  broken_ = false;
  return true;
}

}  // namespace timbre
