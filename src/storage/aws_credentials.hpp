// Where AWS credentials come from. Private to src/storage.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "storage/http_transport.hpp"
#include "storage/sigv4.hpp"

namespace zipmodule::storage {

// Sections of an INI file, as AWS's tools write it. Lines that are none are left out.
using Settings = std::map<std::string, std::string>;
using IniFile = std::map<std::string, Settings>;
IniFile parse_ini(const std::string& text);

// Thread-safe. Where the options name a file, or a profile, that is the only place. Otherwise it looks, in this order, at the
// environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN); at the shared files
// (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_PROFILE); at a container's endpoint
// (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI); at the instance's metadata service, version 2 (unless
// AWS_EC2_METADATA_DISABLED). Whatever is configured and can't be used ends the search, and is named, for what comes after it
// may be somebody else's: half of a pair of keys, a profile that leads elsewhere (role_arn, sso_*, credential_process), one
// that AWS_PROFILE names and that is nowhere, AWS_WEB_IDENTITY_TOKEN_FILE, a file that can't be read, an endpoint that refuses.
//
// A service that answers with what may pass, or connects and says nothing, is asked three times.
//
// What expires is renewed five minutes before, by one thread at a time; what is good still is used while that fails. Where
// there were none, nobody looks again for some seconds: a host without a metadata service takes its time to say so.
class AwsCredentialChain {
 public:
  struct Options {
    std::string profile;                     // empty: $AWS_PROFILE, 'default'
    std::filesystem::path credentials_file;  // empty: $AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials
    // For tests, which have no metadata service and no clock of their own.
    std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
  };
  explicit AwsCredentialChain(Options options);

  // Throws Error{source_refused}, beginning with `name`, which tells where there were none and why, and nothing secret;
  // Error{source_unreachable} likewise, where a service has trouble that may pass; Error{stopped}.
  AwsCredentials get(const std::string& name, const std::stop_token& stop);

  // `used` were refused: who asks next gets what is there then. What somebody else renewed meanwhile stays.
  void forget(const AwsCredentials& used);

  // $AWS_REGION, $AWS_DEFAULT_REGION, the profile's; empty where nobody tells.
  std::string region() const;

 private:
  std::string profile() const;
  std::filesystem::path credentials_file() const;
  std::filesystem::path config_file() const;

  std::nullopt_t end_with(const std::string& why);
  std::optional<std::string> content_of(const std::filesystem::path& path, bool required);
  std::optional<AwsCredentials> from_environment();
  std::optional<AwsCredentials> from_section(Settings settings, const std::string& where);
  std::optional<AwsCredentials> from_profile();
  std::optional<AwsCredentials> from_container(const std::stop_token& stop);
  std::optional<AwsCredentials> from_instance(const std::stop_token& stop);
  std::optional<AwsCredentials> look(const std::stop_token& stop);
  AwsCredentials load(const std::string& name, const std::stop_token& stop);
  std::optional<AwsCredentials> kept(std::chrono::seconds margin);
  bool tried_lately();
  HttpAnswer ask(HttpRequest request, const std::stop_token& stop);

  const Options options_;
  HttpTransport http_;  // of this host and its neighbour: no proxy, short time-outs

  std::mutex renewing_;
  std::string tried_;         // guarded by renewing_, as below: where there were none
  bool ended_ = false;        // what is configured can't be used
  bool unreachable_ = false;  // the last service that was asked has trouble that may pass
  std::chrono::steady_clock::time_point none_until_;

  std::mutex mutex_;
  std::optional<AwsCredentials> kept_;  // guarded by mutex_, as below
  std::chrono::system_clock::time_point next_try_;
};

}  // namespace zipmodule::storage
