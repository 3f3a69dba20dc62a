// The page itself. A file is a route: no path of a client's is looked for anywhere.
#include "apps/server/app.h"
#include "apps/server/web_files.h"
#include "http/ranges.h"

namespace timbre::server {
namespace {

constexpr std::pair<std::string_view, std::string_view> kMediaTypes[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".wasm", "application/wasm"},
    {".txt", "text/plain; charset=utf-8"},
};

std::string_view MediaTypeOf(std::string_view path) {
  for (const auto& [ending, type] : kMediaTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

http::Response Serve(const http::Request& request, const WebFile& file) {
  const std::string etag = "\"" + std::string(file.sha256.substr(0, 32)) + "\"";
  // Names below assets/ hold a digest of what is in them; all others may be something else tomorrow.
  const char* lasting = file.path.starts_with("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  http::Response response{.status = 304};
  if (http::Evaluate(request, etag) != http::Condition::kNotModified) {
    response = http::Text(200, std::string(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()),
                          std::string(MediaTypeOf(file.path)));
  }
  response.headers.Set("ETag", etag);
  response.headers.Set("Cache-Control", lasting);
  return response;
}

}  // namespace

void App::AddWebRoutes(http::Router& router) {
  for (const WebFile& file : WebFiles()) {
    const auto add = [&](std::string pattern) {
      router.Add({.method = "GET",
                  .pattern = std::move(pattern),
                  .name = "getPage",
                  .summary = "The page",
                  .open = true,
                  .described = false,
                  .gives = "text/html",
                  .handler = [&file](http::Request& request) { return Serve(request, file); }});
    };
    add(std::string(file.path));
    if (file.path == "/index.html") add("/");
  }
}

}  // namespace timbre::server
