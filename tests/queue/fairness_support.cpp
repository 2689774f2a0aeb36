#include "queue/fairness_support.hpp"

#include <algorithm>
#include <regex>

#include "sql.hpp"

namespace zipmodule::queue::test {

void fill(const Bench& bench, const QueueSize& size) {
  static constexpr const char* k_insert =
      "INSERT INTO zipmodule.job (series, archive, files, metadata, on_missing, lane, priority, published_at, "
      "built_revision, linked_revision, pending, pending_since, turn, window_at, due_at) "
      "SELECT 's' || n % {1}, '{2}' || n, '[{{\"source\": \"x\"}}]', '{{}}', 'fail', 's' || n % {1}, 0, now(), {3}, "
      "{3}, {4}, "
      "now(), 1 + n / {1}, now(), now() FROM generate_series(1, {0}) AS n";
  bench.db.sql(fmt::format(fmt::runtime(k_insert), size.done, size.lanes, "done", 1, false));
  bench.db.sql(fmt::format(fmt::runtime(k_insert), size.pending, size.lanes, "pending", 0, true));
  bench.db.sql("VACUUM ANALYZE zipmodule.job");
}

std::string plan_of_pick(const Bench& bench) {
  std::string statement = fmt::format("{}{}{}", sql::due, sql::anywhere, sql::locked);
  statement = std::regex_replace(statement, std::regex(R"(\$1)"), "64");
  statement = std::regex_replace(statement, std::regex(R"(\$2)"), "''");
  statement = std::regex_replace(statement, std::regex(R"(\$3)"), "'{}'");
  std::string plan;
  // One field: the first row is the plan's root.
  plan = bench.db.sql("EXPLAIN (FORMAT JSON) " + statement);
  return plan;
}

double median_claim_ms(Bench& bench, int claims) {
  std::vector<double> times;
  for (int i = 0; i < claims; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(bench.worker.claim(bench.run, 1).size() == 1);
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + claims / 2, times.end());
  return times[static_cast<std::size_t>(claims) / 2];
}

}  // namespace zipmodule::queue::test
