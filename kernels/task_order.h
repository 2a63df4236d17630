#pragma once

// The order that TBB gives to tasks, told to the thread sanitizer, which does not see inside TBB: what a
// thread did before it made a task comes before the task, and what tasks did comes before the end of the
// wait for them. Nothing in other builds.

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_TELL_TASK_ORDER
#endif
#elif defined(__SANITIZE_THREAD__)
#define SLUICE_TELL_TASK_ORDER
#endif

#ifdef SLUICE_TELL_TASK_ORDER
#include <cstdint>

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace sluice {

#ifdef SLUICE_TELL_TASK_ORDER

inline void ComesBefore(const void* mark) { __tsan_release(const_cast<void*>(mark)); }
inline void ComesAfter(const void* mark) { __tsan_acquire(const_cast<void*>(mark)); }

// A place in memory that threads hand on: whoever has it comes after the former owner.
class HandedOn {
 public:
  HandedOn() { ComesAfter(Line()); }
  HandedOn(const HandedOn& other) {
    ComesAfter(&other);
    ComesAfter(Line());
  }
  ~HandedOn() { ComesBefore(Line()); }

 private:
  // TBB's tasks begin on a cache line; behind their heads is ours, farther in with one kind than with
  // another.
  const void* Line() const {
    return reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(this) / 64 * 64);
  }
};

// `fn` as a task that is waited for at `join`, the address of whatever the waiting thread knows too.
template <typename Fn>
class Ordered : HandedOn {
 public:
  Ordered(Fn fn, const void* join) : fn_(fn), join_(join) { ComesBefore(this); }
  Ordered(const Ordered& other) : HandedOn(other), fn_(other.fn_), join_(other.join_) { ComesBefore(this); }
  template <typename... Args>
  void operator()(Args&&... args) const {
    ComesAfter(this);
    const End end{join_};  // also where fn_ throws
    fn_(args...);
  }

 private:
  struct End {
    const void* join;
    ~End() { ComesBefore(join); }
  };

  Fn fn_;
  const void* join_;
};

template <typename Fn>
Ordered<Fn> InOrder(Fn fn, const void* join) {
  return {fn, join};
}

#else

inline void ComesBefore(const void*) {}
inline void ComesAfter(const void*) {}

template <typename Fn>
Fn InOrder(Fn fn, const void*) {
  return fn;
}

#endif

}  // namespace sluice
