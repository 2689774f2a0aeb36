#include "cli/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "archive/file_list.hpp"
#include "cli/advice.hpp"
#include "cli/format.hpp"
#include "cli/job_json.hpp"

namespace zipmodule::cli {
namespace {

// cron launches a run every minute; after this long without one, cron itself is suspected.
constexpr double k_suspicious_silence_seconds = 600;

// What the sentences are about, and where they go.
struct Telling {
  const queue::JobDetail& job;
  const Surroundings& around;
  Explanation& to;

  std::string command(std::string_view verb) const {
    return fmt::format("{} {} {} {}", around.program, verb, shell_quoted(job.status.series),
                       shell_quoted(job.status.archive));
  }
  void offer(std::string_view verb, std::string purpose) const {
    to.commands.push_back({command(verb), std::move(purpose)});
  }
};

std::string sentence_end(std::string text) {
  if (!text.empty() && text.back() != '.' && text.back() != '!' && text.back() != '?') text += '.';
  return text;
}

// "source_missing: media:a.jpg does not exist."
std::string error_text(const queue::JobStatus& status) {
  if (status.last_error_kind.empty()) return sentence_end(status.last_error);
  if (status.last_error.empty()) return status.last_error_kind + ".";
  return sentence_end(fmt::format("{}: {}", status.last_error_kind, status.last_error));
}

void tell_advice(const Telling& telling) {
  if (auto advice = advice_for(telling.job.status.last_error_kind); !advice.empty()) {
    telling.to.why.push_back(std::move(advice));
  }
}

std::string tries_text(const Telling& telling) {
  const auto tries = static_cast<std::uint64_t>(std::max(0, telling.job.status.attempts));
  if (!telling.around.max_attempts) return human_count(tries, "attempt", "attempts");
  return fmt::format("{} of at most {}", human_count(tries, "attempt", "attempts"), *telling.around.max_attempts);
}

// What readers have now, while something newer is wanted.
void tell_current(const Telling& telling) {
  const auto& status = telling.job.status;
  if (status.built_revision == 0) {
    telling.to.why.emplace_back("Nothing was built of it yet, so there is nothing to download.");
  } else if (status.built_revision != status.wanted_revision) {
    telling.to.why.push_back(fmt::format("Meanwhile revision {} can be downloaded.", status.built_revision));
  }
}

// Who would take the job, by the newest row of zipmodule.run.
void tell_runs(const Telling& telling) {
  const Json run = json_of(telling.around.health.last_run_json);
  if (!run.is_object()) {
    telling.to.next.emplace_back(
        "No run was ever recorded: install cron/zipmodule.cron or the systemd timer, or start `zipmodule run` by "
        "hand.");
    return;
  }
  const std::string name = fmt::format("run {} on {}", text_of(run, "run_id"), text_of(run, "host"));
  const std::string ended = text_of(run, "finished_at");
  if (ended.empty()) {
    telling.to.next.push_back(fmt::format(
        "A run is at work: {}, process {}, started {}. It takes the next job as soon as a worker is free; if it was "
        "killed, the next run does.",
        name, text_of(run, "pid"), relative(text_of(run, "started_at"), telling.around.now)));
    return;
  }
  telling.to.next.push_back(
      fmt::format("No run is at work; the last one ({}) ended {} with outcome '{}'. The next run takes what is due.",
                  name, relative(ended, telling.around.now), text_of(run, "outcome")));
  const auto end = parse_utc(ended);
  if (end && std::chrono::duration<double>(telling.around.now - *end).count() > k_suspicious_silence_seconds) {
    telling.to.next.emplace_back(
        "That is long for a job that waits: see whether cron or the timer still launches `zipmodule run`, and its "
        "mail.");
  }
}

// A lease that ended while its worker held it: nobody gave the job back.
void tell_lost_lease(const Telling& telling) {
  const auto& job = telling.job;
  if (job.lease_by.empty() || job.lease_left_seconds >= 0) return;
  telling.to.why.push_back(fmt::format("Its worker {} was killed, paused or cut off: the lease ended {} ago.",
                                       job.lease_by, human_duration(job.lease_left_seconds)));
}

void tell_due(const Telling& telling) {
  const auto& status = telling.job.status;
  if (status.built_revision >= status.wanted_revision) {
    telling.to.why.push_back(
        fmt::format("Revision {} is built, but its run ended before the public link led to it; the "
                    "next run switches the link, without building anything.",
                    status.built_revision));
    return;
  }
  telling.to.why.push_back(fmt::format("Revision {} was published {} ago and is due; no worker has it now.",
                                       status.wanted_revision, human_duration(telling.job.age_seconds)));
}

// Hosts are known by their runs: one that has not run yet with its store is none.
void tell_takers(const Telling& telling) {
  const auto& job = telling.job;
  if (job.store_known) return tell_runs(telling);
  telling.to.why.push_back(fmt::format("It was published for the store '{}', and no host has that store.", job.store));
  telling.to.next.push_back(
      fmt::format("No run takes it until one comes with `archives.store: {}` in its configuration, or until it is "
                  "published for another store or for none.",
                  job.store));
}

void tell_pending(const Telling& telling) {
  const auto& status = telling.job.status;
  tell_due(telling);
  tell_lost_lease(telling);
  if (!status.last_error_kind.empty()) {
    telling.to.why.push_back(fmt::format("The last attempt ended with {}", error_text(status)));
  }
  if (status.queue_position) {
    telling.to.why.push_back(*status.queue_position <= 1
                                 ? std::string("It is the next in the queue.")
                                 : fmt::format("It is at position {} of the {} that are due.", *status.queue_position,
                                               std::max(*status.queue_position, telling.around.health.pending)));
  }
  tell_current(telling);
  tell_takers(telling);
  if (status.built_revision < status.wanted_revision) telling.offer("cancel", "drops it");
}

void tell_waiting(const Telling& telling) {
  const auto& status = telling.job.status;
  const std::string when = fmt::format("in {}", human_duration(std::max(0.0, telling.job.due_in_seconds)));
  if (status.last_error_kind.empty()) {
    telling.to.why.push_back(fmt::format(
        "Revision {} was published {} ago with a quiet time: it is built when no newer publish came for that long.",
        status.wanted_revision, human_duration(telling.job.age_seconds)));
    telling.to.next.push_back(fmt::format(
        "It is due {} ({}); another publish may put that off, at most by its max_wait.", when, status.due_at));
  } else {
    telling.to.why.push_back(fmt::format("The last attempt ended with {}", error_text(status)));
    tell_advice(telling);
    telling.to.next.push_back(
        fmt::format("It is tried again {} ({}), after {}.", when, status.due_at, tries_text(telling)));
  }
  tell_current(telling);
  tell_takers(telling);
  telling.offer("retry", "makes it due now");
  telling.offer("cancel", "drops it");
}

void tell_running(const Telling& telling) {
  const auto& job = telling.job;
  telling.to.why.push_back(fmt::format("{} is building it and has done {:.0f} %.",
                                       job.lease_by.empty() ? std::string("A worker") : job.lease_by,
                                       job.status.progress * 100));
  if (job.lease_left_seconds >= 0) {
    telling.to.next.push_back(
        fmt::format("Its lease lasts {} more and is extended while the worker lives; should the worker die, another "
                    "run takes over then.",
                    human_duration(job.lease_left_seconds)));
  } else {
    telling.to.next.push_back(
        fmt::format("Its lease ended {} ago, so its worker is dead or cut off: the next run takes the job over.",
                    human_duration(job.lease_left_seconds)));
    tell_runs(telling);
  }
  tell_current(telling);
  telling.offer("cancel", "stops the build and drops it");
}

void tell_failed(const Telling& telling) {
  const auto& status = telling.job.status;
  telling.to.why.push_back(fmt::format("Revision {} failed with {}", status.wanted_revision, error_text(status)));
  tell_advice(telling);
  telling.to.why.push_back(fmt::format("It had {}.", tries_text(telling)));
  tell_current(telling);
  telling.to.next.emplace_back("Nothing happens by itself: a failed job waits for a retry or for a new publish.");
  telling.offer("retry", "tries again, with all attempts before it");
  telling.to.commands.push_back({telling.command("publish") + " FILES.json", "publishes a new revision"});
}

// Where the archive is beside the store, and where it is to go.
void tell_deliveries(const Telling& telling) {
  for (const auto& there : telling.job.deliveries) {
    const std::string target = fmt::format("{}target {}", there.required ? "required " : "", there.target);
    if (there.state == "delivered") {
      telling.to.why.push_back(
          fmt::format("It was delivered to {} {}.", target, relative(there.delivered_at, telling.around.now)));
      continue;
    }
    std::string text = fmt::format("It is still to be delivered to {}", target);
    if (!there.last_error_kind.empty()) {
      text += fmt::format("; the last of {} in a row failed with {}: {}",
                          human_count(static_cast<std::uint64_t>(there.attempts), "try", "tries"),
                          there.last_error_kind, there.last_error);
    }
    telling.to.why.push_back(text + ".");
    if (const std::string advice = advice_for(there.last_error_kind); !advice.empty()) telling.to.why.push_back(advice);
    telling.to.next.push_back(
        there.due_in_seconds > 0
            ? fmt::format("Delivering it to {} is tried again in {}.", target, human_duration(there.due_in_seconds))
            : fmt::format(
                  "Delivering it to {} is due: the run at work on {}, in whose store it is, does it, or the next "
                  "one there.",
                  target, there.instance));
  }
}

bool awaits_delivery(const Telling& telling) {
  const auto& all = telling.job.deliveries;
  return std::any_of(all.begin(), all.end(), [](const auto& there) { return there.state != "delivered"; });
}

void tell_delivering(const Telling& telling) {
  telling.to.why.push_back(
      fmt::format("Revision {} is built, verified and linked; it is done when its required targets "
                  "have it.",
                  telling.job.status.built_revision));
  tell_deliveries(telling);
  telling.offer("retry", "makes its deliveries due now");
}

void tell_done(const Telling& telling) {
  const auto& status = telling.job.status;
  telling.to.why.push_back(
      fmt::format("Revision {}, the newest published, is built, verified and linked: {}, {}.", status.built_revision,
                  human_count(status.entries.value_or(0), "entry", "entries"), human_bytes(status.bytes.value_or(0))));
  if (!status.path.empty()) {
    telling.to.why.push_back(fmt::format("Its file is {} below archives.root.", status.path));
  }
  tell_deliveries(telling);
  if (awaits_delivery(telling))
    telling.offer("retry", "makes its deliveries due now");
  else
    telling.to.next.emplace_back("Nothing happens until it is published again.");
  telling.to.commands.push_back({telling.command("publish") + " FILES.json", "publishes a new revision"});
}

void tell_cancelled(const Telling& telling) {
  telling.to.why.push_back(
      fmt::format("Revision {} was cancelled before it was built.", telling.job.status.wanted_revision));
  tell_current(telling);
  telling.to.next.emplace_back("Nothing happens until it is retried or published again.");
  telling.offer("retry", "builds the cancelled revision after all");
  telling.to.commands.push_back({telling.command("publish") + " FILES.json", "publishes a new revision"});
}

struct StateTeller {
  std::string_view state;
  void (*tell)(const Telling&);
};
constexpr auto k_tellers = std::to_array<StateTeller>({
    {"pending", tell_pending},
    {"waiting", tell_waiting},
    {"running", tell_running},
    {"failed", tell_failed},
    {"delivering", tell_delivering},
    {"done", tell_done},
    {"cancelled", tell_cancelled},
});

void tell_roots(const Telling& telling) {
  if (!telling.around.roots) {
    telling.to.warnings.emplace_back(
        "The configuration here is absent or has problems, so no run can start on this host: see `zipmodule "
        "check-config`.");
    return;
  }
  for (const auto& root : roots_used(telling.job.files_json)) {
    if (telling.around.roots->contains(root)) continue;
    telling.to.warnings.push_back(fmt::format(
        "It lists sources of the content root '{}', which is not in content.roots of this host: a run here would fail.",
        root));
  }
}

// "attempt 2 at revision 7, 5m ago: failed after 3s, source_missing: ..."
std::string attempt_text(const std::string& row_json, std::chrono::system_clock::time_point now) {
  const Json row = json_of(row_json);
  if (!row.is_object()) return row_json;
  // Found by an audit: no attempt, so no number. One whose lease is another's by now has none either, but a token.
  const bool audit = text_of(row, "lease_token").empty() && text_of(row, "error_kind") == "corrupt";
  std::string text = audit
                         ? fmt::format("audit of revision {}", text_of(row, "revision"))
                         : fmt::format("attempt {} at revision {}", text_of(row, "attempt"), text_of(row, "revision"));
  const std::string ended = text_of(row, "finished_at");
  if (!ended.empty()) text += fmt::format(", {}", relative(ended, now));
  text += fmt::format(": {}", text_of(row, "outcome"));
  if (const double seconds = number_of(row, "build_seconds"); seconds > 0) {
    text += fmt::format(" after {}", seconds < 10 ? fmt::format("{:.1f}s", seconds) : human_duration(seconds));
  }
  if (const auto host = text_of(row, "host"); !host.empty()) text += fmt::format(" on {}", host);
  const auto kind = text_of(row, "error_kind");
  if (!kind.empty()) text += fmt::format(", {}: {}", kind, text_of(row, "error"));
  return text;
}

void append_sentences(std::string& text, std::string_view title, const std::vector<std::string>& sentences) {
  if (sentences.empty()) return;
  text += fmt::format("\n{}\n", title);
  for (const auto& sentence : sentences) text += fmt::format("  {}\n", printable(sentence));
}

}  // namespace

std::set<std::string> roots_used(const std::string& files_json) {
  std::set<std::string> roots;
  const Json files = json_of(files_json);
  if (!files.is_array()) return roots;
  for (const auto& file : files) {
    const std::string source = text_of(file, "source");
    if (archive::is_url(source)) continue;  // whose root nobody can tell here
    const auto colon = source.find(':');
    // 'a/b:c' is a path with a colon in a name, not a root.
    const bool named = colon != std::string::npos && source.find('/') > colon;
    roots.insert(named ? source.substr(0, colon) : "default");
  }
  return roots;
}

Explanation explain(const queue::JobDetail& job, const Surroundings& around) {
  Explanation result;
  result.state = job.status.state;
  const Telling telling{job, around, result};
  const auto teller = std::find_if(k_tellers.begin(), k_tellers.end(),
                                   [&](const StateTeller& known) { return known.state == job.status.state; });
  if (teller != k_tellers.end()) {
    teller->tell(telling);
  } else {
    result.why.push_back(fmt::format("Its state '{}' is unknown to this version.", job.status.state));
  }
  if (job.status.state != "done" && job.status.state != "delivering") tell_roots(telling);
  for (const auto& attempt : job.recent_attempts_json) result.attempts.push_back(attempt_text(attempt, around.now));
  return result;
}

std::string explain_text(const queue::JobDetail& job, const Surroundings& around) {
  const Explanation told = explain(job, around);
  std::string text =
      fmt::format("{}/{} is {}.\n", printable(job.status.series), printable(job.status.archive), told.state);
  append_sentences(text, "Why", told.why);
  append_sentences(text, "What happens next", told.next);
  append_sentences(text, "Beware", told.warnings);
  std::size_t widest = 0;
  for (const auto& command : told.commands) widest = std::max(widest, display_width(printable(command.line)));
  if (!told.commands.empty()) text += "\nWhat you can do\n";
  for (const auto& [line, purpose] : told.commands) {
    const std::string shown = printable(line);
    text += fmt::format("  {}{}  # {}\n", shown, std::string(widest - display_width(shown), ' '), purpose);
  }
  append_sentences(text, "Last attempts, newest first", told.attempts);
  return text;
}

Json explain_json(const queue::JobDetail& job, const Surroundings& around) {
  const Explanation told = explain(job, around);
  Json document = to_json(job);
  document["why"] = told.why;
  document["next"] = told.next;
  document["warnings"] = told.warnings;
  document["commands"] = Json::array();
  for (const auto& [line, purpose] : told.commands) {
    document["commands"].push_back({{"command", line}, {"purpose", purpose}});
  }
  return document;
}

}  // namespace zipmodule::cli
