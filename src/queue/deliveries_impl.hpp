// Private to src/queue.
#pragma once

#include <string>
#include <vector>

#include "queue/connection_impl.hpp"
#include "queue/worker.hpp"

namespace zipmodule::queue {

enum class Stock { fresh, backlog };  // backlog: built before the target came

// Notes where these builds are to be delivered.
void note_deliveries(pqxx::work& transaction, const std::vector<std::string>& builds, const std::string& instance,
                     const std::vector<DeliveryTarget>& targets, Stock stock);

// At the beginning of a run. `clean`: the last one ended by itself.
void begin_deliveries(pqxx::work& transaction, const std::string& instance, const std::vector<DeliveryTarget>& targets,
                      bool clean);

}  // namespace zipmodule::queue
