#include "pipelines/text/chat.h"

#include <algorithm>

#include "base/text.h"

namespace timbre {
namespace {

constexpr std::string_view kStart = "<|im_start|>", kEnd = "<|im_end|>";
constexpr std::string_view kHeader = "<|start_header_id|>", kHeaderEnd = "<|end_header_id|>", kTurnEnd = "<|eot_id|>";

bool HasControl(const Tokenizer& tokenizer, std::string_view name) {
  const auto id = tokenizer.Find(name);
  return id && tokenizer.IsSpecial(*id);
}

// The system message that a ChatML template puts where none is given: what stands as it is between the header and the
// token that ends it, inside one string of the template.
std::string DefaultSystem(std::string_view text) {
  const std::string header = std::string(kStart) + "system";
  for (size_t at = text.find(header); at != std::string_view::npos; at = text.find(header, at + 1)) {
    std::string_view rest = text.substr(at + header.size());
    if (rest.starts_with("\\n")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with('\n')) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    const std::string_view message = rest.substr(0, rest.find(kEnd));
    const bool literal = message.size() < rest.size() && message.find_first_of("'\"{}\\") == std::string_view::npos;
    if (literal && !message.empty()) return std::string(message);
  }
  return "";
}

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n\f\v");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n\f\v") - first + 1);
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Recognise(const Tokenizer& tokenizer) {
  const std::string& text = tokenizer.chat_template();
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  ChatTemplate chat(tokenizer);
  if (has(kStart) && has(kEnd) && HasControl(tokenizer, kStart) && HasControl(tokenizer, kEnd)) {
    chat.form_ = Form::kChatMl;
    chat.default_system_ = DefaultSystem(text);
    // A model that can think first is told that it has.
    if (has("enable_thinking")) chat.answer_start_ = "<think>\n\n</think>\n\n";
    return chat;
  }
  if (has(kHeader) && has(kTurnEnd) && HasControl(tokenizer, kHeader) && HasControl(tokenizer, kHeaderEnd) &&
      HasControl(tokenizer, kTurnEnd)) {
    chat.form_ = Form::kLlama3;
    return chat;
  }
  return Fail(ErrorCode::kUnsupported,
              text.empty() ? "the model has no chat template: it continues texts, so give it one to continue."
                           : "the model's chat template is neither ChatML nor Llama 3's: give it a text to continue.");
}

Result<std::vector<ChatTemplate::Part>> ChatTemplate::Parts(std::span<const ChatMessage> messages, bool answer) const {
  if (messages.empty()) return Fail(ErrorCode::kInvalidArgument, "a conversation needs at least one message.");
  std::vector<Part> parts;
  // Text that follows text belongs to it: tokens may reach over what joins them.
  const auto text = [&](std::string_view more) {
    if (parts.empty() || parts.back().control) parts.push_back({false, ""});
    parts.back().text += more;
  };
  const auto control = [&](std::string_view name) { parts.push_back({true, std::string(name)}); };
  const auto header = [&](std::string_view role) {
    control(form_ == Form::kChatMl ? kStart : kHeader);
    text(role);
    if (form_ == Form::kLlama3) control(kHeaderEnd);
    text(form_ == Form::kChatMl ? "\n" : "\n\n");
  };
  const auto message = [&](std::string_view role, const std::string& content) {
    header(role);
    text(form_ == Form::kChatMl ? content : Trimmed(content));
    control(form_ == Form::kChatMl ? kEnd : kTurnEnd);
    if (form_ == Form::kChatMl) text("\n");
  };
  if (messages.front().role != "system" && !default_system_.empty()) message("system", default_system_);
  for (const ChatMessage& one : messages) {
    const bool known = one.role == "user" || one.role == "assistant" || (one.role == "system" && &one == &messages[0]);
    if (!known) {
      return Fail(ErrorCode::kInvalidArgument, "a message by '" + Printable(one.role) +
                                                   "' has no place there; it can be by user or assistant, and the "
                                                   "first by system.");
    }
    message(one.role, one.content);
  }
  if (answer) {
    header("assistant");
    text(answer_start_);
  }
  return parts;
}

Result<std::vector<int32_t>> ChatTemplate::Encode(std::span<const ChatMessage> messages, bool answer) const {
  TIMBRE_TRY(const std::vector<Part> parts, Parts(messages, answer));
  std::vector<int32_t> ids = tokenizer_.prefix();
  if (ids.empty() && form_ == Form::kLlama3 && tokenizer_.bos()) ids.push_back(*tokenizer_.bos());
  for (const Part& part : parts) {
    if (part.control) {
      ids.push_back(*tokenizer_.Find(part.text));
      continue;
    }
    TIMBRE_TRY(const std::vector<int32_t> text,
               tokenizer_.Encode(part.text, {.parse_special = false, .add_prefix = false}));
    ids.insert(ids.end(), text.begin(), text.end());
  }
  return ids;
}

Result<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages, bool answer) const {
  TIMBRE_TRY(const std::vector<Part> parts, Parts(messages, answer));
  std::string text;
  for (const Part& part : parts) text += part.text;
  return text;
}

}  // namespace timbre
