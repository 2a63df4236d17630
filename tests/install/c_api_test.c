/* The C ABI as a C program sees it: c_api_test FOLDER, with the models of make_models. */
#include <pthread.h>
#include <sluice/sluice.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

static const char* folder;

static const char* Path(const char* name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void CheckError(sluice_status got, sluice_status want, const char* text) {
  if (got != want || strstr(sluice_last_error(), text) == NULL) {
    fprintf(stderr, "status %s, message '%s', expected %s and '%s'\n", sluice_status_name(got),
            sluice_last_error(), sluice_status_name(want), text);
    exit(1);
  }
}

static sluice_session* Load(const char* name, const sluice_options* options) {
  sluice_session* session = NULL;
  if (sluice_session_load(Path(name), options, &session) != SLUICE_OK) {
    fprintf(stderr, "%s\n", sluice_last_error());
    exit(1);
  }
  return session;
}

static sluice_tensor Floats(float* data, size_t count) {
  sluice_tensor tensor = SLUICE_INIT(sluice_tensor);
  tensor.type = SLUICE_FLOAT;
  tensor.rank = 1;
  tensor.shape[0] = (int64_t)count;
  tensor.data = data;
  tensor.byte_size = tensor.capacity = count * sizeof(float);
  return tensor;
}

static sluice_tensor Rows(float* data, int64_t rows, int64_t columns) {
  sluice_tensor tensor = Floats(data, (size_t)(rows * columns));
  tensor.rank = 2;
  tensor.shape[0] = rows;
  tensor.shape[1] = columns;
  return tensor;
}

static void TestVersions(void) {
  CHECK(strcmp(sluice_version(), "0.1.0") == 0);
  CHECK(sluice_version_number() ==
        SLUICE_VERSION_MAJOR * 1000000 + SLUICE_VERSION_MINOR * 1000 + SLUICE_VERSION_PATCH);
  CHECK(strcmp(sluice_status_name(SLUICE_DEADLINE_EXCEEDED), "DeadlineExceeded") == 0);
  CHECK(strcmp(sluice_status_name(99), "Unknown") == 0);
  CHECK(strcmp(sluice_type_name(SLUICE_BFLOAT16), "bfloat16") == 0);
  CHECK(strcmp(sluice_type_name(-1), "undefined") == 0);
  CHECK(sluice_type_bits(SLUICE_INT4) == 4 && sluice_type_bits(1000) == 0);
}

static void TestInfo(void) {
  sluice_session* session = Load("dense.onnx", NULL);
  sluice_value_info info = SLUICE_INIT(sluice_value_info);
  size_t index = 9;
  const char* key = NULL;
  const char* value = NULL;
  CHECK(sluice_session_num_inputs(session) == 1 && sluice_session_num_outputs(session) == 1);
  CHECK(sluice_session_input(session, 0, &info) == SLUICE_OK);
  CHECK(strcmp(info.name, "x") == 0 && info.kind == SLUICE_KIND_TENSOR && info.type == SLUICE_FLOAT);
  CHECK(info.rank == 2 && info.shape[0] == -1 && info.shape[1] == 8);
  CHECK(strcmp(info.dim_names[0], "N") == 0 && strcmp(info.dim_names[1], "") == 0);
  CHECK(sluice_session_output(session, 0, &info) == SLUICE_OK && strcmp(info.name, "y") == 0);
  CheckError(sluice_session_input(session, 1, &info), SLUICE_INVALID_ARGUMENT, "input 1 of 1");
  CheckError(sluice_session_input(session, 0, NULL), SLUICE_INVALID_ARGUMENT, "sluice_value_info is NULL");
  info.struct_size = 3;
  CheckError(sluice_session_input(session, 0, &info), SLUICE_INVALID_ARGUMENT, "struct_size is 3, expected");
  CHECK(sluice_session_find_input(session, "x", &index) == SLUICE_OK && index == 0);
  CheckError(sluice_session_find_output(session, "x", &index), SLUICE_INVALID_ARGUMENT, "no output 'x'");
  CHECK(sluice_session_num_metadata(session) == 2);
  CHECK(sluice_session_metadata(session, 0, &key, &value) == SLUICE_OK);
  CHECK(strcmp(key, "author") == 0 && strcmp(value, "somebody") == 0);
  CHECK(sluice_session_find_metadata(session, "task", &value) == SLUICE_OK && strcmp(value, "none") == 0);
  CHECK(sluice_session_find_metadata(session, "nothing", &value) == SLUICE_OK && value == NULL);
  CHECK(sluice_session_threads(session) >= 1);
  sluice_session_release(session);
  CHECK(sluice_session_num_inputs(NULL) == 0);
  sluice_session_release(NULL);
}

static void TestLoadErrors(void) {
  sluice_session* session = (sluice_session*)&session;
  sluice_session* const before = session;
  CheckError(sluice_session_load("/no/such/file.onnx", NULL, &session), SLUICE_INVALID_ARGUMENT,
             "/no/such/file.onnx");
  CheckError(sluice_session_load(NULL, NULL, &session), SLUICE_INVALID_ARGUMENT, "path is NULL");
  CheckError(sluice_session_load_bytes("junk", 4, NULL, &session), SLUICE_INVALID_MODEL,
             "not a valid ONNX file");
  CheckError(sluice_session_load_bytes(NULL, 4, NULL, &session), SLUICE_INVALID_ARGUMENT, "bytes is NULL");
  CheckError(sluice_session_load(Path("custom.onnx"), NULL, &session), SLUICE_UNSUPPORTED, "example.ScaleBy");
  CHECK(session == before);
  CheckError(sluice_session_load(Path("dense.onnx"), NULL, NULL), SLUICE_INVALID_ARGUMENT, "session is NULL");
}

static void TestRun(void) {
  sluice_session* session = Load("dense.onnx", NULL);
  float x[24], y[16], again[8];
  const sluice_tensor none = SLUICE_INIT(sluice_tensor);
  sluice_tensor input, output, bad;
  int i;
  for (i = 0; i < 24; ++i) x[i] = (float)(i % 5) - 2;
  input = Rows(x, 3, 8);
  /* Memory that is larger than needed. */
  output = Floats(y, 16);
  CHECK(sluice_session_prepare(session, &input, 1) == SLUICE_OK);
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(output.data == y && output.owner == NULL && output.capacity == sizeof y);
  CHECK(output.type == SLUICE_FLOAT && output.rank == 2 && output.shape[0] == 3 && output.shape[1] == 4);
  CHECK(output.byte_size == 12 * sizeof(float));
  /* Its memory goes on to be as large as it was. */
  input = Rows(x, 2, 8);
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK && output.shape[0] == 2);
  memcpy(again, y, sizeof again);

  /* Memory that the run makes, twice used. */
  output = none;
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(output.owner != NULL && output.data != NULL && output.byte_size == sizeof again);
  CHECK(memcmp(output.data, again, sizeof again) == 0);
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK && output.owner != NULL);
  CHECK(memcmp(output.data, again, sizeof again) == 0);
  sluice_tensor_release(&output);
  CHECK(output.data == NULL && output.owner == NULL);
  sluice_tensor_release(&output);
  sluice_tensor_release(NULL);

  output = Floats(y, 7);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT,
             "output 'y': the memory given has 28 bytes, the result [2, 4] has 32");
  CHECK(output.capacity == 28 && output.rank == 1);
  output = Floats(y, 16);
  output.type = SLUICE_INT32;
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT, "for int32");
  output.type = 77;
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT, "type is 77");
  output = Floats(x, 16);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT, "overlaps");
  output = Floats(y, 16);
  CheckError(sluice_session_run(session, &input, 1, NULL, 1, NULL), SLUICE_INVALID_ARGUMENT,
             "sluice_tensor is NULL");
  CheckError(sluice_session_run(session, &input, 1, &output, 0, NULL), SLUICE_INVALID_ARGUMENT,
             "0 outputs given, the model has 1");
  CheckError(sluice_session_run(NULL, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT,
             "session is NULL");

#define BAD_INPUT(change, text) \
  bad = input;                  \
  change;                       \
  CheckError(sluice_session_run(session, &bad, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT, text)
  BAD_INPUT(bad.type = SLUICE_INT32, "expected float, found int32");
  BAD_INPUT(bad.type = -3, "type is -3");
  BAD_INPUT(bad.type = SLUICE_UNDEFINED, "no value");
  BAD_INPUT(bad.rank = 33, "rank is 33");
  BAD_INPUT(bad.rank = -1, "rank is -1");
  BAD_INPUT(bad.rank = 1, "expected shape [N, 8], found [2]");
  BAD_INPUT(bad.shape[0] = -1, "negative size");
  BAD_INPUT(bad.shape[0] = INT64_MAX, "too many elements");
  BAD_INPUT(bad.byte_size = 63, "byte_size is 63, float [2, 8] has 64");
  BAD_INPUT(bad.data = NULL, "data is NULL");
  BAD_INPUT(bad.struct_size = 0, "struct_size is 0");
  BAD_INPUT(bad.struct_size = SIZE_MAX, "struct_size is");
  sluice_session_release(session);
}

/* A program that was compiled with a newer header. */
static void TestLargerStructures(void) {
  struct {
    sluice_tensor tensor;
    int64_t later;
  } inputs[1], outputs[1];
  sluice_session* session = Load("dense.onnx", NULL);
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[4];
  memset(inputs, 0, sizeof inputs);
  memset(outputs, 0, sizeof outputs);
  inputs[0].tensor = Rows(x, 1, 8);
  outputs[0].tensor = Rows(y, 1, 4);
  inputs[0].tensor.struct_size = sizeof inputs[0];
  outputs[0].tensor.struct_size = sizeof outputs[0];
  CHECK(sluice_session_run(session, &inputs[0].tensor, 1, &outputs[0].tensor, 1, NULL) == SLUICE_OK);
  inputs[0].later = 1;
  CheckError(sluice_session_run(session, &inputs[0].tensor, 1, &outputs[0].tensor, 1, NULL),
             SLUICE_UNSUPPORTED, "a member is set that version 0.1.0 does not know");
  sluice_session_release(session);
}

static void TestOtherValues(void) {
  sluice_session* session = Load("strings.onnx", NULL);
  sluice_string texts[2] = {{"a\0b", 3}, {NULL, 0}};
  const sluice_tensor none = SLUICE_INIT(sluice_tensor);
  sluice_tensor input = none, output = none;
  float zeros[2] = {0, 2};
  input.type = SLUICE_STRING;
  input.rank = 1;
  input.shape[0] = 2;
  input.data = texts;
  input.byte_size = sizeof texts;
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(output.type == SLUICE_STRING && output.shape[0] == 2 && output.byte_size == sizeof texts);
  CHECK(((const sluice_string*)output.data)[0].size == 3);
  CHECK(memcmp(((const sluice_string*)output.data)[0].data, "a\0b", 3) == 0);
  CHECK(((const sluice_string*)output.data)[1].size == 0);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT,
             "data must be NULL for strings");
  sluice_tensor_release(&output);
  texts[1].size = 4;
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_INVALID_ARGUMENT, "is NULL");
  sluice_session_release(session);

  /* Of a size that the run decides. */
  session = Load("places.onnx", NULL);
  input = Floats(zeros, 2);
  output = none;
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(output.type == SLUICE_INT64 && output.shape[0] == 1 && output.shape[1] == 1);
  CHECK(*(const int64_t*)output.data == 1);
  sluice_tensor_release(&output);
  sluice_session_release(session);

  session = Load("sequence.onnx", NULL);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_UNSUPPORTED,
             "sequences and maps");
  CHECK(output.owner == NULL);
  sluice_session_release(session);
}

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int calls;
  sluice_status status;
  char message[200];
} Done;

