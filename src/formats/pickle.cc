#include "formats/pickle.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "base/text.h"

namespace timbre {
namespace {

enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kFloat = 'F',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kPersId = 'P',
  kBinPersId = 'Q',
  kReduce = 'R',
  kString = 'S',
  kBinString = 'T',
  kShortBinString = 'U',
  kUnicode = 'V',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kGet = 'g',
  kBinGet = 'h',
  kInst = 'i',
  kLongBinGet = 'j',
  kList = 'l',
  kEmptyList = ']',
  kObj = 'o',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// What a call of a named class or function stands for.
enum class Call {
  kRefused,  // not on the list: the pickle may not even name it
  kObject,   // kept as a name, arguments and state
  kDict,
  kDefaultDict,
  kList,
  kTuple,
  kSet,
  kBytes,
  kNumpyScalar,
  kTensor,
  kParameter,
};

struct Named {
  std::string_view name;
  Call call;
};

// What checkpoints of the supported models, and of training programs around them, are seen to contain. `__builtin__` is
// the Python 2 name that protocol 2 still writes.
constexpr Named kNamed[] = {
    {"collections.OrderedDict", Call::kDict},
    {"collections.Counter", Call::kDict},
    {"collections.defaultdict", Call::kDefaultDict},
    {"builtins.dict", Call::kDict},
    {"__builtin__.dict", Call::kDict},
    {"builtins.list", Call::kList},
    {"__builtin__.list", Call::kList},
    {"builtins.tuple", Call::kTuple},
    {"__builtin__.tuple", Call::kTuple},
    {"torch.Size", Call::kTuple},
    {"builtins.set", Call::kSet},
    {"__builtin__.set", Call::kSet},
    {"builtins.frozenset", Call::kSet},
    {"__builtin__.frozenset", Call::kSet},
    {"builtins.bytearray", Call::kBytes},
    {"__builtin__.bytearray", Call::kBytes},
    {"_codecs.encode", Call::kBytes},
    {"builtins.int", Call::kObject},
    {"__builtin__.int", Call::kObject},
    {"builtins.float", Call::kObject},
    {"__builtin__.float", Call::kObject},
    {"builtins.str", Call::kObject},
    {"__builtin__.unicode", Call::kObject},
    {"builtins.bool", Call::kObject},
    {"__builtin__.bool", Call::kObject},
    {"builtins.complex", Call::kObject},
    {"__builtin__.complex", Call::kObject},
    {"fractions.Fraction", Call::kObject},
    {"datetime.datetime", Call::kObject},
    {"datetime.timedelta", Call::kObject},
    {"pathlib.Path", Call::kObject},
    {"pathlib.PosixPath", Call::kObject},
    {"pathlib.PurePosixPath", Call::kObject},
    {"pathlib.WindowsPath", Call::kObject},
    {"argparse.Namespace", Call::kObject},
    {"torch.device", Call::kObject},
    {"torch.float64", Call::kObject},
    {"torch.float32", Call::kObject},
    {"torch.float16", Call::kObject},
    {"torch.bfloat16", Call::kObject},
    {"torch.int64", Call::kObject},
    {"torch.int32", Call::kObject},
    {"torch._utils._rebuild_tensor", Call::kTensor},
    {"torch._utils._rebuild_tensor_v2", Call::kTensor},
    {"torch._utils._rebuild_parameter", Call::kParameter},
    {"torch._utils._rebuild_parameter_with_state", Call::kParameter},
    {"numpy.dtype", Call::kObject},
    {"numpy.ndarray", Call::kObject},
    {"numpy.core.multiarray.scalar", Call::kNumpyScalar},
    {"numpy._core.multiarray.scalar", Call::kNumpyScalar},
    {"numpy.core.multiarray._reconstruct", Call::kObject},
    {"numpy._core.multiarray._reconstruct", Call::kObject},
};

// The packages whose classes may appear by name: model packages name their network's class, training programs their
// settings.
constexpr std::string_view kOpaquePackages[] = {"demucs.", "omegaconf.", "pytorch_lightning.", "lightning."};

struct StorageClass {
  std::string_view name;
  DType dtype;
};
constexpr StorageClass kStorageClasses[] = {
    {"FloatStorage", DType::kF32},  {"HalfStorage", DType::kF16}, {"BFloat16Storage", DType::kBF16},
    {"DoubleStorage", DType::kF64}, {"CharStorage", DType::kI8},  {"ByteStorage", DType::kU8},
    {"ShortStorage", DType::kI16},  {"IntStorage", DType::kI32},  {"LongStorage", DType::kI64},
    {"BoolStorage", DType::kBool},
};

std::optional<DType> StorageDType(std::string_view name) {
  for (const std::string_view module : {"torch.", "torch.cuda."}) {
    for (const StorageClass& storage : kStorageClasses) {
      if (StartsWith(name, module) && name.substr(module.size()) == storage.name) return storage.dtype;
    }
  }
  return {};
}

Call CallOf(std::string_view name) {
  for (const Named& named : kNamed) {
    if (named.name == name) return named.call;
  }
  if (StorageDType(name)) return Call::kObject;
  for (const std::string_view package : kOpaquePackages) {
    if (StartsWith(name, package)) return Call::kObject;
  }
  return Call::kRefused;
}

constexpr int64_t kMaxElements = int64_t{1} << 40;

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const PickleLimits& limits)
      : bytes_(bytes), budget_(limits.memory), tree_(std::make_shared<PickleTree>()) {}

