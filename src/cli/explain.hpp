// Why a job is in its state, what happens next and when, and the commands that would change it. Pure: values in, words
// out.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/output.hpp"
#include "queue/reader.hpp"

namespace zipmodule::cli {

// What is known beside the job itself.
struct Surroundings {
  std::chrono::system_clock::time_point now;
  queue::QueueHealth health;
  std::optional<std::set<std::string>>
      roots;                          // names of the content roots here; nullopt: the configuration has problems
  std::optional<int> max_attempts;    // likewise
  std::string program = "zipmodule";  // how commands begin: with --config where one was given
};

struct Explanation {
  struct Command {
    std::string line;
    std::string purpose;
  };
  std::string state;
  std::vector<std::string> why;  // sentences, as those of the next two
  std::vector<std::string> next;
  std::vector<std::string> warnings;
  std::vector<Command> commands;
  std::vector<std::string> attempts;  // one line per attempt, newest first
};

Explanation explain(const queue::JobDetail& job, const Surroundings& around);

// The explanation as text, printable on a terminal.
std::string explain_text(const queue::JobDetail& job, const Surroundings& around);
Json explain_json(const queue::JobDetail& job, const Surroundings& around);

// The names of the content roots that a file list uses; "default" for sources without one; none for URLs.
std::set<std::string> roots_used(const std::string& files_json);

}  // namespace zipmodule::cli
