/* An external delegate for the tests: it takes the float32 ADD nodes of a graph and computes them, or fails as told.
 *
 * The package of neither engine ships headers, so the few structures that cross the border are declared here. Their
 * layout follows tensorflow/lite/core/c/common.h of TensorFlow 2.14 (the last tflite-runtime); what LiteRT added
 * since (inplace_operator) comes after it, so this layout serves both. The two entry points follow
 * tensorflow/lite/delegates/external/external_delegate_interface.h.
 *
 * Option "mode": right (the default), nothing (claims no node), small (claims none with more than two rows), refuse
 * (creation fails), unprepared (its kernel's preparation fails), wrong (subtracts), fail (an inference returns an
 * error), abort (an inference ends the process). Any other option is refused.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1, FLOAT32 = 1, ADD = 0, NO_ACTIVATION = 0 };

typedef struct { int size; int data[]; } IntArray;
typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  int type;
  float* data;
  IntArray* dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation, *name;
  Delegate* delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  struct { int type; void* params; } quantization;
  void *sparsity, *dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries;
  void *user_data, *builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  Delegate* delegate;
} Node;

typedef struct {
  void* (*init)(Context*, const char*, size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, Node*), (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* (*async_kernel)(Context*, Node*);
  uint64_t inplace_operator;
} Registration;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context*, IntArray**);
  Tensor* tensors;
  void* implementation;
  int (*resize_tensor)(Context*, Tensor*, IntArray*);
  void (*report_error)(Context*, const char*, ...);
  int (*add_tensors)(Context*, int, int*);
  int (*get_node_and_registration)(Context*, int, Node**, Registration**);
  int (*replace_node_subsets)(Context*, Registration, const IntArray*, Delegate*);
};

struct Delegate {
  void* data;
  int (*prepare)(Context*, Delegate*);
  void* buffer_functions[3];
  int64_t flags;
  void* opaque_builder;
};

typedef struct { Delegate* delegate; IntArray *nodes, *inputs, *outputs; } Params;

/* One ADD. A result that only later steps read has no memory of its own in the interpreter, so it gets `own`. */
typedef struct { int a, b, out; bool inside; float* own; } Step;
typedef struct { const char* mode; int count; Step steps[]; } Kernel;

static const char* const MODES[] = {"right", "nothing", "small", "refuse", "unprepared", "wrong", "fail", "abort"};

static bool is(const char* mode, const char* name) { return strcmp(mode, name) == 0; }

static bool contains(const IntArray* array, int value) {
  int i = 0;
  while (i < array->size && array->data[i] != value) i++;
  return i < array->size;
}

static size_t length(const Tensor* tensor) {
  size_t n = 1;
  for (int i = 0; i < tensor->dims->size; i++) n *= (size_t)tensor->dims->data[i];
  return n;
}

/* Both operands alike, or the second one repeated: what this delegate can add. */
static bool can_take(Context* context, int index, const char* mode) {
  Node* node;
  Registration* registration;
  if (context->get_node_and_registration(context, index, &node, &registration) != OK) return false;
  if (registration->builtin_code != ADD || registration->custom_name || node->inputs->size != 2) return false;
  const Tensor *a = &context->tensors[node->inputs->data[0]], *b = &context->tensors[node->inputs->data[1]];
  if (a->type != FLOAT32 || b->type != FLOAT32 || *(const int*)node->builtin_data != NO_ACTIVATION) return false;
  if (is(mode, "nothing") || (is(mode, "small") && a->dims->data[0] > 2)) return false;
  if (b->dims->size > a->dims->size) return false;
  for (int i = 1; i <= b->dims->size; i++)
    if (b->dims->data[b->dims->size - i] != a->dims->data[a->dims->size - i]) return length(b) == 1;
  return true;
}

static void* kernel_init(Context* context, const char* buffer, size_t size) {
  (void)size;
  const Params* params = (const Params*)buffer;
  Kernel* kernel = calloc(1, sizeof(Kernel) + (size_t)params->nodes->size * sizeof(Step));
  kernel->mode = params->delegate->data;
  for (int i = 0; i < params->nodes->size; i++) {
    Node* node;
    Registration* registration;
    if (context->get_node_and_registration(context, params->nodes->data[i], &node, &registration) != OK) continue;
    int out = node->outputs->data[0];
    kernel->steps[kernel->count++] =
        (Step){node->inputs->data[0], node->inputs->data[1], out, !contains(params->outputs, out), NULL};
  }
  return kernel;
}

static void kernel_free(Context* context, void* data) {
  (void)context;
  Kernel* kernel = data;
  for (int i = 0; i < kernel->count; i++) free(kernel->steps[i].own);
  free(kernel);
}

static int kernel_prepare(Context* context, Node* node) {
  Kernel* kernel = node->user_data;
  if (is(kernel->mode, "unprepared")) return ERROR;
  for (Step* step = kernel->steps; step < kernel->steps + kernel->count; step++)
    if (step->inside) step->own = realloc(step->own, length(&context->tensors[step->out]) * sizeof(float) + 1);
  return OK;
}

static float* values(Context* context, const Kernel* kernel, int tensor) {
  for (int i = 0; i < kernel->count; i++)
    if (kernel->steps[i].out == tensor && kernel->steps[i].inside) return kernel->steps[i].own;
  return context->tensors[tensor].data;
}

static int kernel_invoke(Context* context, Node* node) {
  Kernel* kernel = node->user_data;
  if (is(kernel->mode, "abort")) abort();
  if (is(kernel->mode, "fail")) return context->report_error(context, "the adder is out of order"), ERROR;
  float sign = is(kernel->mode, "wrong") ? -1.0f : 1.0f;
  for (const Step* step = kernel->steps; step < kernel->steps + kernel->count; step++) {
    const float *a = values(context, kernel, step->a), *b = values(context, kernel, step->b);
    float* out = values(context, kernel, step->out);
    size_t n = length(&context->tensors[step->a]), m = length(&context->tensors[step->b]);
    for (size_t j = 0; j < n; j++) out[j] = a[j] + sign * b[j % m];
  }
  return OK;
}

static int delegate_prepare(Context* context, Delegate* delegate) {
  IntArray* plan;
  if (context->get_execution_plan(context, &plan) != OK) return ERROR;
  IntArray* claimed = calloc(1, sizeof(IntArray) + (size_t)plan->size * sizeof(int));
  for (int i = 0; i < plan->size; i++)
    if (can_take(context, plan->data[i], delegate->data)) claimed->data[claimed->size++] = plan->data[i];
  Registration kernel = {.init = kernel_init, .free = kernel_free, .prepare = kernel_prepare,
                         .invoke = kernel_invoke, .custom_name = "EdgekitTestAdder", .version = 1};
  int status = context->replace_node_subsets(context, kernel, claimed, delegate);
  free(claimed);
  return status;
}

static Delegate* refusal(void (*report)(const char*), const char* reason) {
  report(reason);
  return NULL;
}

Delegate* tflite_plugin_create_delegate(char** keys, char** given, size_t count, void (*report)(const char*)) {
  const char* mode = MODES[0];
  for (size_t i = 0; i < count; i++) {
    const char* found = NULL;
    for (size_t j = 0; j < sizeof MODES / sizeof *MODES; j++) if (is(given[i], MODES[j])) found = MODES[j];
    if (!is(keys[i], "mode") || !found) return refusal(report, "the adder knows no such option or mode");
    mode = found;
  }
  if (is(mode, "refuse")) return refusal(report, "the adder is not plugged in");
  Delegate* delegate = calloc(1, sizeof(Delegate));
  delegate->data = (void*)mode;
  delegate->prepare = delegate_prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
