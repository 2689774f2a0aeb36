#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/terminal_text.hpp"

namespace zipmodule::log {
namespace {

// %v with nothing in it that could drive a terminal or pass for a message of its own.
class PrintablePayload : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    std::string_view rest(message.payload.data(), message.payload.size());
    for (;;) {
      const auto line = printable(rest.substr(0, rest.find('\n')));
      to.append(line.data(), line.data() + line.size());
      const auto end = rest.find('\n');
      if (end == std::string_view::npos || end + 1 == rest.size()) return;
      rest.remove_prefix(end + 1);
      constexpr std::string_view k_continued = "\n    ";
      to.append(k_continued.data(), k_continued.data() + k_continued.size());
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<PrintablePayload>(); }
};

void set_pattern(spdlog::sinks::sink& sink, const std::string& pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintablePayload>('*').set_pattern(pattern);
  sink.set_formatter(std::move(formatter));
}

}  // namespace

void configure(int verbosity, const std::optional<std::filesystem::path>& file) {
  const auto stderr_level = verbosity <= 0   ? spdlog::level::warn
                            : verbosity == 1 ? spdlog::level::info
                                             : spdlog::level::debug;
  std::vector<spdlog::sink_ptr> sinks;
  auto to_stderr = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  to_stderr->set_level(stderr_level);
  set_pattern(*to_stderr, "zipmodule: %^%l%$: %*");
  sinks.push_back(to_stderr);
  auto lowest = stderr_level;
  if (file) {
    try {
      auto to_file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file->string());
      to_file->set_level(std::min(spdlog::level::info, stderr_level));
      set_pattern(*to_file, "%Y-%m-%dT%H:%M:%S.%e%z [%P] %l: %*");
      sinks.push_back(to_file);
    } catch (const spdlog::spdlog_ex& failure) {
      throw Error(ErrorKind::config, failure.what(), "create its folder, or change log.file");
    }
    lowest = std::min(spdlog::level::info, stderr_level);
  }
  auto logger = std::make_shared<spdlog::logger>("zipmodule", sinks.begin(), sinks.end());
  logger->set_level(lowest);
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace zipmodule::log
