# Writes OUTPUT: the files below FOLDER as bytes, for apps/server/web_files.h.
file(GLOB_RECURSE names RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT names)
set(arrays "")
set(rows "")
set(count 0)
foreach(name ${names})
  file(READ ${FOLDER}/${name} bytes HEX)
  file(SHA256 ${FOLDER}/${name} digest)
  string(LENGTH "${bytes}" digits)
  math(EXPR size "${digits} / 2")
  # Lines that an editor can open, and never an array of nothing.
  string(REGEX REPLACE "(..............................................................................)" "\\1\n" bytes "${bytes}00")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${count}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"/${name}\", {kFile${count}, ${size}}, \"${digest}\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"apps/server/web_files.h\"

#include <array>

namespace timbre::server {
namespace {

${arrays}
constexpr std::array<WebFile, ${count}> kFiles = {{
${rows}}};

}  // namespace

std::span<const WebFile> WebFiles() { return kFiles; }

}  // namespace timbre::server
")
