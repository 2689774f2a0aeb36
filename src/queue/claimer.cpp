#include "queue/claimer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include "queue/item.hpp"
#include "queue/rows.hpp"
#include "sql.hpp"

namespace zipmodule::queue {
namespace {

constexpr unsigned k_oldest_every = 8;
// A query that has wasted time may follow when so many times that has passed; one that wasted no more than this, always.
constexpr double k_rest = 20;
constexpr double k_no_waste_seconds = 0.003;
constexpr double k_row_seconds = 20e-6;  // what a row costs that is taken
// So many priorities at once are remembered: each is asked for by itself.
constexpr std::size_t k_most_marks = 8;

}  // namespace

// What one claim has picked so far, and which lanes it leaves alone.
class Claimer::Picks {
 public:
  Picks(pqxx::work& transaction, const WorkerOptions& options, std::size_t most)
      : transaction_(transaction), options_(options), most_(most) {
    if (options_.lane_max == 0) return;
    query(transaction_, sql::lock_lanes);
    for (const auto& row : query(transaction_, sql::running_lanes)) {
      const std::string lane = row[0].c_str();
      running_[lane] = row[1].as<std::uint64_t>();
      if (running_[lane] >= options_.lane_max) full_.push_back(lane);
    }
  }

  std::size_t missing() const noexcept { return most_ - picked_.size(); }
  const std::vector<Pick>& picked() const noexcept { return picked_; }

  // Asks for up to `most` picks, again while a lane became full and others may follow behind it. `which`: the middle of the
  // statement, see due.sql.
  template <class... Parameters>
  std::vector<Pick> pick(std::size_t most, const char* which, const Parameters&... parameters) {
    const std::string statement = fmt::format("{}{}{}", sql::due, which, sql::locked);
    std::vector<Pick> taken;
    for (bool again = true; again && taken.size() < most;) {
      again = false;
      // Rows that this transaction has locked itself are not skipped: they come again.
      const pqxx::result rows = query(transaction_, statement.c_str(), most - taken.size() + picked_.size(),
                                      options_.store, array_literal(full_), parameters...);
      for (const auto& row : rows) {
        if (taken.size() == most) break;
        Pick pick{row[0].as<std::int64_t>(), row[1].as<int>(),   row[2].as<std::int64_t>(), row[3].c_str(),
                  row[4].as<bool>(),         row[5].as<double>()};
        if (known_.count(pick.job_id) != 0) continue;
        if (!pick.expired && !count(pick.lane)) {
          again = true;
          continue;
        }
        known_.insert(pick.job_id);
        picked_.push_back(pick);
        taken.push_back(std::move(pick));
      }
    }
    return taken;
  }

 private:
  // Whether one more of the lane may run.
  bool count(const std::string& lane) {
    if (options_.lane_max == 0) return true;
    auto& running = running_[lane];
    if (running >= options_.lane_max) return false;
    if (++running == options_.lane_max) full_.push_back(lane);
    return true;
  }

  pqxx::work& transaction_;
  const WorkerOptions& options_;
  const std::size_t most_;
  std::vector<Pick> picked_;
  std::unordered_set<std::int64_t> known_;  // of picked_
  std::map<std::string, std::uint64_t> running_;
  std::vector<std::string> full_;
};

bool Claimer::Budget::allows() const noexcept {
  return wasted_seconds_ <= k_no_waste_seconds || since_.seconds() >= k_rest * wasted_seconds_;
}

void Claimer::Budget::spend(const std::vector<Pick>& taken, double seconds) noexcept {
  // The server's own time, where it tells: the way to it is no waste.
  const double found = taken.empty() ? seconds : taken.back().seconds;
  const double wasted = found - k_row_seconds * static_cast<double>(taken.size());
  wasted_seconds_ = std::min(wasted, last_seconds_);
  last_seconds_ = wasted;
  since_ = Stopwatch();
}

void Claimer::remember(const std::vector<Pick>& picked) {
  for (const Pick& pick : picked) {
    auto& mark = marks_[pick.priority];
    mark = std::max(mark, Mark{pick.turn, pick.job_id});
  }
  if (marks_.size() > k_most_marks) marks_.clear();
}

void Claimer::sweep(Picks& picks) {
  const Stopwatch watch;
  const auto taken = picks.pick(picks.missing(), sql::anywhere);
  sweeps_.spend(taken, watch.seconds());
  remember(taken);
}

void Claimer::pick_behind_marks(Picks& picks) {
  std::vector<Pick> taken;
  const auto take = [&](const std::vector<Pick>& more) { taken.insert(taken.end(), more.begin(), more.end()); };
  if (!marks_.empty()) take(picks.pick(picks.missing(), sql::above, marks_.begin()->first));
  for (const auto& [priority, mark] : marks_) {
    if (picks.missing() == 0) break;
    take(picks.pick(picks.missing(), sql::after, priority, mark.first, mark.second));
  }
  remember(taken);
}

std::vector<ClaimedJob> Claimer::claim(pqxx::work& transaction, std::int64_t run_id, std::size_t most, bool& ended) {
  ended = false;
  Picks picks(transaction, options_, most);
  std::size_t oldest = 0;
  if (++picks_to_oldest_ >= k_oldest_every && oldest_.allows()) {
    picks_to_oldest_ = 0;
    const Stopwatch watch;
    const auto taken = picks.pick(1, sql::by_age);
    oldest = taken.size();
    oldest_.spend(taken, watch.seconds());
  }
  if (!sweeps_.allows()) pick_behind_marks(picks);
  // An empty answer has to be certain.
  if (picks.missing() > 0 && (sweeps_.allows() || picks.picked().empty())) sweep(picks);

  std::vector<std::int64_t> claimable;
  std::vector<std::int64_t> expired;
  std::array<std::int64_t, 3> served{};
  for (std::size_t i = 0; i < picks.picked().size(); ++i) {
    const Pick& pick = picks.picked()[i];
    (pick.expired ? expired : claimable).push_back(pick.job_id);
    auto& turn = served[pick.priority < 0 ? 0 : pick.priority == 0 ? 1 : 2];
    if (i >= oldest) turn = std::max(turn, pick.turn);
  }
  if (!expired.empty()) {
    query(transaction, sql::end_lost, array_literal(expired), options_.max_attempts);
    ended = true;
  }
  std::vector<ClaimedJob> claimed;
  if (claimable.empty()) return claimed;
  const auto rows = query(transaction, sql::claim, run_id, options_.host, options_.instance, options_.lease.count(),
                          array_literal(claimable), served[0], served[1], served[2]);
  for (const auto& row : rows) claimed.push_back(claimed_job_of(row));
  if (options_.lane_max > 0) query(transaction, sql::note_lanes, array_literal(claimable));
  return claimed;
}

}  // namespace zipmodule::queue
