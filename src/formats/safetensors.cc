#include "formats/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/aligned.h"
#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/tensor_view.h"

namespace timbre {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeader = 25'000'000;
constexpr int64_t kMaxElements = int64_t{1} << 40;

struct FileType {
  std::string_view name;
  DType dtype;
};
constexpr FileType kFileTypes[] = {
    {"F64", DType::kF64}, {"F32", DType::kF32}, {"F16", DType::kF16}, {"BF16", DType::kBF16}, {"I64", DType::kI64},
    {"I32", DType::kI32}, {"I16", DType::kI16}, {"I8", DType::kI8},   {"U8", DType::kU8},     {"BOOL", DType::kBool},
};

std::optional<DType> TypeOf(std::string_view name) {
  for (const FileType& type : kFileTypes) {
    if (type.name == name) return type.dtype;
  }
  return {};
}

std::string_view FileTypeOf(DType dtype) {
  for (const FileType& type : kFileTypes) {
    if (type.dtype == dtype) return type.name;
  }
  return "";
}

struct Entry {
  std::string name, type;
  std::vector<uint64_t> shape, offsets;
  bool has_shape = false;
};

// Takes the header's parts as they are read, so that a header of another form (deep, huge, with repeated names) is
// refused before anything is built from it.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  std::vector<Entry> entries;
  Metadata metadata;
  std::string error;

  bool null() override { return Refuse("a null"); }
  bool boolean(bool) override { return Refuse("a boolean"); }
  bool number_integer(number_integer_t) override { return Refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Refuse("a number that is no count"); }
  bool binary(binary_t&) override { return Refuse("bytes"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return Refuse("a number");
    std::vector<uint64_t>& list = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    if (list.size() >= 64) return Refuse("a long list");
    list.push_back(value);
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      if (metadata.emplace(field_, value).second) return true;
      error = "the metadata names '" + Printable(field_) + "' twice";
      return false;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype" || !entries.back().type.empty()) return Refuse("a string");
    entries.back().type = value;
    return true;
  }
  bool start_object(size_t) override {
    if (in_array_ || depth_ >= 2) return Refuse("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    in_metadata_ = false;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || (field_ != "shape" && field_ != "data_offsets"))
      return Refuse("a list");
    Entry& entry = entries.back();
    if (field_ == "shape" ? entry.has_shape : !entry.offsets.empty()) return Refuse("a second list");
    if (field_ == "shape") entry.has_shape = true;
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool key(string_t& name) override {
    field_ = name;
    if (depth_ != 1) return true;
    in_metadata_ = name == "__metadata__";
    if (!in_metadata_) entries.push_back(Entry{name, {}, {}, {}, false});
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    error = "it is not JSON at byte " + std::to_string(position);
    return false;
  }

 private:
  bool Refuse(const char* what) {
    error = std::string(what) + " stands where it should not";
    if (!field_.empty()) error += " (under '" + Printable(field_) + "')";
    return false;
  }
  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false;
  std::string field_;
};

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the safetensors file is broken: " + what + "; get the file again.");
}

uint64_t HeaderSize(const SharedBytes& bytes) {
  uint64_t size = 0;
  for (int i = 8; i-- > 0;) size = size << 8 | std::to_integer<uint64_t>(bytes.data()[i]);
  return size;
}

Result<HostTensor> ReadTensor(const Entry& entry, const SharedBytes& data) {
  const std::string name = "the tensor '" + Printable(entry.name) + "'";
  if (!entry.has_shape || entry.type.empty() || entry.offsets.size() != 2) return Corrupt(name + " lacks a part");
  const std::optional<DType> dtype = TypeOf(entry.type);
  if (!dtype) {
    return Fail(ErrorCode::kUnsupported, name + " has elements of the type '" + Printable(entry.type) +
                                             "', which is not read here; save it as float32 or float16.");
  }
  if (entry.shape.size() > Shape::kMaxRank) {
    return Fail(ErrorCode::kUnsupported, name + " has " + std::to_string(entry.shape.size()) + " dimensions, and " +
                                             std::to_string(Shape::kMaxRank) + " are the most.");
  }
  Shape shape;
  int64_t elements = 1;
  for (const uint64_t dim : entry.shape) {
    if (dim > static_cast<uint64_t>(kMaxElements) ||
        __builtin_mul_overflow(elements, static_cast<int64_t>(dim), &elements) || elements > kMaxElements) {
      return Corrupt(name + " is too large");
    }
    shape.push_back(static_cast<int64_t>(dim));
  }
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end > data.size()) return Corrupt(name + " lies outside the file");
  if (end - begin != static_cast<uint64_t>(elements) * SizeOf(*dtype)) {
    return Corrupt(name + " takes " + std::to_string(end - begin) + " bytes, which is not what its shape " +
                   shape.ToString() + " needs");
  }
  return ViewTensor(data.Slice(begin, end - begin), *dtype, shape);
}

}  // namespace

