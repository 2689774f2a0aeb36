// Private to src/queue.
#pragma once

#include <string>
#include <vector>

#include "queue/connection_impl.hpp"
#include "queue/worker.hpp"

namespace zipmodule::queue {

// Notes where these builds are to be delivered; null: all current ones of the instance.
void note_deliveries(pqxx::work& transaction, const std::vector<std::string>* builds, const std::string& instance,
                     const std::vector<DeliveryTarget>& targets);

// Where the instance's targets are others than `before`, has what was built earlier delivered as well.
void note_targets(pqxx::work& transaction, const std::string& instance, const std::vector<DeliveryTarget>& targets,
                  const std::string& before);

}  // namespace zipmodule::queue
