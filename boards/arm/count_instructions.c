// QEMU plugin: at each getppid() of the program, writes the number of instructions executed so far to the file out=PATH.
//
// For the plugin interface of QEMU 7.2 (Debian 12), declared here because Debian packages no header for it; documented
// at https://qemu.org/docs/master/devel/tcg-plugins.html. Counts are exact for one thread.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))
#define AARCH64_GETPPID 173

typedef uint64_t plugin_id;
typedef void (*translated)(plugin_id, void *block);
typedef void (*syscalled)(plugin_id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                          uint64_t, uint64_t, uint64_t);
enum inline_operation { ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscalled);
size_t qemu_plugin_tb_n_insns(const void *block);
void qemu_plugin_register_vcpu_tb_exec_inline(void *block, enum inline_operation, void *counter, uint64_t amount);

EXPORTED int qemu_plugin_version = 1;

static uint64_t executed;
static FILE *out;

static void on_translated(plugin_id id, void *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                       uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != AARCH64_GETPPID) return;
    fprintf(out, "%llu\n", (unsigned long long)executed);
    fflush(out);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments) {
    (void)info;
    if (count != 1 || strncmp(arguments[0], "out=", 4) || !(out = fopen(arguments[0] + 4, "w"))) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
