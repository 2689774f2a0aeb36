// What an S3 server that says no means. Private to src/storage.
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"
#include "storage/http_transport.hpp"
#include "storage/s3_xml.hpp"

namespace zipmodule::storage {

struct S3Refusal {
  long status = 0;
  S3Words words;  // all empty where it gave none, as to a HEAD
  std::string date;
};

// nullopt for a success. An <Error> with status 200 is none: what takes long is answered before it is done.
std::optional<S3Refusal> refusal_of(const HttpAnswer& answer);

// Whether the same may be granted when it is asked again.
bool may_pass(const S3Refusal& refusal);

// Whether the credentials are those that were refused.
bool credentials_refused(const S3Refusal& refusal);

// As Root has it, beginning with `name`: source_missing (no such key), source_unreadable (no right), source_refused
// (credentials, clocks, region, no such bucket), source_changed (another version), source_unreachable (overloaded),
// verify (what arrived is not what was sent). `bucket` and `region`: those that were asked.
Error error_of(const S3Refusal& refusal, const std::string& name, const std::string& bucket, const std::string& region);

// How far the clock of a server that answered so (RFC 9110, section 6.6.1) is ahead of ours, in seconds.
std::optional<double> clock_ahead(const std::string& date);

}  // namespace zipmodule::storage
