// Conversations as ids, in the form that a model was trained on.
//
// Models bring that form along as a program (a Jinja template). None is run: the two in wide use, ChatML (SmolLM2,
// Qwen) and Llama 3's, are known by their control tokens, and what varies among the first is read off the template.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/tokenizer.h"

namespace timbre {

struct ChatMessage {
  std::string role;  // "system" (only as the first), "user" or "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  // kUnsupported where the tokenizer comes with none, or with one of another form.
  static Result<ChatTemplate> Recognise(const Tokenizer& tokenizer);

  // The ids of the messages, and of the beginning of an answer where one is wanted. A beginning of text that the model
  // wants is among them, once. Whatever a message says, the control tokens are these alone: a message that spells one
  // has its letters. kInvalidArgument: no messages, a role that is unknown or out of place, text that is not UTF-8.
  Result<std::vector<int32_t>> Encode(std::span<const ChatMessage> messages, bool answer) const;

  // The same as text, for people: here a message that spells a control token can't be told from one.
  Result<std::string> Render(std::span<const ChatMessage> messages, bool answer) const;

  // What stands for a first system message where none is given; empty: nothing does.
  const std::string& default_system() const { return default_system_; }

 private:
  enum class Form : uint8_t { kChatMl, kLlama3 };
  // A control token by its name, or text.
  struct Part {
    bool control;
    std::string text;
  };
  explicit ChatTemplate(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}
  Result<std::vector<Part>> Parts(std::span<const ChatMessage> messages, bool answer) const;

  Tokenizer tokenizer_;
  Form form_ = Form::kChatMl;
  std::string default_system_;
  std::string answer_start_;  // behind the header of an answer
};

}  // namespace timbre
