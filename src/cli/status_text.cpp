#include "cli/status_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/format.hpp"

namespace zipmodule::cli {
namespace {

using Clock = std::chrono::system_clock;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string percent(double progress) { return fmt::format("{:.0f} %", progress * 100); }

std::string error_text(const queue::JobStatus& job) {
  if (job.last_error_kind.empty()) return job.last_error;
  return job.last_error.empty() ? job.last_error_kind : fmt::format("{}: {}", job.last_error_kind, job.last_error);
}

std::string revision_text(const queue::JobStatus& job) {
  if (job.built_revision == job.wanted_revision) return fmt::format("{}", job.built_revision);
  return fmt::format("{} of {}", job.built_revision, job.wanted_revision);
}

std::string age_text(const queue::JobStatus& job, Clock::time_point now) {
  const auto published = parse_utc(job.published_at);
  if (!published) return printable(job.published_at);
  // The database's clock and this host's may differ: a publish in the future is a publish right now.
  return human_duration(std::max(0.0, std::chrono::duration<double>(now - *published).count()));
}

std::string note_text(const queue::JobStatus& job, Clock::time_point now) {
  std::string note;
  if (job.state == "pending" && job.queue_position) note = fmt::format("#{} in the queue", *job.queue_position);
  if (job.state == "waiting") note = "due " + relative(job.due_at, now);
  if (job.state == "running") note = percent(job.progress);
  const std::string error = job.state == "done" ? std::string() : first_line(error_text(job));
  if (error.empty()) return note;
  return note.empty() ? error : fmt::format("{}; {}", note, error);
}

std::string multiline(const std::string& text) {
  std::string result;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (begin > 0) result += "\n              ";
    result += printable(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

}  // namespace

Colour colour_of_state(const std::string& state) noexcept {
  constexpr auto k_colours = std::to_array<std::pair<std::string_view, Colour>>({
      {"pending", Colour::cyan},
      {"waiting", Colour::yellow},
      {"running", Colour::cyan},
      {"delivering", Colour::cyan},
      {"done", Colour::green},
      {"failed", Colour::red},
      {"cancelled", Colour::grey},
  });
  for (const auto& [name, colour] : k_colours) {
    if (name == state) return colour;
  }
  return Colour::none;
}

std::string status_table(const std::vector<queue::JobStatus>& jobs, Clock::time_point now, bool with_colours) {
  using enum Table::Align;
  Table table({{"SERIES"},
               {"ARCHIVE"},
               {"STATE"},
               {"BUILT", right},
               {"SIZE", right},
               {"ENTRIES", right},
               {"PUBLISHED", right},
               {"NOTE"}});
  for (const auto& job : jobs) {
    table.add({{job.series},
               {job.archive},
               {job.state, colour_of_state(job.state)},
               {revision_text(job)},
               {job.bytes ? human_bytes(*job.bytes) : "-"},
               {job.entries ? fmt::format("{}", *job.entries) : "-"},
               {age_text(job, now)},
               {note_text(job, now)}});
  }
  return table.text(with_colours);
}

std::string status_block(const queue::JobDetail& detail, bool with_colours) {
  const auto& job = detail.status;
  std::string text = fmt::format("{}/{}\n", printable(job.series), printable(job.archive));
  const auto line = [&](const char* label, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<12}{}\n", label, value);
  };
  line("state", with_colours ? coloured(job.state, colour_of_state(job.state)) : job.state);
  if (job.state == "running") {
    line("progress", percent(job.progress));
    line("worker",
         fmt::format("{}, lease {}", printable(detail.lease_by),
                     detail.lease_left_seconds >= 0 ? human_duration(detail.lease_left_seconds) + " left"
                                                    : "over since " + human_duration(detail.lease_left_seconds)));
  }
  if (job.queue_position) line("queue", fmt::format("position {}", *job.queue_position));
  if (job.state == "waiting") line("due", fmt::format("in {} ({})", human_duration(detail.due_in_seconds), job.due_at));
  line("revision", fmt::format("{} wanted, {}", job.wanted_revision,
                               job.built_revision == 0 ? "none built" : fmt::format("{} built", job.built_revision)));
  line("published", fmt::format("{} ago ({})", human_duration(detail.age_seconds), job.published_at));
  line("lane", fmt::format("{}, priority {}", printable(job.lane), job.priority));
  line("attempts", fmt::format("{}", job.attempts));
  line("error", job.state == "done" ? "" : multiline(error_text(job)));
  if (!job.path.empty()) {
    line("file", printable(job.path));
    line("size", fmt::format("{} ({} bytes), {}", human_bytes(job.bytes.value_or(0)), job.bytes.value_or(0),
                             human_count(job.entries.value_or(0), "entry", "entries")));
    line("fingerprint", job.fingerprint);
  }
  for (const auto& there : detail.deliveries) {
    std::string value = fmt::format("{}: {}{}", there.target, there.state, there.required ? ", required" : "");
    if (there.state == "waiting") value += fmt::format(", again in {}", human_duration(there.due_in_seconds));
    if (!there.last_error_kind.empty()) value += fmt::format(" ({}: {})", there.last_error_kind, there.last_error);
    line("delivery", multiline(value));
  }
  if (job.metadata_json != "{}") line("metadata", printable(job.metadata_json));
  return text;
}

}  // namespace zipmodule::cli
