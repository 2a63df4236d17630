#include "tools/serve/http/assets.h"

namespace sluice::serve {

// The page is not part of this build.
std::optional<Asset> FindAsset(std::string_view) { return std::nullopt; }

}  // namespace sluice::serve
