#include "tools/serve/listener.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include <iterator>

namespace sluice::serve {

bool RefuseHandshakes(int listener) {
  // What a listener's filter sees begins with the TCP header; its flags are the byte at 13.
  constexpr unsigned kFlags = 13, kSyn = 0x02, kAck = 0x10, kWhole = 0xffffffff;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSyn | kAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kWhole),
  };
  const sock_fprog filter = {static_cast<unsigned short>(std::size(code)), code};
  return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

}  // namespace sluice::serve