static void OnDone(sluice_status status, const char* message, void* user) {
  Done* done = (Done*)user;
  pthread_mutex_lock(&done->mutex);
  done->status = status;
  snprintf(done->message, sizeof done->message, "%s", message);
  ++done->calls;
  pthread_cond_signal(&done->changed);
  pthread_mutex_unlock(&done->mutex);
}

static void Wait(Done* done, int calls) {
  pthread_mutex_lock(&done->mutex);
  while (done->calls < calls) pthread_cond_wait(&done->changed, &done->mutex);
  pthread_mutex_unlock(&done->mutex);
}

static void TestLimitsAndAsync(void) {
  sluice_session* session = Load("dense.onnx", NULL);
  float x[8] = {1, 1, 1, 1, 1, 1, 1, 1}, y[4], want[4];
  sluice_tensor input = Rows(x, 1, 8), output = Rows(y, 1, 4);
  sluice_run_options options = SLUICE_INIT(sluice_run_options);
  sluice_cancel* cancel = NULL;
  Done done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, SLUICE_OK, ""};
  CHECK(sluice_session_run(session, &input, 1, &output, 1, &options) == SLUICE_OK);
  memcpy(want, y, sizeof y);
  options.timeout_ns = 1;
  CheckError(sluice_session_run(session, &input, 1, &output, 1, &options), SLUICE_DEADLINE_EXCEEDED,
             "deadline");
  options.timeout_ns = -1;
  CheckError(sluice_session_run(session, &input, 1, &output, 1, &options), SLUICE_INVALID_ARGUMENT,
             "timeout_ns is -1");
  options.timeout_ns = INT64_MAX;
  CHECK(sluice_session_run(session, &input, 1, &output, 1, &options) == SLUICE_OK);
  CHECK(sluice_cancel_create(&cancel) == SLUICE_OK);
  options.cancel = cancel;
  CHECK(sluice_session_run(session, &input, 1, &output, 1, &options) == SLUICE_OK);
  sluice_cancel_request(cancel);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, &options), SLUICE_CANCELLED, "cancelled");

  CHECK(sluice_session_run_async(session, &input, 1, &output, 1, &options, OnDone, &done) == SLUICE_OK);
  Wait(&done, 1);
  CHECK(done.status == SLUICE_CANCELLED && strstr(done.message, "cancelled") != NULL);
  sluice_cancel_reset(cancel);
  memset(y, 0, sizeof y);
  CHECK(sluice_session_run_async(session, &input, 1, &output, 1, &options, OnDone, &done) == SLUICE_OK);
  Wait(&done, 2);
  CHECK(done.status == SLUICE_OK && done.message[0] == 0 && memcmp(y, want, sizeof y) == 0);
  CheckError(sluice_session_run_async(session, &input, 1, &output, 1, NULL, NULL, NULL),
             SLUICE_INVALID_ARGUMENT, "done is NULL");
  /* The release waits. */
  CHECK(sluice_session_run_async(session, &input, 1, &output, 1, NULL, OnDone, &done) == SLUICE_OK);
  sluice_session_release(session);
  CHECK(done.calls == 3 && done.status == SLUICE_OK);
  sluice_cancel_release(cancel);
}

