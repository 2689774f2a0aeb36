#include "support/peer_readers.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "support/paths.hpp"

namespace zipmodule::test {
namespace {

namespace fs = std::filesystem;

const std::string k_scripts = source_path("tests/support/judges/");
const std::string k_built = build_path("judges/");
const std::string k_node_modules = source_path("build/npm/node_modules:/usr/share/nodejs");
constexpr std::size_t k_most_complaints = 12;

// Without Node's warnings: what it thinks of a module is no verdict on the archive.
std::vector<std::string> node(const std::string& argument, bool is_module = false) {
  if (is_module) return {"node", "--no-warnings", "-e", "require('" + argument + "')"};
  return {"node", "--no-warnings", k_scripts + argument};
}

std::string sha256(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  std::vector<char> buffer(std::size_t{1} << 20U);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    EVP_DigestUpdate(context, buffer.data(), static_cast<std::size_t>(in.gcount()));
  }
  std::array<unsigned char, 32> digest{};
  EVP_DigestFinal_ex(context, digest.data(), nullptr);
  EVP_MD_CTX_free(context);
  std::string hex;
  for (const unsigned byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

// One line of a reader.
struct Entry {
  std::string reader, mode, time, size, digest, name;
};

bool parse(const std::string& line, Entry& entry) {
  std::istringstream fields(line);
  for (auto* field : {&entry.reader, &entry.mode, &entry.time, &entry.size, &entry.digest}) {
    if (!std::getline(fields, *field, '\t')) return false;
  }
  return static_cast<bool>(std::getline(fields, entry.name, '\0'));
}

// "=" exact, "~" within the two seconds of DOS, "-" unknown.
bool is_time(const std::string& reported, std::int64_t wanted) {
  if (reported == "-") return true;
  const std::int64_t seconds = std::stoll(reported.substr(1));
  return reported[0] == '=' ? seconds == wanted : std::abs(seconds - wanted) < 2;
}

class Comparison {
 public:
  Comparison(const Packed& packed, bool times, bool modes) : packed_(packed), times_(times), modes_(modes) {}

  void note(const Entry& entry) {
    if (!names_[entry.reader].insert(entry.name).second) complain(entry.reader, "twice", entry.name);
    if (entry.name.ends_with('/')) {
      if (!packed_.has_folder(entry.name)) complain(entry.reader, "not expected", entry.name);
      return;
    }
    const auto found = packed_.files().find(entry.name);
    if (found == packed_.files().end()) return complain(entry.reader, "not expected", entry.name);
    const auto& file = found->second;
    if (entry.size != std::to_string(file.size_bytes) || entry.digest != file.sha256) {
      complain(entry.reader, "other bytes", entry.name);
    }
    if (times_ && !is_time(entry.time, file.mtime)) complain(entry.reader, "other time " + entry.time, entry.name);
    if (modes_ && entry.mode != "-" && entry.mode != fmt::format("{:o}", file.mode)) {
      complain(entry.reader, "other mode " + entry.mode, entry.name);
    }
  }

  std::vector<std::string> end(const std::vector<std::string>& readers) {
    for (const auto& reader : readers) {
      for (const auto& [name, file] : packed_.files()) {
        if (names_[reader].count(name) == 0) complain(reader, "missing", name);
      }
    }
    return std::move(complaints_);
  }

 private:
  void complain(const std::string& reader, const std::string& what, const std::string& name) {
    if (complaints_.size() < k_most_complaints) complaints_.push_back(fmt::format("{}: {}: {}", reader, what, name));
  }

  const Packed& packed_;
  const bool times_, modes_;
  std::map<std::string, std::set<std::string>> names_;
  std::vector<std::string> complaints_;
};

}  // namespace

const std::vector<PeerReader>& optional_peers() {
  static const std::vector<PeerReader> k_peers = {
      {"Go's archive/zip", {"go archive/zip"}, {k_built + "go_judge"}, {"test", "-x", k_built + "go_judge"}, false},
      {"yauzl", {"yauzl"}, node("yauzl_judge.js"), node("yauzl", true), true},
      {"unzipper", {"unzipper Open", "unzipper Parse"}, node("unzipper_judge.js"), node("unzipper", true), false},
      {"zip.js", {"zip.js"}, node("zipjs_judge.js"), node("@zip.js/zip.js", true), false},
      {"ruby-zip",
       {"ruby-zip File", "ruby-zip InputStream"},
       {"ruby", k_scripts + "rubyzip_judge.rb"},
       {"ruby", "-e", "require 'zip'"},
       false},
      {"Archive::Zip",
       {"Archive::Zip"},
       {"perl", k_scripts + "archive_zip_judge.pl"},
       {"perl", "-MArchive::Zip", "-e", "1"},
       true},
      {"ZipArchive",
       {"ZipArchive"},
       {"php", k_scripts + "ziparchive_judge.php"},
       {"php", "-r", "exit(class_exists('ZipArchive') ? 0 : 1);"},
       true},
  };
  return k_peers;
}

PeerReader python_peer() {
  return {
      "python zipfile", {"python zipfile"}, {"python3", k_scripts + "zipfile_judge.py"}, {"python3", "-c", ""}, false};
}

PeerReader java_peer() {
  return {"java",
          {"java ZipFile", "java ZipInputStream"},
          {"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", k_built, "Judge"},
          {"sh", "-c", "command -v java && test -e " + k_built + "Judge.class"},
          false};
}

Command reader_command(std::vector<std::string> argv, const fs::path& where) {
  Command command;
  command.argv = {"sh", "-c", "umask 022; exec \"$@\"", "sh"};
  command.argv.insert(command.argv.end(), argv.begin(), argv.end());
  command.environment = {{"LC_ALL", "C.UTF-8"}, {"TZ", "TST-5:30"}, {"NODE_PATH", k_node_modules}};
  command.where = where;
  command.timeout = std::chrono::minutes(10);
  return command;
}

Command reader_command(const PeerReader& peer, const fs::path& archive) {
  auto argv = peer.argv;
  argv.push_back(archive.string());
  Command command = reader_command(std::move(argv));
  if (peer.takes_dos_times_for_local) command.environment["TZ"] = "UTC";
  return command;
}

bool installed(const PeerReader& peer) {
  static std::map<std::string, bool> known;
  const auto [place, is_new] = known.try_emplace(peer.name, false);
  if (is_new) place->second = run(reader_command(peer.probe)).exit_code == 0;
  return place->second;
}

Packed::Packed(const fs::path& folder) : folder_(folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat status {};
    if (!entry.is_regular_file() || ::stat(entry.path().c_str(), &status) != 0) continue;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const unsigned mode = (status.st_mode & 0100U) != 0 ? 0755 : 0644;
    files_[entry.path().lexically_relative(folder).string()] = {size, sha256(entry.path()), status.st_mtim.tv_sec,
                                                                mode};
  }
}

bool Packed::has_folder(const std::string& name) const { return fs::is_directory(folder_ / name); }

std::vector<std::string> discrepancies(const PeerReader& peer, const std::string& output, const Packed* packed,
                                       bool times, bool modes) {
  if (output != "end\n" && !output.ends_with("\nend\n")) return {peer.name + ": came to no end"};
  if (packed == nullptr) return {};
  Comparison comparison(*packed, times, modes);
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    Entry entry;
    if (parse(line, entry)) {
      comparison.note(entry);
    } else if (line != "end") {
      return {peer.name + ": " + line};
    }
  }
  return comparison.end(peer.readers);
}

}  // namespace zipmodule::test
