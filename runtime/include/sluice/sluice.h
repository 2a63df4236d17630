/* Sluice for C: load ONNX models and run them on the CPU. C11 and C++.
 *
 * Errors. Every function that can fail returns a sluice_status; SLUICE_OK is 0. sluice_last_error() is what went
 * wrong, in one line. No C++ exception leaves the library. After an error outputs by pointer are as they were,
 * unless said otherwise.
 *
 * Threads. Functions may be called from any thread. A const session may be used by any number of threads at once; what
 * else may happen at once is said at each type.
 *
 * Ownership. What a function called sluice_*_create or sluice_session_load* gives belongs to the caller, who gives it
 * back by the sluice_*_release of its type; NULL may be released. Strings and arrays that a function returns belong
 * to the object they were asked of and live as long as it does. Arguments are copied as far as they are needed after
 * the call, unless said otherwise.
 *
 * Growth. Structures begin with struct_size: set it to sizeof the structure (SLUICE_INIT does so and zeroes the rest),
 * so that a newer library knows which members a program was compiled with. Members that are 0 have their defaults.
 */
#ifndef SLUICE_SLUICE_H_
#define SLUICE_SLUICE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* ---- Versions ---------------------------------------------------------------------------------------------------- */

#define SLUICE_VERSION_MAJOR 0
#define SLUICE_VERSION_MINOR 1
#define SLUICE_VERSION_PATCH 0

/* The version of the library that runs, "0.1.0". Never fails. */
const char* sluice_version(void);
/* The same as numbers: major * 1000000 + minor * 1000 + patch. */
uint32_t sluice_version_number(void);

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

typedef int32_t sluice_status;
enum {
  SLUICE_OK = 0,
  SLUICE_INVALID_MODEL = 1,     /* the model's bytes break a rule of the format or of the operator set */
  SLUICE_INVALID_ARGUMENT = 2,  /* names, types, shapes, sizes or options do not fit */
  SLUICE_UNSUPPORTED = 3,       /* valid, but Sluice has no definition or kernel for it */
  SLUICE_OUT_OF_MEMORY = 4,
  SLUICE_CANCELLED = 5,
  SLUICE_DEADLINE_EXCEEDED = 6,
  SLUICE_INTERNAL = 7           /* a defect of Sluice, or an error of a callback */
};

/* "OK", "InvalidModel" and so on; "Unknown" for other numbers. */
const char* sluice_status_name(sluice_status status);
/* What the last failed call of this thread complained about: place, expectation, fact. "" before any. Valid until the
 * next failed call of this thread. */
const char* sluice_last_error(void);
/* For callbacks: what sluice_last_error says after they return a status other than SLUICE_OK. */
void sluice_set_last_error(const char* message);

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* Element types, numbered as in onnx.TensorProto.DataType. */
typedef int32_t sluice_type;
enum {
  SLUICE_UNDEFINED = 0,
  SLUICE_FLOAT = 1,
  SLUICE_UINT8 = 2,
  SLUICE_INT8 = 3,
  SLUICE_UINT16 = 4,
  SLUICE_INT16 = 5,
  SLUICE_INT32 = 6,
  SLUICE_INT64 = 7,
  SLUICE_STRING = 8,
  SLUICE_BOOL = 9,
  SLUICE_FLOAT16 = 10,
  SLUICE_DOUBLE = 11,
  SLUICE_UINT32 = 12,
  SLUICE_UINT64 = 13,
  SLUICE_COMPLEX64 = 14,
  SLUICE_COMPLEX128 = 15,
  SLUICE_BFLOAT16 = 16,
  SLUICE_FLOAT8E4M3FN = 17,
  SLUICE_FLOAT8E4M3FNUZ = 18,
  SLUICE_FLOAT8E5M2 = 19,
  SLUICE_FLOAT8E5M2FNUZ = 20,
  SLUICE_UINT4 = 21,
  SLUICE_INT4 = 22,
  SLUICE_FLOAT4E2M1 = 23,
  SLUICE_FLOAT8E8M0 = 24,
  SLUICE_UINT2 = 25,
  SLUICE_INT2 = 26
};

/* The name that ONNX has for a type, "float"; "undefined" for other numbers. */
const char* sluice_type_name(sluice_type type);
/* Bits of one element: 4 for the 4-bit types, which are packed low bits first; those of a sluice_string for strings;
 * 0 for SLUICE_UNDEFINED and other numbers. */
int32_t sluice_type_bits(sluice_type type);

#define SLUICE_MAX_RANK 32

/* Text of `size` bytes; need not end in 0, may hold any bytes. */
typedef struct sluice_string {
  const char* data;
  size_t size;
} sluice_string;

