// The wire format of protocol buffers, for reading: the fields of a message one after another, out of bytes that nobody
// vouches for. Nothing is allocated; what a field means is for the reader of a format to know.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace timbre {

// Takes a number of seven bits a byte off the front of `bytes`; nothing where it is cut short or has more than 64 bits.
std::optional<uint64_t> TakeVarint(std::string_view* bytes);

struct ProtoField {
  uint32_t number = 0;
  bool is_bytes = false;   // `bytes` is what the field holds: a text, a message, packed numbers
  uint64_t value = 0;      // of any other field, as it is stored: not widened with its sign where it has 32 bits
  std::string_view bytes;  // a view

  // A float's bits.
  float Float() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
};

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view message) : rest_(message) {}
  // The next field. False at the end, and where what follows is no field (`broken`). Groups, which no format that is
  // read here has, are none.
  bool Next(ProtoField* field);
  bool broken() const { return broken_; }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace timbre
