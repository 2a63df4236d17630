#pragma once

#include <chrono>

namespace sluice::serve {

// In which what is on its way after RefuseHandshakes arrives: more than a round trip within a data centre,
// and little enough that few who come new wait for their second try.
constexpr std::chrono::milliseconds kHandshakeTime{20};

// A listener that closes resets the connections that the system has made and nobody accepted yet, requests of
// theirs included, and under load there always is one. After this the system makes no new ones (clients that
// knock try another second, and then find nobody), so that whoever accepts until nothing is left,
// kHandshakeTime later, loses none. Whether the system can; where not, all stays as it is.
bool RefuseHandshakes(int listener);

}  // namespace sluice::serve
