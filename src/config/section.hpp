// A YAML mapping read key by key, with every problem collected instead of the first one thrown.
//
// The code that reads a section is its schema: each call names a key, and finish() reports what nobody asked for.
// Private to src/config, which alone includes yaml-cpp.
#pragma once

#include <yaml-cpp/yaml.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace zipmodule::config {

// Where the sections of one file put what they find.
class Findings {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}

  void problem(int line, std::string text);
  // A key that nobody asked for. Reported by problems(), when the keys of all sections are known.
  void unknown_key(int line, std::string section, std::string key);
  void known_key(std::string section, std::string key);

  // In the order of lines; those without a line last.
  std::vector<Problem> problems() const;
  // All keys that were asked for, as "run.lease", in the order of reading.
  std::vector<std::string> keys() const;

 private:
  struct Key {
    std::string section;
    std::string name;
    int line = 0;
  };
  std::string text_of(const Key& unknown) const;

  std::string file_;
  std::vector<Problem> problems_;
  std::vector<Key> unknown_;
  std::vector<Key> known_;
};

// One mapping of the file, or the empty place where it could stand. Values are only changed by what is valid, so that a
// default stays where there is a problem. Not thread-safe; `findings` must outlive it.
class Section {
 public:
  struct Entry {
    std::string key;
    YAML::Node value;
    int line = 0;
    bool asked = false;
  };

  // The whole document.
  Section(Findings& findings, const YAML::Node& document);

  Section section(const std::string& key);
  // Every entry, where the keys are names that the user chooses.
  std::vector<Entry> entries();

  void text(const std::string& key, std::string& to);
  // A list of values; `problem_of` returns what is wrong with one of them, or nullopt.
  void texts(const std::string& key, std::vector<std::string>& to,
             std::optional<std::string> (*problem_of)(const std::string& text));
  void absolute_path(const std::string& key, std::filesystem::path& to);
  void boolean(const std::string& key, bool& to);
  void choice(const std::string& key, std::string& to, std::span<const std::string> choices);
  void size(const std::string& key, std::uint64_t& to, std::uint64_t least);
  void duration(const std::string& key, std::chrono::seconds& to, std::chrono::seconds least);
  template <std::integral T>
  void count(const std::string& key, T& to, T least, T most) {
    const auto given = whole_number(key, static_cast<std::uint64_t>(least), static_cast<std::uint64_t>(most));
    if (given) to = static_cast<T>(*given);
  }
  // Whether the value is the word 'auto'; the other readers refuse that word.
  bool is_auto(const std::string& key);
  // Whether the key stands there without a value (`file:` or `file: null`).
  bool is_null(const std::string& key);

  // The path in `entry`, made ready for joining; nullopt after reporting the problem.
  std::optional<std::filesystem::path> path_of(const Entry& entry);
  void problem_at(int line, const std::string& key, const std::string& text);
  void missing(const std::string& key, const std::string& advice);

  // The line of a key; of the section where the key does not stand there.
  int line_of(const std::string& key) const;
  bool has(const std::string& key) const;
  // Whether something else than a mapping stands here; that was reported.
  bool malformed() const noexcept { return malformed_; }

  // Reports what was never asked for. To be called last.
  void finish();

 private:
  struct Scalar {
    std::string text;
    int line = 0;
  };

  Section(Findings& findings, std::string name, int line, const YAML::Node& node);
  void read_entries(const YAML::Node& node);
  const Entry* ask(const std::string& key);
  std::optional<Scalar> scalar(const std::string& key);
  std::optional<std::string> scalar_of(const Entry& entry);
  std::optional<std::uint64_t> whole_number(const std::string& key, std::uint64_t least, std::uint64_t most);
  std::string dotted(const std::string& key) const;

  Findings* findings_;
  std::string name_;
  int line_;
  bool malformed_ = false;
  std::vector<Entry> entries_;
};

}  // namespace zipmodule::config
