#pragma once

#include <memory>

#include "tools/serve/access.h"
#include "tools/serve/front_end.h"
#include "tools/serve/service.h"

namespace sluice::serve {

// The Open Inference Protocol over HTTP/1.1, /metrics, and the web page. `service` and `access` must outlive
// it.
std::unique_ptr<FrontEnd> NewHttpServer(const FrontEndOptions& options, Service& service,
                                        const Access& access);

}  // namespace sluice::serve
