// Headers, queries, names and bodies that a client sends, each by the first byte of the input.
#include "http/message.h"
#include "http/multipart.h"
#include "http/names.h"
#include "http/problem.h"
#include "http/ranges.h"
#include "http/router.h"
#include "http/tus.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {"0bytes=0-10",
          "0bytes=-5",
          "1a=1&b=%C3%A9+x",
          "2a=1; timbre=\"x\"; b=2",
          "3../..\\CON.wav",
          "4attachment; filename=\"a\\\"b\"; filename*=UTF-8''%C3%A9.wav",
          "5filename d29ybGQ=,is_private",
          "6sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
          "7{\"kind\": \"separate\", \"params\": {\"stems\": [\"vocals\", 1e3]}}",
          "8\"a\", W/\"b\"",
          "9/v1/jobs/a%2Fb",
          "m--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--",
          "nmultipart/form-data; boundary=\"a b\""};
}

void Require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace

TIMBRE_FUZZ_TARGET(Http, Seeds) {
  using namespace timbre::http;  // NOLINT(google-build-using-namespace)
  if (bytes.empty()) return;
  const std::string_view text = bytes.substr(1);
  switch (bytes[0]) {
    case '0':
      for (const int64_t size : {int64_t{0}, int64_t{1}, int64_t{100}, INT64_MAX}) {
        const RangeAnswer answer = ParseRange(text, size);
        if (answer.outcome != RangeOutcome::kPart) continue;
        Require(answer.first >= 0 && answer.first <= answer.last && answer.last < size);
      }
      break;
    case '1': (void)ParseQuery(text); break;
    case '2': (void)CookieValue(text, "timbre"); break;
    case '3': {
      const std::string name = SafeFileName(text);
      Require(!name.empty() && name.size() <= 121 && name[0] != '.' && name.find('/') == std::string::npos &&
              name.find('\0') == std::string::npos && name.find('\n') == std::string::npos);
      break;
    }
    case '4': (void)NameFromDisposition(text); break;
    case '5': (void)ParseUploadMetadata(text); break;
    case '6': (void)ParseUploadChecksum(text), (void)ParseUploadNumber(text); break;
    case '7': (void)ParseJsonObject(text); break;
    case '8': {
      Request request{.method = "GET"};
      request.headers.Add("If-None-Match", std::string(text));
      request.headers.Add("If-Match", std::string(text));
      (void)Evaluate(request, "\"b\"");
      break;
    }
    case 'm': {
      // However it comes in pieces, the same parts.
      std::string whole, pieces;
      const auto reads = [&](size_t step, std::string& out) {
        MultipartReader reader("b", {.begin = [&](const FormPart& part) -> timbre::Status {
                                       out += "[" + part.name + "|" + part.file_name + "|";
                                       return {};
                                     },
                                     .data = [&](std::string_view data) -> timbre::Status {
                                       out += data;
                                       return {};
                                     },
                                     .end = [&]() -> timbre::Status {
                                       out += "]";
                                       return {};
                                     }});
        for (size_t at = 0; at < text.size(); at += step) {
          if (!reader.Feed(text.substr(at, step))) return false;
        }
        return reader.Finish().has_value();
      };
      const bool good = reads(text.size() + 1, whole);
      Require(reads(1, pieces) == good && (!good || whole == pieces));
      break;
    }
    case 'n': {
      const auto boundary = MultipartReader::BoundaryOf(text);
      Require(!boundary || (!boundary->empty() && boundary->size() <= MultipartReader::kLongestBoundary));
      break;
    }
    default: {
      Router router;
      router.Add({.method = "GET", .pattern = "/v1/jobs/{id}"});
      (void)router.Find("GET", text);
    }
  }
}