/* A dense row-major tensor: an input, or where an output goes.
 * Input: type, rank, shape, data and byte_size say what is there; data is only read. Elements of SLUICE_STRING are
 *   sluice_string. SLUICE_UNDEFINED: an optional input that is absent.
 * Output with data: the run writes its elements there if type is that of the output and capacity is enough; it sets
 *   rank, shape and byte_size to those of the result. Not for strings.
 * Output without data (NULL): the run makes the memory and sets all members; `owner` then keeps it, until
 *   sluice_tensor_release. Given to another run as it is, it is an output with data.
 * In an array of tensors all have the same struct_size. */
typedef struct sluice_tensor {
  size_t struct_size;
  sluice_type type;
  int32_t rank;
  int64_t shape[SLUICE_MAX_RANK];
  void* data;
  size_t byte_size; /* of the elements */
  size_t capacity;  /* of an output: bytes that may be written at data */
  void* owner;
} sluice_tensor;

/* Frees what `owner` keeps, if anything, and sets data, byte_size, capacity and owner to 0. */
void sluice_tensor_release(sluice_tensor* tensor);

/* The initial value of a structure: sluice_tensor tensor = SLUICE_INIT(sluice_tensor); */
#ifdef __cplusplus
#define SLUICE_INIT(type) (sluice_internal_init<type>())
#else
#define SLUICE_INIT(type) ((type){.struct_size = sizeof(type)})
#endif

/* ---- Options of a session ---------------------------------------------------------------------------------------- */

typedef struct sluice_options sluice_options;

/* Options with their defaults. One thread at a time may use them; any number of sessions may be loaded with them. */
sluice_status sluice_options_create(sluice_options** options);
void sluice_options_release(sluice_options* options);

/* Threads that runs may use, the caller's included; 0 (the default): as many as the processor affinity and the cgroup
 * quota allow. */
sluice_status sluice_options_set_threads(sluice_options* options, int32_t threads);
/* A tbb::task_arena of the program to run in; it must outlive the sessions. NULL: none. */
sluice_status sluice_options_set_tbb_arena(sluice_options* options, void* arena);
/* 0: the model runs as it is written, nothing is fused. Default 1. */
sluice_status sluice_options_set_passes(sluice_options* options, int32_t enabled);
/* Switches one pass off by name; see `sluice inspect --fusions`. */
sluice_status sluice_options_disable_pass(sluice_options* options, const char* pass);
/* The shape that replaces what the model declares for an input; -1 leaves a size open. */
sluice_status sluice_options_set_input_shape(sluice_options* options, const char* input, const int64_t* shape,
                                             int32_t rank);
/* Plans for so many combinations of input shapes are kept at most (16), and with the memory of past runs so many
 * bytes (1 GiB). */
sluice_status sluice_options_set_cache(sluice_options* options, int32_t max_plans, int64_t max_bytes);
/* Measure kernels and remember the fastest in this file. NULL or "": do not (the default). */
sluice_status sluice_options_set_tuning_file(sluice_options* options, const char* path);
/* 1: read model files into memory instead of mapping them, so that they may be overwritten while the session is in use.
 * Default 0. */
sluice_status sluice_options_set_copy_files(sluice_options* options, int32_t enabled);
/* A folder where loading a model keeps what sluice_compile would make of it, so that the same model loads in milliseconds
 * next time; made where it is missing, replaced where it is stale or damaged, by any number of processes at once. Where
 * it cannot be written, models load as without it. NULL or "": none (the default), and no file is written. */
sluice_status sluice_options_set_cache_folder(sluice_options* options, const char* path);
/* 1: check the checksums of a compiled model's weights as well, for which all of them are read. Without it damaged
 * weights, unlike all other damage, go unseen and give wrong results. Default 0. */
sluice_status sluice_options_set_verify_compiled(sluice_options* options, int32_t enabled);
/* What kernels may trade for speed: 0, the default, errors of a convolution below 5e-5 of its largest output; 1, strict:
 * plain sums in float; 2, fast: errors up to 5e-4. */
sluice_status sluice_options_set_accuracy(sluice_options* options, int32_t accuracy);
/* About what the weights of a plan may take in the kernels' own order, at least what the model's are. Where Winograd's
 * forms, up to 9 times the model's, would take more, the largest go without them. INT64_MAX: no limit (the default). */
sluice_status sluice_options_set_max_weight_bytes(sluice_options* options, int64_t max_bytes);
/* 1: collect the time of every step for sluice_session_profile. Default 0. */
sluice_status sluice_options_set_profile(sluice_options* options, int32_t enabled);

