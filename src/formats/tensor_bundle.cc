#include "formats/tensor_bundle.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/text.h"
#include "formats/protobuf.h"
#include "formats/tensor_view.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFooterBytes = 48, kTrailerBytes = 5;  // a block's: how it is stored, and its checksum
constexpr uint64_t kMagic = 0xdb4775248b80fb57;
constexpr size_t kMostTensors = 100'000, kMostName = 1000;
constexpr int64_t kMostElements = int64_t{1} << 40;

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the TensorFlow checkpoint is broken: " + what + "; get it again.");
}

uint64_t Little(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Checksums of what may itself hold checksums are stored turned and shifted.
bool HasChecksum(std::string_view bytes, uint32_t stored) {
  const uint32_t crc = Crc32c(bytes);
  return stored == static_cast<uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8u);
}

struct Handle {
  uint64_t offset = 0, size = 0;
};

std::optional<Handle> TakeHandle(std::string_view* bytes) {
  const auto offset = TakeVarint(bytes);
  const auto size = offset ? TakeVarint(bytes) : std::nullopt;
  if (!size) return {};
  return Handle{*offset, *size};
}

Result<std::string_view> BlockAt(std::string_view file, Handle handle) {
  if (handle.size > file.size() || file.size() - handle.size < kTrailerBytes ||
      handle.offset > file.size() - handle.size - kTrailerBytes) {
    return Corrupt("a block of the index lies outside of it");
  }
  const std::string_view whole = file.substr(handle.offset, handle.size + kTrailerBytes);
  const auto stored = static_cast<uint32_t>(Little(whole.substr(handle.size + 1)));
  if (!HasChecksum(whole.substr(0, handle.size + 1), stored)) {
    return Corrupt("a block of the index does not have its checksum");
  }
  if (whole[handle.size] != 0) {
    return Fail(ErrorCode::kUnsupported,
                "the TensorFlow checkpoint's index is compressed, which is not read here; save it again with a newer "
                "TensorFlow, which stores it plain.");
  }
  return whole.substr(0, handle.size);
}

// Calls visit(key, value) for each entry of a block. A key has its first bytes in common with the one before.
template <typename Visit>
Status VisitBlock(std::string_view block, const Visit& visit) {
  if (block.size() < 4) return Corrupt("a block of the index is too short");
  const uint64_t restarts = Little(block.substr(block.size() - 4));
  if (restarts > block.size() / 4 - 1) return Corrupt("a block of the index is shorter than its list of restarts");
  std::string_view rest = block.substr(0, block.size() - 4 - 4 * restarts);
  std::string key;
  while (!rest.empty()) {
    const auto shared = TakeVarint(&rest);
    const auto own = shared ? TakeVarint(&rest) : std::nullopt;
    const auto length = own ? TakeVarint(&rest) : std::nullopt;
    if (!length || *shared > key.size() || *own > rest.size() || *length > rest.size() - *own) {
      return Corrupt("an entry of the index is cut short");
    }
    if (*shared + *own > kMostName) return Corrupt("a tensor's name is too long");
    key.resize(*shared);
    key += rest.substr(0, *own);
    TIMBRE_CHECK(visit(std::string_view(key), rest.substr(*own, *length)));
    rest.remove_prefix(*own + *length);
  }
  return {};
}

// The key of no letters: BundleHeaderProto.
Status CheckHeader(std::string_view message) {
  ProtoReader reader(message);
  for (ProtoField field; reader.Next(&field);) {
    if (field.number == 1 && field.value != 1) {
      return Fail(ErrorCode::kUnsupported, "the TensorFlow checkpoint has its tensors in " +
                                               std::to_string(field.value) + " files; save it with one.");
    }
    if (field.number == 2 && field.value != 0) {
      return Fail(ErrorCode::kUnsupported,
                  "the TensorFlow checkpoint was written on a big-endian machine; save it again on another.");
    }
  }
  return reader.broken() ? Status(Corrupt("the index's header makes no sense")) : Status();
}

// What a number of DataType is; nothing for types that networks are not made of.
std::optional<DType> TypeOf(uint64_t number) {
  switch (number) {
    case 1: return DType::kF32;
    case 2: return DType::kF64;
    case 3: return DType::kI32;
    case 9: return DType::kI64;
    case 14: return DType::kBF16;
    case 19: return DType::kF16;
    default: return {};
  }
}

// BundleEntryProto.
struct Entry {
  uint64_t type = 0, shard = 0, offset = 0, size = 0, checksum = 0;
  Shape shape;
  bool sliced = false;
};

