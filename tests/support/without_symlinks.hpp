// A file system that has no symlinks, as FAT and some network shares have none, for one piece of work.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <thread>

namespace zipmodule::test {

// Runs `work` in a thread of its own, which gets EPERM for every symlink that it makes: the kernel's answer on such a file
// system. Catch's assertions are for the caller's thread. Throws where the kernel has no filters for system calls.
inline void without_symlinks(const std::function<void()>& work) {
  bool filtered = false;
  std::jthread([&] {
    std::array filter{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
#ifdef SYS_symlink
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_symlink, 1, 0),
#endif
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_symlinkat, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    filtered =
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    if (filtered) work();
  }).join();
  if (!filtered) throw std::runtime_error("this kernel has no filters for system calls (seccomp)");
}

}  // namespace zipmodule::test
