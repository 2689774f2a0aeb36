// Queues of many jobs, made quickly.
#pragma once

#include <cstddef>
#include <string>

#include "queue/fixture.hpp"

namespace zipmodule::queue::test {

// Archives a1, a2, ... of a series, in one statement. `with`: further arguments of publish.
inline void publish_many(const Bench& bench, const std::string& series, int count, const std::string& with = {}) {
  bench.db.sql(fmt::format(R"(SELECT count(*) FROM generate_series(1, {}) AS n,
                              LATERAL zipmodule.publish('{}', 'a' || n, '[{{"source": "x"}}]'{}{}))",
                           count, series, with.empty() ? "" : ", ", with));
}

struct QueueSize {
  int done = 0;
  int pending = 0;
  int lanes = 1;
};
// Rows as publishes and builds leave them, statistics as autovacuum makes them.
void fill(const Bench& bench, const QueueSize& size);

// EXPLAIN of the statement that picks due jobs, as the worker runs it.
std::string plan_of_pick(const Bench& bench);

// Of so many claims of one job each.
double median_claim_ms(Bench& bench, int claims);

}  // namespace zipmodule::queue::test