  Result<PickleValue> Run(size_t* consumed) {
    for (;;) {
      TIMBRE_TRY(const uint8_t opcode, Byte());
      if (opcode == kStop) break;
      TIMBRE_CHECK(Step(opcode));
    }
    TIMBRE_TRY(const uint32_t root, Pop());
    if (consumed != nullptr) *consumed = at_;
    return PickleValue(std::move(tree_), root);
  }

 private:
  using Id = uint32_t;

  tl::unexpected<Error> Corrupt(const std::string& what) const {
    return Fail(ErrorCode::kCorrupt, "the pickle is broken at byte " + std::to_string(at_) + ": " + what + ".");
  }

  // ---- input ----

  Result<std::string_view> Take(uint64_t count) {
    if (count > bytes_.size() - at_) return Corrupt("it ends too early");
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + at_, count);
    at_ += count;
    return taken;
  }
  Result<uint8_t> Byte() {
    TIMBRE_TRY(const std::string_view taken, Take(1));
    return static_cast<uint8_t>(taken[0]);
  }
  // A little-endian unsigned number of `width` bytes.
  Result<uint64_t> Number(int width) {
    TIMBRE_TRY(const std::string_view taken, Take(width));
    uint64_t value = 0;
    for (int i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(taken[i]);
    return value;
  }
  // What a length of `width` bytes announces.
  Result<std::string_view> Counted(int width) {
    TIMBRE_TRY(const uint64_t count, Number(width));
    return Take(count);
  }
  Result<std::string_view> Line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return Corrupt("a line does not end");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // ---- tree, stack and memo; everything that grows is charged first ----

  Status Charge(uint64_t bytes) {
    if (bytes > budget_) {
      return Fail(ErrorCode::kUnsupported, "the pickle would take more memory than is allowed for one (at byte " +
                                               std::to_string(at_) + "); it is not a checkpoint of weights.");
    }
    budget_ -= bytes;
    return {};
  }
  Result<Id> Add(PickleKind kind, std::string_view text = {}) {
    TIMBRE_CHECK(Charge(2 * sizeof(PickleNode) + text.size()));
    PickleNode& node = tree_->nodes.emplace_back();
    node.kind = kind;
    node.text = text;
    return static_cast<Id>(tree_->nodes.size() - 1);
  }
  PickleNode& At(Id id) { return tree_->nodes[id]; }

  Status Push(Id id) {
    TIMBRE_CHECK(Charge(2 * sizeof(Id)));
    stack_.push_back(id);
    return {};
  }
  Status PushNew(PickleKind kind, std::string_view text = {}) {
    TIMBRE_TRY(const Id id, Add(kind, text));
    return Push(id);
  }
  Status PushInt(PickleKind kind, int64_t value) {
    TIMBRE_TRY(const Id id, Add(kind));
    At(id).integer = value;
    return Push(id);
  }
  Status PushDouble(double value) {
    TIMBRE_TRY(const Id id, Add(PickleKind::kDouble));
    At(id).real = value;
    return Push(id);
  }
  Status PushText(std::string_view text) {
    if (!IsUtf8(text)) return Corrupt("a string is not UTF-8");
    return PushNew(PickleKind::kString, text);
  }
  // Python 2 strings are either: text where they can be.
  Status PushString(std::string_view text) {
    return PushNew(IsUtf8(text) ? PickleKind::kString : PickleKind::kBytes, text);
  }

  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Result<Id> Pop() {
    if (stack_.size() <= Floor()) return Corrupt("it takes from an empty stack");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Result<Id> Top() {
    if (stack_.size() <= Floor()) return Corrupt("it takes from an empty stack");
    return stack_.back();
  }
  // Everything above the last mark, and the mark.
  Result<std::vector<Id>> PopMark() {
    if (marks_.empty()) return Corrupt("a mark is missing");
    std::vector<Id> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  // Adds items to a container.
  Status Extend(Id container, const std::vector<Id>& items) {
    TIMBRE_CHECK(Charge(2 * sizeof(Id) * items.size()));
    std::vector<Id>& all = At(container).items;
    all.insert(all.end(), items.begin(), items.end());
    return {};
  }
  Status PushContainer(PickleKind kind, const std::vector<Id>& items) {
    if (kind == PickleKind::kDict && items.size() % 2 != 0) return Corrupt("a dict has a key without a value");
    TIMBRE_TRY(const Id id, Add(kind));
    TIMBRE_CHECK(Extend(id, items));
    return Push(id);
  }
  Status PushTuple(int count) {
    std::vector<Id> items(count);
    for (int i = count; i-- > 0;) {
      TIMBRE_TRY(items[i], Pop());
    }
    return PushContainer(PickleKind::kTuple, items);
  }
  Status ExtendTop(PickleKind kind, const std::vector<Id>& items) {
    TIMBRE_TRY(const Id container, Top());
    if (At(container).kind != kind) {
      return Corrupt("it puts items into a " + std::string(NameOf(At(container).kind)) + ", not a " +
                     std::string(NameOf(kind)));
    }
    if (kind == PickleKind::kDict && items.size() % 2 != 0) return Corrupt("a dict has a key without a value");
    return Extend(container, items);
  }

  Status Put(uint64_t index, Id id) {
    TIMBRE_CHECK(Charge(48));  // what an entry of the hash table takes, about
    memo_[index] = id;
    return {};
  }
  Status Get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) return Corrupt("it recalls what it never remembered");
    return Push(found->second);
  }
  Status PutTop(uint64_t index) {
    TIMBRE_TRY(const Id id, Top());
    return Put(index, id);
  }
  Result<uint64_t> IndexLine() {
    TIMBRE_TRY(const std::string_view line, Line());
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), index);
    if (error != std::errc() || end != line.data() + line.size()) return Corrupt("a memo index is not a number");
    return index;
  }

  // ---- numbers and strings as text (protocol 0) ----

  Status PushIntLine(std::string_view line, bool is_long) {
    if (!is_long && (line == "00" || line == "01")) return PushInt(PickleKind::kBool, line == "01");
    if (is_long && !line.empty() && line.back() == 'L') line.remove_suffix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (end != line.data() + line.size() || line.empty() || error == std::errc::invalid_argument) {
      return Corrupt("a number is not one");
    }
    if (error == std::errc::result_out_of_range) return PushNew(PickleKind::kBigInt);
    return PushInt(PickleKind::kInt, value);
  }
  Status PushFloatLine(std::string_view line) {
    double value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || end != line.data() + line.size()) return Corrupt("a number is not one");
    return PushDouble(value);
  }
  // LONG1 and LONG4: little-endian two's complement of any length.
  Status PushLong(std::string_view digits) {
    if (digits.size() > 8) return PushNew(PickleKind::kBigInt);
    uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    return PushInt(PickleKind::kInt, static_cast<int64_t>(value));
  }
  // STRING: a Python literal in quotes.
  Status PushQuoted(std::string_view line) {
    if (line.size() < 2 || line.front() != line.back() || (line.front() != '\'' && line.front() != '"')) {
      return Corrupt("a string has no quotes");
    }
    line = line.substr(1, line.size() - 2);
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '\\') {
        text += line[i];
        continue;
      }
      if (++i == line.size()) return Corrupt("a string ends within an escape");
      switch (line[i]) {
        case 'n': text += '\n'; break;
        case 'r': text += '\r'; break;
        case 't': text += '\t'; break;
        case '\\':
        case '\'':
        case '"': text += line[i]; break;
        case 'x': {
          int code = 0;
          const char* digits = line.data() + i + 1;
          if (line.size() - i < 3 || std::from_chars(digits, digits + 2, code, 16).ptr != digits + 2) {
            return Corrupt("a string has a broken escape");
          }
          text += static_cast<char>(code);
          i += 2;
          break;
        }
        default: return Corrupt("a string has an unknown escape");
      }
    }
    return PushString(text);
  }
  // UNICODE: raw-unicode-escape, that is Latin-1 with \uXXXX and \UXXXXXXXX.
  Status PushRawUnicode(std::string_view line) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      uint32_t code = static_cast<uint8_t>(line[i]);
      if (code == '\\' && i + 1 < line.size() && (line[i + 1] == 'u' || line[i + 1] == 'U')) {
        const size_t count = line[i + 1] == 'u' ? 4 : 8;
        const char* digits = line.data() + i + 2;
        if (line.size() - i - 2 < count || std::from_chars(digits, digits + count, code, 16).ptr != digits + count) {
          return Corrupt("a string has a broken escape");
        }
        i += 1 + count;
      }
      AppendUtf8(code, text);
    }
    return PushText(text);
  }
  static void AppendUtf8(uint32_t code, std::string& text) {
    if (code < 0x80) {
      text += static_cast<char>(code);
      return;
    }
    if (code < 0x800) {
      text += static_cast<char>(0xC0 | code >> 6);
    } else {
      if (code < 0x10000) {
        text += static_cast<char>(0xE0 | code >> 12);
      } else {
        text += static_cast<char>(0xF0 | (code >> 18 & 0x0F));
        text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      }
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    }
    text += static_cast<char>(0x80 | (code & 0x3F));
  }

  // ---- names and calls ----

  Status PushGlobal(std::string_view module, std::string_view name) {
    if (module.empty() || name.empty()) return Corrupt("a class has no name");
    if (module.size() + name.size() > 500) return Corrupt("the name of a class is too long");
    const std::string full = std::string(module) + "." + std::string(name);
    if (CallOf(full) == Call::kRefused) {
      return Fail(
          ErrorCode::kUnsupported,
          "it refers to Python's '" + Printable(full) +
              "', which a checkpoint of weights does not need; nothing was run. Save the network's state_dict, or a "
              ".safetensors file, instead.");
    }
    return PushNew(PickleKind::kGlobal, full);
  }
  Status StackGlobal() {
    TIMBRE_TRY(const Id name, Pop());
    TIMBRE_TRY(const Id module, Pop());
    if (At(name).kind != PickleKind::kString || At(module).kind != PickleKind::kString) {
      return Corrupt("the name of a class is not a string");
    }
    return PushGlobal(std::string(At(module).text), std::string(At(name).text));
  }

  Status Invoke(Id callee, Id args_id) {
    if (At(callee).kind != PickleKind::kGlobal) return Corrupt("it calls what is not a class");
    if (At(args_id).kind != PickleKind::kTuple) return Corrupt("the arguments of a call are not a tuple");
    // The copy below is not charged: a long tuple, recalled for one call after another, must not be worth the while.
    if (At(args_id).items.size() > 100) return Corrupt("a call has too many arguments");
    const std::vector<Id> args = At(args_id).items;
    switch (CallOf(At(callee).text)) {
      case Call::kDict: return MakeDict(args);
      case Call::kDefaultDict: return MakeDict({});
      case Call::kList: return MakeSequence(PickleKind::kList, args);
      case Call::kTuple: return MakeSequence(PickleKind::kTuple, args);
      case Call::kSet: return MakeSequence(PickleKind::kSet, args);
      case Call::kBytes: return MakeBytes(args);
      case Call::kNumpyScalar: return MakeNumpyScalar(callee, args_id, args);
      case Call::kTensor: return MakeTensor(args);
      case Call::kParameter: {
        if (args.empty() || At(args[0]).kind != PickleKind::kTensor) return Corrupt("a parameter holds no tensor");
        return Push(args[0]);
      }
      case Call::kObject: return MakeObject(callee, args_id);
      case Call::kRefused: break;
    }
    return Corrupt("it calls what it could not name");
  }
  Status MakeObject(Id callee, Id args) {
    const std::string name = At(callee).text;
    TIMBRE_TRY(const Id id, Add(PickleKind::kObject, name));
    TIMBRE_CHECK(Extend(id, {args}));
    return Push(id);
  }
  // dict(), dict(another), dict([(key, value), …])
  Status MakeDict(const std::vector<Id>& args) {
    std::vector<Id> items;
    if (!args.empty()) {
      const PickleNode& from = At(args[0]);
      const bool sequence = from.kind == PickleKind::kList || from.kind == PickleKind::kTuple;
      if (args.size() > 1 || (from.kind != PickleKind::kDict && !sequence))
        return Corrupt("a dict is made of no items");
      TIMBRE_CHECK(Charge(8 * from.items.size()));
      if (!sequence) items = from.items;
      for (size_t i = 0; sequence && i < from.items.size(); ++i) {
        const PickleNode& pair = At(from.items[i]);
        if ((pair.kind != PickleKind::kList && pair.kind != PickleKind::kTuple) || pair.items.size() != 2) {
          return Corrupt("a dict is made of items that are not pairs");
        }
        items.insert(items.end(), pair.items.begin(), pair.items.end());
      }
    }
    return PushContainer(PickleKind::kDict, items);
  }
  Status MakeSequence(PickleKind kind, const std::vector<Id>& args) {
    if (args.empty()) return PushContainer(kind, {});
    const PickleNode& from = At(args[0]);
    const bool iterable =
        from.kind == PickleKind::kList || from.kind == PickleKind::kTuple || from.kind == PickleKind::kSet;
    if (args.size() > 1 || !iterable) return Corrupt("a sequence is made of no items");
    TIMBRE_CHECK(Charge(sizeof(Id) * from.items.size()));
    const std::vector<Id> items = from.items;
    return PushContainer(kind, items);
  }
  // bytearray(), bytearray(bytes), encode(text, 'latin1'): how protocol 2 writes bytes.
  Status MakeBytes(const std::vector<Id>& args) {
    if (args.empty()) return PushNew(PickleKind::kBytes);
    TIMBRE_CHECK(Charge(At(args[0]).text.size()));
    const std::string text = At(args[0]).text;
    if (At(args[0]).kind == PickleKind::kBytes) return PushNew(PickleKind::kBytes, text);
    const std::string encoding = args.size() == 2 ? At(args[1]).text : "";
    if (At(args[0]).kind != PickleKind::kString || (encoding != "latin1" && encoding != "latin-1")) {
      return Corrupt("bytes are made of something else");
    }
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      if (byte >= 0xC4) return Corrupt("bytes hold a character beyond 255");
      // A string is valid UTF-8, so a first byte of two has its second.
      out += static_cast<char>(byte < 0x80 ? byte : byte << 6 | (text[++i] & 0x3F));
    }
    return PushNew(PickleKind::kBytes, out);
  }
  // scalar(dtype, bytes). Types that are not plain numbers stay objects.
  Status MakeNumpyScalar(Id callee, Id args_id, const std::vector<Id>& args) {
    if (args.size() != 2 || At(args[0]).kind != PickleKind::kObject || At(args[1]).kind != PickleKind::kBytes) {
      return MakeObject(callee, args_id);
    }
    const PickleNode& type_args = At(At(args[0]).items[0]);
    const std::string type = type_args.items.empty() ? "" : At(type_args.items[0]).text;
    const std::string& raw = At(args[1]).text;
    if (type.size() != 2 || raw.empty() || raw.size() != static_cast<size_t>(type[1] - '0') || raw.size() > 8) {
      return MakeObject(callee, args_id);
    }
    // The state of a numpy type says its byte order: (3, '<', …); big-endian numbers stay objects.
    if (At(args[0]).items.size() == 2) {
      const std::vector<Id>& state = At(At(args[0]).items[1]).items;
      if (state.size() > 1 && At(state[1]).text == ">") return MakeObject(callee, args_id);
    }
    uint64_t bits = type[0] == 'i' && (raw.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
    if (type == "f8") return PushDouble(std::bit_cast<double>(bits));
    if (type == "f4") return PushDouble(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    if (type == "b1") return PushInt(PickleKind::kBool, bits != 0);
    if (type[0] == 'i' || (type[0] == 'u' && bits <= INT64_MAX)) {
      return PushInt(PickleKind::kInt, static_cast<int64_t>(bits));
    }
    return MakeObject(callee, args_id);
  }

  // ---- storages and tensors ----

  Result<int64_t> CountOf(Id id, const char* what) {
    if (At(id).kind != PickleKind::kInt || At(id).integer < 0 || At(id).integer > kMaxElements) {
      return Corrupt(std::string(what) + " is not a sensible count");
    }
    return At(id).integer;
  }
  // ('storage', class, key, location, elements[, view]); a view is (key, offset, elements) and only in legacy files.
  Status PersistentLoad(Id id) {
    const PickleNode& tuple = At(id);
    if (tuple.kind != PickleKind::kTuple || tuple.items.size() < 5 || At(tuple.items[0]).text != "storage" ||
        At(tuple.items[1]).kind != PickleKind::kGlobal || At(tuple.items[2]).kind != PickleKind::kString ||
        At(tuple.items[2]).text.size() > 200) {
      return Corrupt("an outside reference is not a storage");
    }
    const std::optional<DType> dtype = StorageDType(At(tuple.items[1]).text);
    if (!dtype) {
      return Fail(ErrorCode::kUnsupported, "it holds elements of the type '" + Printable(At(tuple.items[1]).text) +
                                               "', which is not read here; save the weights as float32 or float16.");
    }
    PickleStorage storage{At(tuple.items[2]).text, *dtype, 0, 0};
    TIMBRE_TRY(storage.elements, CountOf(tuple.items[4], "a storage's size"));
    if (tuple.items.size() > 5 && At(tuple.items[5]).kind != PickleKind::kNone) {
      const PickleNode& view = At(tuple.items[5]);
      if (view.kind != PickleKind::kTuple || view.items.size() != 3) return Corrupt("a view of a storage is not one");
      TIMBRE_TRY(storage.root_offset, CountOf(view.items[1], "a view's offset"));
      TIMBRE_TRY(const int64_t elements, CountOf(view.items[2], "a view's size"));
      if (storage.root_offset > storage.elements || elements > storage.elements - storage.root_offset) {
        return Corrupt("a view reaches beyond its storage");
      }
      storage.elements = elements;
    }
    TIMBRE_CHECK(Charge(2 * sizeof(PickleStorage) + storage.key.size()));
    tree_->storages.push_back(std::move(storage));
    return PushInt(PickleKind::kStorage, static_cast<int64_t>(tree_->storages.size() - 1));
  }
  Result<Shape> ShapeOf(Id id, const char* what) {
    const PickleNode& tuple = At(id);
    if (tuple.kind != PickleKind::kTuple && tuple.kind != PickleKind::kList) {
      return Corrupt(std::string("a tensor's ") + what + " is not a tuple");
    }
    if (tuple.items.size() > Shape::kMaxRank) {
      return Fail(ErrorCode::kUnsupported, "it holds a tensor of " + std::to_string(tuple.items.size()) +
                                               " dimensions, and " + std::to_string(Shape::kMaxRank) +
                                               " are the most.");
    }
    Shape shape;
    for (const Id item : tuple.items) {
      TIMBRE_TRY(const int64_t dim, CountOf(item, what));
      shape.push_back(dim);
    }
    return shape;
  }
  // (storage, offset, size, stride, …)
  Status MakeTensor(const std::vector<Id>& args) {
    if (args.size() < 4 || At(args[0]).kind != PickleKind::kStorage) return Corrupt("a tensor has no storage");
    PickleTensor tensor;
    tensor.storage = static_cast<size_t>(At(args[0]).integer);
    TIMBRE_TRY(tensor.offset, CountOf(args[1], "a tensor's offset"));
    TIMBRE_TRY(tensor.shape, ShapeOf(args[2], "shape"));
    TIMBRE_TRY(tensor.strides, ShapeOf(args[3], "stride"));
    if (tensor.shape.rank() != tensor.strides.rank()) return Corrupt("a tensor's shape and stride differ in length");
    // Sizes and strides are below 2^40 each; the checks keep every product below 2^63.
    int64_t elements = 1, last = tensor.offset;
    bool empty = false;
    for (const int64_t dim : tensor.shape.dims()) empty |= dim == 0;
    for (int i = 0; i < tensor.shape.rank() && !empty; ++i) {
      int64_t reach = 0;
      if (__builtin_mul_overflow(elements, tensor.shape[i], &elements) || elements > kMaxElements ||
          __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) ||
          __builtin_add_overflow(last, reach, &last)) {
        return Corrupt("a tensor is too large");
      }
    }
    if (!empty && last >= tree_->storages[tensor.storage].elements) {
      return Corrupt("a tensor " + tensor.shape.ToString() + " reaches beyond its storage of " +
                     std::to_string(tree_->storages[tensor.storage].elements) + " elements");
    }
    TIMBRE_CHECK(Charge(2 * sizeof(PickleTensor)));
    tree_->tensors.push_back(tensor);
    return PushInt(PickleKind::kTensor, static_cast<int64_t>(tree_->tensors.size() - 1));
  }

  Status Build() {
    TIMBRE_TRY(const Id state, Pop());
    TIMBRE_TRY(const Id target, Top());
    switch (At(target).kind) {
      // An OrderedDict's or a tensor's attributes (a state_dict's `_metadata`) tell nothing that is needed.
      case PickleKind::kDict:
      case PickleKind::kTensor: return {};
      case PickleKind::kObject: {
        At(target).items.resize(1);
        return Extend(target, {state});
      }
      default: return Corrupt("it sets the state of what has none");
    }
  }
  // MARK class args… (OBJ), or a class and MARK args… (INST)
  Status PushInstance(Id callee, const std::vector<Id>& items) {
    TIMBRE_TRY(const Id args, Add(PickleKind::kTuple));
    TIMBRE_CHECK(Extend(args, items));
    return Invoke(callee, args);
  }

  Status Step(uint8_t opcode) {
    switch (opcode) {
      case kProto: {
        TIMBRE_TRY(const uint8_t protocol, Byte());
        if (protocol <= 5) return {};
        return Fail(ErrorCode::kUnsupported,
                    "it is a pickle of protocol " + std::to_string(protocol) + ", and 5 is the latest that is known.");
      }
      case kFrame: {
        TIMBRE_TRY(const uint64_t length, Number(8));
        if (length > bytes_.size() - at_) return Corrupt("it ends too early");
        return {};
      }
      case kMark: {
        TIMBRE_CHECK(Charge(2 * sizeof(size_t)));
        marks_.push_back(stack_.size());
        return {};
      }
      case kPop: {
        // A mark on top counts as an item here.
        if (!marks_.empty() && stack_.size() == marks_.back()) {
          marks_.pop_back();
          return {};
        }
        return Drop(Pop());
      }
      case kPopMark: return Drop(PopMark());
      case kDup: {
        TIMBRE_TRY(const Id id, Top());
        return Push(id);
      }

      case kNone: return PushNew(PickleKind::kNone);
      case kNewTrue: return PushInt(PickleKind::kBool, 1);
      case kNewFalse: return PushInt(PickleKind::kBool, 0);
      case kInt:
      case kLong: {
        TIMBRE_TRY(const std::string_view line, Line());
        return PushIntLine(line, opcode == kLong);
      }
      case kBinInt: {
        TIMBRE_TRY(const uint64_t value, Number(4));
        return PushInt(PickleKind::kInt, static_cast<int32_t>(value));
      }
      case kBinInt1:
      case kBinInt2: {
        TIMBRE_TRY(const uint64_t value, Number(opcode == kBinInt1 ? 1 : 2));
        return PushInt(PickleKind::kInt, static_cast<int64_t>(value));
      }
      case kLong1:
      case kLong4: {
        TIMBRE_TRY(const std::string_view digits, Counted(opcode == kLong1 ? 1 : 4));
        return PushLong(digits);
      }
      case kFloat: {
        TIMBRE_TRY(const std::string_view line, Line());
        return PushFloatLine(line);
      }
      case kBinFloat: {  // the one number that is big-endian
        TIMBRE_TRY(const uint64_t bits, Number(8));
        return PushDouble(std::bit_cast<double>(__builtin_bswap64(bits)));
      }

      case kString: {
        TIMBRE_TRY(const std::string_view line, Line());
        return PushQuoted(line);
      }
      case kUnicode: {
        TIMBRE_TRY(const std::string_view line, Line());
        return PushRawUnicode(line);
      }
      case kShortBinString:
      case kBinString: {
        TIMBRE_TRY(const std::string_view text, Counted(opcode == kShortBinString ? 1 : 4));
        return PushString(text);
      }
      case kShortBinUnicode:
      case kBinUnicode:
      case kBinUnicode8: {
        TIMBRE_TRY(const std::string_view text, Counted(opcode == kShortBinUnicode ? 1
                                                        : opcode == kBinUnicode    ? 4
                                                                                   : 8));
        return PushText(text);
      }
      case kShortBinBytes:
      case kBinBytes:
      case kBinBytes8:
      case kByteArray8: {
        TIMBRE_TRY(const std::string_view text, Counted(opcode == kShortBinBytes ? 1 : opcode == kBinBytes ? 4 : 8));
        return PushNew(PickleKind::kBytes, text);
      }

      case kEmptyList: return PushContainer(PickleKind::kList, {});
      case kEmptyTuple: return PushContainer(PickleKind::kTuple, {});
      case kEmptyDict: return PushContainer(PickleKind::kDict, {});
      case kEmptySet: return PushContainer(PickleKind::kSet, {});
      case kTuple1: return PushTuple(1);
      case kTuple2: return PushTuple(2);
      case kTuple3: return PushTuple(3);
      case kList:
      case kTuple:
      case kDict:
      case kFrozenSet: {
        TIMBRE_TRY(const std::vector<Id> items, PopMark());
        return PushContainer(opcode == kList    ? PickleKind::kList
                             : opcode == kTuple ? PickleKind::kTuple
                             : opcode == kDict  ? PickleKind::kDict
                                                : PickleKind::kSet,
                             items);
      }
      case kAppend: {
        TIMBRE_TRY(const Id item, Pop());
        return ExtendTop(PickleKind::kList, {item});
      }
      case kSetItem: {
        TIMBRE_TRY(const Id value, Pop());
        TIMBRE_TRY(const Id key, Pop());
        return ExtendTop(PickleKind::kDict, {key, value});
      }
      case kAppends:
      case kSetItems:
      case kAddItems: {
        TIMBRE_TRY(const std::vector<Id> items, PopMark());
        return ExtendTop(opcode == kAppends    ? PickleKind::kList
                         : opcode == kSetItems ? PickleKind::kDict
                                               : PickleKind::kSet,
                         items);
      }

      case kGet: {
        TIMBRE_TRY(const uint64_t index, IndexLine());
        return Get(index);
      }
      case kBinGet:
      case kLongBinGet: {
        TIMBRE_TRY(const uint64_t index, Number(opcode == kBinGet ? 1 : 4));
        return Get(index);
      }
      case kPut: {
        TIMBRE_TRY(const uint64_t index, IndexLine());
        return PutTop(index);
      }
      case kBinPut:
      case kLongBinPut: {
        TIMBRE_TRY(const uint64_t index, Number(opcode == kBinPut ? 1 : 4));
        return PutTop(index);
      }
      case kMemoize: return PutTop(memo_.size());

      case kGlobal: {
        TIMBRE_TRY(const std::string_view module, Line());
        TIMBRE_TRY(const std::string_view name, Line());
        return PushGlobal(module, name);
      }
      case kStackGlobal: return StackGlobal();
      case kReduce:
      case kNewObj: {
        TIMBRE_TRY(const Id args, Pop());
        TIMBRE_TRY(const Id callee, Pop());
        return Invoke(callee, args);
      }
      case kNewObjEx: {  // keyword arguments occur only with classes whose calls are not evaluated
        TIMBRE_CHECK(Drop(Pop()));
        TIMBRE_TRY(const Id args, Pop());
        TIMBRE_TRY(const Id callee, Pop());
        return Invoke(callee, args);
      }
      case kInst: {
        TIMBRE_TRY(const std::string_view module, Line());
        TIMBRE_TRY(const std::string_view name, Line());
        TIMBRE_TRY(const std::vector<Id> items, PopMark());
        TIMBRE_CHECK(PushGlobal(module, name));
        TIMBRE_TRY(const Id callee, Pop());
        return PushInstance(callee, items);
      }
      case kObj: {
        TIMBRE_TRY(std::vector<Id> items, PopMark());
        if (items.empty()) return Corrupt("it makes an object of no class");
        const Id callee = items.front();
        items.erase(items.begin());
        return PushInstance(callee, items);
      }
      case kBuild: return Build();
      case kPersId: return Corrupt("an outside reference is not a storage");
      case kBinPersId: {
        TIMBRE_TRY(const Id id, Pop());
        return PersistentLoad(id);
      }
      default: return Corrupt("the instruction " + std::to_string(opcode) + " is not known");
    }
  }

  template <typename T>
  static Status Drop(const Result<T>& result) {
    if (!result) return tl::unexpected<Error>(result.error());
    return {};
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  uint64_t budget_;
  std::shared_ptr<PickleTree> tree_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Id> memo_;
};

}  // namespace

