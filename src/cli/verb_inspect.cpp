#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/signals.hpp"
#include "base/thread_pool.hpp"
#include "cli/format.hpp"
#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "zip/end_record.hpp"
#include "zip/entry_text.hpp"
#include "zip/reader.hpp"
#include "zip/verify.hpp"

namespace zipmodule::cli {
namespace {

struct InspectArguments {
  std::string archive;
  bool verify = false;
};

std::string iso_time(zip::TimeNs time) {
  const std::time_t seconds = zip::floor_seconds(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

// Text for stdout in blocks: an archive may list millions of entries.
class Printer {
 public:
  void add(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= k_block_bytes) flush();
  }
  void flush() {
    print(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr std::size_t k_block_bytes = std::size_t{64} << 10U;
  std::string buffer_;
};

// One line: a million of them is one document.
std::string json_line(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

// The text, and where it is not the archive's own bytes, these as well.
void add_text(Json& object, const std::string& key, const zip::EntryText& text, std::string_view bytes) {
  object[key] = text.text;
  if (text.source == zip::TextSource::utf8) return;
  object[key + "_bytes"] = hex(bytes);
  object[key + "_encoding"] = zip::to_string(text.source);
}

const char* type_of(const zip::CentralRecord& record) {
  if (record.directory()) return "folder";
  return record.symlink() ? "symlink" : "file";
}

Json to_json(const zip::CentralRecord& record) {
  Json object;
  add_text(object, "name", zip::name_of(record), record.name);
  object["type"] = type_of(record);
  object["method"] = zip::method_name(record.method);
  object["size"] = record.size_bytes;
  object["compressed"] = record.compressed_bytes;
  object["crc"] = fmt::format("{:08x}", record.crc);
  object["mtime"] = iso_time(record.mtime);
  object["mode"] = record.has_mode() ? Json(fmt::format("{:04o}", record.mode())) : Json(nullptr);
  object["offset"] = record.offset;
  object["encrypted"] = (record.flags & zip::k_flag_encrypted) != 0;
  if (!record.comment.empty()) add_text(object, "comment", zip::comment_of(record), record.comment);
  return object;
}

Json to_json(const std::vector<zip::Finding>& findings) {
  Json list = Json::array();
  for (const auto& finding : findings) list.push_back({{"kind", zip::to_string(finding.kind)}, {"text", finding.text}});
  return list;
}

// The rest of a line is the name: what else there is to say of an entry stands before it, its comment below.
std::string to_line(const zip::CentralRecord& record) {
  const char letter = record.directory() ? 'd' : record.symlink() ? 'l' : '-';
  const std::string mode = record.has_mode() ? fmt::format("{:04o}", record.mode()) : "----";
  const char* const encrypted = (record.flags & zip::k_flag_encrypted) != 0 ? "*" : "";
  std::string line = fmt::format("{}{}  {}  {:08x}  {:<9}{:>14}{:>14}  {}\n", letter, mode, iso_time(record.mtime),
                                 record.crc, zip::method_name(record.method) + encrypted, record.compressed_bytes,
                                 record.size_bytes, printable(zip::name_of(record).text));
  if (!record.comment.empty()) line += fmt::format("       comment: {}\n", printable(zip::comment_of(record).text));
  return line;
}

void print_findings(const zip::ArchiveFile& file, const std::vector<zip::Finding>& findings) {
  for (const auto& finding : findings) {
    message(fmt::format("{}: {}: {}", file.path, zip::to_string(finding.kind), finding.text));
  }
}

// Calls use(record) for each entry. Returns the fingerprint.
template <class Use>
std::string for_each_record(const zip::ArchiveFile& file, const zip::EndRecord& end, Use use) {
  zip::CentralDirectory directory(file, end);
  while (const auto record = directory.next()) use(*record);
  return directory.fingerprint();
}

// Reads the list twice, so that a document is begun only where it can be ended, and holds one entry at a time.
void print_listing_json(const zip::ArchiveFile& file, const zip::ArchiveEnd& found) {
  Json head{{"archive", file.path}, {"bytes", file.size_bytes}};
  if (found.end) head["fingerprint"] = for_each_record(file, *found.end, [](const zip::CentralRecord&) {});
  if (!found.comment.empty()) add_text(head, "comment", zip::comment_text(found.comment), found.comment);
  head["problems"] = to_json(found.findings);
  std::string text = json_line(head);
  text.pop_back();  // the brace
  Printer out;
  out.add(text + ", \"entries\": [");
  const char* before = "\n";
  if (found.end) {
    for_each_record(file, *found.end, [&](const zip::CentralRecord& record) {
      out.add(before + json_line(to_json(record)));
      before = ",\n";
    });
  }
  out.add("\n]}\n");
  out.flush();
}

// Prints entries as they come, up to where the list is broken.
void print_listing(const zip::ArchiveFile& file, const zip::ArchiveEnd& found) {
  print_findings(file, found.findings);
  if (!found.end) return;
  Printer out;
  std::uint64_t size = 0;
  std::string fingerprint;
  try {
    fingerprint = for_each_record(file, *found.end, [&](const zip::CentralRecord& record) {
      size += record.size_bytes;
      out.add(to_line(record));
    });
  } catch (const Error&) {
    out.flush();
    throw;
  }
  if (!found.comment.empty()) out.add(fmt::format("comment: {}\n", printable(zip::comment_text(found.comment).text)));
  out.add(fmt::format("{}, {} in {}, fingerprint {}\n", human_count(found.end->entries, "entry", "entries"),
                      human_bytes(size), human_bytes(file.size_bytes), fingerprint));
  out.flush();
}

int exit_code_of(bool damaged) { return damaged ? traits_of(ErrorKind::corrupt).exit_code : 0; }

int list(const zip::ArchiveFile& file, bool json) {
  const zip::ArchiveEnd found = zip::locate_end(file);
  json ? print_listing_json(file, found) : print_listing(file, found);
  return exit_code_of(!found.findings.empty() && found.findings.front().kind == zip::FindingKind::damaged);
}

void print_report(const zip::ArchiveFile& file, const zip::VerifyReport& report) {
  if (!report.damaged() && report.unread == 0 && !report.fingerprint.empty()) {
    print(fmt::format("{}: {} {} whole\n", file.path, human_count(report.entries, "entry", "entries"),
                      report.entries == 1 ? "is" : "are"));
  } else if (!report.damaged() && !report.fingerprint.empty()) {
    print(fmt::format("{}: {} of {} are whole, {} can't be read here\n", file.path, report.entries - report.unread,
                      human_count(report.entries, "entry", "entries"), report.unread));
  }
  print_findings(file, report.findings);
  if (report.more_findings > 0) message(fmt::format("{}: and {} more", file.path, report.more_findings));
}

int verify(const zip::ArchiveFile& file, bool json, const std::stop_token& stop) {
  ThreadPool pool(std::max(1U, std::thread::hardware_concurrency()));
  const auto report = zip::verify_archive(file, pool, stop);
  if (json) {
    print_json(Json{{"archive", file.path},
                    {"bytes", file.size_bytes},
                    {"entries", report.entries},
                    {"unread", report.unread},
                    {"ok", !report.damaged()},
                    {"fingerprint", report.fingerprint},
                    {"problems", to_json(report.findings)},
                    {"more_problems", report.more_findings}});
  } else {
    print_report(file, report);
  }
  return exit_code_of(report.damaged());
}

int inspect(const Globals& globals, const InspectArguments& arguments) {
  const SignalStop signals;
  const Fd fd(::open(arguments.archive.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) throw Error(ErrorKind::io, fmt::format("open {}: {}", arguments.archive, errno_text(errno)));
  const auto file = zip::open_archive(fd.get(), arguments.archive);
  return arguments.verify ? verify(file, globals.json, signals.token()) : list(file, globals.json);
}

}  // namespace

Verb inspect_verb(const Globals& globals) {
  auto arguments = std::make_shared<InspectArguments>();
  return {
      .name = "inspect",
      .help = "Show what is inside an archive",
      .options =
          {
              {.name = "ARCHIVE",
               .value = &arguments->archive,
               .help = "A zip file, ours or anyone's",
               .required = true},
              {.name = "--verify",
               .value = &arguments->verify,
               .help = "Decode everything and check it against sizes and CRCs"},
          },
      .action = [&globals, arguments] { return inspect(globals, *arguments); },
  };
}

}  // namespace zipmodule::cli
