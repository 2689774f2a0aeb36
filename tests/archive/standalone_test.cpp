#include "archive/standalone.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "archive/base_archive.hpp"
#include "archive/failing_read.hpp"
#include "archive/site.hpp"
#include "storage/local_root.hpp"
#include "support/judges.hpp"
#include "support/process.hpp"
#include "zip/codec.hpp"
#include "zip/forged_archive.hpp"
#include "zip/handmade_stream.hpp"

namespace zipmodule::archive {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

// A small tree, an archive of it to start from, and new archives of it.
class Tree {
 public:
  Tree() {
    write("text.txt", test::wordy_text(3'000));
    write("noise", test::random_bytes(2'000));
    write("sub/other.txt", test::wordy_text(500, 2));
    write("sub/empty", "");
  }
  void write(const std::string& name, const std::string& content, std::int64_t time = k_file_time) const {
    test::write_file(dir / "tree" / name, content, time);
  }
  StandaloneResult zip(const std::string& output, std::optional<std::string> base = {},
                       zip::Level level = zip::Level::balanced, VerifyReuse verify = VerifyReuse::always) {
    ThreadPool pool(2);
    ByteBudget budget(64U << 20U);
    BuildProgress progress;
    StandaloneRequest request;
    request.output = dir / output;
    request.paths = {(dir / "tree").string() + "/"};
    request.level = level;
    request.verify_reuse = verify;
    if (base) request.base = dir / *base;
    auto result = write_standalone(request, {pool, budget}, {}, progress);
    return result;
  }
  // Whether an archive holds exactly the tree.
  void check(const std::string& archive) const {
    const std::string bytes = test::read_file(dir / archive);
    const auto report = zip::verify_bytes(bytes);
    CHECK(zip::problems_of(report).empty());
    const zip::MemoryFile file(bytes);
    std::map<std::string, std::string> found;
    for (const auto& record : zip::records_of(file.archive())) {
      if (!record.directory()) found[record.name] = zip::data_of(file.archive(), record);
    }
    std::map<std::string, std::string> expected;
    for (const auto& name : test::listing(dir / "tree")) {
      if (name.back() != '/') expected[name] = test::read_file(dir / "tree" / name);
    }
    CHECK((found == expected));
  }

  test::TempDir dir{"standalone"};
};

TEST_CASE("paths are taken as at a shell") {
  Tree tree;
  const fs::path before = fs::current_path();
  fs::current_path(tree.dir.path());
  const auto [path, first] = GENERATE(table<std::string, std::string>({{"tree", "tree/"},
                                                                       {"tree/", "noise"},
                                                                       {"tree/.", "noise"},
                                                                       {"./tree//sub", "sub/"},
                                                                       {"tree/../tree/sub/", "empty"},
                                                                       {"tree/noise", "noise"}}));
  ThreadPool pool(1);
  ByteBudget budget(1U << 20U);
  BuildProgress progress;
  StandaloneRequest request;
  request.output = "out.zip";
  request.paths = {path};
  write_standalone(request, {pool, budget}, {}, progress);
  fs::current_path(before);
  const zip::MemoryFile file(test::read_file(tree.dir / "out.zip"));
  CHECK(zip::records_of(file.archive()).at(0).name == first);
}

TEST_CASE("a '..' behind a symlink is the folder above the one that it leads to") {
  Tree tree;
  tree.write("sub/deep/x", "below");
  test::write_file(tree.dir / "other/x", "wrong");
  fs::create_directory_symlink("../tree/sub/deep", tree.dir / "other/link");
  const auto [path, first] = GENERATE(table<std::string, std::string>({{"other/link/../other.txt", "other.txt"},
                                                                       {"other/link/../deep/x", "x"},
                                                                       {"other/link/..", "deep/"},
                                                                       {"other/link/../", "deep/"},
                                                                       {"other/link/../.", "deep/"},
                                                                       {"other/link/../deep", "deep/"}}));
  CAPTURE(path);
  ThreadPool pool(1);
  ByteBudget budget(1U << 20U);
  BuildProgress progress;
  StandaloneRequest request;
  request.output = tree.dir / "out.zip";
  request.paths = {tree.dir / path};
  write_standalone(request, {pool, budget}, {}, progress);
  const zip::MemoryFile file(test::read_file(tree.dir / "out.zip"));
  CHECK(zip::records_of(file.archive()).at(0).name == first);
  request.paths = {tree.dir / "other/link/../x"};  // there is one beside the symlink only
  CHECK(error_of([&] { write_standalone(request, {pool, budget}, {}, progress); }).kind() == ErrorKind::source_missing);
  request.paths = {tree.dir / "nowhere/../tree"};
  CHECK(error_of([&] { write_standalone(request, {pool, budget}, {}, progress); }).kind() == ErrorKind::source_missing);
}

TEST_CASE("of an output that is a symlink, what it leads to is replaced or made, and the link stays") {
  Tree tree;
  test::write_file(tree.dir / "far/old.zip", "old");
  fs::create_symlink("old.zip", tree.dir / "far/second");
  fs::create_symlink("far/second", tree.dir / "link.zip");
  tree.zip("link.zip");
  CHECK(fs::is_symlink(tree.dir / "link.zip"));
  CHECK(fs::is_symlink(tree.dir / "far/second"));
  tree.check("far/old.zip");
  fs::create_symlink("far/new.zip", tree.dir / "dangling.zip");
  tree.zip("dangling.zip");
  CHECK(fs::is_symlink(tree.dir / "dangling.zip"));
  tree.check("far/new.zip");
  fs::create_symlink("loop.zip", tree.dir / "loop.zip");
  CHECK_THROWS_AS(tree.zip("loop.zip"), Error);
  CHECK(fs::is_symlink(tree.dir / "loop.zip"));
}

TEST_CASE("an output that is no regular file is refused and stays what it is") {
  Tree tree;
  ::mkfifo((tree.dir / "fifo").c_str(), 0644);
  fs::create_symlink("fifo", tree.dir / "to_fifo");
  for (const char* output : {"fifo", "to_fifo", "tree"}) {
    CAPTURE(output);
    CHECK(error_of([&] { tree.zip(output); }).kind() == ErrorKind::usage);
  }
  CHECK(fs::is_fifo(tree.dir / "fifo"));
  CHECK(fs::is_symlink(tree.dir / "to_fifo"));
  CHECK(fs::is_directory(tree.dir / "tree"));
}

TEST_CASE("what a killed one left beside the output is not archived, and removed; what is being written stays") {
  Tree tree;
  tree.write(".zipmodule-zip-abc123", "half an archive");
  tree.write(".zipmodule-zip-locked", "being written");
  tree.write("sub/.zipmodule-zip-xyz789", "half an archive");
  tree.write(".zipmodule-zip", "a person's own");
  const Fd writing(::open((tree.dir / "tree/.zipmodule-zip-locked").c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(::flock(writing.get(), LOCK_EX | LOCK_NB) == 0);
  tree.zip("tree/out.zip");
  CHECK_FALSE(fs::exists(tree.dir / "tree/.zipmodule-zip-abc123"));
  CHECK(fs::exists(tree.dir / "tree/.zipmodule-zip-locked"));
  CHECK(fs::exists(tree.dir / "tree/sub/.zipmodule-zip-xyz789"));  // not where the output is
  const zip::MemoryFile file(test::read_file(tree.dir / "tree/out.zip"));
  std::vector<std::string> names;
  for (const auto& record : zip::records_of(file.archive())) names.push_back(record.name);
  CHECK(names == Names{".zipmodule-zip", "noise", "sub/", "sub/empty", "sub/other.txt", "text.txt"});
}

TEST_CASE("an archive that could not be closed is not put in place, and leaves nothing") {
  Tree tree;
  fs::create_directory(tree.dir / "out");
  tree.zip("out/out.zip.old");
  Error error{ErrorKind::internal, ""};
  {
    const test::FailingCloses failing(tree.dir / "out");
    error = error_of([&] { tree.zip("out/out.zip"); });
  }
  CHECK(error.kind() == ErrorKind::disk_full);
  CHECK_THAT(error.what(), Contains("close"));
  CHECK(test::listing(tree.dir / "out") == Names{"out.zip.old"});
}

TEST_CASE("what was written to when the base was made is read again, whatever its size and second say") {
  Tree tree;
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const std::int64_t second = now();
  tree.write("text.txt", test::wordy_text(3'000), second);
  tree.zip("base.zip");
  tree.write("text.txt", test::wordy_text(3'000, 9), second);  // as many bytes, the same second
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == 3);
  tree.check("out.zip");
}

TEST_CASE("an archive is as old as the beginning of its making, so that what is written meanwhile is newer") {
  Tree tree;
  tree.write("large", test::wordy_text(4U << 20U));
  tree.zip("out.zip", {}, zip::Level::small);
  struct stat s {};
  REQUIRE(::stat((tree.dir / "out.zip").c_str(), &s) == 0);
  const auto ns = [](const timespec& time) { return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec; };
  // Larger than a step of the kernel's clock, and less than it takes to compress that.
  CHECK(ns(s.st_ctim) - ns(s.st_mtim) > 20'000'000);
}

TEST_CASE("names are excluded from folders, and counted") {
  Tree tree;
  tree.write(".DS_Store", "x");
  tree.write("sub/.DS_Store", "x");
  StandaloneRequest request;
  request.output = tree.dir / "out.zip";
  request.paths = {tree.dir / "tree", tree.dir / "tree/.DS_Store"};
  request.exclude = {".DS_Store"};
  ThreadPool pool(1);
  ByteBudget budget(1U << 20U);
  BuildProgress progress;
  const auto result = write_standalone(request, {pool, budget}, {}, progress);
  CHECK(result.files_excluded == 2);
  const zip::MemoryFile file(test::read_file(tree.dir / "out.zip"));
  CHECK(zip::records_of(file.archive()).back().name == ".DS_Store");
  CHECK(result.entries == 7);
}

TEST_CASE("an output within the folder it is made of is left out, at the first time and the second") {
  Tree tree;
  for (int i = 0; i < 2; ++i) {
    tree.zip("tree/out.zip");
    const zip::MemoryFile file(test::read_file(tree.dir / "tree/out.zip"));
    for (const auto& record : zip::records_of(file.archive())) CHECK(record.name.find("out.zip") == std::string::npos);
  }
}

TEST_CASE("an error leaves the old output alone and nothing beside it") {
  Tree tree;
  tree.zip("out.zip");
  const std::string before = test::read_file(tree.dir / "out.zip");
  ::mkfifo((tree.dir / "tree/fifo").c_str(), 0644);
  CHECK_THROWS_AS(tree.zip("out.zip"), Error);
  CHECK((test::read_file(tree.dir / "out.zip") == before));
  CHECK(std::distance(fs::directory_iterator(tree.dir.path()), fs::directory_iterator()) == 2);
}

TEST_CASE("a base of the same tree gives the same bytes without compressing anything") {
  Tree tree;
  tree.write("large", test::wordy_text(2 * zip::k_chunk_bytes));
  tree.zip("base.zip");
  const auto result = tree.zip("out.zip", "base.zip");
  CHECK(result.entries_reused == 5);
  CHECK(result.base_problem.empty());
  CHECK((test::read_file(tree.dir / "out.zip") == test::read_file(tree.dir / "base.zip")));
  CHECK(tree.zip("base.zip", "base.zip").entries_reused == 5);
  const auto verdict = test::judge(tree.dir / "out.zip", tree.dir / "tree");
  INFO(verdict.text());
  CHECK(verdict.good());
}

TEST_CASE("what changed, came or went since the base is as it is now") {
  Tree tree;
  tree.zip("base.zip");
  const auto [what, reused] = GENERATE(table<std::string, std::uint64_t>({{"other size", 3},
                                                                          {"other time", 3},
                                                                          {"time a second earlier", 3},
                                                                          {"new", 4},
                                                                          {"gone", 3},
                                                                          {"moved", 3},
                                                                          {"emptied", 3},
                                                                          {"filled", 3}}));
  CAPTURE(what);
  if (what == "other size") tree.write("text.txt", test::wordy_text(3'001));
  if (what == "other time") tree.write("text.txt", test::wordy_text(3'000, 9), k_file_time + 1);
  if (what == "time a second earlier") tree.write("text.txt", test::wordy_text(3'000, 9), k_file_time - 1);
  if (what == "new") tree.write("added", "added");
  if (what == "gone") fs::remove(tree.dir / "tree/text.txt");
  if (what == "moved") fs::rename(tree.dir / "tree/text.txt", tree.dir / "tree/moved.txt");
  if (what == "emptied") tree.write("text.txt", "");
  if (what == "filled") tree.write("sub/empty", "full");
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == reused);
  tree.check("out.zip");
}

TEST_CASE("a base with any bit flipped or cut anywhere does no harm") {
  Tree tree;
  tree.zip("base.zip");
  const std::string base = test::read_file(tree.dir / "base.zip");
  std::size_t broken = 0;
  // A prime step: every kind of byte and bit is met.
  for (std::size_t bit = 0; bit < base.size() * 8; bit += 149) {
    std::string flipped = base;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    test::write_file(tree.dir / "flipped.zip", flipped);
    if (!tree.zip("out.zip", "flipped.zip").base_problem.empty()) ++broken;
    tree.check("out.zip");
  }
  CHECK(broken > 50);
  for (std::size_t length = 0; length < base.size(); length += 211) {
    test::write_file(tree.dir / "cut.zip", base.substr(0, length));
    const auto result = tree.zip("out.zip", "cut.zip");
    CHECK_FALSE(result.base_problem.empty());
    CHECK(result.entries_reused == 0);
    tree.check("out.zip");
  }
}

TEST_CASE("a base that can't be used is told, and the archive made without it") {
  Tree tree;
  test::write_file(tree.dir / "text.zip", "no archive at all");
  test::write_file(tree.dir / "void.zip", "");
  for (const char* base : {"text.zip", "void.zip"}) {
    INFO(base);
    const auto result = tree.zip("out.zip", base);
    CHECK_FALSE(result.base_problem.empty());
    tree.check("out.zip");
  }
  CHECK(error_of([&] { tree.zip("out.zip", "nowhere.zip"); }).kind() == ErrorKind::io);
}

TEST_CASE("a base of other files, an encrypted one and one behind a symlink are used as far as they go") {
  Tree tree;
  test::Command command;
  command.where = tree.dir.path();
  command.environment = {{"TZ", "UTC"}};
  command.argv = {"sh", "-ec",
                  "cd tree && zip -qr ../plain.zip . && zip -qr -P secret ../secret.zip . && mkdir ../o && cd ../o && "
                  "echo x > text.txt && zip -q ../other.zip text.txt"};
  REQUIRE(test::run(command).exit_code == 0);
  fs::create_symlink("plain.zip", tree.dir / "link.zip");
  const auto [base, reused] = GENERATE(
      table<std::string, std::uint64_t>({{"plain.zip", 3}, {"secret.zip", 0}, {"other.zip", 0}, {"link.zip", 3}}));
  INFO(base);
  const auto result = tree.zip("out.zip", base);
  CHECK(result.base_problem.empty());
  CHECK(result.entries_reused == reused);
  tree.check("out.zip");
}

// A base entry that claims to be text.txt, as the tree has it.
zip::Forged forged_text(const Tree& tree) {
  zip::Forged text("text.txt", test::read_file(tree.dir / "tree/text.txt"));
  text.central_extra = zip::le(0x5455, 2) + zip::le(5, 2) + "\1" + zip::le(k_file_time, 4);
  return text;
}

TEST_CASE("a base entry that deflate made larger is not copied") {
  Tree tree;
  zip::Forged text = forged_text(tree);
  std::vector<std::byte> stream;
  const std::string data = text.data;
  for (const char c : data) {
    const std::string block = std::string("\0\1\0\xFE\xFF", 5) + c;
    for (const char b : block) stream.push_back(static_cast<std::byte>(b));
  }
  for (const char b : std::string("\1\0\0\xFF\xFF", 5)) stream.push_back(static_cast<std::byte>(b));
  text.data = zip::text_of(stream);
  text.compressed = text.data.size();
  text.method = 8;
  test::write_file(tree.dir / "base.zip", zip::put_together({text}));
  REQUIRE(zip::verify_bytes(test::read_file(tree.dir / "base.zip")).ok());
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == 0);
  tree.check("out.zip");
}

TEST_CASE("a base whose records share one local header does no harm") {
  Tree tree;
  const zip::Forged text = forged_text(tree);
  const std::string central = text.central(0) + text.central(0);
  test::write_file(tree.dir / "base.zip",
                   text.local() + central + zip::end_record(2, central.size(), text.local().size()));
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == 0);
  tree.check("out.zip");
}

// A base of one entry, with the very header that the writer would make for text.txt at that place.
void write_own_base(const Tree& tree, const zip::Written& written, std::string_view data) {
  const std::string content = test::read_file(tree.dir / "tree/text.txt");
  const zip::EntryView entry{"text.txt", content.size(), k_file_time * 1'000'000'000, false, false};
  std::vector<std::byte> header(zip::local_header_size(entry));
  zip::encode_local_header(entry, written, header);
  const std::string local = std::string(zip::text_of(header)) + std::string(data);
  std::vector<std::byte> tail;
  zip::append_central_record(entry, written, tail);
  zip::append_end_records(1, local.size(), tail.size(), false, tail);
  test::write_file(tree.dir / "base.zip", local + std::string(zip::text_of(tail)));
}

TEST_CASE("a deflated base entry of fewer bytes than its size needs is made again, whatever is verified") {
  Tree tree;
  tree.write("text.txt", test::wordy_text(1'800));
  const std::string content = test::read_file(tree.dir / "tree/text.txt");
  const auto verify = GENERATE(VerifyReuse::never, VerifyReuse::always);
  for (const std::string& data : {std::string(), std::string(1, '\x03')}) {
    write_own_base(tree, {0, data.size(), zip::crc32(0, zip::bytes_of(content)), zip::Method::deflated}, data);
    CHECK(tree.zip("out.zip", "base.zip", zip::Level::balanced, verify).entries_reused == 0);
    tree.check("out.zip");
  }
}

TEST_CASE("an entry under our own header that Windows can't read is found as in anyone's archive") {
  Tree tree;
  const auto stream = zip::block_with_distances({0}, 2, 500);
  const std::string content(500, 'a');
  tree.write("text.txt", content);
  write_own_base(tree, {0, stream.size(), zip::crc32(0, zip::bytes_of(content)), zip::Method::deflated},
                 zip::text_of(stream));
  const auto result = tree.zip("out.zip", "base.zip");
  CHECK_THAT(result.base_problem, Contains("Windows"));
  CHECK(result.entries_reused == 0);
}

TEST_CASE("of a name that a base holds twice, no entry is copied") {
  Tree tree;
  zip::Forged unread = forged_text(tree);
  const bool encrypted = GENERATE(false, true);
  if (encrypted) unread.flags |= zip::k_flag_encrypted;  // an entry that could not be copied counts, too
  for (const bool first : {false, true}) {
    const zip::Forged text = forged_text(tree);
    test::write_file(tree.dir / "base.zip",
                     first ? zip::put_together({text, unread}) : zip::put_together({unread, text}));
    CHECK(tree.zip("out.zip", "base.zip").entries_reused == 0);
    tree.check("out.zip");
  }
}

TEST_CASE("files of before 1970 are made again, for archives don't hold their time, and those of the future") {
  Tree tree;
  tree.write("early", test::wordy_text(400, 3), -5'000'000'000);
  tree.write("late", test::wordy_text(400, 4), 5'000'000'000);
  tree.zip("base.zip");
  tree.write("early", test::wordy_text(400, 5), -4'000'000'000);
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == 4);
  tree.check("out.zip");
}

TEST_CASE("other bytes of the right CRC's claim are found before they are copied") {
  Tree tree;
  zip::Forged text = forged_text(tree);
  text.data[100] = static_cast<char>(text.data[100] ^ 1);
  test::write_file(tree.dir / "base.zip", zip::put_together({text}));
  const auto result = tree.zip("out.zip", "base.zip");
  CHECK_THAT(result.base_problem, Contains("CRC"));
  CHECK(result.entries_reused == 0);
  tree.check("out.zip");
}

TEST_CASE("who waits for an entry's bytes is asked through a base, too") {
  class Fetched final : public zip::Content {
   public:
    std::unique_ptr<zip::EntryReader> open(std::size_t) override { return nullptr; }
    Fetchers* fetchers(std::size_t index) override { return index == 1 ? &elsewhere : nullptr; }
    Fetchers elsewhere{1, 1};
  };
  Tree tree;
  tree.zip("base.zip");
  Roots roots;
  roots.emplace("default", std::make_shared<storage::LocalRoot>("default", tree.dir / "tree", ""));
  const auto plan = make_plan({parse_source("default:")}, roots, {}, {});
  Fetched content;
  BaseArchive base(tree.dir / "base.zip", std::nullopt, *plan, content, VerifyReuse::never);
  CHECK(base.fetchers(0) == nullptr);
  CHECK(base.fetchers(1) == &content.elsewhere);
}

TEST_CASE("a base that changes between its check and its copy is broken") {
  Tree tree;
  tree.zip("base.zip");
  Roots roots;
  roots.emplace("default", std::make_shared<storage::LocalRoot>("default", tree.dir / "tree", ""));
  const auto plan = make_plan({parse_source("default:")}, roots, {}, {});
  BaseArchive base(tree.dir / "base.zip", std::nullopt, *plan, *plan, VerifyReuse::always);
  std::optional<zip::RawData> raw;
  for (std::size_t i = 0; i < plan->size(); ++i) {
    if (plan->at(i).name == "text.txt") raw = base.raw(i);
  }
  REQUIRE(raw);
  raw->reader->require_unchanged();
  std::string bytes = test::read_file(tree.dir / "base.zip");
  bytes[bytes.find("text.txt") + 100] ^= 1;
  // ctime has ticks of some milliseconds: written until it has moved.
  CHECK(test::wait_until([&] {
    test::write_file(tree.dir / "base.zip", bytes);
    try {
      raw->reader->require_unchanged();
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::corrupt;
    }
  }));
}

TEST_CASE("entries copied in a first pass and again in a second are counted once") {
  Tree tree;
  tree.zip("base.zip");
  // Noise, but where the samples look: it has to be stored in a second pass.
  std::string misleading = test::random_bytes(5 * zip::k_chunk_bytes);
  misleading.replace((misleading.size() - 16'384) / 7, 4'000, 4'000, 'x');
  tree.write("zzz", misleading);
  CHECK(tree.zip("out.zip", "base.zip").entries_reused == 4);
  tree.check("out.zip");
}

TEST_CASE("a base's wrong CRC of an entry without data is not taken over") {
  Tree tree;
  tree.write("text.txt", "");
  // With the very header that the writer would make.
  tree.zip("base.zip");
  std::string base = test::read_file(tree.dir / "base.zip");
  const auto at_local = base.find("text.txt") - 16;
  const auto at_central = base.rfind("text.txt") - 30;
  for (const auto at : {at_local, at_central}) base.replace(at, 4, zip::le(0x12345678, 4));
  test::write_file(tree.dir / "base.zip", base);
  REQUIRE_FALSE(zip::verify_bytes(base).ok());
  tree.zip("out.zip", "base.zip");
  tree.check("out.zip");
}

TEST_CASE("a base that can't be read is told, and the archive made without it") {
  Tree tree;
  tree.write("zzz", test::random_bytes(300'000));
  tree.zip("base.zip");
  const auto size = fs::file_size(tree.dir / "base.zip");
  // The end records; the central directory; the data, by the check and by the copy.
  const std::uint64_t from = GENERATE_COPY(std::uint64_t{0}, size - 22, size - 100, size - 200'000);
  CAPTURE(from);
  StandaloneResult result;
  {
    const test::FailingReads broken_disk(tree.dir / "base.zip", from);
    result = tree.zip("out.zip", "base.zip");
  }
  CHECK_THAT(result.base_problem, Contains("Input/output error"));
  CHECK(result.entries_reused == 0);
  tree.check("out.zip");
}

}  // namespace
}  // namespace zipmodule::archive