/* level 0: a model was loaded, a plan was made or dropped; 1: what passes did and which kernels were chosen as well.
 * `text` is one line and ends with the call. Called on any thread, also on several at once; must not use the session.
 * `user` must stay valid as long as sessions of these options. NULL: nothing is logged (the default). */
typedef void (*sluice_log_callback)(int32_t level, const char* text, void* user);
sluice_status sluice_options_set_log(sluice_options* options, sluice_log_callback callback, void* user);

/* Memory of runs and of the results that they make. allocate: at least `bytes` bytes, aligned to 64, or NULL where there
 * are none; free: what allocate gave for the same number of bytes. Called on any thread, also on several at once.
 * `user` must stay valid as long as sessions of these options and results that they made. */
typedef struct sluice_allocator {
  size_t struct_size;
  void* (*allocate)(size_t bytes, void* user);
  void (*free)(void* memory, size_t bytes, void* user);
  void* user;
} sluice_allocator;
sluice_status sluice_options_set_allocator(sluice_options* options, const sluice_allocator* allocator);

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

typedef struct sluice_session sluice_session;

/* Loads a model, or what sluice_compile made of one, from a file. options NULL: the defaults. *session is set on
 * success alone. A compiled model must be for this kind of machine, this version and these options (accuracy, passes,
 * shapes of inputs): SLUICE_UNSUPPORTED otherwise, and the message says what differs. */
sluice_status sluice_session_load(const char* path, const sluice_options* options, sluice_session** session);
/* Writes the model as it runs, with packed weights and the kernels chosen for sizes that are known, to a file that loads
 * in milliseconds and shares its memory with every process that loads it. What is there stays until the new file is
 * complete. options NULL: the defaults. Any thread may call it. */
sluice_status sluice_compile(const char* model, const char* file, const sluice_options* options);
/* From memory, which is not needed after the call; external data is refused. */
sluice_status sluice_session_load_bytes(const void* bytes, size_t size, const sluice_options* options,
                                        sluice_session** session);
/* Waits for asynchronous runs. Not while another thread uses the session, and not from their callbacks. */
void sluice_session_release(sluice_session* session);

/* What an input or output is. Of `shape` and `dim_names`, which have `rank` entries, a size that may vary is -1 and has
 * a name or "". rank -1: not known. kind: what type means. */
enum { SLUICE_KIND_TENSOR = 0, SLUICE_KIND_SEQUENCE = 1, SLUICE_KIND_OPTIONAL = 2, SLUICE_KIND_MAP = 3 };
typedef struct sluice_value_info {
  size_t struct_size;
  const char* name;
  int32_t kind;
  sluice_type type;
  int32_t rank;
  const int64_t* shape;
  const char* const* dim_names;
} sluice_value_info;

/* In the model's order, in which runs take them. */
size_t sluice_session_num_inputs(const sluice_session* session);
size_t sluice_session_num_outputs(const sluice_session* session);
sluice_status sluice_session_input(const sluice_session* session, size_t index, sluice_value_info* info);
sluice_status sluice_session_output(const sluice_session* session, size_t index, sluice_value_info* info);
/* The index of a name; SLUICE_INVALID_ARGUMENT if there is none. */
sluice_status sluice_session_find_input(const sluice_session* session, const char* name, size_t* index);
sluice_status sluice_session_find_output(const sluice_session* session, const char* name, size_t* index);

/* The model's metadata, sorted by key. */
size_t sluice_session_num_metadata(const sluice_session* session);
sluice_status sluice_session_metadata(const sluice_session* session, size_t index, const char** key,
                                      const char** value);
/* *value is NULL where the model has no such key. */
sluice_status sluice_session_find_metadata(const sluice_session* session, const char* key, const char** value);

/* Threads that runs use at most. */
int32_t sluice_session_threads(const sluice_session* session);

/* Makes the plan for these inputs now rather than at the first run; of `inputs`, one for each input, only type, rank
 * and shape are looked at. */
sluice_status sluice_session_prepare(const sluice_session* session, const sluice_tensor* inputs, size_t num_inputs);

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* Stops runs from any thread. */
typedef struct sluice_cancel sluice_cancel;
sluice_status sluice_cancel_create(sluice_cancel** cancel);
/* Not while runs use it. */
void sluice_cancel_release(sluice_cancel* cancel);
/* Runs that use it, now or later, end with SLUICE_CANCELLED; any number of threads at once. */
void sluice_cancel_request(sluice_cancel* cancel);
/* Later runs go on again. */
void sluice_cancel_reset(sluice_cancel* cancel);

typedef struct sluice_run_options {
  size_t struct_size;
  /* From the call on; a run that has not ended by then ends with SLUICE_DEADLINE_EXCEEDED. 0: no limit. */
  int64_t timeout_ns;
  /* NULL: nobody cancels. Must outlive the run. */
  const sluice_cancel* cancel;
} sluice_run_options;

