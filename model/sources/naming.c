/* SPDX-License-Identifier: Apache-2.0
 *
 * naming.c -- see naming.h. A name is split at its known pieces and put together again; what does
 * not split is no name of the network. Whether such a layer exists is the topology's business. */
#include "model/sources/naming.h"

#include <stdarg.h>
#include <string.h>

#define MAX_WRAPPERS 4 /* modules around PyTorch's network: "module.", "model.backbone.", ... */

static const char *const slim_suffixes[FN_PARTS] = {
    [FN_PART_KERNEL] = "/weights",
    [FN_PART_BIAS] = "/biases",
    [FN_PART_GAMMA] = "/BatchNorm/gamma",
    [FN_PART_BETA] = "/BatchNorm/beta",
    [FN_PART_MEAN] = "/BatchNorm/moving_mean",
    [FN_PART_VARIANCE] = "/BatchNorm/moving_variance",
};

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* `format` into a name-sized buffer; false when it does not fit. */
static bool put(char ret_name[FN_NAME_SIZE], const char *format, ...) FN_PRINTF(2, 3);
static bool put(char ret_name[FN_NAME_SIZE], const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(ret_name, FN_NAME_SIZE, format, args);
    va_end(args);
    return length >= 0 && length < FN_NAME_SIZE;
}

bool fn_naming_slim(const char *name, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part) {
    size_t length = strlen(name);
    if (length > 2 && strcmp(name + length - 2, ":0") == 0) length -= 2;
    const char *root = strstr(name, FN_ROOT "/");
    if (!root || (root != name && root[-1] != '/')) return false;
    size_t skipped = (size_t)(root - name);
    for (int part = 0; part < FN_PARTS; part++) {
        size_t end = strlen(slim_suffixes[part]);
        if (length < skipped + sizeof FN_ROOT + end ||
            strncmp(name + length - end, slim_suffixes[part], end) != 0)
            continue;
        *ret_part = (enum fn_part)part;
        return put(ret_scope, "%.*s", (int)(length - end - skipped), root);
    }
    return false;
}

void fn_naming_slim_part(const char *scope, enum fn_part part, char *ret_name, size_t size) {
    (void)snprintf(ret_name, size, "%s%s", scope, slim_suffixes[part]);
}

/* ---- Keras ports and the .npy directories made from them --------------------------------------
 */

static const struct {
    const char *here, *slim;
    bool numbered; /* the slim scope ends with the block's number */
} groups[] = {
    {"Block8_6_", "Block8/", false}, /* the last one, without ReLU, has its own scope */
    {"Block35_", "Repeat/block35_", true}, {"Block17_", "Repeat_1/block17_", true},
    {"Block8_", "Repeat_2/block8_", true}, {"Mixed_6a_", "Mixed_6a/", false},
    {"Mixed_7a_", "Mixed_7a/", false},
};
#define N_GROUPS (sizeof groups / sizeof groups[0])

bool fn_naming_block(const char *name, char ret_scope[FN_NAME_SIZE]) {
    char block[64] = "", branch[16] = "";
    const char *rest = name;
    long block_number = 0;
    if (strcmp(name, "Bottleneck") == 0) return put(ret_scope, FN_ROOT "/Bottleneck");
    for (size_t i = 0; i < N_GROUPS; i++) {
        if (!has_prefix(rest, groups[i].here)) continue;
        rest += strlen(groups[i].here);
        size_t digits = groups[i].numbered ? strspn(rest, "0123456789") : 0;
        block_number = strtol(rest, NULL, 10);
        if (groups[i].numbered && (digits == 0 || digits > 3 || rest[digits] != '_')) return false;
        (void)snprintf(block, sizeof block, "%s%.*s%s", groups[i].slim, (int)digits, rest,
                       digits ? "/" : "");
        rest += digits ? digits + 1 : 0;
        break;
    }
    if (has_prefix(rest, "Branch_")) {
        long number = strtol(rest + 7, NULL, 10);
        size_t digits = strspn(rest + 7, "0123456789");
        if (digits == 0 || digits > 2 || rest[7 + digits] != '_') return false;
        /* A slip in the port that deepface's files were made with: the Branch_1 of Block17_4 is
         * Block17_4_Branch_4 there, and so with Block8. Those blocks have two branches only. */
        bool has_two = has_prefix(block, "Repeat_1/") || has_prefix(block, "Repeat_2/");
        if (has_two && number == block_number) number = 1;
        (void)snprintf(branch, sizeof branch, "Branch_%ld/", number);
        rest += 8 + digits;
    }
    if (!has_prefix(rest, "Conv2d_")) return false;
    return put(ret_scope, FN_ROOT "/%s%s%s", block, branch, rest);
}

