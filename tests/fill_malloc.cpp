// Preloaded, fills all memory that malloc and its kin hand out with ones: floats and doubles that are NaN. A program
// that reads what nobody wrote shows it, even where a weight of 0 would hide any other value. glibc only.
#include <cerrno>
#include <cstddef>
#include <cstring>

extern "C" {

void* __libc_malloc(size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static void* Filled(void* memory, size_t size) {
  if (memory != nullptr) std::memset(memory, 0xff, size);
  return memory;
}

__attribute__((visibility("default"))) void* malloc(size_t size) { return Filled(__libc_malloc(size), size); }

__attribute__((visibility("default"))) void* memalign(size_t alignment, size_t size) {
  return Filled(__libc_memalign(alignment, size), size);
}

__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(void** memory, size_t alignment, size_t size) {
  void* const result = memalign(alignment, size);
  if (result == nullptr) return ENOMEM;
  *memory = result;
  return 0;
}

}  // extern "C"