std::string_view NameOf(PickleKind kind) {
  switch (kind) {
    case PickleKind::kNone: return "None";
    case PickleKind::kBool: return "bool";
    case PickleKind::kInt:
    case PickleKind::kBigInt: return "int";
    case PickleKind::kDouble: return "float";
    case PickleKind::kString: return "string";
    case PickleKind::kBytes: return "bytes";
    case PickleKind::kList: return "list";
    case PickleKind::kTuple: return "tuple";
    case PickleKind::kSet: return "set";
    case PickleKind::kDict: return "dict";
    case PickleKind::kGlobal: return "class";
    case PickleKind::kObject: return "object";
    case PickleKind::kStorage: return "storage";
    case PickleKind::kTensor: return "tensor";
  }
  return "value";
}

std::optional<bool> PickleValue::Bool() const {
  if (kind() != PickleKind::kBool) return {};
  return node().integer != 0;
}

std::optional<int64_t> PickleValue::Int() const {
  if (kind() != PickleKind::kInt) return {};
  return node().integer;
}

std::optional<double> PickleValue::Number() const {
  if (kind() == PickleKind::kInt) return static_cast<double>(node().integer);
  if (kind() == PickleKind::kDouble) return node().real;
  if (kind() != PickleKind::kObject || node().text != "fractions.Fraction") return {};
  const PickleValue parts = args();
  int64_t over = 0, under = 1;
  if (parts.size() == 2 && parts[0].Int() && parts[1].Int()) {  // Fraction(39, 5), since Python 3.12
    over = *parts[0].Int();
    under = *parts[1].Int();
  } else if (parts.size() == 1 && parts[0].String()) {  // Fraction('39/5') before
    const std::string text = *parts[0].String();
    const char* end = text.data() + text.size();
    auto read = std::from_chars(text.data(), end, over);
    if (read.ec != std::errc()) return {};
    if (read.ptr != end && *read.ptr == '/') {
      read = std::from_chars(read.ptr + 1, end, under);
      if (read.ec != std::errc()) return {};
    }
    if (read.ptr != end) return {};
  } else {
    return {};
  }
  if (under == 0) return {};
  return static_cast<double>(over) / static_cast<double>(under);
}