void fn_naming_block_of(const char *scope, char *ret_name, size_t size) {
    const char *rest = has_prefix(scope, FN_ROOT "/") ? scope + sizeof FN_ROOT : scope;
    const char *block = "";
    for (size_t i = 0; i < N_GROUPS; i++)
        if (has_prefix(rest, groups[i].slim)) {
            block = groups[i].here;
            rest += strlen(groups[i].slim);
            break;
        }
    (void)snprintf(ret_name, size, "%s%s", block, rest);
    for (char *slash = ret_name; (slash = strchr(slash, '/'));) *slash = '_';
}

/* ---- facenet-pytorch ---------------------------------------------------------------------------
 */

/* Modules and the slim scopes below the root; # is a block's number, counted from 0 there. */
static const struct {
    const char *torch, *slim;
} modules[] = {
    {"conv2d_1a", "Conv2d_1a_3x3"},
    {"conv2d_2a", "Conv2d_2a_3x3"},
    {"conv2d_2b", "Conv2d_2b_3x3"},
    {"conv2d_3b", "Conv2d_3b_1x1"},
    {"conv2d_4a", "Conv2d_4a_3x3"},
    {"conv2d_4b", "Conv2d_4b_3x3"},
    {"repeat_1.#.branch0", "Repeat/block35_#/Branch_0/Conv2d_1x1"},
    {"repeat_1.#.branch1.0", "Repeat/block35_#/Branch_1/Conv2d_0a_1x1"},
    {"repeat_1.#.branch1.1", "Repeat/block35_#/Branch_1/Conv2d_0b_3x3"},
    {"repeat_1.#.branch2.0", "Repeat/block35_#/Branch_2/Conv2d_0a_1x1"},
    {"repeat_1.#.branch2.1", "Repeat/block35_#/Branch_2/Conv2d_0b_3x3"},
    {"repeat_1.#.branch2.2", "Repeat/block35_#/Branch_2/Conv2d_0c_3x3"},
    {"repeat_1.#.conv2d", "Repeat/block35_#/Conv2d_1x1"},
    {"mixed_6a.branch0", "Mixed_6a/Branch_0/Conv2d_1a_3x3"},
    {"mixed_6a.branch1.0", "Mixed_6a/Branch_1/Conv2d_0a_1x1"},
    {"mixed_6a.branch1.1", "Mixed_6a/Branch_1/Conv2d_0b_3x3"},
    {"mixed_6a.branch1.2", "Mixed_6a/Branch_1/Conv2d_1a_3x3"},
    {"repeat_2.#.branch0", "Repeat_1/block17_#/Branch_0/Conv2d_1x1"},
    {"repeat_2.#.branch1.0", "Repeat_1/block17_#/Branch_1/Conv2d_0a_1x1"},
    {"repeat_2.#.branch1.1", "Repeat_1/block17_#/Branch_1/Conv2d_0b_1x7"},
    {"repeat_2.#.branch1.2", "Repeat_1/block17_#/Branch_1/Conv2d_0c_7x1"},
    {"repeat_2.#.conv2d", "Repeat_1/block17_#/Conv2d_1x1"},
    {"mixed_7a.branch0.0", "Mixed_7a/Branch_0/Conv2d_0a_1x1"},
    {"mixed_7a.branch0.1", "Mixed_7a/Branch_0/Conv2d_1a_3x3"},
    {"mixed_7a.branch1.0", "Mixed_7a/Branch_1/Conv2d_0a_1x1"},
    {"mixed_7a.branch1.1", "Mixed_7a/Branch_1/Conv2d_1a_3x3"},
    {"mixed_7a.branch2.0", "Mixed_7a/Branch_2/Conv2d_0a_1x1"},
    {"mixed_7a.branch2.1", "Mixed_7a/Branch_2/Conv2d_0b_3x3"},
    {"mixed_7a.branch2.2", "Mixed_7a/Branch_2/Conv2d_1a_3x3"},
    {"repeat_3.#.branch0", "Repeat_2/block8_#/Branch_0/Conv2d_1x1"},
    {"repeat_3.#.branch1.0", "Repeat_2/block8_#/Branch_1/Conv2d_0a_1x1"},
    {"repeat_3.#.branch1.1", "Repeat_2/block8_#/Branch_1/Conv2d_0b_1x3"},
    {"repeat_3.#.branch1.2", "Repeat_2/block8_#/Branch_1/Conv2d_0c_3x1"},
    {"repeat_3.#.conv2d", "Repeat_2/block8_#/Conv2d_1x1"},
    {"block8.branch0", "Block8/Branch_0/Conv2d_1x1"},
    {"block8.branch1.0", "Block8/Branch_1/Conv2d_0a_1x1"},
    {"block8.branch1.1", "Block8/Branch_1/Conv2d_0b_1x3"},
    {"block8.branch1.2", "Block8/Branch_1/Conv2d_0c_3x1"},
    {"block8.conv2d", "Block8/Conv2d_1x1"},
};
#define N_MODULES (sizeof modules / sizeof modules[0])

