#include "storage/aws_credentials.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "storage/http_address.hpp"
#include "storage/http_client.hpp"
#include "storage/remote.hpp"

namespace zipmodule::storage {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::minutes k_renew_before{5};
// So much is left of what is used while a renewal is under way: the request has to arrive.
constexpr std::chrono::seconds k_least_left{15};
// Between two renewals that brought nothing better than there was.
constexpr std::chrono::seconds k_between_tries{30};
// Looking everywhere takes a second where there is no metadata service, and many files are asked for at once.
constexpr std::chrono::seconds k_remember_none{5};
// A service of this host, or of the one that it runs on: it answers at once, or is not there.
constexpr std::chrono::milliseconds k_neighbour_timeout{2'000};
// How long a session with the metadata service lasts: for the three requests there are.
constexpr const char* k_session_seconds = "60";
constexpr std::size_t k_answer_bytes = std::size_t{64} << 10U;
// Of a service that is overloaded for a moment, as where many containers start at once.
constexpr int k_tries = 3;
constexpr std::chrono::milliseconds k_pause{200};
// Hundreds of profiles are a tenth of it.
constexpr std::size_t k_file_bytes = std::size_t{1} << 20U;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// nullopt, and errno, where it can't be read.
std::optional<std::string> read_text(const std::filesystem::path& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text(k_file_bytes, '\0');
  const ssize_t size = pread_full(file.get(), std::as_writable_bytes(std::span(text)), 0);
  if (size < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::filesystem::path in_home(const char* name) {
  const std::string home = environment("HOME");
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".aws" / name;
}

// A header can't carry line breaks, and no key has any.
bool fit_for_header(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<AwsCredentials> complete(AwsCredentials credentials) {
  if (credentials.key_id.empty() || credentials.secret.empty()) return std::nullopt;
  if (!fit_for_header(credentials.key_id) || !fit_for_header(credentials.session_token)) return std::nullopt;
  return credentials;
}

// What containers' endpoints and the metadata service answer.
std::optional<AwsCredentials> parse_answer(const std::string& text) {
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  const auto field = [&](const char* name) {
    const auto found = answer.find(name);
    return found != answer.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  AwsCredentials credentials{field("AccessKeyId"), field("SecretAccessKey"), field("Token"), std::nullopt};
  const std::string expires = field("Expiration");
  if (!expires.empty()) {
    const auto seconds = time_of(expires);
    if (!seconds) return std::nullopt;
    credentials.expires = system_clock::from_time_t(*seconds);
  }
  return complete(std::move(credentials));
}

// https, or an address that nobody else can listen at.
bool may_be_told(const std::string& url) {
  if (url.starts_with("https://")) return true;
  constexpr std::string_view k_scheme = "http://";
  if (!url.starts_with(k_scheme)) return false;
  std::string host = lower(url.substr(k_scheme.size(), url.find_first_of("/?#", k_scheme.size()) - k_scheme.size()));
  if (host.find('@') != std::string::npos) return false;
  const auto colon = host.rfind(':');
  if (colon != std::string::npos && host.find(']', colon) == std::string::npos) host.resize(colon);
  constexpr std::array<std::string_view, 5> k_hosts{"localhost", "169.254.170.2", "169.254.170.23", "[::1]",
                                                    "[fd00:ec2::23]"};
  if (std::find(k_hosts.begin(), k_hosts.end(), host) != k_hosts.end()) return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

bool same_keys(const AwsCredentials& one, const AwsCredentials& other) {
  return one.key_id == other.key_id && one.secret == other.secret && one.session_token == other.session_token;
}

std::string why(const HttpAnswer& answer) {
  return answer.answered() ? fmt::format("answers {}", answer.status) : curl_easy_strerror(answer.code);
}

}  // namespace

IniFile parse_ini(const std::string& text) {
  IniFile sections;
  std::istringstream lines(text);
  Settings* section = nullptr;
  for (std::string line; std::getline(lines, line);) {
    const bool continued = !line.empty() && (line[0] == ' ' || line[0] == '\t');  // of a nested setting
    line = trimmed(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      const auto end = line.find(']');
      section = end == std::string::npos ? nullptr : &sections[trimmed(line.substr(1, end - 1))];
      continue;
    }
    const auto equals = line.find('=');
    if (section == nullptr || continued || equals == std::string::npos) continue;
    (*section)[lower(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
  return sections;
}

AwsCredentialChain::AwsCredentialChain(Options options)
    : options_(std::move(options)), http_({{}, true, true, 1, k_neighbour_timeout}) {}

std::string AwsCredentialChain::profile() const {
  if (!options_.profile.empty()) return options_.profile;
  const std::string named = environment("AWS_PROFILE");
  return named.empty() ? "default" : named;
}

std::filesystem::path AwsCredentialChain::credentials_file() const {
  if (!options_.credentials_file.empty()) return options_.credentials_file;
  const std::string named = environment("AWS_SHARED_CREDENTIALS_FILE");
  return named.empty() ? in_home("credentials") : std::filesystem::path(named);
}

std::filesystem::path AwsCredentialChain::config_file() const {
  const std::string named = environment("AWS_CONFIG_FILE");
  return named.empty() ? in_home("config") : std::filesystem::path(named);
}

std::string AwsCredentialChain::region() const {
  if (options_.profile.empty()) {
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
      if (std::string region = environment(name); !region.empty()) return region;
    }
  }
  const IniFile config = parse_ini(read_text(config_file()).value_or(""));
  for (const std::string& section : {"profile " + profile(), profile()}) {
    const auto found = config.find(section);
    if (found == config.end() || !found->second.contains("region")) continue;
    return found->second.at("region");
  }
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (std::string region = environment(name); !region.empty()) return region;
  }
  return {};
}

// For the error, after which nothing else is looked at.
std::nullopt_t AwsCredentialChain::end_with(const std::string& why) {
  tried_ += why + "; ";
  ended_ = true;
  return std::nullopt;
}

std::optional<std::string> AwsCredentialChain::content_of(const std::filesystem::path& path, bool required) {
  auto text = read_text(path);
  const int error = text ? 0 : errno;
  if (error != 0 && (required || (error != ENOENT && error != ENOTDIR))) {
    return end_with(fmt::format("{} can't be read: {}", path.string(), errno_text(error)));
  }
  return text;
}

std::optional<AwsCredentials> AwsCredentialChain::from_environment() {
  const std::string key_id = environment("AWS_ACCESS_KEY_ID");
  const std::string secret = environment("AWS_SECRET_ACCESS_KEY");
  tried_ += "no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment; ";
  if (key_id.empty() != secret.empty()) return end_with("of the two, one is there without the other");
  if (!key_id.empty()) {
    auto credentials = complete({key_id, secret, environment("AWS_SESSION_TOKEN"), std::nullopt});
    return credentials ? credentials : end_with("those that are there have characters that no key has");
  }
  if (environment("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) return std::nullopt;
  return end_with("AWS_WEB_IDENTITY_TOKEN_FILE is set, which is not supported");
}

std::optional<AwsCredentials> AwsCredentialChain::from_section(Settings settings, const std::string& where) {
  // Its keys are those of who may take the role.
  if (settings.contains("role_arn")) return end_with(where + " has role_arn, which is not supported");
  auto credentials = complete(
      {settings["aws_access_key_id"], settings["aws_secret_access_key"], settings["aws_session_token"], std::nullopt});
  if (credentials) return credentials;
  if (!settings["aws_access_key_id"].empty() || !settings["aws_secret_access_key"].empty()) {
    return end_with(where + " has half of a pair of keys, or one with characters that no key has");
  }
  for (const char* other : {"sso_session", "sso_start_url", "credential_process"}) {
    if (settings.contains(other)) return end_with(fmt::format("{} has {}, which is not supported", where, other));
  }
  return std::nullopt;
}

std::optional<AwsCredentials> AwsCredentialChain::from_profile() {
  const bool own = !options_.credentials_file.empty();
  std::vector<std::pair<std::filesystem::path, std::string>> places{{credentials_file(), profile()}};
  if (!own) {
    places.emplace_back(config_file(), "profile " + profile());
    places.emplace_back(config_file(), profile());
  }
  bool found = false;
  std::optional<AwsCredentials> credentials;
  for (const auto& [path, section] : places) {
    const auto text = content_of(path, own);
    if (ended_) return std::nullopt;
    IniFile file = parse_ini(text.value_or(""));
    if (!file.contains(section)) continue;
    found = true;
    auto here = from_section(std::move(file[section]), fmt::format("profile '{}' in {}", profile(), path.string()));
    if (ended_) return std::nullopt;
    if (!credentials) credentials = std::move(here);
  }
  if (credentials) return credentials;
  const std::string why = fmt::format("no keys of profile '{}' in {}{}", profile(), credentials_file().string(),
                                      own ? "" : " or " + config_file().string());
  if (!found && !environment("AWS_PROFILE").empty()) return end_with(why + ", where there is no such profile");
  tried_ += why + "; ";
  return std::nullopt;
}

HttpAnswer AwsCredentialChain::ask(HttpRequest request, const std::stop_token& stop) {
  request.name = "credentials";
  request.words_most = k_answer_bytes;
  request.longest = k_neighbour_timeout;
  for (int tries = 1;; ++tries) {
    HttpAnswer answer = http_.try_once(request, tries > 1, stop);
    unreachable_ = answer.answered() ? status_may_pass(answer.status) : answer.connected;
    if (!unreachable_ || tries == k_tries) return answer;
    pause_about(tries * k_pause, stop);
  }
}

std::optional<AwsCredentials> AwsCredentialChain::from_container(const std::stop_token& stop) {
  HttpRequest request;
  const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  request.url =
      relative.empty() ? environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") : "http://169.254.170.2" + relative;
  if (request.url.empty()) return std::nullopt;
  if (!may_be_told(request.url)) {
    return end_with("the container's endpoint is neither https nor an address of this host");
  }
  std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    token = trimmed(content_of(file, true).value_or(""));
    if (ended_) return std::nullopt;
    while (!token.empty() && token.back() == '\n') token.pop_back();
  }
  if (std::any_of(token.begin(), token.end(), [](char c) { return c < ' ' || c > '~'; })) {
    return end_with("the container's authorization token is none");
  }
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  const HttpAnswer answer = ask(std::move(request), stop);
  if (answer.answered() && answer.status == 200) {
    if (auto credentials = parse_answer(answer.words)) return credentials;
  }
  return end_with(
      fmt::format("the container's endpoint {}", answer.status == 200 ? "answers with something else" : why(answer)));
}

std::optional<AwsCredentials> AwsCredentialChain::from_instance(const std::stop_token& stop) {
  if (lower(environment("AWS_EC2_METADATA_DISABLED")) == "true") return std::nullopt;
  std::string service = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  while (service.ends_with('/')) service.pop_back();
  if (service.empty()) service = "http://169.254.169.254";
  HttpRequest request;
  request.method = "PUT";
  request.url = service + "/latest/api/token";
  request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", k_session_seconds}};
  HttpAnswer answer = ask(request, stop);
  const auto failed = [&](const HttpAnswer& got) {
    tried_ += fmt::format("the instance's metadata service {}; ",
                          got.status == 200 ? "answers with something else" : why(got));
    return std::nullopt;
  };
  const std::string token = trimmed(answer.words);
  if (!answer.answered() || answer.status != 200 || token.empty() || !fit_for_header(token)) return failed(answer);
  request.method = "GET";
  request.headers = {{"X-aws-ec2-metadata-token", token}};
  request.url = service + "/latest/meta-data/iam/security-credentials/";
  answer = ask(request, stop);
  if (!answer.answered() || answer.status != 200) return failed(answer);
  const std::string role = trimmed(answer.words.substr(0, answer.words.find('\n')));
  if (role.empty()) return failed(answer);
  request.url += encoded_part(role);
  answer = ask(request, stop);
  if (!answer.answered() || answer.status != 200) return failed(answer);
  if (auto credentials = parse_answer(answer.words)) return credentials;
  return failed(answer);
}

std::optional<AwsCredentials> AwsCredentialChain::look(const std::stop_token& stop) {
  if (!options_.profile.empty() || !options_.credentials_file.empty()) return from_profile();
  auto found = from_environment();
  if (!found && !ended_) found = from_profile();
  if (!found && !ended_) found = from_container(stop);
  if (!found && !ended_) found = from_instance(stop);
  return found;
}

AwsCredentials AwsCredentialChain::load(const std::string& name, const std::stop_token& stop) {
  const auto none = [&] {
    const std::string text = fmt::format("{}: no AWS credentials: {}", name, tried_);
    if (unreachable_) return Error(ErrorKind::source_unreachable, text, "look whether that service is up");
    return Error(ErrorKind::source_refused, text,
                 "give the user that runs zipmodule credentials in one of these places");
  };
  if (std::chrono::steady_clock::now() < none_until_) throw none();
  tried_.clear();
  ended_ = unreachable_ = false;
  if (auto found = look(stop)) return *found;
  tried_.resize(tried_.size() - 2);
  none_until_ = std::chrono::steady_clock::now() + k_remember_none;
  throw none();
}

std::optional<AwsCredentials> AwsCredentialChain::kept(std::chrono::seconds margin) {
  std::lock_guard lock(mutex_);
  if (!kept_ || (kept_->expires && options_.now() + margin >= *kept_->expires)) return std::nullopt;
  return kept_;
}

bool AwsCredentialChain::tried_lately() {
  std::lock_guard lock(mutex_);
  return options_.now() < next_try_;
}

AwsCredentials AwsCredentialChain::get(const std::string& name, const std::stop_token& stop) {
  if (auto good = kept(k_renew_before)) return *good;
  const auto good_still = kept(k_least_left);
  if (good_still && tried_lately()) return *good_still;
  std::unique_lock renewal(renewing_, std::defer_lock);
  if (good_still) {
    if (!renewal.try_lock()) return *good_still;
  } else {
    renewal.lock();
  }
  if (auto good = kept(k_renew_before)) return *good;  // somebody else's renewal
  {
    std::lock_guard lock(mutex_);
    next_try_ = options_.now() + k_between_tries;
  }
  try {
    AwsCredentials fresh = load(name, stop);
    std::lock_guard lock(mutex_);
    kept_ = fresh;
    return fresh;
  } catch (const Error& error) {
    if (!good_still || error.kind() == ErrorKind::stopped) throw;
    log::info("{}; going on with the credentials there are", error.what());
    return *good_still;
  }
}

void AwsCredentialChain::forget(const AwsCredentials& used) {
  std::lock_guard lock(mutex_);
  if (kept_ && same_keys(*kept_, used)) kept_.reset();
}

}  // namespace zipmodule::storage
