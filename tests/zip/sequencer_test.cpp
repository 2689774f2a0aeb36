#include "zip/sequencer.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "support/catch.hpp"

namespace zipmodule::zip {
namespace {

struct Planned {
  Piece* piece = nullptr;
  std::uint64_t size = 0;
  bool known = false;
};

Piece& append(Sequencer& sequencer, std::size_t entry, std::optional<std::uint64_t> size,
              ByteBudget::Ticket ticket = {}) {
  auto piece = std::make_unique<Piece>();
  piece->entry = entry;
  piece->ticket = std::move(ticket);
  return sequencer.append(std::move(piece), size);
}

// Takes what was handed out: entry -> offset.
void note(Sequencer::Pieces pieces, std::vector<std::uint64_t>& offsets, std::vector<int>& handed_out) {
  for (const auto& piece : pieces) {
    offsets[piece->entry] = piece->offset;
    ++handed_out[piece->entry];
  }
}

void check_contiguous(const std::vector<Planned>& plan, const std::vector<std::uint64_t>& offsets,
                      const std::vector<int>& handed_out, const Sequencer& sequencer) {
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (handed_out[i] != 1) FAIL("piece " << i << " handed out " << handed_out[i] << " times");
    if (offsets[i] != at) FAIL("piece " << i << " at " << offsets[i] << " instead of " << at);
    at += plan[i].size;
  }
  CHECK(sequencer.end() == at);
}

TEST_CASE("pieces get contiguous offsets in plan order, whatever the order they are finished in") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Sequencer sequencer;
    std::vector<Planned> plan(1 + random() % 60);
    std::vector<std::uint64_t> offsets(plan.size());
    std::vector<int> handed_out(plan.size());
    std::size_t appended = 0;
    std::vector<std::size_t> waiting;
    while (appended < plan.size() || !waiting.empty()) {
      if (appended < plan.size() && (waiting.empty() || random() % 3 != 0)) {
        Planned& next = plan[appended];
        next.size = random() % 5 == 0 ? 0 : random() % 1000;
        next.known = random() % 2 == 0;
        next.piece = &append(sequencer, appended, next.known ? std::optional(next.size) : std::nullopt);
        waiting.push_back(appended++);
        continue;
      }
      const std::size_t pick = random() % waiting.size();
      const Planned& done = plan[waiting[pick]];
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(pick));
      note(sequencer.ready(*done.piece, done.size), offsets, handed_out);
    }
    check_contiguous(plan, offsets, handed_out, sequencer);
  }
}

TEST_CASE("pieces get contiguous offsets when many threads finish them") {
  constexpr std::size_t k_pieces = 20'000;
  constexpr std::size_t k_threads = 4;
  Sequencer sequencer;
  std::vector<Planned> plan(k_pieces);
  std::mt19937 random(1);
  for (std::size_t i = 0; i < k_pieces; ++i) {
    plan[i].size = random() % 100;
    plan[i].known = random() % 3 == 0;
  }
  std::vector<std::size_t> order(k_pieces);
  std::iota(order.begin(), order.end(), std::size_t{0});
  // In batches, as the writer does it: what is appended is finished soon, in any order.
  for (std::size_t at = 0; at < k_pieces; at += 50) {
    std::shuffle(order.begin() + static_cast<std::ptrdiff_t>(at),
                 order.begin() + static_cast<std::ptrdiff_t>(std::min(at + 50, k_pieces)), random);
  }
  std::vector<std::atomic<Piece*>> pieces(k_pieces);
  std::vector<std::uint64_t> offsets(k_pieces);
  std::vector<int> handed_out(k_pieces);
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < k_threads; ++t) {
      threads.emplace_back([&] {
        for (;;) {
          const std::size_t turn = next.fetch_add(1);
          if (turn >= k_pieces) return;
          const std::size_t i = order[turn];
          pieces[i].wait(nullptr);
          // Each entry is noted by one thread only, as it is handed out once.
          note(sequencer.ready(*pieces[i].load(), plan[i].size), offsets, handed_out);
        }
      });
    }
    for (std::size_t i = 0; i < k_pieces; ++i) {
      pieces[i] = &append(sequencer, i, plan[i].known ? std::optional(plan[i].size) : std::nullopt);
      pieces[i].notify_all();
    }
  }
  check_contiguous(plan, offsets, handed_out, sequencer);
}

TEST_CASE("a piece whose size is known does not wait for its own data to place what follows") {
  Sequencer sequencer;
  Piece& first = append(sequencer, 0, 100);
  Piece& second = append(sequencer, 1, std::nullopt);
  const auto out = sequencer.ready(second, 5);
  REQUIRE(out.size() == 1);
  CHECK(out[0]->offset == 100);
  CHECK(sequencer.end() == 105);
  CHECK(sequencer.ready(first, 100).size() == 1);
}

TEST_CASE("a piece waits for one before it whose size is not known, and is then handed out with it") {
  Sequencer sequencer;
  Piece& first = append(sequencer, 0, std::nullopt);
  Piece& second = append(sequencer, 1, 7);
  CHECK(sequencer.ready(second, 7).empty());
  const auto out = sequencer.ready(first, 3);
  REQUIRE(out.size() == 2);
  CHECK(out[0]->offset == 0);
  CHECK(out[1]->offset == 3);
}

TEST_CASE("a piece keeps its share of the budget until it is destroyed") {
  ByteBudget budget(100);
  Sequencer sequencer;
  Piece& piece = append(sequencer, 0, std::nullopt, budget.acquire(100, {}));
  std::stop_source stop;
  std::atomic<bool> acquired{false};
  std::jthread waiter([&] {
    const auto ticket = budget.acquire(1, stop.get_token());
    acquired = true;
  });
  auto out = sequencer.ready(piece, 1);
  CHECK_FALSE(acquired);
  out.clear();
  waiter.join();
  CHECK(acquired);
}

}  // namespace
}  // namespace zipmodule::zip