// TensorShapeProto. False where it is none.
bool ReadShape(std::string_view message, Shape* shape) {
  ProtoReader dims(message);
  int64_t elements = 1;
  for (ProtoField dim; dims.Next(&dim);) {
    if (dim.number != 2 || !dim.is_bytes || shape->rank() == Shape::kMaxRank) return false;
    uint64_t size = 0;
    ProtoReader sizes(dim.bytes);
    for (ProtoField field; sizes.Next(&field);) {
      if (field.number == 1 && !field.is_bytes) size = field.value;
    }
    if (sizes.broken() || size > static_cast<uint64_t>(kMostElements)) return false;
    if (size != 0 && elements > kMostElements / static_cast<int64_t>(size)) return false;
    elements *= static_cast<int64_t>(size);
    shape->push_back(static_cast<int64_t>(size));
  }
  return !dims.broken();
}

std::optional<Entry> ReadEntry(std::string_view message) {
  Entry entry;
  ProtoReader reader(message);
  for (ProtoField field; reader.Next(&field);) {
    switch (field.number) {
      case 1: entry.type = field.value; break;
      case 2:
        if (!field.is_bytes || !ReadShape(field.bytes, &entry.shape)) return {};
        break;
      case 3: entry.shard = field.value; break;
      case 4: entry.offset = field.value; break;
      case 5: entry.size = field.value; break;
      case 6: entry.checksum = field.value; break;
      case 7: entry.sliced = true; break;
      default: break;
    }
  }
  if (reader.broken()) return {};
  return entry;
}

Status AddTensor(std::string_view key, std::string_view message, const SharedBytes& data, TensorMap* tensors) {
  const std::string name(key);
  const std::string shown = "the tensor '" + Printable(name) + "'";
  const auto entry = ReadEntry(message);
  if (!entry) return Corrupt(shown + " is described in a way that makes no sense");
  const auto dtype = TypeOf(entry->type);
  if (!dtype) return {};
  if (entry->sliced || entry->shard != 0) {
    return Fail(ErrorCode::kUnsupported, "the TensorFlow checkpoint has " + shown + " in parts; save it whole.");
  }
  if (entry->offset > data.size() || entry->size > data.size() - entry->offset) {
    return Corrupt(shown + " lies outside of the file of " + std::to_string(data.size()) + " bytes");
  }
  if (entry->size != BytesOf(*dtype, entry->shape.elements())) {
    return Corrupt(shown + " of the shape " + entry->shape.ToString() + " has " + std::to_string(entry->size) +
                   " bytes");
  }
  const SharedBytes bytes = data.Slice(entry->offset, entry->size);
  if (!HasChecksum(bytes.text(), static_cast<uint32_t>(entry->checksum))) {
    return Corrupt(shown + " does not have its checksum");
  }
  if (tensors->size() >= kMostTensors) return Corrupt("it has too many tensors");
  TIMBRE_TRY(HostTensor tensor, ViewTensor(bytes, *dtype, entry->shape));
  if (!tensors->emplace(name, std::move(tensor)).second) return Corrupt("it names " + shown + " twice");
  return {};
}

}  // namespace

Result<TensorMap> ReadTensorBundle(const SharedBytes& index, const SharedBytes& data) {
  const std::string_view file = index.text();
  if (file.size() < kFooterBytes || Little(file.substr(file.size() - 8)) != kMagic) {
    return Fail(ErrorCode::kCorrupt,
                "this is no index of a TensorFlow checkpoint, or it is cut short; get the file again.");
  }
  std::string_view footer = file.substr(file.size() - kFooterBytes);
  const auto metaindex = TakeHandle(&footer);  // of filters, which bundles have none of
  const auto handle = metaindex ? TakeHandle(&footer) : std::nullopt;
  if (!handle) return Corrupt("its index's end makes no sense");
  TIMBRE_TRY(const std::string_view blocks, BlockAt(file, *handle));
  TensorMap tensors;
  size_t seen = 0;
  TIMBRE_CHECK(VisitBlock(blocks, [&](std::string_view, std::string_view value) -> Status {
    const auto inner = TakeHandle(&value);
    if (!inner) return Corrupt("its index names no block");
    TIMBRE_TRY(const std::string_view block, BlockAt(file, *inner));
    // Blocks of a sound file lie apart, so that together they are no larger than it.
    seen += block.size();
    if (seen > file.size()) return Corrupt("its index names a block several times");
    return VisitBlock(block, [&](std::string_view key, std::string_view entry) {
      return key.empty() ? CheckHeader(entry) : AddTensor(key, entry, data, &tensors);
    });
  }));
  return tensors;
}

fs::path FindBundleIndex(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".index" && !path.filename().string().starts_with(".")) found.push_back(path);
  }
  if (found.size() == 1) return found.front();
  return {};
}

}  // namespace timbre
