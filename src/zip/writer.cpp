#include "zip/writer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/error.hpp"
#include "zip/format.hpp"
#include "zip/output.hpp"
#include "zip/pass.hpp"

namespace zipmodule::zip {
namespace {

// Local header and central record of an entry beside their names: 30 + 46 bytes, both times in each (2 x 45), zip64's
// fields (20 + 28): 214, and some to spare.
constexpr std::uint64_t k_overhead_per_entry = 224;
// A stored block of deflate has 5 bytes of header for at most 65,535 of data, and an empty one follows each chunk.
constexpr std::uint64_t k_deflate_grows_by = 8'192;
// The end records, zip64's included, are 98.
constexpr std::uint64_t k_end_bytes = 128;

void set_size(int fd, const std::string& path, std::uint64_t bytes) {
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) throw store_error(errno, "truncate " + path);
}

}  // namespace

std::uint64_t most_bytes(const EntryList& entries, bool align) {
  std::uint64_t bytes = k_end_bytes;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const EntryView entry = entries.at(i);
    bytes += k_overhead_per_entry + 2 * entry.name.size() + entry.size_bytes + entry.size_bytes / k_deflate_grows_by;
    if (align && entry.size_bytes >= k_align_from) bytes += 2 * k_padding_most;  // in both headers
  }
  return bytes;
}

WriteResult write_archive(int fd, const std::string& path, const EntryList& entries, Content& content,
                          const WriteOptions& options, const Resources& resources, const std::stop_token& stop) {
  if (entries.size() == 0 && !options.allow_empty) {
    throw Error(ErrorKind::empty, "the archive would have no entries", "list at least one source");
  }
  WriteResult result;
  result.entries = entries.size();
  std::vector<std::size_t> must_store;
  for (;;) {
    Output output(fd, path, options.write_back, options.align ? most_bytes(entries, true) : 0);
    const std::uint64_t progress_before = options.progress == nullptr ? 0 : options.progress->load();
    Pass pass(output, entries, content, options, resources, stop, must_store);
    pass.run();
    const Timings timings = pass.timings();
    result.read_seconds += timings.read;
    result.compress_seconds += timings.compress;
    result.write_seconds += timings.write;
    result.cpu_seconds += timings.cpu;
    result.bytes_in = pass.bytes_in();
    const auto not_shrunk = pass.take_not_shrunk();
    if (not_shrunk.empty()) {
      result.bytes_out = pass.finish();
      if (output.extended()) set_size(fd, path, result.bytes_out);
      result.bytes_shared = output.cloned_bytes();
      return result;
    }
    // The samples of these promised more than the whole kept. What follows them stands at the wrong place, so all is
    // written once more with them stored: at most one more pass, and only for content made to mislead the samples.
    must_store.insert(must_store.end(), not_shrunk.begin(), not_shrunk.end());
    std::sort(must_store.begin(), must_store.end());
    if (options.progress != nullptr) *options.progress = progress_before;
    set_size(fd, path, 0);
  }
}

}  // namespace zipmodule::zip