static int logged, allocated, freed;
static void Log(int32_t level, const char* text, void* user) {
  CHECK(user == &logged && (level == 0 || level == 1) && text[0] != 0);
  ++logged;
}
static void* Allocate(size_t bytes, void* user) {
  CHECK(user == &allocated);
  ++allocated;
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}
static void Free(void* memory, size_t bytes, void* user) {
  CHECK(user == &allocated && bytes > 0);
  ++freed;
  free(memory);
}
static void* AllocateNothing(size_t bytes, void* user) {
  (void)bytes;
  (void)user;
  return NULL;
}

static void TestOptions(void) {
  sluice_options* options = NULL;
  sluice_allocator allocator = SLUICE_INIT(sluice_allocator);
  sluice_session* session;
  sluice_profile* profile = NULL;
  sluice_step step = SLUICE_INIT(sluice_step);
  sluice_tensor input, output = SLUICE_INIT(sluice_tensor);
  float x[16] = {0};
  int64_t shape[2] = {2, -1};
  CHECK(sluice_options_create(&options) == SLUICE_OK);
  CheckError(sluice_options_set_threads(options, -1), SLUICE_INVALID_ARGUMENT, "threads is -1");
  CheckError(sluice_options_set_threads(NULL, 1), SLUICE_INVALID_ARGUMENT, "options is NULL");
  CheckError(sluice_options_set_passes(options, 2), SLUICE_INVALID_ARGUMENT, "expected 0 or 1");
  CheckError(sluice_options_set_cache(options, 0, 0), SLUICE_INVALID_ARGUMENT, "max_plans is 0");
  CheckError(sluice_options_set_accuracy(options, 3), SLUICE_INVALID_ARGUMENT, "accuracy is 3");
  CHECK(sluice_options_set_accuracy(options, 1) == SLUICE_OK);
  CheckError(sluice_options_set_max_weight_bytes(options, -1), SLUICE_INVALID_ARGUMENT, "max_bytes is -1");
  CHECK(sluice_options_set_max_weight_bytes(options, 1 << 20) == SLUICE_OK);
  CheckError(sluice_options_disable_pass(options, NULL), SLUICE_INVALID_ARGUMENT, "pass is NULL");
  CheckError(sluice_options_set_input_shape(options, "x", NULL, 2), SLUICE_INVALID_ARGUMENT, "shape is NULL");
  CheckError(sluice_options_set_allocator(options, &allocator), SLUICE_INVALID_ARGUMENT, "must be set");
  CHECK(sluice_options_set_threads(options, 2) == SLUICE_OK);
  CHECK(sluice_options_set_copy_files(options, 1) == SLUICE_OK);
  CHECK(sluice_options_set_profile(options, 1) == SLUICE_OK);
  CHECK(sluice_options_set_input_shape(options, "x", shape, 2) == SLUICE_OK);
  CHECK(sluice_options_set_log(options, Log, &logged) == SLUICE_OK);
  allocator.allocate = Allocate;
  allocator.free = Free;
  allocator.user = &allocated;
  CHECK(sluice_options_set_allocator(options, &allocator) == SLUICE_OK);
  session = Load("dense.onnx", options);
  CHECK(logged > 0);
  CHECK(sluice_session_threads(session) == 2);
  input = Rows(x, 2, 8);
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(allocated > 0);
  CheckError(sluice_session_profile(session, NULL), SLUICE_INVALID_ARGUMENT, "profile is NULL");
  CHECK(sluice_session_profile(session, &profile) == SLUICE_OK);
  CHECK(sluice_profile_num_steps(profile) > 0);
  CHECK(sluice_profile_step(profile, 0, &step) == SLUICE_OK);
  CHECK(step.calls == 1 && step.op[0] != 0 && step.kernel[0] != 0 && step.node[0] != 0);
  CheckError(sluice_profile_step(profile, 1000, &step), SLUICE_INVALID_ARGUMENT, "step 1000 of");
  sluice_profile_release(profile);
  sluice_session_release(session);
  /* The result lives on in the program's memory. */
  CHECK(freed < allocated);
  sluice_tensor_release(&output);
  CHECK(freed == allocated);
  allocator.allocate = AllocateNothing;
  CHECK(sluice_options_set_allocator(options, &allocator) == SLUICE_OK);
  session = Load("dense.onnx", options);
  CheckError(sluice_session_run(session, &input, 1, &output, 1, NULL), SLUICE_OUT_OF_MEMORY,
             "allocator has no");
  sluice_session_release(session);
  sluice_options_release(options);
}

