#include "config/section.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "config/nearest.hpp"
#include "config/units.hpp"

namespace zipmodule::config {
namespace {

std::string join_name(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

int line_of_node(const YAML::Node& node) {
  const auto mark = node.Mark();
  return mark.is_null() ? 0 : mark.line + 1;
}

const char* type_name(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return node.IsScalar() ? "a single value" : "nothing";
}

}  // namespace

void Findings::problem(int line, std::string text) { problems_.push_back({file_, line, std::move(text)}); }

void Findings::unknown_key(int line, std::string section, std::string key) {
  unknown_.push_back({std::move(section), std::move(key), line});
}

void Findings::known_key(std::string section, std::string key) {
  const auto same = [&](const Key& known) { return known.section == section && known.name == key; };
  if (std::none_of(known_.begin(), known_.end(), same)) known_.push_back({std::move(section), std::move(key), 0});
}

std::string Findings::text_of(const Key& unknown) const {
  std::vector<std::string> siblings;
  std::string elsewhere;
  for (const auto& key : known_) {
    if (key.section == unknown.section) siblings.push_back(key.name);
    if (key.name == unknown.name) elsewhere = join_name(key.section, key.name);
  }
  const std::string problem = fmt::format("unknown key '{}'", join_name(unknown.section, unknown.name));
  if (const auto meant = nearest(unknown.name, siblings)) {
    return fmt::format("{}; did you mean '{}'?", problem, join_name(unknown.section, *meant));
  }
  if (!elsewhere.empty()) return fmt::format("{}; did you mean '{}'?", problem, elsewhere);
  return fmt::format("{}; valid keys here: {}", problem, fmt::join(siblings, ", "));
}

std::vector<Problem> Findings::problems() const {
  auto all = problems_;
  for (const auto& key : unknown_) all.push_back({file_, key.line, text_of(key)});
  std::stable_sort(all.begin(), all.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line == 0, a.line) < std::pair(b.line == 0, b.line);
  });
  return all;
}

std::vector<std::string> Findings::keys() const {
  std::vector<std::string> names;
  for (const auto& key : known_) names.push_back(join_name(key.section, key.name));
  return names;
}

Section::Section(Findings& findings, const YAML::Node& document)
    : Section(findings, "", document.IsDefined() ? line_of_node(document) : 0, document) {}

Section::Section(Findings& findings, std::string name, int line, const YAML::Node& node)
    : findings_(&findings), name_(std::move(name)), line_(line) {
  read_entries(node);
}

void Section::read_entries(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return;  // a section whose keys are all commented out
  if (!node.IsMap()) {
    const std::string place = name_.empty() ? "the file" : name_;
    malformed_ = true;
    findings_->problem(line_, fmt::format("{}: must be a mapping of keys to values, is {}", place, type_name(node)));
    return;
  }
  for (const auto& pair : node) {
    const int line = line_of_node(pair.first);
    if (!pair.first.IsScalar()) {
      findings_->problem(line, fmt::format("{}: a key must be a word, is {}", name_, type_name(pair.first)));
      continue;
    }
    const std::string& key = pair.first.Scalar();
    if (has(key)) {
      problem_at(line, key, fmt::format("stands here twice, first on line {}", line_of(key)));
      continue;
    }
    entries_.push_back({key, pair.second, line, false});
  }
}

Section Section::section(const std::string& key) {
  const Entry* entry = ask(key);
  if (entry == nullptr) return {*findings_, dotted(key), 0, YAML::Node(YAML::NodeType::Undefined)};
  return {*findings_, dotted(key), entry->line, entry->value};
}

std::vector<Section::Entry> Section::entries() {
  for (auto& entry : entries_) entry.asked = true;
  return entries_;
}

void Section::text(const std::string& key, std::string& to) {
  if (auto given = scalar(key)) to = std::move(given->text);
}

void Section::texts(const std::string& key, std::vector<std::string>& to,
                    std::optional<std::string> (*problem_of)(const std::string& text)) {
  const Entry* entry = ask(key);
  if (entry == nullptr) return;
  if (!entry->value.IsSequence()) {
    problem_at(entry->line, key, fmt::format("must be a list, such as [a, b]; is {}", type_name(entry->value)));
    return;
  }
  std::vector<std::string> given;
  for (const auto& element : entry->value) {
    const int line = line_of_node(element);
    const auto problem = element.IsScalar() ? problem_of(element.Scalar())
                                            : fmt::format("must be single values, has {}", type_name(element));
    if (problem)
      problem_at(line, key, *problem);
    else
      given.push_back(element.Scalar());
  }
  to = std::move(given);
}

void Section::absolute_path(const std::string& key, std::filesystem::path& to) {
  const Entry* entry = ask(key);
  if (entry == nullptr) return;
  if (auto path = path_of(*entry)) to = std::move(*path);
}

void Section::boolean(const std::string& key, bool& to) {
  const auto given = scalar(key);
  if (!given) return;
  if (given->text == "true" || given->text == "false") {
    to = given->text == "true";
  } else {
    problem_at(given->line, key, fmt::format("'{}' is neither true nor false", given->text));
  }
}

