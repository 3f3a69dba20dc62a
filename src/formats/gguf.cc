#include "formats/gguf.h"

#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/tensor_view.h"

namespace timbre {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMostKeys = 1 << 16, kMostTensors = 1 << 16, kMostItems = 1 << 22;
constexpr uint64_t kMostName = 1 << 16;
constexpr uint64_t kMostAlignment = 1 << 16, kUsualAlignment = 32;
constexpr int64_t kMostElements = int64_t{1} << 40;
constexpr uint32_t kMostDims = 4;

// The types of values, as files number them.
enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

struct TensorType {
  uint32_t id;
  std::string_view name;
  DType dtype;  // kCount: not read here
};
constexpr TensorType kTensorTypes[] = {
    {0, "F32", DType::kF32},       {1, "F16", DType::kF16},        {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1},     {6, "Q5_0", DType::kQ5_0},      {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0},     {9, "Q8_1", DType::kCount},     {10, "Q2_K", DType::kCount},
    {11, "Q3_K", DType::kCount},   {12, "Q4_K", DType::kQ4_K},     {13, "Q5_K", DType::kQ5_K},
    {14, "Q6_K", DType::kQ6_K},    {15, "Q8_K", DType::kCount},    {16, "IQ2_XXS", DType::kCount},
    {17, "IQ2_XS", DType::kCount}, {18, "IQ3_XXS", DType::kCount}, {19, "IQ1_S", DType::kCount},
    {20, "IQ4_NL", DType::kCount}, {21, "IQ3_S", DType::kCount},   {22, "IQ2_S", DType::kCount},
    {23, "IQ4_XS", DType::kCount}, {24, "I8", DType::kCount},      {25, "I16", DType::kCount},
    {26, "I32", DType::kCount},    {27, "I64", DType::kCount},     {28, "F64", DType::kCount},
    {29, "IQ1_M", DType::kCount},  {30, "BF16", DType::kBF16},     {34, "TQ1_0", DType::kCount},
    {35, "TQ2_0", DType::kCount},  {39, "MXFP4", DType::kCount},
};

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the GGUF file is broken: " + what + "; get the file again.");
}

// Takes little-endian numbers off the front of the bytes. The first that is not there is kept as the end: everything
// after it is 0, and ok() false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  template <typename T>
  T Take() {
    static_assert(std::endian::native == std::endian::little);
    T value{};
    if (!Has(sizeof(T))) return value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string_view Text(uint64_t most) {
    const auto size = Take<uint64_t>();
    if (size > most || !Has(size)) {
      ok_ = false;
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), size);
    at_ += size;
    return text;
  }

 private:
  bool Has(uint64_t size) {
    if (!ok_ || size > left()) ok_ = false;
    return ok_;
  }
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

// Bytes that an item of this type takes at least; 0 for what is no item.
uint64_t LeastBytes(uint32_t type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool: return 1;
    case kU16:
    case kI16: return 2;
    case kU32:
    case kI32:
    case kF32: return 4;
    case kString:
    case kU64:
    case kI64:
    case kF64: return 8;
    default: return 0;
  }
}

bool IsWhole(uint32_t type) { return type <= kI32 || type == kU64 || type == kI64; }

// A whole number; none where it is above the range.
std::optional<int64_t> TakeWhole(Reader& reader, uint32_t type) {
  switch (type) {
    case kU8: return reader.Take<uint8_t>();
    case kI8: return reader.Take<int8_t>();
    case kU16: return reader.Take<uint16_t>();
    case kI16: return reader.Take<int16_t>();
    case kU32: return reader.Take<uint32_t>();
    case kI32: return reader.Take<int32_t>();
    case kI64: return reader.Take<int64_t>();
    default: break;
  }
  const auto value = reader.Take<uint64_t>();
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
  return static_cast<int64_t>(value);
}

double TakeNumber(Reader& reader, uint32_t type) {
  return type == kF32 ? static_cast<double>(reader.Take<float>()) : reader.Take<double>();
}

Result<GgufValue> TakeList(Reader& reader, const std::string& name) {
  const auto type = reader.Take<uint32_t>();
  const auto count = reader.Take<uint64_t>();
  if (!reader.ok()) return Corrupt("it ends within " + name);
  const uint64_t least = LeastBytes(type);
  if (least == 0) {
    return Fail(ErrorCode::kUnsupported,
                name + " of the GGUF file is a list of lists, or of a type that is not known; it is not read here.");
  }
  if (count > kMostItems) {
    return Fail(ErrorCode::kUnsupported, name + " of the GGUF file is a list of " + std::to_string(count) + " items; " +
                                             std::to_string(kMostItems) + " are the most.");
  }
  if (count > reader.left() / least) return Corrupt(name + " is a list longer than the file");
  if (type == kString) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (uint64_t i = 0; i < count && reader.ok(); ++i) texts.emplace_back(reader.Text(reader.left()));
    return texts;
  }
  if (type == kF32 || type == kF64) {
    std::vector<double> numbers(count);
    for (double& number : numbers) number = TakeNumber(reader, type);
    return numbers;
  }
  std::vector<int64_t> numbers(count);
  for (int64_t& number : numbers) {
    const auto whole = TakeWhole(reader, type == kBool ? uint32_t{kU8} : type);
    if (!whole) return Corrupt(name + " holds a number out of range");
    number = *whole;
  }
  return numbers;
}

