/* A custom operator in C: custom_c_test FOLDER */
#include <math.h>
#include <sluice/sluice.h>
#include <string.h>

#include "check.h"

/* example.ScaleBy: y = factor * x. */
static sluice_status InferScaleBy(const sluice_node* node, const sluice_tensor* inputs,
                                  sluice_tensor* outputs, void* user) {
  (void)user;
  if (sluice_node_num_inputs(node) != 1 || inputs[0].type != SLUICE_FLOAT) {
    sluice_set_last_error("expected one input of type float");
    return SLUICE_INVALID_MODEL;
  }
  outputs[0].type = SLUICE_FLOAT;
  outputs[0].rank = inputs[0].rank;
  memcpy(outputs[0].shape, inputs[0].shape, sizeof outputs[0].shape);
  return SLUICE_OK;
}

static sluice_status ComputeScaleBy(const sluice_node* node, const sluice_tensor* inputs,
                                    const sluice_tensor* outputs, void* user) {
  const float* x = (const float*)inputs[0].data;
  float* y = (float*)outputs[0].data;
  const size_t count = inputs[0].byte_size / sizeof(float);
  int64_t factor = 1;
  size_t i;
  if (sluice_node_int(node, "factor", &factor) != SLUICE_OK) return SLUICE_INVALID_MODEL;
  for (i = 0; i < count; ++i) {
    if (isnan(x[i])) {
      sluice_set_last_error("an element is no number");
      return SLUICE_INVALID_ARGUMENT;
    }
    y[i] = (float)factor * x[i];
  }
  ++*(int*)user;
  return SLUICE_OK;
}

static int released;
static void Release(void* user) {
  (void)user;
  ++released;
}

static sluice_status RunOnce(const sluice_session* session, float* x, float* y, int64_t count) {
  sluice_tensor input = SLUICE_INIT(sluice_tensor), output;
  input.type = SLUICE_FLOAT;
  input.rank = 1;
  input.shape[0] = count;
  input.byte_size = input.capacity = (size_t)count * sizeof(float);
  output = input;
  input.data = x;
  output.data = y;
  return sluice_session_run(session, &input, 1, &output, 1, NULL);
}

int main(int argc, char** argv) {
  char path[4096];
  int calls = 0;
  sluice_options* options = NULL;
  sluice_session* session = NULL;
  sluice_operator scale = SLUICE_INIT(sluice_operator);
  float x[3] = {1, -2, 5}, y[3];
  CHECK(argc == 2);
  snprintf(path, sizeof path, "%s/custom.onnx", argv[1]);
  CHECK(sluice_options_create(&options) == SLUICE_OK);

  CHECK(sluice_options_add_operator(options, NULL) == SLUICE_INVALID_ARGUMENT);
  CHECK(sluice_options_add_operator(options, &scale) == SLUICE_INVALID_ARGUMENT);
  scale.domain = "example";
  scale.name = "ScaleBy";
  scale.user = &calls;
  scale.release = Release;
  CHECK(sluice_options_add_operator(options, &scale) == SLUICE_INVALID_ARGUMENT);
  CHECK(strstr(sluice_last_error(), "infer and compute must be set") != NULL && released == 1);
  scale.infer = InferScaleBy;
  scale.compute = ComputeScaleBy;
  CHECK(sluice_options_add_operator(options, &scale) == SLUICE_OK);

  CHECK(sluice_session_load(path, options, &session) == SLUICE_OK);
  CHECK(RunOnce(session, x, y, 3) == SLUICE_OK);
  CHECK(y[0] == 3 && y[1] == -6 && y[2] == 15 && calls == 1);
  x[1] = NAN;
  CHECK(RunOnce(session, x, y, 3) == SLUICE_INVALID_ARGUMENT);
  if (strcmp(sluice_last_error(), "example.ScaleBy 'ScaleBy_node': an element is no number") != 0) {
    fprintf(stderr, "%s\n", sluice_last_error());
    return 1;
  }

  /* The session keeps it. */
  sluice_options_release(options);
  CHECK(released == 1);
  x[1] = 0;
  CHECK(RunOnce(session, x, y, 2) == SLUICE_OK && y[1] == 0);
  sluice_session_release(session);
  CHECK(released == 2);
  return 0;
}