void Section::choice(const std::string& key, std::string& to, std::span<const std::string> choices) {
  const auto given = scalar(key);
  if (!given) return;
  if (std::find(choices.begin(), choices.end(), given->text) != choices.end()) {
    to = given->text;
    return;
  }
  const auto meant = nearest(given->text, choices);
  const std::string suggestion = meant ? fmt::format("; did you mean '{}'?", *meant) : "";
  problem_at(given->line, key,
             fmt::format("'{}' is not one of {}{}", given->text, fmt::join(choices, ", "), suggestion));
}

void Section::size(const std::string& key, std::uint64_t& to, std::uint64_t least) {
  const auto given = scalar(key);
  if (!given) return;
  const auto parsed = parse_size(given->text);
  if (!parsed.value) {
    problem_at(given->line, key, parsed.problem);
  } else if (*parsed.value < least) {
    const bool in_mebibytes = least >= (std::uint64_t{1} << 20);
    problem_at(given->line, key,
               fmt::format("'{}' is too small; at least {}{}", given->text, in_mebibytes ? least >> 20 : least,
                           in_mebibytes ? "MiB" : " byte"));
  } else {
    to = *parsed.value;
  }
}

void Section::duration(const std::string& key, std::chrono::seconds& to, std::chrono::seconds least) {
  const auto given = scalar(key);
  if (!given) return;
  const auto parsed = parse_duration(given->text);
  if (!parsed.value) {
    problem_at(given->line, key, parsed.problem);
  } else if (*parsed.value < least) {
    problem_at(given->line, key, fmt::format("'{}' is too short; at least {}s", given->text, least.count()));
  } else {
    to = *parsed.value;
  }
}

std::optional<std::uint64_t> Section::whole_number(const std::string& key, std::uint64_t least, std::uint64_t most) {
  const auto given = scalar(key);
  if (!given) return std::nullopt;
  const auto number = parse_whole_number(given->text);
  if (number && *number >= least && *number <= most) return number;
  problem_at(given->line, key, fmt::format("'{}' is not a whole number from {} to {}", given->text, least, most));
  return std::nullopt;
}

bool Section::is_auto(const std::string& key) {
  const Entry* entry = ask(key);
  return entry != nullptr && entry->value.IsScalar() && entry->value.Scalar() == "auto";
}

bool Section::is_null(const std::string& key) {
  const Entry* entry = ask(key);
  return entry != nullptr && entry->value.IsNull();
}

// The value is not quoted where it is a URL: it may hold a password.
std::optional<std::filesystem::path> Section::path_of(const Entry& entry) {
  const auto given = scalar_of(entry);
  if (!given) return std::nullopt;
  if (const auto scheme_end = given->find("://"); scheme_end != std::string::npos) {
    const std::string scheme = given->substr(0, scheme_end);
    problem_at(entry.line, entry.key,
               fmt::format("is a remote place ({}://), but what there is are local folders, sftp://user@host/folder, "
                           "s3://bucket/prefix and, to read from, https://host/path; mount it, and name the folder",
                           scheme));
    return std::nullopt;
  }
  if (given->empty() || given->front() != '/' || given->find('\0') != std::string::npos) {
    problem_at(entry.line, entry.key, fmt::format("'{}' must be an absolute path, from / on", given->c_str()));
    return std::nullopt;
  }
  std::string path = *given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void Section::problem_at(int line, const std::string& key, const std::string& text) {
  findings_->problem(line, fmt::format("{}: {}", dotted(key), text));
}

void Section::missing(const std::string& key, const std::string& advice) {
  findings_->problem(line_of(key), fmt::format("{}: is missing; {}", dotted(key), advice));
}

int Section::line_of(const std::string& key) const {
  for (const auto& entry : entries_) {
    if (entry.key == key) return entry.line;
  }
  return name_.empty() ? 0 : line_;
}

bool Section::has(const std::string& key) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
}

void Section::finish() {
  for (const auto& entry : entries_) {
    if (!entry.asked) findings_->unknown_key(entry.line, name_, entry.key);
  }
}

const Section::Entry* Section::ask(const std::string& key) {
  findings_->known_key(name_, key);
  for (auto& entry : entries_) {
    if (entry.key != key) continue;
    entry.asked = true;
    return &entry;
  }
  return nullptr;
}

std::optional<Section::Scalar> Section::scalar(const std::string& key) {
  const Entry* entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  auto text = scalar_of(*entry);
  if (!text) return std::nullopt;
  return Scalar{std::move(*text), entry->line};
}

std::optional<std::string> Section::scalar_of(const Entry& entry) {
  if (entry.value.IsScalar()) return entry.value.Scalar();
  if (entry.value.IsNull()) {
    problem_at(entry.line, entry.key, "has no value; give it one, or leave the key out");
  } else {
    problem_at(entry.line, entry.key, fmt::format("must be a single value, is {}", type_name(entry.value)));
  }
  return std::nullopt;
}

std::string Section::dotted(const std::string& key) const { return join_name(name_, key); }

}  // namespace zipmodule::config
