#include "graph/darknet/softmax.h"

#include <charconv>
#include <filesystem>
#include <map>

#include "graph/mapped_file.h"
#include "sluice/error.h"

// [softmax], and the trees of classes that it and [region] may take.

namespace sluice::darknet {
namespace {

namespace fs = std::filesystem;

std::string FindTree(const Network& net, const std::string& name) {
  const fs::path folder = fs::path(net.cfg_path).parent_path();
  std::error_code error;
  for (const fs::path& path : {fs::path(name), folder / name, folder / ".." / name}) {
    if (fs::is_regular_file(path, error)) return path.string();
  }
  return name;
}

Layer Softmax(Network& net, const Section& section) {
  const Layer& x = net.current;
  const int64_t groups = section.Int("groups", 1, 1);
  const float temperature = section.Float("temperature", 1.0f);
  const bool spatial = section.Float("spatial", 0) != 0;
  section.Ignore({"noloss"});
  if (temperature == 0) section.Fail("temperature", "expected another number than 0");
  if (x.elems() % groups != 0) {
    section.Fail("groups",
                 "expected a divisor of " + std::to_string(x.elems()) + ", found " + std::to_string(groups));
  }
  GraphBuilder& b = net.build;
  ValueId value = x.value;
  if (temperature != 1.0f) value = b.Op("Div", {value, b.Scalar("temperature", temperature)});
  if (spatial && !x.flat) value = SoftmaxAlong(b, value, 1, 4);
  value = Flat(b, {value, x.c, x.h, x.w, x.flat});
  const Layer y = {value, x.elems(), 1, 1, true};
  if (spatial && !x.flat) return y;
  if (section.Has("tree")) {
    const std::vector<int64_t> sizes = ReadTreeGroups(net, section, "tree", x.elems());
    value = GroupedSoftmax(b, b.Reshape(value, {0, 1, x.elems(), 1}), 1, 1, sizes);
    return {b.Reshape(value, {0, x.elems()}), x.elems(), 1, 1, true};
  }
  if (groups > 1) value = b.Reshape(value, {-1, x.elems() / groups});
  value = b.Op("Softmax", {value}, {{"axis", int64_t{1}}});
  if (groups > 1) value = b.Reshape(value, {-1, x.elems()});
  return {value, x.elems(), 1, 1, true};
}

}  // namespace

std::vector<int64_t> ReadTreeGroups(const Network& net, const Section& section, std::string_view key,
                                    int64_t classes) {
  const std::string path = FindTree(net, section.String(key, ""));
  std::shared_ptr<const MappedFile> file;
  try {
    file = MappedFile::Open(path);
  } catch (const Error& error) {
    section.Fail(key, error.what());
  }
  const auto bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<int64_t> groups;
  int64_t lines = 0, last_parent = -1;
  for (size_t begin = 0; begin < text.size() && lines <= classes; ++lines) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string_view number = line.substr(line.rfind(' ') + 1);
    int64_t parent = 0;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), parent);
    if (error != std::errc() || stop != number.data() + number.size() || number.size() == line.size()) {
      section.Fail(key,
                   "'" + path + "' line " + std::to_string(lines + 1) + ": expected a name and a number");
    }
    if (groups.empty() || parent != last_parent) groups.push_back(0);
    ++groups.back();
    last_parent = parent;
    begin = end + 1;
  }
  if (lines != classes) {
    section.Fail(key, "expected a tree of " + std::to_string(classes) + " lines, '" + path + "' has " +
                          (lines > classes ? "more" : std::to_string(lines)));
  }
  return groups;
}

ValueId GroupedSoftmax(GraphBuilder& b, ValueId x, int64_t outer, int64_t inner,
                       const std::vector<int64_t>& groups) {
  // Groups of one size go together: as many nodes as there are sizes.
  std::map<int64_t, std::vector<int64_t>> classes_of_size;
  int64_t first = 0;
  for (int64_t size : groups) {
    for (int64_t i = 0; i < size; ++i) classes_of_size[size].push_back(first + i);
    first += size;
  }
  std::vector<ValueId> parts;
  std::vector<int64_t> place(static_cast<size_t>(first));  // of each class in what the parts make together
  int64_t next = 0;
  for (const auto& [size, classes] : classes_of_size) {
    for (int64_t label : classes) place[static_cast<size_t>(label)] = next++;
    const auto count = static_cast<int64_t>(classes.size());
    const ValueId gathered = b.Op("Gather", {x, b.Ints("classes", classes)}, {{"axis", int64_t{2}}});
    const ValueId grouped = b.Reshape(gathered, {0, outer, count / size, size, inner});
    parts.push_back(b.Reshape(SoftmaxAlong(b, grouped, 3, 5), {0, outer, count, inner}));
  }
  if (parts.size() > 1) parts = {b.Concat(std::move(parts), 2)};
  return b.Op("Gather", {parts[0], b.Ints("places", place)}, {{"axis", int64_t{2}}});
}

const RegisterSection kSoftmax({"softmax", "soft"}, Softmax);

}  // namespace sluice::darknet