Result<GgufValue> TakeValue(Reader& reader, const std::string& name) {
  const auto type = reader.Take<uint32_t>();
  if (!reader.ok()) return Corrupt("it ends within " + name);
  if (type == kArray) return TakeList(reader, name);
  if (type == kString) return std::string(reader.Text(reader.left()));
  if (type == kBool) return reader.Take<uint8_t>() != 0;
  if (type == kF32 || type == kF64) return TakeNumber(reader, type);
  if (!IsWhole(type)) return Corrupt(name + " is of the unknown type " + std::to_string(type));
  const auto whole = TakeWhole(reader, type);
  if (!whole) return Corrupt(name + " is a number out of range");
  return *whole;
}

struct Entry {
  std::string name;
  Shape shape;
  DType dtype = DType::kF32;
  uint64_t offset = 0;
};

Result<Entry> TakeTensor(Reader& reader) {
  Entry entry;
  entry.name = std::string(reader.Text(kMostName));
  const std::string name = "the tensor '" + Printable(entry.name) + "'";
  const auto dims = reader.Take<uint32_t>();
  if (!reader.ok()) return Corrupt("it ends within its list of tensors");
  if (dims > kMostDims) return Corrupt(name + " has " + std::to_string(dims) + " dimensions");
  std::vector<int64_t> sizes;
  int64_t elements = 1;
  for (uint32_t i = 0; i < dims; ++i) {
    const auto size = reader.Take<uint64_t>();
    if (size > static_cast<uint64_t>(kMostElements) ||
        __builtin_mul_overflow(elements, static_cast<int64_t>(size), &elements) || elements > kMostElements) {
      return Corrupt(name + " is too large");
    }
    sizes.insert(sizes.begin(), static_cast<int64_t>(size));
  }
  entry.shape = Shape(sizes);
  const auto type = reader.Take<uint32_t>();
  entry.offset = reader.Take<uint64_t>();
  if (!reader.ok()) return Corrupt("it ends within its list of tensors");
  std::string found = "number " + std::to_string(type);
  for (const TensorType& row : kTensorTypes) {
    if (row.id != type) continue;
    found = row.name;
    entry.dtype = row.dtype;
    if (row.dtype == DType::kCount) break;
    if (entry.shape.back() % BlockOf(row.dtype) != 0) {
      std::string what = name;
      what.append(" of shape ").append(entry.shape.ToString()).append(" is not whole blocks of ").append(found);
      return Corrupt(what);
    }
    return entry;
  }
  return Fail(ErrorCode::kUnsupported,
              name + " of the GGUF file is stored as " + found +
                  ", which is not read here; take a file in Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K or halves.");
}

Result<HostTensor> View(const Entry& entry, const SharedBytes& data) {
  const size_t size = BytesOf(entry.dtype, entry.shape.elements());
  if (entry.offset > data.size() || size > data.size() - entry.offset) {
    return Corrupt("the tensor '" + Printable(entry.name) + "' lies outside the file");
  }
  const SharedBytes bytes = data.Slice(entry.offset, size);
  if (!InBlocks(entry.dtype)) return ViewTensor(bytes, entry.dtype, entry.shape);
  HostTensor tensor;  // blocks may lie at any address
  tensor.shape = entry.shape;
  tensor.dtype = entry.dtype;
  tensor.data = bytes.shared();
  tensor.mapped = bytes.mapped();
  return tensor;
}

tl::unexpected<Error> WrongKey(std::string_view key, const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the GGUF file's '" + std::string(key) + "' is " + what);
}

template <typename T>
Result<const T*> Find(const GgufFile& file, std::string_view key, const char* kind) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    return Fail(ErrorCode::kNotFound, "the GGUF file has no '" + std::string(key) + "', which is needed here");
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) return WrongKey(key, std::string("not ") + kind);
  return value;
}

}  // namespace

Result<int64_t> GgufFile::Int(std::string_view key, int64_t least, int64_t most) const {
  TIMBRE_TRY(const int64_t* value, Find<int64_t>(*this, key, "a whole number"));
  if (*value < least || *value > most) {
    return WrongKey(key, std::to_string(*value) + ", where " + std::to_string(least) + " to " + std::to_string(most) +
                             " make sense");
  }
  return *value;
}