bool LooksLikeSafetensors(const SharedBytes& bytes) {
  return bytes.size() > 9 && bytes.text()[8] == '{' && HeaderSize(bytes) <= bytes.size() - 8;
}

Result<Safetensors> ReadSafetensors(const SharedBytes& bytes) {
  if (bytes.size() < 8) return Corrupt("it is too short");
  const uint64_t header_size = HeaderSize(bytes);
  if (header_size > bytes.size() - 8) return Corrupt("its header reaches beyond its end");
  if (header_size > kMaxHeader) {
    return Fail(ErrorCode::kUnsupported,
                "the safetensors file has a header of more than 25 MB; it is not a checkpoint.");
  }
  const std::string_view header = bytes.text().substr(8, header_size);
  HeaderReader reader;
  if (!header.starts_with('{')) return Corrupt("its header is not JSON");
  if (!json::sax_parse(header.begin(), header.end(), &reader)) return Corrupt("in its header " + reader.error);

  const SharedBytes data = bytes.Slice(8 + header_size, bytes.size() - 8 - header_size);
  TensorMap tensors;
  for (const Entry& entry : reader.entries) {
    TIMBRE_TRY(HostTensor tensor, ReadTensor(entry, data));
    if (!tensors.emplace(entry.name, std::move(tensor)).second) {
      return Corrupt("it names the tensor '" + Printable(entry.name) + "' twice");
    }
  }
  std::vector<const Entry*> order;
  for (const Entry& entry : reader.entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  uint64_t at = 0;
  for (const Entry* entry : order) {
    if (entry->offsets[0] != at) {
      return Corrupt("the tensor '" + Printable(entry->name) + "' does not begin where the one before it ends");
    }
    at = entry->offsets[1];
  }
  if (at != data.size()) return Corrupt("its tensors do not reach to its end");
  return Safetensors{std::make_shared<const TensorMap>(std::move(tensors)), std::move(reader.metadata)};
}

Result<Safetensors> ReadSafetensors(const std::string& path) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  auto file = ReadSafetensors(bytes);
  if (!file) return Prefix(std::move(file).error(), path);
  SettleMapped(bytes);
  return file;
}

Status WriteSafetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata,
                        OutputSet* outputs) {
  // Wide elements first, so that every tensor is aligned; names in order among equals.
  std::vector<const TensorMap::value_type*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return SizeOf(a->second.dtype) > SizeOf(b->second.dtype); });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t at = 0;
  for (const auto* entry : order) {
    const HostTensor& tensor = entry->second;
    if (!IsUtf8(entry->first)) return Fail(ErrorCode::kInvalidArgument, "a tensor's name is not UTF-8.");
    const auto dims = tensor.shape.dims();
    header[entry->first] = {{"dtype", std::string(FileTypeOf(tensor.dtype))},
                            {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                            {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i) prefix[i] = static_cast<char>(text.size() >> (8 * i));

  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, outputs));
  TIMBRE_CHECK(file.Write(prefix));
  TIMBRE_CHECK(file.Write(text));
  for (const auto* entry : order) {
    const HostTensor& tensor = entry->second;
    if (tensor.mapped) {
      TIMBRE_TRY(AlignedBytes copy, AlignedBytes::Allocate(tensor.bytes()));
      if (!ReadMapped(tensor.data, tensor.bytes(), copy.data())) {
        TIMBRE_CHECK(CheckMapped(tensor.data));
        return Fail(ErrorCode::kIo, "the tensor '" + Printable(entry->first) + "' can't be read from its file.");
      }
      TIMBRE_CHECK(file.Write(std::span<const std::byte>(copy.data(), copy.size())));
    } else if (tensor.data) {
      TIMBRE_CHECK(file.Write(std::span(tensor.data.get(), tensor.bytes())));
    } else {
      TIMBRE_CHECK(file.Write(std::as_bytes(std::span<const float>(tensor.ToF32()))));
    }
  }
  return file.Commit();
}

}  // namespace timbre