static void TestCompiled(void) {
  sluice_options* options = NULL;
  sluice_session *session, *compiled;
  sluice_tensor input, output = SLUICE_INIT(sluice_tensor), same = SLUICE_INIT(sluice_tensor);
  float x[16];
  int64_t i;
  const char* const path = Path("dense.onnx");
  for (i = 0; i < 16; ++i) x[i] = (float)i;
  CHECK(sluice_compile(path, "c_api_test.sluice", NULL) == SLUICE_OK);
  CheckError(sluice_compile(NULL, "c_api_test.sluice", NULL), SLUICE_INVALID_ARGUMENT, "model is NULL");
  CheckError(sluice_compile(path, NULL, NULL), SLUICE_INVALID_ARGUMENT, "file is NULL");
  CheckError(sluice_compile(path, "no/such/folder/x.sluice", NULL), SLUICE_INVALID_ARGUMENT, "No such file");
  session = Load("dense.onnx", NULL);
  CHECK(sluice_options_create(&options) == SLUICE_OK);
  CheckError(sluice_options_set_verify_compiled(options, 2), SLUICE_INVALID_ARGUMENT, "expected 0 or 1");
  CHECK(sluice_options_set_verify_compiled(options, 1) == SLUICE_OK);
  CHECK(sluice_session_load("c_api_test.sluice", options, &compiled) == SLUICE_OK);
  input = Rows(x, 2, 8);
  CHECK(sluice_session_run(session, &input, 1, &output, 1, NULL) == SLUICE_OK);
  CHECK(sluice_session_run(compiled, &input, 1, &same, 1, NULL) == SLUICE_OK);
  CHECK(same.byte_size == output.byte_size && memcmp(same.data, output.data, same.byte_size) == 0);
  sluice_tensor_release(&same);
  sluice_tensor_release(&output);
  sluice_session_release(compiled);
  CHECK(sluice_options_set_accuracy(options, 2) == SLUICE_OK);
  CheckError(sluice_session_load("c_api_test.sluice", options, &compiled), SLUICE_UNSUPPORTED,
             "the accuracy: default, here fast");
  CHECK(remove("c_api_test.sluice") == 0);
  CHECK(sluice_options_set_cache_folder(options, "c_api_test.cache") == SLUICE_OK);
  for (i = 0; i < 2; ++i) {
    compiled = Load("dense.onnx", options);
    sluice_session_release(compiled);
  }
  CHECK(sluice_options_set_cache_folder(options, NULL) == SLUICE_OK);
  sluice_session_release(session);
  sluice_options_release(options);
}