Result<double> GgufFile::Number(std::string_view key, double least, double most) const {
  const auto found = metadata.find(key);
  double number = 0;
  if (found != metadata.end() && std::holds_alternative<int64_t>(found->second)) {
    number = static_cast<double>(std::get<int64_t>(found->second));
  } else {
    TIMBRE_TRY(const double* value, Find<double>(*this, key, "a number"));
    number = *value;
  }
  if (!(number >= least && number <= most)) return WrongKey(key, "a number that makes no sense there");
  return number;
}

Result<bool> GgufFile::Bool(std::string_view key) const {
  TIMBRE_TRY(const bool* value, Find<bool>(*this, key, "true or false"));
  return *value;
}

Result<std::string> GgufFile::Text(std::string_view key) const {
  TIMBRE_TRY(const std::string* value, Find<std::string>(*this, key, "a text"));
  return *value;
}

Result<std::span<const int64_t>> GgufFile::Ints(std::string_view key) const {
  TIMBRE_TRY(const auto* value, Find<std::vector<int64_t>>(*this, key, "a list of whole numbers"));
  return std::span<const int64_t>(*value);
}

Result<std::span<const double>> GgufFile::Numbers(std::string_view key) const {
  TIMBRE_TRY(const auto* value, Find<std::vector<double>>(*this, key, "a list of numbers"));
  return std::span<const double>(*value);
}

Result<std::span<const std::string>> GgufFile::Texts(std::string_view key) const {
  TIMBRE_TRY(const auto* value, Find<std::vector<std::string>>(*this, key, "a list of texts"));
  return std::span<const std::string>(*value);
}

bool LooksLikeGguf(const SharedBytes& bytes) { return bytes.text().starts_with(kMagic); }

Result<GgufFile> ReadGguf(const SharedBytes& bytes) {
  if (!LooksLikeGguf(bytes)) return Corrupt("it does not begin with 'GGUF'");
  Reader reader(bytes.span());
  reader.Take<uint32_t>();
  GgufFile file;
  file.version = reader.Take<uint32_t>();
  if (file.version != 2 && file.version != 3) {
    return Fail(ErrorCode::kUnsupported, "the GGUF file is of version " + std::to_string(file.version) +
                                             "; versions 2 and 3, little-endian, are read here.");
  }
  const auto tensor_count = reader.Take<uint64_t>(), key_count = reader.Take<uint64_t>();
  if (!reader.ok()) return Corrupt("it is too short");
  if (tensor_count > kMostTensors || key_count > kMostKeys) {
    return Fail(ErrorCode::kUnsupported, "the GGUF file names " + std::to_string(tensor_count) + " tensors and " +
                                             std::to_string(key_count) + " keys; 65536 of each are the most.");
  }
  for (uint64_t i = 0; i < key_count; ++i) {
    const std::string key(reader.Text(kMostName));
    const std::string name = "the key '" + Printable(key) + "'";
    TIMBRE_TRY(GgufValue value, TakeValue(reader, name));
    if (!reader.ok()) return Corrupt("it ends within " + name);
    if (!file.metadata.emplace(key, std::move(value)).second) return Corrupt(name + " is there twice");
  }
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    TIMBRE_TRY(Entry entry, TakeTensor(reader));
    entries.push_back(std::move(entry));
  }
  auto alignment = static_cast<int64_t>(kUsualAlignment);
  if (file.Has("general.alignment")) {
    TIMBRE_TRY(alignment, file.Int("general.alignment", 1, static_cast<int64_t>(kMostAlignment)));
  }
  if (!std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return WrongKey("general.alignment", std::to_string(alignment) + ", which is no power of two");
  }
  const size_t start = (reader.at() + alignment - 1) / alignment * alignment;
  if (start > bytes.size() && !entries.empty()) return Corrupt("it ends before its tensors");
  const SharedBytes data = start > bytes.size() ? SharedBytes() : bytes.Slice(start, bytes.size() - start);
  TensorMap tensors;
  for (const Entry& entry : entries) {
    if (entry.offset % alignment != 0) {
      return Corrupt("the tensor '" + Printable(entry.name) + "' does not begin at a multiple of the alignment");
    }
    TIMBRE_TRY(HostTensor tensor, View(entry, data));
    if (!tensors.emplace(entry.name, std::move(tensor)).second) {
      return Corrupt("the tensor '" + Printable(entry.name) + "' is there twice");
    }
  }
  file.tensors = std::make_shared<const TensorMap>(std::move(tensors));
  return file;
}

Result<GgufFile> ReadGguf(const std::string& path) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  auto file = ReadGguf(bytes);
  if (!file) return Prefix(std::move(file).error(), path);
  SettleMapped(bytes);
  return file;
}

}  // namespace timbre
