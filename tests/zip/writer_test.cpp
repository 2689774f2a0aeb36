#include "zip/writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <future>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/judges.hpp"
#include "support/temp_dir.hpp"
#include "support/tree.hpp"
#include "zip/codec.hpp"
#include "zip/crc.hpp"
#include "zip/explorer_inputs.hpp"
#include "zip/memory_archive.hpp"

namespace zipmodule::zip {
namespace {

using zipmodule::test::random_bytes;
using zipmodule::test::TempDir;
using zipmodule::test::wordy_text;

// Every size at which the writer takes another way, with content that shrinks, doesn't, and does in places.
std::vector<MemoryEntry> entries_of_all_kinds() {
  std::vector<MemoryEntry> entries;
  entries.push_back({"d/", "", k_mtime, true, false});
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{100}, std::size_t{65'536}, k_chunk_bytes - 1,
        k_chunk_bytes, k_chunk_bytes + 1, 3 * k_chunk_bytes, 3 * k_chunk_bytes + 1}) {
    entries.push_back({fmt::format("d/text{}.txt", size), wordy_text(size, size)});
    entries.push_back({fmt::format("d/noise{}.jpg", size), random_bytes(size, size)});
    entries.push_back(
        {fmt::format("d/mixed{}.bin", size), wordy_text(size / 2, size) + random_bytes(size - size / 2, size)});
  }
  for (const auto& line : sha256sum_lines(5)) entries.push_back({fmt::format("d/sum{}", entries.size()), line});
  return entries;
}

ErrorKind kind_thrown(const EntryList& entries, Content& content, int fd, const WriteSettings& settings = {},
                      const std::stop_token& stop = {}) {
  try {
    write_to(fd, entries, content, settings, stop);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).size() > 5);
    return error.kind();
  }
  FAIL("nothing thrown");
  return ErrorKind::internal;
}

ErrorKind kind_thrown(MemoryContent& content, const WriteSettings& settings = {}, const std::stop_token& stop = {}) {
  const MemoryFile file;
  return kind_thrown(content, content, file.fd(), settings, stop);
}

