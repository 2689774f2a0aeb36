#include "queue/listener.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "queue/connection_impl.hpp"

namespace zipmodule::queue {
namespace {

constexpr const char* k_channel = "zipmodule_publish";  // publishes come without a payload, the proof with its own
constexpr std::chrono::seconds k_reconnect_after{2};

std::string random_text() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

Listener::Listener(ConnectionOptions connection, std::function<void()> wake)
    : connection_(std::move(connection)),
      wake_(std::move(wake)),
      stopped_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_(try_start_thread("listening", [this](const std::stop_token& stop) { loop(stop); })) {}

Listener::~Listener() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  // An eventfd takes its first write always.
  [[maybe_unused]] const auto written = ::write(stopped_.get(), &one, sizeof one);
}

void Listener::set_listening(bool listening) {
  if (listening_.exchange(listening) != listening) wake_();
}

void Listener::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      listen(stop);
    } catch (const std::exception& problem) {
      log::info("listening for publishes: {}", problem.what());
    }
    set_listening(false);
    if (stop.stop_requested()) return;
    pollfd pause{stopped_.get(), POLLIN, 0};
    ::poll(&pause, 1, static_cast<int>(std::chrono::milliseconds(k_reconnect_after).count()));
  }
}

void Listener::listen(const std::stop_token& stop) {
  const std::string proof = random_text();
  Connection listening(connection_);
  listening.use([&](pqxx::connection& session) {
    bool proven = false;
    bool published = false;
    const Subscription subscription(session, k_channel, [&](std::string_view payload) {
      proven = proven || payload == proof;
      published = published || payload.empty();
    });
    // From another connection: to one's own the answer comes with the statement, whatever lies between.
    Connection(connection_).run("SELECT pg_notify($1, $2)", k_channel, proof);
    while (!stop.stop_requested()) {
      session.get_notifs();
      if (proven) set_listening(true);
      if (std::exchange(published, false)) wake_();
      std::array<pollfd, 2> waits{pollfd{session.sock(), POLLIN, 0}, pollfd{stopped_.get(), POLLIN, 0}};
      ::poll(waits.data(), waits.size(), -1);
    }
  });
}

}  // namespace zipmodule::queue
