/* A QEMU TCG plugin that counts, by class, the AArch64 instructions that multiply and add: which kernel an engine ran.
 *
 * Build: cc -shared -fPIC -O2 -o opcode_classes.so opcode_classes.c
 * Run:   qemu-aarch64 -plugin opcode_classes.so,out=FILE PROGRAM
 * Gives: FILE.PID, JSON of each process of the program that ends by itself.
 *
 * The declarations are those of the plugin API, version 1 (QEMU 4.2 to 9), as its documentation gives them. Encodings:
 * Arm Architecture Reference Manual (DDI 0487), "A64 instruction set encoding": Advanced SIMD and SVE. Counts of a
 * program with several threads may miss some: the emulator adds without a lock.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, enum qemu_plugin_op, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { DOT, MATRIX, WIDENING, HALF, FLOAT, CLASSES };
static const char *const names[CLASSES] = {"int8_dot", "int8_matrix", "integer_multiply", "float16", "float32"};
static uint64_t counts[CLASSES];
static char path[4096];

/* The first line whose bits under the mask are the value gives the class. */
static const struct { uint32_t mask, value; int class; } encodings[] = {
    {0x9fe0fc00, 0x0e809400, DOT},      /* SDOT, UDOT (vector) */
    {0x9fc0f400, 0x0f80e000, DOT},      /* SDOT, UDOT (by element) */
    {0xbfe0fc00, 0x0e809c00, DOT},      /* USDOT (vector) */
    {0xbf40f400, 0x0f00f000, DOT},      /* USDOT, SUDOT (by element) */
    {0xffe0f800, 0x44800000, DOT},      /* SVE SDOT, UDOT (vectors) */
    {0xffe0f800, 0x44a00000, DOT},      /* SVE SDOT, UDOT (indexed) */
    {0xdfe0fc00, 0x4e80a400, MATRIX},   /* SMMLA, UMMLA */
    {0xffe0fc00, 0x4e80ac00, MATRIX},   /* USMMLA */
    {0xff20fc00, 0x45009800, MATRIX},   /* SVE SMMLA, USMMLA, UMMLA */
    {0x9f20fc00, 0x0e208000, WIDENING}, /* SMLAL, UMLAL (vector) */
    {0x9f20fc00, 0x0e20c000, WIDENING}, /* SMULL, UMULL (vector) */
    {0xbf20fc00, 0x0e209400, WIDENING}, /* MLA (vector) */
    {0x9f00f400, 0x0f002000, WIDENING}, /* SMLAL, UMLAL (by element) */
    {0x9f00f400, 0x0f00a000, WIDENING}, /* SMULL, UMULL (by element) */
    {0xbf00f400, 0x2f000000, WIDENING}, /* MLA (by element) */
    {0xbfe0fc00, 0x0e400c00, HALF},     /* FMLA (vector), half precision */
    {0xbfc0f400, 0x0f001000, HALF},     /* FMLA (by element), half precision */
    {0xbfe0fc00, 0x0e20cc00, FLOAT},    /* FMLA (vector), single precision */
    {0xbfc0f400, 0x0f801000, FLOAT},    /* FMLA (by element), single precision */
};

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t at = 0; at < qemu_plugin_tb_n_insns(block); at++) {
        struct qemu_plugin_insn *one = qemu_plugin_tb_get_insn(block, at);
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(one), sizeof word);
        for (size_t line = 0; line < sizeof encodings / sizeof *encodings; line++)
            if ((word & encodings[line].mask) == encodings[line].value) {
                qemu_plugin_register_vcpu_insn_exec_inline(one, QEMU_PLUGIN_INLINE_ADD_U64,
                                                           &counts[encodings[line].class], 1);
                break;
            }
    }
}

static void ended(qemu_plugin_id_t id, void *unused) {
    (void)id, (void)unused;
    char name[sizeof path + 16];
    snprintf(name, sizeof name, "%s.%d", path, (int)getpid());
    FILE *out = fopen(name, "w");
    if (!out) return;
    for (int class = 0; class < CLASSES; class++)
        fprintf(out, "%s\"%s\": %llu", class ? ", " : "{", names[class], (unsigned long long)counts[class]);
    fputs("}\n", out);
    fclose(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv) {
    (void)info;
    for (int at = 0; at < argc; at++)
        if (!strncmp(argv[at], "out=", 4)) snprintf(path, sizeof path, "%s", argv[at] + 4);
    if (!*path) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