TEST_CASE("what is written is what was read, at every size, kind and level") {
  const Level level = GENERATE(Level::store, Level::fast, Level::balanced, Level::small);
  MemoryContent content(entries_of_all_kinds());
  const MemoryFile file(write_archive_bytes(content, {level}));
  const auto records = records_of(file.archive());
  REQUIRE(records.size() == content.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    const MemoryEntry& entry = content.entries()[i];
    INFO(entry.name);
    CHECK(records[i].name == entry.name);
    if (data_of(file.archive(), records[i]) != entry.data) FAIL("other bytes in " << entry.name);
    CHECK(records[i].crc == crc32(0, bytes_of(entry.data)));
    CHECK((records[i].flags & k_flag_descriptor) == 0);
    const bool noise = entry.name.find("noise") != std::string::npos;
    if (level == Level::store || noise || entry.data.size() < 2) CHECK(records[i].method == 0);
    if (records[i].method == 8) CHECK(records[i].compressed_bytes < records[i].size_bytes);
    if (level != Level::store && entry.data.size() >= 1'000 && !noise) CHECK(records[i].method == 8);
  }
  const auto report = verify_bytes(file.content());
  CHECK(problems_of(report).empty());
  CHECK(report.entries == content.size());
  CHECK_FALSE(report.fingerprint.empty());
}

TEST_CASE("other programs find every entry whole") {
  const Level level = GENERATE(Level::store, Level::small);
  const TempDir dir("writer");
  MemoryContent content(entries_of_all_kinds());
  for (const auto& entry : content.entries()) {
    if (!entry.directory)
      zipmodule::test::write_file(dir / "tree" / entry.name, entry.data, entry.mtime / 1'000'000'000);
  }
  zipmodule::test::write_file(dir / "x.zip", write_archive_bytes(content, {level}));
  const auto verdict = zipmodule::test::judge(dir / "x.zip", dir / "tree");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("the same plan gives the same bytes, at any number of threads and with any budget") {
  MemoryContent content(entries_of_all_kinds());
  const std::string expected = write_archive_bytes(content, {Level::fast, 1, 64U << 20U});
  for (const auto& [threads, budget] : std::vector<std::pair<unsigned, std::uint64_t>>{
           {1, 1}, {1, 32U << 10U}, {2, 32U << 10U}, {7, 1}, {7, 32U << 10U}, {7, 3U << 20U}, {7, 1U << 30U}}) {
    INFO(threads << " threads, " << budget << " bytes");
    CHECK((write_archive_bytes(content, {Level::fast, threads, budget}) == expected));
  }
}

// 5 MiB of noise, but for four kilobytes where the samples of the whole look and those of its chunks don't.
std::string misleading(std::uint64_t seed = 1) {
  const std::size_t size = 5 * k_chunk_bytes;
  std::string data = random_bytes(size, seed);
  data.replace((size - 16'384) / 7, 4'000, 4'000, 'x');
  return data;
}

TEST_CASE("an entry whose samples promised what the whole does not keep is stored") {
  REQUIRE(worth_deflating(
      5 * k_chunk_bytes, Level::balanced, [data = misleading()](std::uint64_t at, std::span<std::byte> to) {
        std::copy_n(bytes_of(data).begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin());
      }));
  MemoryContent content({{"first", wordy_text(3 * k_chunk_bytes)},
                         {"misleading", misleading()},
                         {"between", "small"},
                         {"misleading too", misleading(2)},
                         {"last", wordy_text(200'000)}});
  const std::string expected = write_archive_bytes(content, {Level::balanced, 1});
  const MemoryFile file(expected);
  const auto records = records_of(file.archive());
  REQUIRE(records.size() == 5);
  const std::vector<int> methods{8, 0, 0, 0, 8};
  for (std::size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].method == methods[i]);
    CHECK((data_of(file.archive(), records[i]) == content.entries()[i].data));
  }
  CHECK(verify_bytes(expected).ok());
  CHECK((write_archive_bytes(content, {Level::balanced, 7, 32U << 10U}) == expected));
}

TEST_CASE("the second pass for misleading content counts its progress once") {
  MemoryContent content(std::vector<MemoryEntry>{{"misleading", misleading()}});
  const MemoryFile file;
  ThreadPool pool(2);
  ByteBudget budget(64U << 20U);
  std::atomic<std::uint64_t> progress{0};
  WriteOptions options;
  options.progress = &progress;
  const auto result = write_archive(file.fd(), "x.zip", content, content, options, {pool, budget}, {});
  CHECK(progress == content.entries()[0].data.size());
  CHECK(result.bytes_in == content.entries()[0].data.size());
  CHECK(result.bytes_out == file.archive().size_bytes);
}

// A content in which one entry goes wrong.
class TroubledContent : public MemoryContent {
 public:
  enum class Trouble { gone, shrinks, changes, read_error };
  TroubledContent(std::vector<MemoryEntry> entries, std::size_t troubled, Trouble trouble)
      : MemoryContent(std::move(entries)), troubled_(troubled), trouble_(trouble) {}

  std::unique_ptr<EntryReader> open(std::size_t index) override {
    if (index != troubled_) return MemoryContent::open(index);
    if (trouble_ == Trouble::gone) throw Error(ErrorKind::source_missing, "it is gone");
    return std::make_unique<TroubledReader>(entries()[index].data, trouble_);
  }

 private:
  class TroubledReader : public TextReader {
   public:
    TroubledReader(std::string_view text, Trouble trouble) : TextReader(text), text_(text), trouble_(trouble) {}
    std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
      if (trouble_ == Trouble::read_error && offset + buffer.size() > text_.size() / 2)
        throw Error(ErrorKind::source_unreadable, "bad sector");
      const std::size_t n = TextReader::read_at(offset, buffer);
      const bool at_end = offset + n == text_.size();
      return trouble_ == Trouble::shrinks && at_end && n > 0 ? n - 1 : n;
    }
    void require_unchanged() override {
      if (trouble_ == Trouble::changes) throw Error(ErrorKind::source_changed, "it changed");
    }

   private:
    std::string_view text_;
    Trouble trouble_;
  };
  const std::size_t troubled_;
  const Trouble trouble_;
};

std::vector<MemoryEntry> many_entries(std::size_t count, std::size_t size) {
  std::vector<MemoryEntry> entries;
  const std::string text = wordy_text(size + 1'000);
  for (std::size_t i = 0; i < count; ++i) entries.push_back({fmt::format("f{}", i), text.substr(i % 1'000, size)});
  return entries;
}

TEST_CASE("a source that shrinks, changes, goes or can't be read ends the archive, at every size and budget") {
  using Trouble = TroubledContent::Trouble;
  const auto [trouble, kind] =
      GENERATE(table<Trouble, ErrorKind>({{Trouble::gone, ErrorKind::source_missing},
                                          {Trouble::shrinks, ErrorKind::source_changed},
                                          {Trouble::changes, ErrorKind::source_changed},
                                          {Trouble::read_error, ErrorKind::source_unreadable}}));
  const std::size_t size = GENERATE(std::size_t{500}, std::size_t{100'000}, 2 * k_chunk_bytes + 5);
  const std::uint64_t budget = GENERATE(std::uint64_t{1}, std::uint64_t{32} << 10U, std::uint64_t{64} << 20U);
  const Level level = GENERATE(Level::store, Level::fast);
  for (const std::size_t troubled : {0U, 3U, 5U}) {
    auto entries = many_entries(6, 20'000);
    entries[troubled].data = wordy_text(size);
    TroubledContent content(std::move(entries), troubled, trouble);
    CHECK(kind_thrown(content, {level, 3, budget}) == kind);
  }
}

TEST_CASE("an empty source that has changed or gone ends the archive as well") {
  using Trouble = TroubledContent::Trouble;
  auto entries = many_entries(3, 10);
  entries[1].data.clear();
  TroubledContent changed(entries, 1, Trouble::changes);
  CHECK(kind_thrown(changed) == ErrorKind::source_changed);
  TroubledContent gone(entries, 1, Trouble::gone);
  CHECK(kind_thrown(gone) == ErrorKind::source_missing);
}

TEST_CASE("an error does not wait for budget that finished pieces behind it hold") {
  // The first entry fails only when all the budget is with pieces that wait for it to be placed.
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::unique_ptr<EntryReader> open(std::size_t index) override {
      if (index == 0) {
        opened_behind_.acquire();
        throw Error(ErrorKind::source_unreadable, "the first");
      }
      if (index == 3) opened_behind_.release();
      return MemoryContent::open(index);
    }

   private:
    std::counting_semaphore<> opened_behind_{0};
  };
  Content content(many_entries(200, 4'000));
  CHECK(kind_thrown(content, {Level::balanced, 2, 4 * 9'000}) == ErrorKind::source_unreadable);
}

TEST_CASE("builds that share threads and a tiny budget all come to their end") {
  ThreadPool pool(2);
  ByteBudget budget(32U << 10U);
  std::vector<std::future<std::string>> builds;
  for (unsigned i = 0; i < 6; ++i) {
    builds.push_back(std::async(std::launch::async, [&, i] {
      MemoryContent content(many_entries(40, 1 + i * 30'000));
      const MemoryFile file;
      write_archive(file.fd(), "shared.zip", content, content, {}, {pool, budget}, {});
      verify_against_plan(file.archive(), content);
      return problems_of(verify_bytes(file.content()));
    }));
  }
  for (auto& build : builds) CHECK(build.get().empty());
}

TEST_CASE("one build's error does not disturb another that shares its threads and budget") {
  ThreadPool pool(3);
  ByteBudget budget(100'000);
  auto good = std::async(std::launch::async, [&] {
    MemoryContent content(many_entries(300, 20'000));
    const MemoryFile file;
    write_archive(file.fd(), "good.zip", content, content, {}, {pool, budget}, {});
    return problems_of(verify_bytes(file.content()));
  });
  for (std::size_t i = 0; i < 20; ++i) {
    TroubledContent content(many_entries(30, 20'000), i, TroubledContent::Trouble::shrinks);
    const MemoryFile file;
    CHECK_THROWS_AS(write_archive(file.fd(), "bad.zip", content, content, {}, {pool, budget}, {}), Error);
  }
  CHECK(good.get().empty());
}

TEST_CASE("a source is opened once, also where it is looked into before its place in the archive is known") {
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::unique_ptr<EntryReader> open(std::size_t index) override {
      ++opened;
      return MemoryContent::open(index);
    }
    std::atomic<std::size_t> opened{0};
  };
  std::vector<MemoryEntry> entries;
  for (const std::size_t size : {1'000U, 130'000U, 300'000U, 2'000'000U, 3'000'000U}) {
    entries.push_back({fmt::format("text-{}", size), test::wordy_text(size)});
    entries.push_back({fmt::format("media-{}", size), test::random_bytes(size)});
  }
  const bool align = GENERATE(false, true);
  const std::uint64_t budget = GENERATE(std::uint64_t{1}, std::uint64_t{64} << 20U);
  CAPTURE(align, budget);
  Content content(entries);
  const std::string archive = write_archive_bytes(content, {Level::fast, 3, budget, false, align});
  CHECK(content.opened == entries.size());
  CHECK((archive == write_archive_bytes(entries, {Level::fast, 1, std::uint64_t{64} << 20U, false, align})));
}

TEST_CASE("a stop while it runs ends it soon, without another entry being opened") {
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::unique_ptr<EntryReader> open(std::size_t index) override {
      if (++opened == 20) stop.request_stop();
      return MemoryContent::open(index);
    }
    std::atomic<int> opened{0};
    std::stop_source stop;
  };
  const std::uint64_t budget = GENERATE(std::uint64_t{1}, std::uint64_t{64} << 20U);
  Content content(many_entries(5'000, 3'000));
  CHECK(kind_thrown(content, {Level::fast, 3, budget}, content.stop.get_token()) == ErrorKind::stopped);
  CHECK(content.opened < 20 + 4);  // one more a thread
}

TEST_CASE("a stop within a large entry ends it between chunks") {
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::unique_ptr<EntryReader> open(std::size_t index) override {
      return std::make_unique<Reader>(*this, entries()[index].data);
    }
    std::atomic<int> chunks{0};
    std::stop_source stop;

   private:
    class Reader final : public TextReader {
     public:
      Reader(Content& content, std::string_view text) : TextReader(text), content_(content) {}
      std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
        if (buffer.size() == k_chunk_bytes && ++content_.chunks == 3) content_.stop.request_stop();
        return TextReader::read_at(offset, buffer);
      }

     private:
      Content& content_;
    };
  };
  Content content(std::vector<MemoryEntry>{{"large", wordy_text(40 * k_chunk_bytes)}});
  CHECK(kind_thrown(content, {Level::fast, 2}, content.stop.get_token()) == ErrorKind::stopped);
  CHECK(content.chunks < 3 + 3);
}

TEST_CASE("a stop before it begins opens nothing") {
  TroubledContent content(many_entries(3, 10), 0, TroubledContent::Trouble::gone);
  std::stop_source stop;
  stop.request_stop();
  CHECK(kind_thrown(content, {}, stop.get_token()) == ErrorKind::stopped);
}

TEST_CASE("a full disk is told as one") {
  const std::size_t size = GENERATE(std::size_t{0}, std::size_t{300}, 3 * k_chunk_bytes);
  MemoryContent content(many_entries(4, size));
  const Fd full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  REQUIRE(full);
  CHECK(kind_thrown(content, content, full.get(), {Level::fast, 2, 100'000}) == ErrorKind::disk_full);
}

TEST_CASE("a write that fails half way is an error at whatever byte it fails") {
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  MemoryContent content({{"a", wordy_text(500)}, {"b", ""}, {"large", random_bytes(k_chunk_bytes + 5)}, {"z", "end"}});
  const std::uint64_t whole = write_archive_bytes(content).size();
  const TempDir dir("limited");
  for (const std::uint64_t limit :
       {std::uint64_t{0}, std::uint64_t{10}, std::uint64_t{700}, whole / 2, whole - 23, whole - 1}) {
    const Fd fd(::open((dir / fmt::format("{}", limit)).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    rlimit limited = before;
    limited.rlim_cur = limit;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
    const ErrorKind kind = kind_thrown(content, content, fd.get());
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(kind == ErrorKind::io);
  }
  std::signal(SIGXFSZ, old_handler);
}

TEST_CASE("a descriptor that can't be written is an error that names the file") {
  MemoryContent content(many_entries(2, 100));
  const Fd read_only(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  try {
    write_to(read_only.get(), content, content);
    FAIL("written");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::io);
    CHECK_THAT(error.what(), Catch::Matchers::Contains("memory.zip"));
  }
}

TEST_CASE("an archive without entries is an error, or its 22-byte end record where that is allowed") {
  MemoryContent content({});
  CHECK(kind_thrown(content) == ErrorKind::empty);
  WriteSettings settings;
  settings.allow_empty = true;
  const std::string archive = write_archive_bytes(content, settings);
  CHECK(archive.size() == 22);
  CHECK(verify_bytes(archive).ok());
  CHECK(verify_bytes(archive).entries == 0);
}

TEST_CASE("large stored data begins at a block where that is asked, in any number of threads, and everybody reads it") {
  std::vector<MemoryEntry> entries;
  entries.push_back({"text.txt", test::wordy_text(300'000)});  // its size is known late: what follows is placed late
  for (std::size_t i = 0; i < 40; ++i) {
    // Names of all lengths: the padding is whatever is missing, and sometimes too little for an extra field.
    entries.push_back({fmt::format("{}.jpg", std::string(i + 1, 'n')), test::random_bytes(131'072 + i * 7, i)});
  }
  entries.push_back({"small.jpg", test::random_bytes(1'000)});
  entries.push_back({"movie.mp4", test::random_bytes(3 * k_chunk_bytes + 1)});
  WriteSettings settings;
  settings.align = true;
  settings.threads = 1;
  const std::string archive = write_archive_bytes(entries, settings);
  settings.threads = 4;
  CHECK((write_archive_bytes(entries, settings) == archive));
  CHECK(problems_of(verify_bytes(archive)).empty());
  const MemoryFile file(archive);
  std::size_t aligned = 0;
  for (const auto& record : records_of(file.archive())) {
    if (record.method != 0 || record.size_bytes < k_align_from) continue;
    ++aligned;
    if (read_local_header(file.archive(), record) % k_block_bytes != 0) FAIL(record.name);
  }
  CHECK(aligned == 41);
  const TempDir dir("aligned");
  test::write_file(dir / "x.zip", archive);
  for (const auto& entry : entries) {
    test::write_file(dir / "tree" / entry.name, entry.data, entry.mtime / 1'000'000'000);
  }
  const auto verdict = test::judge(dir / "x.zip", dir / "tree");
  INFO(verdict.text());
  CHECK(verdict.good());
}

// Takes every second entry's data from an archive.
class ReusingContent : public MemoryContent {
 public:
  ReusingContent(std::vector<MemoryEntry> entries, const MemoryFile& base)
      : MemoryContent(std::move(entries)), base_(base.content()), file_(base.archive()), records_(records_of(file_)) {}

  std::optional<RawData> raw(std::size_t index) override {
    if (index % 2 == 1) return std::nullopt;
    const CentralRecord& record = records_[index];
    const auto begin = read_local_header(file_, record);
    return RawData{std::make_unique<TextReader>(std::string_view(base_).substr(begin, record.compressed_bytes)),
                   record.compressed_bytes, record.crc, static_cast<Method>(record.method)};
  }
  std::unique_ptr<EntryReader> open(std::size_t index) override {
    if (index % 2 == 0 && !entries()[index].data.empty())
      throw Error(ErrorKind::internal, "opened in spite of raw data");
    return MemoryContent::open(index);
  }

 private:
  const std::string base_;
  const ArchiveFile file_;
  const std::vector<CentralRecord> records_;
};

TEST_CASE("nothing of a source is in use when the writer returns") {
  // A thread that ends the last piece still has the source's reader, and may be slow to give it up.
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::unique_ptr<EntryReader> open(std::size_t index) override {
      return std::make_unique<Reader>(*this, entries()[index].data);
    }
    std::promise<void> returned;
    std::shared_future<void> has_returned{returned.get_future()};
    std::atomic<bool> outlived{false};

   private:
    class Reader final : public TextReader {
     public:
      Reader(Content& content, std::string_view text) : TextReader(text), content_(content) {}
      ~Reader() override {
        using std::chrono::milliseconds;
        if (content_.has_returned.wait_for(milliseconds(100)) == std::future_status::ready) content_.outlived = true;
      }

     private:
      Content& content_;
    };
  };
  const Level level = GENERATE(Level::store, Level::fast);
  Content content(std::vector<MemoryEntry>{{"large", wordy_text(2 * k_chunk_bytes)}});
  ByteBudget budget(64U << 20U);
  auto pool = std::make_unique<ThreadPool>(2);
  const MemoryFile file;
  WriteOptions options;
  options.level = level;
  write_archive(file.fd(), "x.zip", content, content, options, {*pool, budget}, {});
  content.returned.set_value();
  pool.reset();  // what its threads still had in hand is gone
  CHECK_FALSE(content.outlived);
}

TEST_CASE("entries copied raw give the bytes that compressing them gives") {
  const MemoryFile base(write_archive_bytes(entries_of_all_kinds()));
  ReusingContent content(entries_of_all_kinds(), base);
  for (const std::uint64_t budget : {std::uint64_t{1}, std::uint64_t{64} << 20U}) {
    CHECK((write_archive_bytes(content, {Level::balanced, 3, budget}) == base.content()));
  }
}

TEST_CASE("an older archive that ends early is broken, and its source not to blame") {
  // With the place of its bytes in a file, or without.
  class Reader final : public TextReader {
   public:
    Reader(std::string_view text, std::optional<FileRange> range) : TextReader(text), range_(range) {}
    std::optional<FileRange> file_range() const override { return range_; }

   private:
    std::optional<FileRange> range_;
  };
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::optional<RawData> raw(std::size_t) override {
      return RawData{std::make_unique<Reader>("too short", range), 10, 0, Method::stored};
    }
    std::optional<FileRange> range;
  };
  const MemoryFile older("too short");
  Content content(std::vector<MemoryEntry>{{"a", "0123456789"}});
  if (GENERATE(true, false)) content.range = FileRange{older.fd(), 0, "older.zip"};
  CHECK(kind_thrown(content) == ErrorKind::corrupt);
}

// Counts how many sources are open at once, and holds the pool's thread until there are too many, or no more come.
class CountedContent final : public MemoryContent {
 public:
  CountedContent(std::vector<MemoryEntry> entries, std::size_t too_many)
      : MemoryContent(std::move(entries)), too_many_(too_many) {}
  std::unique_ptr<EntryReader> open(std::size_t index) override {
    {
      std::lock_guard lock(mutex_);
      most_ = std::max(most_, ++open_);
    }
    changed_.notify_all();
    return std::make_unique<Reader>(*this, entries()[index].data);
  }
  std::size_t most() const noexcept { return most_; }

 private:
  class Reader final : public TextReader {
   public:
    Reader(CountedContent& content, std::string_view text) : TextReader(text), content_(content) {}
    ~Reader() override {
      std::lock_guard lock(content_.mutex_);
      --content_.open_;
    }
    std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
      std::unique_lock lock(content_.mutex_);
      if (std::exchange(content_.first_, false)) {
        content_.changed_.wait_for(lock, std::chrono::milliseconds(500),
                                   [&] { return content_.open_ >= content_.too_many_; });
      }
      lock.unlock();
      return TextReader::read_at(offset, buffer);
    }

   private:
    CountedContent& content_;
  };

  const std::size_t too_many_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t open_ = 0;
  std::size_t most_ = 0;
  bool first_ = true;
};

TEST_CASE("sources that wait to be copied don't hold more descriptors than the budget has mebibytes") {
  const std::string data = random_bytes(k_align_from);
  std::vector<MemoryEntry> entries;
  for (int i = 0; i < 200; ++i) entries.push_back({fmt::format("{:03}.jpg", i), data});
  CountedContent content(std::move(entries), 100);
  const MemoryFile file;
  WriteSettings settings{Level::store, 1, 32U << 20U};
  settings.align = true;
  write_to(file.fd(), content, content, settings);
  CHECK(content.most() <= 34);  // one is open while it waits for its share
}

TEST_CASE("a check of older data is told of a stop") {
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::optional<RawData> raw(std::size_t) override {
      RawData raw{std::make_unique<TextReader>("0123456789"), 10, 0, Method::stored};
      raw.check = [this](const std::stop_token& told) {
        stop.request_stop();
        if (!told.stop_requested()) throw Error(ErrorKind::internal, "not told");
        throw Error(ErrorKind::stopped, "the check was stopped");
      };
      return raw;
    }
    std::stop_source stop;
  };
  Content content(std::vector<MemoryEntry>{{"a", "0123456789"}});
  CHECK(kind_thrown(content, {}, content.stop.get_token()) == ErrorKind::stopped);
}

TEST_CASE("checks of older data wait for their share of the budget") {
  class Content final : public MemoryContent {
   public:
    using MemoryContent::MemoryContent;
    std::optional<RawData> raw(std::size_t index) override {
      {
        std::lock_guard lock(mutex);
        ++asked;
      }
      changed.notify_all();
      RawData raw{std::make_unique<TextReader>(entries()[index].data), 1, 0, Method::stored};
      raw.check = [this](const std::stop_token&) {
        std::unique_lock lock(mutex);
        if (!std::exchange(first, false)) return;
        changed.wait_for(lock, std::chrono::milliseconds(500), [&] { return asked > 400; });
        at_once = asked;
      };
      raw.check_bytes = 1'000;
      return raw;
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t asked = 0;
    std::size_t at_once = 0;
    bool first = true;
  };
  Content content(std::vector<MemoryEntry>(500, MemoryEntry{"a", "x"}));
  const MemoryFile file;
  write_to(file.fd(), content, content, {Level::store, 1, 64U << 10U});
  CHECK(content.at_once < 60);
}

TEST_CASE("an aligned archive that was written in two passes is as long as it says, and no longer") {
  MemoryContent content({{"misleading", misleading()}, {"photo", random_bytes(300'000)}, {"text", wordy_text(10'000)}});
  WriteSettings settings;
  settings.align = true;
  const std::string archive = write_archive_bytes(content, settings);
  CHECK(verify_bytes(archive).ok());
  CHECK(archive.size() <= most_bytes(content, true));
}

TEST_CASE("no archive is larger than the most it was said to take") {
  const TimeNs time = GENERATE(k_mtime, TimeNs{7'000'000'000} * 1'000'000'000);
  std::vector<MemoryEntry> entries;
  for (int i = 0; i < 1'000; ++i) entries.push_back({fmt::format("{}", i), "", time});
  MemoryContent content(std::move(entries));
  CHECK(write_archive_bytes(content).size() <= most_bytes(content, false));
}

}  // namespace
}  // namespace zipmodule::zip