/* Runs the model, one tensor for each input and each output, in the model's order. options may be NULL. Any number of
 * threads may do so at once, with outputs of their own. Outputs may overlap neither inputs nor each other. After an
 * error outputs with data hold anything, and no output has an owner that it did not have.
 * A run with a plan at hand and data for all outputs copies no tensor whose size the plan knows, and allocates no
 * memory but what oneDNN does for its primitives. */
sluice_status sluice_session_run(const sluice_session* session, const sluice_tensor* inputs, size_t num_inputs,
                                 sluice_tensor* outputs, size_t num_outputs, const sluice_run_options* options);

/* The same on one of the session's threads, soon. Both arrays and what they point to are the run's until `done` is
 * called, once, on that thread, with the run's status and, unless that is SLUICE_OK, the message, which ends with
 * the call. `done` must not release the session. It is not called if this function returns an error. */
typedef void (*sluice_done_callback)(sluice_status status, const char* message, void* user);
sluice_status sluice_session_run_async(const sluice_session* session, const sluice_tensor* inputs, size_t num_inputs,
                                       sluice_tensor* outputs, size_t num_outputs, const sluice_run_options* options,
                                       sluice_done_callback done, void* user);

/* ---- Profiles ---------------------------------------------------------------------------------------------------- */

/* What the steps of the plan used last cost, over all runs; empty unless sluice_options_set_profile. A copy of its own. */
typedef struct sluice_profile sluice_profile;
sluice_status sluice_session_profile(const sluice_session* session, sluice_profile** profile);
void sluice_profile_release(sluice_profile* profile);
typedef struct sluice_step {
  size_t struct_size;
  const char* node;
  const char* op;           /* "Conv + LeakyRelu(0.1)" */
  const char* kernel;
  const char* output_shape; /* "float [1, 3, 416, 416]" */
  int64_t calls;
  int64_t total_ns;
  int64_t flops;            /* of one call; 0 where nobody counts */
} sluice_step;
size_t sluice_profile_num_steps(const sluice_profile* profile);
sluice_status sluice_profile_step(const sluice_profile* profile, size_t index, sluice_step* step);

/* ---- Custom operators -------------------------------------------------------------------------------------------- */

/* The node of a model that uses a custom operator. Valid during the callback. */
typedef struct sluice_node sluice_node;
const char* sluice_node_name(const sluice_node* node);
int32_t sluice_node_num_inputs(const sluice_node* node);
int32_t sluice_node_num_outputs(const sluice_node* node);
/* Attributes. Where one is not there *value stays as it is and the status is SLUICE_OK; SLUICE_INVALID_MODEL if it has
 * another type. Strings and arrays live as long as the callback. */
sluice_status sluice_node_int(const sluice_node* node, const char* attribute, int64_t* value);
sluice_status sluice_node_float(const sluice_node* node, const char* attribute, float* value);
sluice_status sluice_node_string(const sluice_node* node, const char* attribute, sluice_string* value);
sluice_status sluice_node_ints(const sluice_node* node, const char* attribute, const int64_t** values, size_t* count);
sluice_status sluice_node_floats(const sluice_node* node, const char* attribute, const float** values, size_t* count);

/* A custom operator. Callbacks return SLUICE_OK or, after sluice_set_last_error, another status, which ends the load
 * or the run. They are called from any thread, also on several at once. */
typedef struct sluice_operator {
  size_t struct_size;
  const char* domain;
  const char* name;
  int32_t since_version; /* the first version of the domain that has it; 0 means 1 */
  /* From types and shapes of the inputs (data is that of inputs known before the run, else NULL; absent inputs are
   * SLUICE_UNDEFINED) to those of the outputs; -1 is a size that is not known, which after all input sizes are known is
   * not supported from C. */
  sluice_status (*infer)(const sluice_node* node, const sluice_tensor* inputs, sluice_tensor* outputs, void* user);
  /* Reads inputs[i].data and writes outputs[i].data, which is NULL for outputs that nobody wants. */
  sluice_status (*compute)(const sluice_node* node, const sluice_tensor* inputs, const sluice_tensor* outputs,
                           void* user);
  void* user;
  /* Called with `user` once the options and all sessions that use the operator are gone. May be NULL. */
  void (*release)(void* user);
} sluice_operator;
/* For sessions loaded with these options from now on. `release` is called in the end also if this fails, but for a wrong
 * struct_size. */
sluice_status sluice_options_add_operator(sluice_options* options, const sluice_operator* definition);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}  // extern "C"

template <typename T>
inline T sluice_internal_init() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}
#endif

#endif /* SLUICE_SLUICE_H_ */