std::optional<std::string> PickleValue::String() const {
  if (kind() != PickleKind::kString) return {};
  return node().text;
}

std::optional<std::vector<std::string>> PickleValue::Strings() const {
  if (kind() != PickleKind::kList && kind() != PickleKind::kTuple) return {};
  std::vector<std::string> strings;
  for (size_t i = 0; i < size(); ++i) {
    const PickleValue item = (*this)[i];
    if (item.kind() != PickleKind::kString) return {};
    strings.push_back(item.node().text);
  }
  return strings;
}

const PickleTensor* PickleValue::Tensor() const {
  return kind() == PickleKind::kTensor ? &tree_->tensors[static_cast<size_t>(node().integer)] : nullptr;
}

bool PickleValue::IsSequence() const {
  return kind() == PickleKind::kList || kind() == PickleKind::kTuple || kind() == PickleKind::kSet;
}

size_t PickleValue::size() const {
  if (is_dict()) return node().items.size() / 2;
  return IsSequence() ? node().items.size() : 0;
}

PickleValue PickleValue::operator[](size_t i) const {
  return IsSequence() && i < size() ? PickleValue(tree_, node().items[i]) : PickleValue();
}

PickleValue PickleValue::Key(size_t i) const {
  return is_dict() && i < size() ? PickleValue(tree_, node().items[2 * i]) : PickleValue();
}