static const struct {
    const char *suffix;
    enum fn_part part;
} torch_norms[] = {{"weight", FN_PART_GAMMA},
                   {"bias", FN_PART_BETA},
                   {"running_mean", FN_PART_MEAN},
                   {"running_var", FN_PART_VARIANCE}};
#define N_TORCH_NORMS (sizeof torch_norms / sizeof torch_norms[0])

/* Match `text` with `pattern`, in which # stands for a number; *ret_rest is what follows. */
static bool match(const char *pattern, const char *text, long *ret_number, const char **ret_rest) {
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*pattern != *text++) return false;
            continue;
        }
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 3) return false;
        *ret_number = strtol(text, NULL, 10);
        text += digits;
    }
    *ret_rest = text;
    return true;
}

/* A pattern with its number filled in. */
static void fill(const char *pattern, long number, char ret_name[FN_NAME_SIZE]) {
    const char *hash = strchr(pattern, '#');
    if (hash)
        (void)snprintf(ret_name, FN_NAME_SIZE, "%.*s%ld%s", (int)(hash - pattern), pattern, number,
                       hash + 1);
    else
        (void)snprintf(ret_name, FN_NAME_SIZE, "%s", pattern);
}

/* "conv.weight", "bn.running_mean", or the up-projection's own "weight" and "bias". */
static bool torch_part(const char *rest, enum fn_part *ret_part) {
    if (strcmp(rest, "conv.weight") == 0 || strcmp(rest, "weight") == 0)
        return *ret_part = FN_PART_KERNEL, true;
    if (strcmp(rest, "conv.bias") == 0 || strcmp(rest, "bias") == 0)
        return *ret_part = FN_PART_BIAS, true;
    if (!has_prefix(rest, "bn.")) return false;
    for (size_t i = 0; i < N_TORCH_NORMS; i++)
        if (strcmp(rest + 3, torch_norms[i].suffix) == 0)
            return *ret_part = torch_norms[i].part, true;
    return false;
}

/* deepface's network in PyTorch has the same modules under other names: "block35.0.branch_1.0",
 * "block8.5.up", "bottleneck_bn". Here they become facenet-pytorch's. */
static const struct {
    const char *deepface, *torch;
} renamed[] = {
    {"block35.#.up.", "repeat_1.#.conv2d."}, {"block35.#.branch_", "repeat_1.#.branch"},
    {"block17.#.up.", "repeat_2.#.conv2d."}, {"block17.#.branch_", "repeat_2.#.branch"},
    {"block8.5.up.", "block8.conv2d."},      {"block8.5.branch_", "block8.branch"},
    {"block8.#.up.", "repeat_3.#.conv2d."},  {"block8.#.branch_", "repeat_3.#.branch"},
    {"mixed_6a.branch_", "mixed_6a.branch"}, {"mixed_7a.branch_", "mixed_7a.branch"},
    {"conv2d_1a_3x3.", "conv2d_1a."},        {"conv2d_2a_3x3.", "conv2d_2a."},
    {"conv2d_2b_3x3.", "conv2d_2b."},        {"conv2d_3b_1x1.", "conv2d_3b."},
    {"conv2d_4a_3x3.", "conv2d_4a."},        {"conv2d_4b_3x3.", "conv2d_4b."},
    {"bottleneck.", "last_linear."},         {"bottleneck_bn.", "last_bn."},
};

