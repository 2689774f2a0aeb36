// Dead man's signals: an address that hears when a run begins and how it ends, after the conventions of healthchecks.io.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace zipmodule::run {

enum class Signal { start, success, fail };

// The address to call: `url`, with /start or /fail behind its path. Its query stays. Throws Error{config} where it is none.
std::string ping_address(const std::string& url, Signal signal);

// Host and scheme alone, for messages and check-config: whoever knows the path can send pings.
std::string redacted_ping_url(const std::string& url);

struct PingOptions {
  std::chrono::milliseconds timeout{5'000};  // for all of it, redirects included
  std::chrono::milliseconds connect_timeout{2'000};
  std::string user_agent = "zipmodule";
};

// Calls the address; posts `body` where there is one. Follows up to three redirects, to http and https only, and from https
// to https only. Returns what went wrong, without the address, or nothing where it was answered by a status below 400. Never
// throws; ends after the time-out. Not before other threads' first use of libcurl ended: call it first from main's thread.
std::optional<std::string> ping(const std::string& url, Signal signal, const std::string& body,
                                const PingOptions& options = {}) noexcept;

}  // namespace zipmodule::run
