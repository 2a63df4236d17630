// What the sanitizers do in programs built with SLUICE_SANITIZE. The environment (ASAN_OPTIONS and so on)
// comes after and wins: UBSAN_OPTIONS=halt_on_error=0 lists all findings of a run.
//
// Nothing of Sluice's own is suppressed but races in the callbacks of gRPC and what TBB holds at the end.

#define SLUICE_SANITIZER_HOOK extern "C" __attribute__((visibility("default"), used)) const char*

SLUICE_SANITIZER_HOOK __asan_default_options() {
  // A tensor that is too large must be refused by us or by the allocator, as without sanitizers.
  return "allocator_may_return_null=1:max_allocation_size_mb=6144:strict_init_order=1";
}

// 40 bytes for an observer of an arena that no thread has entered, and the count that tasks share which TBB
// still holds when the process ends, in memory that is not searched.
SLUICE_SANITIZER_HOOK __lsan_default_suppressions() {
  return "leak:tbb::detail::r1::observe\n"
         "leak:Wakefulness\n";
}

// Tests look at all that a command writes.
SLUICE_SANITIZER_HOOK __lsan_default_options() { return "print_suppressions=0"; }

SLUICE_SANITIZER_HOOK __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

// Debian's TBB, oneDNN, OpenMP, gRPC and libstdc++ are not instrumented: what orders their accesses is not
// seen. kernels/task_order.h says in what order TBB runs our tasks; what is left is memory of TBB's own.
// `race_top` so that only accesses in its code count as its own, not what our tasks do. By names for stacks
// without llvm-symbolizer, by its folder for those with it, whose inlined functions have no namespaces.
// Copies of an error share its text, which libstdc++ counts. gRPC, Abseil and OpenSSL order everything by
// means of their own: of what is done in gRPC's callbacks nothing is known, and nothing said.
SLUICE_SANITIZER_HOOK __tsan_default_suppressions() {
  return "race_top:tbb::detail\n"
         "race_top:/oneapi/tbb/\n"
         "race:tbb::detail::d1::function_task*::finalize\n"
         "race:tbb::detail::d1::start_for*::finalize\n"
         "race:fold_tree<tbb::detail\n"
         "race:std::runtime_error::~runtime_error\n"
         "race:libgrpc\n"
         "race:libgpr.so\n"
         "race:libabsl\n"
         "race:libcrypto.so\n"
         "race:libssl.so\n"
         "race:libprotobuf\n"
         "race:grpc::internal\n"
         "race:/include/grpcpp/\n"
         "called_from_lib:libtbb.so\n"
         "called_from_lib:libdnnl.so\n"
         "called_from_lib:libgomp.so\n";
}

SLUICE_SANITIZER_HOOK __tsan_default_options() { return "halt_on_error=1:second_deadlock_stack=1"; }
