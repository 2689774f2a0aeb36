#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.hpp"

namespace zipmodule::log {

void configure(int verbosity, const std::optional<std::filesystem::path>& file) {
  const auto stderr_level = verbosity <= 0   ? spdlog::level::warn
                            : verbosity == 1 ? spdlog::level::info
                                             : spdlog::level::debug;
  std::vector<spdlog::sink_ptr> sinks;
  auto to_stderr = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  to_stderr->set_level(stderr_level);
  to_stderr->set_pattern("zipmodule: %^%l%$: %v");
  sinks.push_back(to_stderr);
  auto lowest = stderr_level;
  if (file) {
    try {
      auto to_file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file->string());
      to_file->set_level(std::min(spdlog::level::info, stderr_level));
      to_file->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z [%P] %l: %v");
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
