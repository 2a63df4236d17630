// Nothing is written, no connection opened, no process started; a fork before the first use works: quiet_test
// FOLDER The calls by which a library could do so are replaced in the whole process.
#include <fcntl.h>
#include <sluice/session.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <filesystem>

#include "check.h"

namespace {

// Ends the process: a library might swallow an error.
[[noreturn]] void Refuse(const char* what, const char* name) {
  char text[512];
  const int size = std::snprintf(text, sizeof text, "the library called %s(%s)\n", what, name);
  (void)!write(2, text, static_cast<size_t>(size));
  _exit(3);
}

bool watching = false;

int Open(const char* what, int folder, const char* path, int flags, mode_t mode) {
  if (watching && (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND))) Refuse(what, path);
  return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}

mode_t Mode(int flags, va_list arguments) {
  return flags & (O_CREAT | O_TMPFILE) ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

}  // namespace

#define OPEN(name)                                                                    \
  __attribute__((visibility("default"))) int name(const char* path, int flags, ...) { \
    va_list arguments;                                                                \
    va_start(arguments, flags);                                                       \
    const mode_t mode = Mode(flags, arguments);                                       \
    va_end(arguments);                                                                \
    return Open(#name, AT_FDCWD, path, flags, mode);                                  \
  }
#define OPEN_AT(name)                                                                             \
  __attribute__((visibility("default"))) int name(int folder, const char* path, int flags, ...) { \
    va_list arguments;                                                                            \
    va_start(arguments, flags);                                                                   \
    const mode_t mode = Mode(flags, arguments);                                                   \
    va_end(arguments);                                                                            \
    return Open(#name, folder, path, flags, mode);                                                \
  }

extern "C" {
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
__attribute__((visibility("default"))) int creat(const char* path, mode_t) { Refuse("creat", path); }
__attribute__((visibility("default"))) int mkdir(const char* path, mode_t) { Refuse("mkdir", path); }
__attribute__((visibility("default"))) int rename(const char* from, const char*) { Refuse("rename", from); }
__attribute__((visibility("default"))) int unlink(const char* path) { Refuse("unlink", path); }
__attribute__((visibility("default"))) int mkstemp(char* path) { Refuse("mkstemp", path); }
__attribute__((visibility("default"))) int memfd_create(const char* name, unsigned) {
  Refuse("memfd_create", name);
}
__attribute__((visibility("default"))) int socket(int, int, int) { Refuse("socket", ""); }
__attribute__((visibility("default"))) int connect(int, const sockaddr*, socklen_t) { Refuse("connect", ""); }
__attribute__((visibility("default"))) int execve(const char* path, char* const*, char* const*) {
  Refuse("execve", path);
}
__attribute__((visibility("default"))) FILE* fopen64(const char* path, const char* mode) {
  if (watching && std::strpbrk(mode, "wa+") != nullptr) Refuse("fopen", path);
  const int file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0));
  return file < 0 ? nullptr : fdopen(file, "r");
}
__attribute__((visibility("default"))) FILE* fopen(const char* path, const char* mode) {
  return fopen64(path, mode);
}
}

namespace {

void Use(const std::string& folder) {
  sluice::SessionOptions options;
  options.threads = 3;
  for (const char* model : {"conv.onnx", "plain.onnx"}) {
    const sluice::Session session = sluice::Session::Load(folder + "/" + model, options);
    sluice::Tensor x(sluice::DataType::kFloat, session.inputs()[0].shape);
    for (float& element : x.mutable_values<float>()) element = 0.5f;
    const sluice::NamedValues first = session.Run({{"x", x}});
    const auto later = session.RunAsync({{"x", x}}).get();
    CHECK(std::memcmp(first.at("y").tensor().data(), later.at("y").tensor().data(),
                      static_cast<size_t>(first.at("y").tensor().byte_size())) == 0);
  }
  try {
    sluice::Session::Load("/no/such/model.onnx");
    CHECK(!"loaded");
  } catch (const sluice::Error&) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  CHECK(sluice::Version() == "0.1.0");
  // Text on stdout or stderr would be seen too: both lead into this pipe from here on.
  int pipe_ends[2];
  CHECK(pipe(pipe_ends) == 0);
  const int stdout_before = dup(1), stderr_before = dup(2);
  watching = true;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      Use(argv[1]);
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  dup2(pipe_ends[1], 1);
  dup2(pipe_ends[1], 2);
  Use(argv[1]);
  dup2(stdout_before, 1);
  dup2(stderr_before, 2);
  close(pipe_ends[1]);
  char text[256];
  const ssize_t printed = read(pipe_ends[0], text, sizeof text);
  CHECK(printed == 0);
  return 0;
}