PickleValue PickleValue::Value(size_t i) const {
  return is_dict() && i < size() ? PickleValue(tree_, node().items[2 * i + 1]) : PickleValue();
}

std::optional<PickleValue> PickleValue::Find(std::string_view name) const {
  for (size_t i = size(); is_dict() && i-- > 0;) {  // the last of equal keys wins, as in Python
    const PickleNode& key = tree_->nodes[node().items[2 * i]];
    if (key.kind == PickleKind::kString && key.text == name) return Value(i);
  }
  return {};
}

std::string PickleValue::class_name() const {
  return kind() == PickleKind::kGlobal || kind() == PickleKind::kObject ? node().text : std::string();
}

PickleValue PickleValue::args() const {
  return kind() == PickleKind::kObject ? PickleValue(tree_, node().items[0]) : PickleValue();
}

PickleValue PickleValue::state() const {
  return kind() == PickleKind::kObject && node().items.size() > 1 ? PickleValue(tree_, node().items[1]) : PickleValue();
}

Result<PickleValue> ReadPickle(std::span<const std::byte> bytes, size_t* consumed, const PickleLimits& limits) {
  if (bytes.size() > limits.bytes) bytes = bytes.first(limits.bytes);
  return Machine(bytes, limits).Run(consumed);
}

}  // namespace timbre
