// What a publisher may do, from the command line. CMSes call the SQL functions themselves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "queue/connection.hpp"

namespace zipmodule::queue {

struct PublishRequest {
  std::string series;
  std::string archive;
  std::string files_json;
  // Named arguments of zipmodule.publish beside the three: metadata, priority, lane, quiet, max_wait, on_missing, level,
  // mode; as text.
  std::map<std::string, std::string> options;
};

struct Published {
  std::int64_t job_id = 0;
  std::int64_t revision = 0;
};

// Not thread-safe. All calls throw Error{database}, Error{database_setup}; publish throws Error{payload} with the text of
// the SQL error for SQLSTATE 22023 and Error{usage} for an unknown option.
class Publisher {
 public:
  explicit Publisher(const ConnectionOptions& options);
  ~Publisher();

  Published publish(const PublishRequest& request);
  bool cancel(const std::string& series, const std::string& archive);
  bool retry(const std::string& series, const std::string& archive);

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace zipmodule::queue
