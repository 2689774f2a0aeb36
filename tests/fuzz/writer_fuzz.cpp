// Random trees, options, older archives and troubles: what is written must be what was read, by our own reader and by
// libarchive's two, with the same bytes at any number of threads; what goes wrong must be told, by its own kind.
#include <fmt/format.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.hpp"
#include "base/error.hpp"
#include "base/thread_pool.hpp"
#include "finding.hpp"
#include "libarchive_judge.hpp"
#include "plan.hpp"
#include "tree_content.hpp"
#include "zip/crc.hpp"
#include "zip/deflate_walk.hpp"

namespace zipmodule::fuzz {
namespace {

using zip::bytes_of;
using zip::CentralRecord;
using zip::Level;
using zip::MemoryEntry;
using zip::Method;

constexpr Level k_levels[] = {Level::store, Level::fast, Level::balanced, Level::small};
constexpr std::uint64_t k_budgets[] = {1, 4'000, 64'000, 16'000'000};

ThreadPool& pool_of(unsigned threads) {
  // Kept: a thread costs more than most of these archives.
  static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(4)};
  return pools[threads - 1];
}

struct Options {
  Level level = Level::balanced;
  unsigned threads = 1;
  std::uint64_t budget_bytes = 1;
  bool align = false;
  bool write_back = false;
};

Options make_options(FuzzedDataProvider& input) {
  return {input.PickValueInArray(k_levels), input.ConsumeIntegralInRange<unsigned>(1, 4),
          input.PickValueInArray(k_budgets), input.ConsumeBool(), input.ConsumeBool()};
}

TreeContent::Manner make_manner(FuzzedDataProvider& input) {
  const auto bits = input.ConsumeIntegral<std::uint8_t>();
  return {(bits & 1U) != 0, (bits & 2U) != 0, (bits & 4U) != 0, (bits & 8U) != 0, (bits & 16U) != 0};
}

// Writes to `file`; the kind of the error, where it was one.
std::optional<ErrorKind> try_to_write(TreeContent& content, const Options& chosen, bool allow_empty,
                                      const zip::MemoryFile& file) {
  ByteBudget budget(chosen.budget_bytes);
  std::atomic<std::uint64_t> progress{0};
  const zip::WriteOptions options{chosen.level, allow_empty, &progress, chosen.align, chosen.write_back};
  try {
    const auto result = zip::write_archive(file.fd(), "memory.zip", content, content, options,
                                           {pool_of(chosen.threads), budget}, content.stop_token());
    require(result.entries == content.size(), "another number of entries than planned");
    require(result.bytes_out == file.archive().size_bytes, "bytes_out is not the archive's size");
    std::uint64_t bytes = 0;
    for (const auto& entry : content.entries()) bytes += entry.data.size();
    require(progress == bytes, "progress is not the sources' size");
    return std::nullopt;
  } catch (const Error& error) {
    return error.kind();
  }
}

void check_record(const CentralRecord& record, const MemoryEntry& entry, const zip::ArchiveFile& file) {
  require(record.name == entry.name, "another name");
  require(record.size_bytes == entry.data.size(), "another size");
  require(record.crc == zip::crc32(0, bytes_of(entry.data)), "another CRC");
  const bool ascii =
      std::all_of(entry.name.begin(), entry.name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  require(record.flags == (ascii ? 0 : zip::k_flag_utf8), "other flags than UTF-8 where it is needed");
  const bool deflated = record.method == static_cast<std::uint16_t>(Method::deflated);
  require(deflated || record.method == static_cast<std::uint16_t>(Method::stored), "a method that few readers know");
  require(deflated ? record.compressed_bytes < record.size_bytes : record.compressed_bytes == record.size_bytes,
          "a deflated entry that did not shrink, or a stored one of another size");
  require(zip::data_of(file, record) == entry.data, "other bytes");
  if (!deflated) return;
  std::string stream(record.compressed_bytes, '\0');
  pread_full(file.fd, std::as_writable_bytes(std::span(stream)), zip::read_local_header(file, record));
  const auto walk = zip::walk_deflate(bytes_of(stream));
  if (!walk.problem.empty()) finding(walk.problem);
}

void check_archive(const zip::MemoryFile& memory, const TreeContent& content) {
  const zip::ArchiveFile file = memory.archive();
  const std::string fingerprint = zip::verify_against_plan(file, content);
  const auto report = zip::verify_archive(file, pool_of(2), {});
  if (!report.ok()) finding(report.findings.front().text);
  require(report.entries == content.size(), "another number of entries is found");
  require(report.fingerprint == fingerprint, "two fingerprints of one archive");
  const auto records = zip::records_of(file);
  require(records.size() == content.size(), "another number of records is found");
  for (std::size_t i = 0; i < records.size(); ++i) check_record(records[i], content.entries()[i], file);
  judge_by_libarchive(memory.content(), content.entries());
}

// Writes and judges an archive whose sources are all well, twice.
std::string write_checked(TreeContent& content, const Options& first, const Options& second) {
  const zip::MemoryFile file;
  if (const auto error = try_to_write(content, first, true, file))
    finding(fmt::format("an archive of good sources ends with {}", traits_of(*error).code));
  check_archive(file, content);
  const zip::MemoryFile again;
  const Options other{first.level, second.threads, second.budget_bytes, first.align, second.write_back};
  require(!try_to_write(content, other, true, again), "the second time it can't be written");
  require(again.content() == file.content(), "other bytes by another number of threads or another budget");
  return file.content();
}

void write_troubled(FuzzedDataProvider& input, TreeContent& content, const Options& options) {
  if (content.size() == 0) return;
  if (input.ConsumeBool())
    content.trouble_older(input.ConsumeEnum<OlderTrouble>(), input.ConsumeIntegral<std::uint32_t>());
  for (auto i = input.ConsumeIntegralInRange<int>(1, 2); i > 0; --i) {
    const auto index = input.ConsumeIntegralInRange<std::size_t>(0, content.size() - 1);
    content.trouble(index, input.ConsumeEnum<Trouble>());
  }
  const zip::MemoryFile file;
  const auto error = try_to_write(content, options, false, file);
  if (content.expected_errors().empty()) {
    require(!error, "an archive of good sources can't be written");
  } else {
    require(error.has_value(), "a source went wrong, and an archive was made of it");
    if (!content.expected_errors().contains(*error))
      finding(fmt::format("a source that went wrong is told as {}", traits_of(*error).code));
  }
}

void run(FuzzedDataProvider& input) {
  const Options older_options = make_options(input);
  const Options options = make_options(input);
  const auto tree = make_tree(input);
  const auto manner = make_manner(input);
  TreeContent content(tree, manner);
  const std::string older_bytes = write_checked(content, older_options, options);
  const OlderArchive older(older_bytes);

  const NextTree next = make_next_tree(input, tree);
  TreeContent next_content(next.entries, manner);
  next_content.reuse(older, next.kept_from);
  const std::string bytes = write_checked(next_content, options, older_options);
  if (options.level == older_options.level) {
    TreeContent anew(next.entries, manner);
    const zip::MemoryFile file;
    require(!try_to_write(anew, options, true, file), "it can't be written without the older archive");
    require(file.content() == bytes, "entries taken from an older archive give other bytes");
  }
  write_troubled(input, next_content, options);
}

}  // namespace
}  // namespace zipmodule::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider input(bytes, size);
  zipmodule::fuzz::run(input);
  return 0;
}
