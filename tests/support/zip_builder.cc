#include "tests/support/zip_builder.h"

#include <zlib.h>

namespace timbre::testing {
namespace {

void Put(std::string& out, uint64_t value, int bytes) {
  for (; bytes > 0; --bytes, value >>= 8) out += static_cast<char>(value);
}

std::string Deflate(const std::string& content) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string BuildZip(const std::vector<ZipMember>& members) {
  std::string out, directory;
  for (const ZipMember& member : members) {
    const std::string packed = member.deflate ? Deflate(member.content) : member.content;
    const size_t offset = out.size();
    std::string common;  // what the local header and the directory have in common, from the flags on
    Put(common, 0, 2);
    Put(common, member.deflate ? 8 : 0, 2);
    Put(common, 0, 4);
    const uLong checksum = crc32_z(0, reinterpret_cast<const Bytef*>(member.content.data()), member.content.size());
    Put(common, member.no_checksum ? 0 : checksum, 4);
    Put(common, packed.size(), 4);
    Put(common, member.declared_size != 0 ? member.declared_size : member.content.size(), 4);
    Put(common, member.name.size(), 2);
    Put(out, 0x04034b50, 4);
    Put(out, 20, 2);
    out += common;
    Put(out, 0, 2);
    out += member.name + packed;
    Put(directory, 0x02014b50, 4);
    Put(directory, 20, 2);
    Put(directory, 20, 2);
    directory += common;
    Put(directory, 0, 12);
    Put(directory, offset, 4);
    directory += member.name;
  }
  const size_t start = out.size();
  out += directory;
  Put(out, 0x06054b50, 4);
  Put(out, 0, 4);
  Put(out, members.size(), 2);
  Put(out, members.size(), 2);
  Put(out, directory.size(), 4);
  Put(out, start, 4);
  Put(out, 0, 2);
  return out;
}

std::string BuildTorchZip(const std::string& pickle, const std::vector<std::string>& storages, bool deflate) {
  std::vector<ZipMember> members = {{"archive/data.pkl", pickle, deflate}, {"archive/byteorder", "little", deflate}};
  for (size_t i = 0; i < storages.size(); ++i) {
    members.push_back({"archive/data/" + std::to_string(i), storages[i], deflate});
  }
  return BuildZip(members);
}

}  // namespace timbre::testing
