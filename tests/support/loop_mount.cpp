#include "support/loop_mount.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "support/process.hpp"

namespace zipmodule::test {
namespace {

// XFS refuses less than 300 MB. Sparse: only what is written takes space.
constexpr std::uintmax_t k_image_bytes = std::uintmax_t{512} << 20U;

}  // namespace

std::unique_ptr<LoopMount> LoopMount::make(const std::string& type, std::string& why_not) {
  const std::string mkfs = "mkfs." + type;
  if (::geteuid() != 0) {
    why_not = "mounting an image needs root";
    return nullptr;
  }
  if (!installed(mkfs)) {
    why_not = mkfs + " is not installed";
    return nullptr;
  }
  std::unique_ptr<LoopMount> mount(new LoopMount());
  const std::string image = mount->dir_ / "image";
  std::ofstream(image).close();
  std::filesystem::resize_file(image, k_image_bytes);
  const Result made = run({mkfs, "-q", image});
  if (made.exit_code != 0) {
    why_not = fmt::format("{}: {}", mkfs, made.text());
    return nullptr;
  }
  std::filesystem::create_directory(mount->path());
  const Result mounted = run({"mount", "-o", "loop", image, mount->path().string()});
  if (mounted.exit_code != 0) {
    why_not = fmt::format("mount: {}", mounted.text());
    return nullptr;
  }
  mount->mounted_ = true;
  return mount;
}

LoopMount::~LoopMount() {
  if (!mounted_) return;
  if (run({"umount", path().string()}).exit_code != 0) run({"umount", "--lazy", path().string()});
}

std::uint64_t LoopMount::used_bytes() const {
  run({"sync", "-f", path().string()});
  struct statvfs space {};
  if (::statvfs(path().c_str(), &space) != 0) throw std::runtime_error("statvfs " + path().string());
  return (std::uint64_t{space.f_blocks} - space.f_bfree) * space.f_frsize;
}

}  // namespace zipmodule::test
