// Compiles a model for an Intel NPU: compile.exe MODEL BLOB PLATFORM, built for Windows and run under Wine.
//
// Exit code 0 with the blob written, else 1 and OpenVINO's reason on stdout. Only the Windows build of OpenVINO carries
// the NPU's compiler, and its Python cannot be run under Wine: hence this program and OpenVINO's C interface.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "openvino/c/openvino.h"

static void check(ov_status_e status, const char *what) {
    if (status == OK) return;
    const char *reason = ov_get_last_err_msg();
    printf("%s failed (status %d): %s\n", what, (int)status, reason ? reason : "no reason given");
    fflush(stdout);
    _exit(1);
}

// An NPU runs static shapes only: the batch size, which our artifacts leave open, becomes 1.
static void set_batch_to_1(ov_model_t *model) {
    ov_output_const_port_t *input = NULL;
    ov_partial_shape_t shape;
    check(ov_model_const_input(model, &input), "finding the input");
    check(ov_port_get_partial_shape(input, &shape), "reading the input's shape");
    if (shape.rank.max < 1) check(GENERAL_ERROR, "reading the batch of an input without sizes");
    shape.dims[0].min = shape.dims[0].max = 1;
    check(ov_model_reshape_single_input(model, shape), "setting the batch to 1");
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: compile.exe MODEL BLOB PLATFORM\n");
        return 2;
    }
    ov_core_t *core = NULL;
    ov_model_t *model = NULL;
    ov_compiled_model_t *compiled = NULL;
    check(ov_core_create(&core), "starting OpenVINO");
    check(ov_core_read_model(core, arguments[1], NULL, &model), "reading the model");
    set_batch_to_1(model);
    check(ov_core_compile_model(core, model, "NPU", 6, &compiled, "NPU_PLATFORM", arguments[3], "NPU_COMPILER_TYPE",
                                "PLUGIN", "LOG_LEVEL", "LOG_WARNING"),
          "compiling");
    check(ov_compiled_model_export_model(compiled, arguments[2]), "writing the blob");
    fflush(stdout);
    _exit(0);  // without taking OpenVINO down: under Wine that can hang
}