/* The name in facenet-pytorch's words; false when it is too long to be any. */
static bool rename_torch(const char *name, char ret_name[FN_NAME_SIZE]) {
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        long number = 0;
        const char *rest;
        char begin[FN_NAME_SIZE];
        if (!match(renamed[i].deepface, name, &number, &rest)) continue;
        fill(renamed[i].torch, number, begin);
        return put(ret_name, "%s%s", begin, rest);
    }
    return put(ret_name, "%s", name);
}

static bool split_torch(const char *name, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part) {
    if (has_prefix(name, "last_linear.") || has_prefix(name, "last_bn.")) {
        char as_module[FN_NAME_SIZE];
        const char *rest = strchr(name, '.') + 1;
        if (!put(as_module, "%s%s", has_prefix(name, "last_bn.") ? "bn." : "", rest)) return false;
        return torch_part(as_module, ret_part) && put(ret_scope, FN_ROOT "/Bottleneck");
    }
    for (size_t i = 0; i < N_MODULES; i++) {
        long number = -1;
        const char *rest;
        if (!match(modules[i].torch, name, &number, &rest) || *rest != '.') continue;
        if (!torch_part(rest + 1, ret_part)) continue;
        char slim[FN_NAME_SIZE];
        fill(modules[i].slim, number + 1, slim);
        return put(ret_scope, FN_ROOT "/%s", slim);
    }
    return false;
}

bool fn_naming_torch(const char *name, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part) {
    char here[FN_NAME_SIZE];
    for (int depth = 0; depth <= MAX_WRAPPERS; depth++) {
        if (rename_torch(name, here) && split_torch(here, ret_scope, ret_part)) return true;
        const char *dot = strchr(name, '.');
        if (!dot) return false;
        name = dot + 1;
    }
    return false;
}

void fn_naming_torch_part(const char *scope, enum fn_part part, char *ret_name, size_t size) {
    const char *leaf = part == FN_PART_KERNEL ? "weight" : part == FN_PART_BIAS ? "bias" : NULL;
    for (size_t i = 0; i < N_TORCH_NORMS; i++)
        if (torch_norms[i].part == part) leaf = torch_norms[i].suffix;
    bool norm = part != FN_PART_KERNEL && part != FN_PART_BIAS;
    ret_name[0] = '\0';
    if (strcmp(scope, FN_ROOT "/Bottleneck") == 0)
        (void)snprintf(ret_name, size, "%s.%s", norm ? "last_bn" : "last_linear", leaf);
    if (!has_prefix(scope, FN_ROOT "/")) return;
    for (size_t i = 0; i < N_MODULES; i++) {
        long number = 0;
        const char *rest;
        if (!match(modules[i].slim, scope + sizeof FN_ROOT, &number, &rest) || *rest) continue;
        char module[FN_NAME_SIZE];
        fill(modules[i].torch, number - 1, module);
        bool up = strstr(module, "conv2d") == module + strlen(module) - strlen("conv2d");
        (void)snprintf(ret_name, size, "%s.%s%s", module, norm ? "bn." : up ? "" : "conv.", leaf);
    }
}

/* ---- the order of the network -------------------------------------------------------------------
 */

/* Modules from `first` on that belong to the same numbered block. */
static size_t block_length(size_t first) {
    size_t prefix = (size_t)(strchr(modules[first].slim, '#') - modules[first].slim) + 1, n = 1;
    while (first + n < N_MODULES &&
           strncmp(modules[first].slim, modules[first + n].slim, prefix) == 0)
        n++;
    return n;
}

void fn_naming_scope(int index, char ret_scope[FN_NAME_SIZE]) {
    char slim[FN_NAME_SIZE] = "Bottleneck";
    int at = 0;
    for (size_t i = 0; i < N_MODULES;) {
        bool numbered = strchr(modules[i].slim, '#') != NULL;
        int length = numbered ? (int)block_length(i) : 1;
        int times = !numbered ? 1 : has_prefix(modules[i].slim, "Repeat_1/") ? 10 : 5;
        if (index < at + length * times) {
            fill(modules[i + (size_t)((index - at) % length)].slim, (index - at) / length + 1,
                 slim);
            break;
        }
        at += length * times;
        i += (size_t)length;
    }
    (void)put(ret_scope, FN_ROOT "/%s", slim);
}