typedef struct {
  const sluice_session* session;
  int failures;
} Worker;

static void* Work(void* user) {
  Worker* worker = (Worker*)user;
  float x[16], y[8], first[8];
  int i, j;
  for (i = 0; i < 16; ++i) x[i] = (float)i;
  for (i = 0; i < 200; ++i) {
    sluice_tensor input = Rows(x, 2, 8), output = Rows(y, 2, 4), bad = input;
    if (sluice_session_run(worker->session, &input, 1, &output, 1, NULL) != SLUICE_OK) ++worker->failures;
    if (i == 0) memcpy(first, y, sizeof y);
    for (j = 0; j < 8; ++j) worker->failures += first[j] != y[j];
    /* Messages are each thread's own. */
    bad.rank = 40;
    if (sluice_session_run(worker->session, &bad, 1, &output, 1, NULL) != SLUICE_INVALID_ARGUMENT)
      ++worker->failures;
    if (strstr(sluice_last_error(), "rank is 40") == NULL) ++worker->failures;
  }
  return NULL;
}

static void TestManyThreads(void) {
  enum { kThreads = 8 };
  sluice_session* session = Load("dense.onnx", NULL);
  pthread_t threads[kThreads];
  Worker workers[kThreads];
  int i;
  for (i = 0; i < kThreads; ++i) {
    workers[i].session = session;
    workers[i].failures = 0;
    CHECK(pthread_create(&threads[i], NULL, Work, &workers[i]) == 0);
  }
  for (i = 0; i < kThreads; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(workers[i].failures == 0);
  }
  sluice_session_release(session);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  folder = argv[1];
  CHECK(strcmp(sluice_last_error(), "") == 0);
  TestVersions();
  TestInfo();
  TestLoadErrors();
  TestRun();
  TestLargerStructures();
  TestOtherValues();
  TestLimitsAndAsync();
  TestOptions();
  TestCompiled();
  TestManyThreads();
  return 0;
}
