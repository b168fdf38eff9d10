/* Tests of libvrcnn: test_vrcnn [SEED]. Kernels are compared with a direct transcription of SPECIFICATION.md.
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700 /* fork, sigaltstack */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "allocations.h"
#include "sha256.h"
#include "support.h"

/* ---- planes with guard bytes everywhere that is not a sample ---- */

enum { GUARD = 0xa5, GUARD_BYTES = 64 };

typedef struct Guarded {
    uint8_t *memory;
    size_t size;
    VrcnnPlane plane;
} Guarded;

static Guarded guarded(int width, int height, int bit_depth, int bytes, int gap, int upside_down)
{
    Guarded g;
    const ptrdiff_t stride = (ptrdiff_t)width * bytes + gap;
    g.size = (size_t)stride * (size_t)height + 2 * GUARD_BYTES;
    g.memory = get(g.size);
    memset(g.memory, GUARD, g.size);
    g.plane.data = g.memory + GUARD_BYTES + (upside_down ? stride * (height - 1) : 0);
    g.plane.stride = upside_down ? -stride : stride;
    g.plane.width = width;
    g.plane.height = height;
    g.plane.bit_depth = bit_depth;
    g.plane.bytes_per_sample = bytes;
    return g;
}

/* Samples inside the region equal `wanted`, every other byte is still the guard. */
static int only_region_written(const Guarded *g, const uint16_t *wanted, int x0, int y0, int width, int height)
{
    uint8_t *expected = get(g->size);
    memset(expected, GUARD, g->size);
    Guarded e = *g;
    e.plane.data = expected + ((uint8_t *)g->plane.data - g->memory);
    for (int y = y0; y < y0 + height; y++)
        for (int x = x0; x < x0 + width; x++)
            set_sample(&e.plane, x, y, wanted[y * g->plane.width + x]);
    const int same = !memcmp(expected, g->memory, g->size);
    free(expected);
    return same;
}

/* ---- tests ---- */

static void test_small_things(void)
{
    static const char *const words[] = {"auto", "scalar", "avx2", "avxvnni", "avx512vnni", "amx", "neon_dot", "neon_i8mm", "cuda"};
    int count = 0;
    CHECK(vrcnn_version() == (VRCNN_VERSION_MAJOR << 16 | VRCNN_VERSION_MINOR << 8 | VRCNN_VERSION_PATCH));
    for (int i = 0; i >= VRCNN_ERROR_SIDEINFO_CHROMA; i--)
        for (int j = i + 1; j <= 1; j++)
            check(strcmp(vrcnn_strerror(i), vrcnn_strerror(j)) != 0, __FILE__, __LINE__, "errors %d and %d have one text", i, j);
    CHECK(!strcmp(vrcnn_strerror(VRCNN_ERROR_SIDEINFO_CHROMA - 1), vrcnn_strerror(1)));
    for (; vrcnn_kernel_name(count); count++)
        CHECK(count < 9 && !strcmp(vrcnn_kernel_name(count), words[count]) && vrcnn_kernel_by_name(words[count]) == count);
    CHECK(count == 9);
    CHECK(!vrcnn_kernel_name(-1));
    CHECK_ERROR(vrcnn_kernel_by_name(NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_kernel_by_name(""), VRCNN_ERROR_KERNEL_UNKNOWN);
    CHECK_ERROR(vrcnn_kernel_by_name("avx"), VRCNN_ERROR_KERNEL_UNKNOWN);
    CHECK_ERROR(vrcnn_kernel_by_name("AVX2"), VRCNN_ERROR_KERNEL_UNKNOWN);
    CHECK_ERROR(vrcnn_kernel_by_name("avx2 "), VRCNN_ERROR_KERNEL_UNKNOWN);
    CHECK(vrcnn_kernel_supported(VRCNN_KERNEL_AUTO) && vrcnn_kernel_supported(VRCNN_KERNEL_SCALAR));
    CHECK(!vrcnn_kernel_supported(VRCNN_KERNEL_CUDA) && !vrcnn_kernel_supported(-1) && !vrcnn_kernel_supported(9));
    CHECK(vrcnn_cpu_flags() == vrcnn_cpu_flags());
    CHECK(!(vrcnn_cpu_flags() & (VRCNN_CPU_AVX2 | VRCNN_CPU_AMX)) || !(vrcnn_cpu_flags() & (VRCNN_CPU_NEON_DOT | VRCNN_CPU_NEON_I8MM)));
}

static void test_sha256(void)
{
    static const struct {
        const char *text;
        size_t repeat;
        const char *hex;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
        {"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {"a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {"a", 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t length = strlen(cases[i].text), size = length * cases[i].repeat;
        uint8_t digest[32], *data = get(size);
        char hex[65];
        for (size_t at_byte = 0; at_byte < size; at_byte += length)
            memcpy(data + at_byte, cases[i].text, length);
        vrcnn_sha256(digest, data, size);
        for (int j = 0; j < 32; j++)
            snprintf(hex + 2 * j, 3, "%02x", digest[j]);
        check(!strcmp(hex, cases[i].hex), __FILE__, __LINE__, "SHA-256 of case %zu: %s", i, hex);
        free(data);
    }
}

static void test_model_interface(void)
{
    TNetwork networks[5] = {small_network(22, 0), small_network(-12, 1), small_network(32, 0), small_network(27, 0), small_network(51, 1)};
    static const int qps[5] = {22, -12, 32, 27, 51}, positions[5] = {0, 1, 0, 0, 1};
    Bytes f = write_set(networks, 5);
    VrcnnModel *model;
    VrcnnFault fault;
    uint8_t id[32];
    VrcnnNetworkInfo info;
    memset(&fault, 1, sizeof fault);
    CHECK_ERROR(vrcnn_model_load(&model, f.data, f.size, &fault), VRCNN_OK);
    CHECK(fault.network == -1 && fault.layer == -1 && fault.branch == -1 && fault.channel == -1 && !*fault.field);
    CHECK_ERROR(vrcnn_model_id(model, id), VRCNN_OK);
    CHECK(!memcmp(id, f.data + f.size - 32, 32));
    CHECK(vrcnn_model_networks(model) == 5);
    for (int i = 0; i < 5; i++) {
        CHECK_ERROR(vrcnn_model_network_info(model, i, &info), VRCNN_OK);
        CHECK(info.nominal_qp == qps[i] && (int)info.position == positions[i] && info.layers == 2 && info.halo == 0);
        CHECK(info.channels[0] == 16 && info.channels[1] == 1 && info.channels[2] == 0);
    }
    for (int position = 0; position < 2; position++)
        for (int qp = -12; qp <= 51; qp++) {
            int best = -1;
            for (int i = 4; i >= 0; i--)
                if (positions[i] == position && (best < 0 || abs(qps[i] - qp) <= abs(qps[best] - qp)))
                    best = i;
            check(vrcnn_model_index_for_qp(model, (VrcnnPosition)position, qp) == best, __FILE__, __LINE__, "position %d, QP %d", position,
                  qp);
        }
    CHECK_ERROR(vrcnn_model_index_for_qp(model, VRCNN_AFTER_SAO, -13), VRCNN_ERROR_QP);
    CHECK_ERROR(vrcnn_model_index_for_qp(model, VRCNN_AFTER_SAO, 52), VRCNN_ERROR_QP);
    CHECK_ERROR(vrcnn_model_index_for_qp(model, (VrcnnPosition)2, 30), VRCNN_ERROR_POSITION);
    CHECK_ERROR(vrcnn_model_index_for_qp(NULL, VRCNN_AFTER_SAO, 30), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_network_info(model, 5, &info), VRCNN_ERROR_INDEX);
    CHECK_ERROR(vrcnn_model_network_info(model, -1, &info), VRCNN_ERROR_INDEX);
    CHECK_ERROR(vrcnn_model_network_info(NULL, 0, &info), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_network_info(model, 0, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_id(NULL, id), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_id(model, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_networks(NULL), VRCNN_ERROR_ARGUMENT);
    vrcnn_model_free(model);
    vrcnn_model_free(NULL);

    CHECK_ERROR(vrcnn_model_load(NULL, f.data, f.size, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_load(&model, NULL, f.size, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK(model == NULL);
    allowed = 0;
    CHECK_ERROR(vrcnn_model_load(&model, f.data, f.size, NULL), VRCNN_ERROR_MEMORY);
    allowed = ALL_ALLOWED;
    CHECK(model == NULL);
    networks[0].position = 1;
    networks[2].position = 1;
    networks[3].position = 1;
    model = load(networks, 5);
    CHECK_ERROR(vrcnn_model_index_for_qp(model, VRCNN_BEFORE_DEBLOCKING, 30), VRCNN_ERROR_POSITION);
    vrcnn_model_free(model);

    /* From an odd address. */
    uint8_t *moved = get(f.size + 1);
    memcpy(moved + 1, f.data, f.size);
    CHECK_ERROR(vrcnn_model_load(&model, moved + 1, f.size, NULL), VRCNN_OK);
    vrcnn_model_free(model);
    free(moved);
    free(f.data);
    for (int i = 0; i < 5; i++)
        free_network(&networks[i]);
}

static void test_builtin(void)
{
    VrcnnModel *model;
    uint8_t id[2][VRCNN_ID_SIZE] = {{0}};
    for (int position = 0; position < 2; position++) {
        VrcnnNetworkInfo info;
        CHECK_ERROR(vrcnn_model_builtin(&model, (VrcnnPosition)position), VRCNN_OK);
        const int index = vrcnn_model_index_for_qp(model, (VrcnnPosition)position, 32);
        CHECK(model && index >= 0 && index < vrcnn_model_networks(model));
        CHECK_ERROR(vrcnn_model_network_info(model, index, &info), VRCNN_OK);
        CHECK(info.nominal_qp == 32 && info.position == (VrcnnPosition)position);
        CHECK_ERROR(vrcnn_model_id(model, id[position]), VRCNN_OK);
        vrcnn_model_free(model);
    }
    CHECK(!memcmp(id[0], id[1], sizeof id[0])); /* a decoder has both positions in one set */
    CHECK_ERROR(vrcnn_model_builtin(NULL, VRCNN_BEFORE_DEBLOCKING), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_model_builtin(&model, (VrcnnPosition)7), VRCNN_ERROR_POSITION);
    CHECK(model == NULL);

    /* All of them, by name and in the order of their names. */
    int sets = 0, defaults = 0;
    size_t size = 0;
    for (const char *name, *last = ""; (name = vrcnn_builtin_name(sets)); sets++, last = name) {
        CHECK(strcmp(last, name) < 0);
        const void *const file = vrcnn_builtin_file(name, &size);
        CHECK_ERROR(vrcnn_model_load(&model, file, size, NULL), VRCNN_OK);
        CHECK_ERROR(vrcnn_model_id(model, id[1]), VRCNN_OK);
        defaults += !memcmp(id[0], id[1], sizeof id[0]) && !strcmp(name, "vrcnn_intra");
        vrcnn_model_free(model);
    }
    CHECK(sets > 1 && defaults == 1);
    CHECK(!vrcnn_builtin_name(-1) && !vrcnn_builtin_name(sets + 1));
    size = 5;
    static const char *const others[] = {"", "joint", "joint_intra.vrcnn", NULL};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!vrcnn_builtin_file(others[i], &size));
    CHECK(!vrcnn_builtin_file("joint_intra", NULL) && size == 5);
}

/* Changes bytes of a valid set, makes size and identity right again if asked, and loads it. */
static void refuse(const Bytes *good, size_t offset, uint64_t value, int bytes, int sealed, int wanted, const char *field, int line)
{
    Bytes f = {get(good->size), good->size};
    VrcnnModel *model;
    VrcnnFault fault;
    memcpy(f.data, good->data, good->size);
    for (int i = 0; i < bytes; i++)
        f.data[offset + (size_t)i] = (uint8_t)(value >> (8 * i));
    if (sealed)
        seal(&f);
    const int got = vrcnn_model_load(&model, f.data, f.size, &fault);
    check(got == wanted && !strcmp(fault.field, field), __FILE__, line, "byte %zu = %" PRIu64 ": %d (%s) at '%s', not %d at '%s'", offset,
          value, got, vrcnn_strerror(got), fault.field, wanted, field);
    CHECK((got == VRCNN_OK) == (model != NULL));
    vrcnn_model_free(model);
    free(f.data);
}

static void test_model_refusals(void)
{
    TNetwork n = {0};
    n.qp = 30;
    add_branch(&n, 0, 3, 16, 0, 2000, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 1, 1, 16, 0, 200, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 1, 3, 32, 3, 200, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&n, 2, 1, 1, 4, 800, RANDOM_WEIGHTS, SMALL_BIASES);
    Bytes f = write_set(&n, 1);
    const size_t network = 16, layer0 = network + 4, branch0 = layer0 + 1, bias0 = branch0 + 8, weight0 = bias0 + 64;
    const size_t layer1 = weight0 + 144, branch1 = layer1 + 1, branch2 = branch1 + 8 + 64 + 256;
    const size_t layer2 = branch2 + 8 + 128 + 32 * 16 * 9, branch3 = layer2 + 1;
    VrcnnModel *model;
    VrcnnFault fault;
    CHECK(f.size == branch3 + 8 + 4 + 48 + 32);

#define REFUSE(offset, value, bytes, wanted, field) refuse(&f, (offset), (uint64_t)(value), (bytes), 1, (wanted), (field), __LINE__)
    for (int i = 0; i < 8; i++)
        REFUSE((size_t)i, f.data[i] ^ 1u, 1, VRCNN_ERROR_NOT_A_MODEL, "");
    REFUSE(8, 0, 2, VRCNN_ERROR_VERSION, "");
    REFUSE(8, 3, 2, VRCNN_ERROR_VERSION, "");
    REFUSE(8, 257, 2, VRCNN_ERROR_VERSION, "");
    REFUSE(10, 0, 2, VRCNN_ERROR_LIMIT, "network_count");
    REFUSE(10, 33, 2, VRCNN_ERROR_LIMIT, "network_count");
    REFUSE(10, 65535, 2, VRCNN_ERROR_LIMIT, "network_count");
    REFUSE(10, 2, 2, VRCNN_ERROR_SIZE, "");
    refuse(&f, 12, f.size + 1, 4, 0, VRCNN_ERROR_TRUNCATED, "", __LINE__);
    refuse(&f, 12, 0xffffffff, 4, 0, VRCNN_ERROR_TRUNCATED, "", __LINE__);
    refuse(&f, 12, f.size - 1, 4, 0, VRCNN_ERROR_SIZE, "", __LINE__);
    refuse(&f, 12, 0, 4, 0, VRCNN_ERROR_SIZE, "", __LINE__);
    REFUSE(network, 52, 1, VRCNN_ERROR_LIMIT, "nominal_qp");
    REFUSE(network, 0xf3, 1, VRCNN_ERROR_LIMIT, "nominal_qp"); /* -13 */
    REFUSE(network, 0xf4, 1, VRCNN_OK, "");                    /* -12 */
    REFUSE(network, 51, 1, VRCNN_OK, "");
    REFUSE(network + 1, 1, 1, VRCNN_OK, "");
    REFUSE(network + 1, 2, 1, VRCNN_ERROR_LIMIT, "position");
    REFUSE(network + 2, 0, 1, VRCNN_ERROR_LIMIT, "layer_count");
    REFUSE(network + 2, 1, 1, VRCNN_ERROR_LIMIT, "layer_count");
    REFUSE(network + 2, 33, 1, VRCNN_ERROR_LIMIT, "layer_count");
    REFUSE(network + 2, 2, 1, VRCNN_ERROR_LIMIT, "branch_count");    /* a last layer with two branches */
    REFUSE(network + 2, 4, 1, VRCNN_ERROR_LIMIT, "output_channels"); /* the last layer taken for a hidden one has 1 channel */
    REFUSE(network + 3, 1, 1, VRCNN_ERROR_LIMIT, "reserved_zero");
    REFUSE(layer0, 0, 1, VRCNN_ERROR_LIMIT, "branch_count");
    REFUSE(layer0, 5, 1, VRCNN_ERROR_LIMIT, "branch_count");
    REFUSE(layer2, 0, 1, VRCNN_ERROR_LIMIT, "branch_count");
    REFUSE(layer2, 2, 1, VRCNN_ERROR_LIMIT, "branch_count");
    const size_t branches[4] = {branch0, branch1, branch2, branch3};
    for (int i = 0; i < 4; i++) {
        const int last = i == 3;
        for (int k = 0; k < 256; k++)
            if (k != 1 && k != 3 && k != 5)
                REFUSE(branches[i], k, 1, VRCNN_ERROR_LIMIT, "kernel_size");
        REFUSE(branches[i] + 1, 16, 1, VRCNN_ERROR_LIMIT, "s1");
        REFUSE(branches[i] + 1, 255, 1, VRCNN_ERROR_LIMIT, "s1");
        REFUSE(branches[i] + 1, 15, 1, VRCNN_OK, "");
        REFUSE(branches[i] + 1, 2, 1, VRCNN_OK, "");
        REFUSE(branches[i] + 1, 1, 1, last ? VRCNN_ERROR_LIMIT : VRCNN_OK, last ? "s1" : "");
        REFUSE(branches[i] + 2, 0, 2, VRCNN_ERROR_LIMIT, "m");
        REFUSE(branches[i] + 2, 32768, 2, VRCNN_ERROR_LIMIT, "m");
        REFUSE(branches[i] + 2, 511, 2, last ? VRCNN_ERROR_LIMIT : VRCNN_OK, last ? "m" : "");
        REFUSE(branches[i] + 2, 512, 2, VRCNN_OK, "");
        REFUSE(branches[i] + 2, 1023, 2, VRCNN_OK, "");
        REFUSE(branches[i] + 2, 1024, 2, last ? VRCNN_ERROR_LIMIT : VRCNN_OK, last ? "m" : "");
        REFUSE(branches[i] + 4, 0, 2, VRCNN_ERROR_LIMIT, "output_channels");
        REFUSE(branches[i] + 4, 8, 2, VRCNN_ERROR_LIMIT, "output_channels");
        REFUSE(branches[i] + 4, 17, 2, VRCNN_ERROR_LIMIT, "output_channels");
        REFUSE(branches[i] + 4, 272, 2, VRCNN_ERROR_LIMIT, "output_channels");
        REFUSE(branches[i] + 6, 1, 2, VRCNN_ERROR_LIMIT, "reserved_zero");
        REFUSE(branches[i] + 6, 256, 2, VRCNN_ERROR_LIMIT, "reserved_zero");
    }
    REFUSE(branch3 + 4, 16, 2, VRCNN_ERROR_LIMIT, "output_channels");
    REFUSE(branch3, 3, 1, VRCNN_ERROR_SIZE, ""); /* the weights would not fit */
    REFUSE(weight0 + 100, 0x80, 1, VRCNN_ERROR_LIMIT, "weight");
    REFUSE(bias0 + 4 * 7, 0x7fffffff, 4, VRCNN_ERROR_OVERFLOW, "hi with rounding");
    REFUSE(bias0 + 4 * 7, 0x80000000, 4, VRCNN_ERROR_OVERFLOW, "lo");
    REFUSE(branch2 + 8 + 4 * 31, 0x7fffffff, 4, VRCNN_ERROR_OVERFLOW, "hi with rounding");
    refuse(&f, weight0, f.data[weight0] ^ 1u, 1, 0, VRCNN_ERROR_CHECKSUM, "", __LINE__);
    refuse(&f, f.size - 1, f.data[f.size - 1] ^ 1u, 1, 0, VRCNN_ERROR_CHECKSUM, "", __LINE__);

    /* The fault says where. */
    Bytes g = {get(f.size), f.size};
    memcpy(g.data, f.data, f.size);
    g.data[branch2 + 8 + 128 + 5 * 144 + 3] = 0x80;
    seal(&g);
    CHECK_ERROR(vrcnn_model_load(&model, g.data, g.size, &fault), VRCNN_ERROR_LIMIT);
    CHECK(fault.network == 0 && fault.layer == 1 && fault.branch == 1 && fault.channel == 5 && fault.value == -128);
    CHECK_ERROR(vrcnn_model_load(&model, g.data, g.size, NULL), VRCNN_ERROR_LIMIT);
    memcpy(g.data, f.data, f.size);
    g.data[branch1 + 1] = 99;
    seal(&g);
    CHECK_ERROR(vrcnn_model_load(&model, g.data, g.size, &fault), VRCNN_ERROR_LIMIT);
    CHECK(fault.network == 0 && fault.layer == 1 && fault.branch == 0 && fault.channel == -1 && fault.value == 99);

    /* Every length but the right one; the last byte read is the last that there is (a sanitizer watches). */
    for (size_t size = 0; size < f.size; size++) {
        uint8_t *part = get(size);
        memcpy(part, f.data, size);
        const int got = vrcnn_model_load(&model, part, size, NULL);
        check(got == VRCNN_ERROR_TRUNCATED && !model, __FILE__, __LINE__, "%zu bytes of %zu: %d", size, f.size, got);
        /* Cut and made consistent again. */
        if (size >= 48 && (size < 400 || size % 37 == 0)) {
            Bytes cut = {part, size};
            seal(&cut);
            const int sealed = vrcnn_model_load(&model, part, size, NULL);
            check(sealed < 0 && sealed != VRCNN_ERROR_TRUNCATED && sealed != VRCNN_ERROR_CHECKSUM, __FILE__, __LINE__,
                  "%zu bytes, sealed: %d", size, sealed);
        }
        free(part);
    }
    uint8_t *longer = get(f.size + 5);
    memset(longer, 0, f.size + 5);
    memcpy(longer, f.data, f.size);
    CHECK_ERROR(vrcnn_model_load(&model, longer, f.size + 5, NULL), VRCNN_ERROR_SIZE);
    Bytes padded = {longer, f.size + 5};
    seal(&padded);
    CHECK_ERROR(vrcnn_model_load(&model, longer, f.size + 5, NULL), VRCNN_ERROR_SIZE);
    free(longer);

    /* Every byte changed: refused, whatever it was. And changed with a right identity: accepted only if it can be filtered with. */
    for (size_t i = 0; i < f.size; i++) {
        memcpy(g.data, f.data, f.size);
        g.data[i] = (uint8_t)(g.data[i] ^ (1u << (random_bits() & 7)));
        CHECK(vrcnn_model_load(&model, g.data, g.size, NULL) < 0);
        if (i % 3 == 0 || i < bias0) {
            g.data[i] = (uint8_t)random_bits();
            seal(&g);
            VrcnnContext *context = NULL;
            if (vrcnn_model_load(&model, g.data, g.size, NULL) == VRCNN_OK && vrcnn_open(&context, model, NULL) == VRCNN_OK) {
                const uint8_t in[6] = {0, 255, 1, 2, 3, 4};
                uint8_t out[6];
                const VrcnnConstPlane src = {in, 3, 3, 2, 8, 1};
                const VrcnnPlane dst = {out, 3, 3, 2, 8, 1};
                CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst, &src), VRCNN_OK);
            }
            vrcnn_close(context);
            vrcnn_model_free(model);
        }
    }
    free(g.data);
    free(f.data);
    free_network(&n);

    /* A layer of more than 256 channels, in branches of which each is allowed. */
    TNetwork wide = {0};
    add_branch(&wide, 0, 1, 128, 0, 100, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&wide, 0, 1, 144, 0, 100, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&wide, 1, 1, 1, 4, 800, RANDOM_WEIGHTS, SMALL_BIASES);
    f = write_set(&wide, 1);
    CHECK_ERROR(vrcnn_model_load(&model, f.data, f.size, &fault), VRCNN_ERROR_LIMIT);
    CHECK(fault.layer == 0 && fault.value == 272 && fault.branch == -1);
    free(f.data);
    free_network(&wide);
}

/* Biases exactly at the proof's limits load, one further does not. */
static void test_proof_limits(void)
{
    for (int round = 0; round < 24; round++) {
        const Biases side = round & 1 ? HIGHEST_BIASES : LOWEST_BIASES;
        const Weights weights = (Weights)(round / 2 % 4);
        TNetwork n = {0};
        VrcnnModel *model;
        VrcnnFault fault;
        add_branch(&n, 0, 5, 16, round % 16, 32767, weights, side);
        add_branch(&n, 1, 3, 16, 15 - round % 16, 1, weights, side);
        add_branch(&n, 2, 5, 1, 2 + round % 14, 1023, weights, side);
        vrcnn_model_free(load(&n, 1));
        for (int l = 0; l < 3; l++) {
            const int channel = l < 2 ? between(0, 15) : 0;
            int32_t *bias = &n.layer[l].branch[0].bias[channel];
            const int32_t kept = *bias;
            /* With no positive (negative) sum to hide behind, one more would leave int32 itself. */
            if (kept == (round & 1 ? INT32_MAX : INT32_MIN))
                continue;
            *bias += round & 1 ? 1 : -1;
            Bytes f = write_set(&n, 1);
            CHECK_ERROR(vrcnn_model_load(&model, f.data, f.size, &fault), VRCNN_ERROR_OVERFLOW);
            CHECK(fault.network == 0 && fault.layer == l && fault.branch == 0 && fault.channel == channel);
            CHECK(fault.value == (round & 1 ? INT64_C(0x80000000) : -INT64_C(0x80000001)));
            *bias = kept;
            free(f.data);
        }
        free_network(&n);
    }
}

/* A picture, whole and in regions, against the reference; every hidden layer too. */
static void compare(const TNetwork *networks, int count, const VrcnnModel *model, int kernel, int width, int height, int bit_depth,
                    Content content, const char *what)
{
    VrcnnContext *context = open_context(model, kernel, 1);
    const int index = between(0, count - 1), scale = between(1, 10), area = width * height;
    const TNetwork *n = &networks[index];
    const int src_bytes = bit_depth == 8 ? between(1, 2) : 2, dst_bytes = bit_depth == 8 ? between(1, 2) : 2;
    uint16_t *samples = make_samples(width, height, bit_depth, content), *wanted = get((size_t)area * sizeof *wanted);
    Guarded src = guarded(width, height, bit_depth, src_bytes, between(0, 9), between(0, 1));
    Guarded dst = guarded(width, height, bit_depth, dst_bytes, between(0, 9), between(0, 1));
    fill_plane(&src.plane, samples);
    const VrcnnConstPlane from = constant(&src.plane);
    reference_filter(n, scale, wanted, samples, width, height, bit_depth);

    unsigned long before = allocations;
    CHECK_ERROR(vrcnn_filter_picture(context, index, scale, &dst.plane, &from), VRCNN_OK);
    CHECK(allocations == before);
    check(only_region_written(&dst, wanted, 0, 0, width, height), __FILE__, __LINE__, "%s, kernel %s: %dx%d, %d bits, scale %d: differs",
          what, vrcnn_kernel_name(kernel), width, height, bit_depth, scale);

    for (int i = 0; i < 3; i++) {
        const int x = between(0, width - 1), y = between(0, height - 1), w = between(1, width - x), h = between(1, height - y);
        memset(dst.memory, GUARD, dst.size);
        before = allocations;
        CHECK_ERROR(vrcnn_filter_region(context, index, scale, &dst.plane, &from, x, y, w, h), VRCNN_OK);
        CHECK(allocations == before);
        check(only_region_written(&dst, wanted, x, y, w, h), __FILE__, __LINE__, "%s: region %d,%d %dx%d of %dx%d differs", what, x, y, w,
              h, width, height);
    }

    const int layer = between(0, n->layers - 2), channels = n->layer[layer].outputs;
    const int x = between(0, width - 1), y = between(0, height - 1), w = between(1, width - x), h = between(1, height - y);
    const ptrdiff_t row = (ptrdiff_t)w * channels, stride = row + between(0, 9);
    const size_t size = (size_t)(stride * h) + 2 * GUARD_BYTES;
    uint8_t *values = get(size), *expected = get(size);
    int16_t *reference = reference_values(n, layer + 1, samples, width, height, bit_depth);
    const int upside_down = between(0, 1);
    memset(values, GUARD, size);
    memset(expected, GUARD, size);
    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++)
            for (int c = 0; c < channels; c++)
                expected[GUARD_BYTES + (upside_down ? h - 1 - i : i) * stride + (ptrdiff_t)j * channels + c] =
                    (uint8_t)reference[(c * height + y + i) * width + x + j];
    before = allocations;
    CHECK_ERROR(vrcnn_filter_layer(context, index, layer, values + GUARD_BYTES + (upside_down ? (h - 1) * stride : 0),
                                   upside_down ? -stride : stride, &from, x, y, w, h),
                VRCNN_OK);
    CHECK(allocations == before);
    check(!memcmp(values, expected, size), __FILE__, __LINE__, "%s: layer %d differs", what, layer);

    /* The source is only read. */
    Guarded untouched = src;
    untouched.plane = src.plane;
    check(only_region_written(&untouched, samples, 0, 0, width, height), __FILE__, __LINE__, "%s: the source has changed", what);
    free(reference);
    free(values);
    free(expected);
    free(src.memory);
    free(dst.memory);
    free(samples);
    free(wanted);
    vrcnn_close(context);
}

static void test_against_reference(int kernel)
{
    static const Weights weights[5] = {RANDOM_WEIGHTS, ALL_HIGH, ALL_LOW, ALTERNATING, SPARSE};
    static const Biases biases[4] = {SMALL_BIASES, MIDDLE_BIASES, HIGHEST_BIASES, LOWEST_BIASES};
    /* General networks with every kind of weight and bias, contents in turn. */
    for (int round = 0; round < 60; round++) {
        TNetwork networks[2];
        for (int i = 0; i < 2; i++)
            networks[i] =
                random_network(between(2, 6), 16 * between(1, 4), weights[round % 5], round % 5 ? biases[round / 5 % 4] : SMALL_BIASES);
        VrcnnModel *model = load(networks, 2);
        compare(networks, 2, model, kernel, between(1, 40), between(1, 24), 8 + round % 3, (Content)(round / 3 % CONTENTS),
                "general network");
        vrcnn_model_free(model);
        free_network(&networks[0]);
        free_network(&networks[1]);
    }
    /* VRCNN's shape on every small size around the kernels' blocks. */
    TNetwork vrcnn = {0};
    add_branch(&vrcnn, 0, 5, 64, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&vrcnn, 1, 5, 16, 1, 600, RANDOM_WEIGHTS, MIDDLE_BIASES);
    add_branch(&vrcnn, 1, 3, 32, 0, 300, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&vrcnn, 2, 3, 16, 0, 400, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&vrcnn, 2, 1, 32, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&vrcnn, 3, 3, 1, 6, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    VrcnnModel *model = load(&vrcnn, 1);
    for (int size = 1; size <= 34; size++)
        compare(&vrcnn, 1, model, kernel, size, 1 + size * 7 % 9, 8 + size % 3, RANDOM_SAMPLES, "VRCNN");
    vrcnn_model_free(model);
    free_network(&vrcnn);
    /* The full width of a layer, and the deepest network: 32 layers, halo 64. */
    TNetwork wide = {0};
    for (int b = 0; b < 4; b++)
        add_branch(&wide, 0, b == 1 ? 1 : 3, 64, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&wide, 1, 5, 256, 5, 600, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&wide, 2, 5, 1, 9, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    model = load(&wide, 1);
    compare(&wide, 1, model, kernel, 7, 3, 10, RANDOM_SAMPLES, "256 channels");
    vrcnn_model_free(model);
    free_network(&wide);
    TNetwork deep = {0};
    for (int l = 0; l < 31; l++)
        add_branch(&deep, l, 5, 16, l ? 2 : 0, l ? 500 : 900, RANDOM_WEIGHTS, SMALL_BIASES);
    add_branch(&deep, 31, 5, 1, 6, 1000, RANDOM_WEIGHTS, SMALL_BIASES);
    model = load(&deep, 1);
    compare(&deep, 1, model, kernel, 21, 9, 8, RANDOM_SAMPLES, "32 layers");
    vrcnn_model_free(model);
    free_network(&deep);
    /* Pictures of more than one tile. */
    for (int round = 0; round < 4; round++) {
        TNetwork n = {0};
        add_branch(&n, 0, 5, 16, 0, 900, RANDOM_WEIGHTS, SMALL_BIASES);
        add_branch(&n, 1, 3, 16, 0, 900, SPARSE, SMALL_BIASES);
        add_branch(&n, 1, 5, 16, 0, 700, SPARSE, SMALL_BIASES);
        add_branch(&n, 2, 3, 1, 4, 900, RANDOM_WEIGHTS, SMALL_BIASES);
        model = load(&n, 1);
        compare(&n, 1, model, kernel, between(129, 300), between(1, 200), 8 + round % 3, round & 1 ? RANDOM_SAMPLES : NARROW, "tiles");
        vrcnn_model_free(model);
        free_network(&n);
    }
}

/* The largest sizes, without the memory for them: one row, one column. */
static void test_largest(void)
{
    TNetwork n = small_network(30, 0);
    VrcnnModel *model = load(&n, 1);
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 1);
    const int size = VRCNN_MAX_SIZE;
    uint16_t *samples = make_samples(size, 1, 10, RANDOM_SAMPLES), *wanted = get((size_t)size * sizeof *wanted);
    for (int turn = 0; turn < 2; turn++) {
        Guarded src = guarded(turn ? 1 : size, turn ? size : 1, 10, 2, 3, turn),
                dst = guarded(turn ? 1 : size, turn ? size : 1, 10, 2, 1, 0);
        fill_plane(&src.plane, samples);
        const VrcnnConstPlane from = constant(&src.plane);
        reference_filter(&n, 8, wanted, samples, src.plane.width, src.plane.height, 10);
        CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst.plane, &from), VRCNN_OK);
        CHECK(only_region_written(&dst, wanted, 0, 0, src.plane.width, src.plane.height));
        free(src.memory);
        free(dst.memory);
    }
    free(samples);
    free(wanted);
    vrcnn_close(context);
    vrcnn_model_free(model);
    free_network(&n);
}

static void test_sample_rules(void)
{
    TNetwork n = random_network(4, 32, RANDOM_WEIGHTS, SMALL_BIASES);
    VrcnnModel *model = load(&n, 1);
    VrcnnContext *context = open_context(model, VRCNN_KERNEL_AUTO, 1);
    vrcnn_model_free(model); /* the context does not need it */
    const int width = 33, height = 17;
    /* 8 bits in one and two bytes. */
    uint16_t *samples = make_samples(width, height, 8, RANDOM_SAMPLES);
    uint16_t out[4][33 * 17];
    for (int i = 0; i < 4; i++) {
        Guarded src = guarded(width, height, 8, 1 + (i & 1), 0, 0), dst = guarded(width, height, 8, 1 + (i >> 1), 0, 0);
        fill_plane(&src.plane, samples);
        const VrcnnConstPlane from = constant(&src.plane);
        CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst.plane, &from), VRCNN_OK);
        for (int j = 0; j < width * height; j++)
            out[i][j] = (uint16_t)get_sample(&dst.plane, j % width, j / width);
        CHECK(!memcmp(out[i], out[0], sizeof out[0]));
        free(src.memory);
        free(dst.memory);
    }
    /* Samples above the bit depth count as the highest value. */
    for (int bit_depth = 8; bit_depth <= 10; bit_depth++) {
        Guarded src = guarded(width, height, bit_depth, 2, 0, 0), dst = guarded(width, height, bit_depth, 2, 0, 0);
        uint16_t *above = make_samples(width, height, 8, RANDOM_SAMPLES), *wanted = get((size_t)(width * height) * sizeof *wanted);
        for (int i = 0; i < width * height; i++)
            if (random_bits() % 4 == 0)
                above[i] = (uint16_t)between(1 << bit_depth, 65535);
        fill_plane(&src.plane, above);
        for (int i = 0; i < width * height; i++)
            above[i] = (uint16_t)clip(0, (1 << bit_depth) - 1, above[i]);
        const VrcnnConstPlane from = constant(&src.plane);
        reference_filter(&n, 10, wanted, above, width, height, bit_depth);
        CHECK_ERROR(vrcnn_filter_picture(context, 0, 10, &dst.plane, &from), VRCNN_OK);
        CHECK(only_region_written(&dst, wanted, 0, 0, width, height));
        free(src.memory);
        free(dst.memory);
        free(above);
        free(wanted);
    }
    free(samples);
    vrcnn_close(context);
    free_network(&n);
}

static void test_call_refusals(void)
{
    TNetwork n = small_network(30, 0);
    VrcnnModel *model = load(&n, 1);
    VrcnnContext *context = NULL;
    VrcnnSettings settings;
    struct {
        VrcnnSettings settings;
        uint8_t later[16];
    } larger;

    CHECK_ERROR(vrcnn_default_settings(NULL, sizeof settings), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_default_settings(&settings, sizeof settings - 1), VRCNN_ERROR_ARGUMENT);
    memset(&larger, 1, sizeof larger);
    CHECK_ERROR(vrcnn_default_settings(&larger.settings, sizeof larger), VRCNN_OK);
    CHECK_ERROR(vrcnn_open(&context, model, &larger.settings), VRCNN_OK);
    CHECK(vrcnn_context_kernel(context) > VRCNN_KERNEL_AUTO && vrcnn_kernel_supported(vrcnn_context_kernel(context)));
    CHECK_ERROR(vrcnn_context_kernel(NULL), VRCNN_ERROR_ARGUMENT);
    vrcnn_close(context);
    vrcnn_close(NULL);
    larger.later[15] = 1;
    CHECK_ERROR(vrcnn_open(&context, model, &larger.settings), VRCNN_ERROR_ARGUMENT);
    CHECK(context == NULL);
    CHECK_ERROR(vrcnn_default_settings(&settings, sizeof settings), VRCNN_OK);
    settings.size = 3;
    CHECK_ERROR(vrcnn_open(&context, model, &settings), VRCNN_ERROR_ARGUMENT);
    settings.size = sizeof settings;
    for (int kernel = 0; vrcnn_kernel_name(kernel); kernel++) {
        settings.kernel = (VrcnnKernel)kernel;
        const VrcnnError opened = vrcnn_open(&context, model, &settings);
        CHECK(vrcnn_kernel_supported(kernel) ? opened == VRCNN_OK
                                             : opened == VRCNN_ERROR_KERNEL_UNSUPPORTED || opened == VRCNN_ERROR_KERNEL_REFUSED);
        CHECK(!context || kernel == VRCNN_KERNEL_AUTO || vrcnn_context_kernel(context) == kernel);
        vrcnn_close(context);
    }
    settings.kernel = (VrcnnKernel)99;
    CHECK_ERROR(vrcnn_open(&context, model, &settings), VRCNN_ERROR_KERNEL_UNKNOWN);
    settings.kernel = VRCNN_KERNEL_AUTO;
    static const int threads[4] = {-1, VRCNN_MAX_THREADS + 1, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        settings.threads = threads[i];
        CHECK_ERROR(vrcnn_open(&context, model, &settings), VRCNN_ERROR_THREADS);
        CHECK(context == NULL);
    }
    for (int given = 0; given <= VRCNN_MAX_THREADS; given += 16) {
        settings.threads = given;
        CHECK_ERROR(vrcnn_open(&context, model, &settings), VRCNN_OK);
        CHECK(vrcnn_context_threads(context) == (given ? given : 1) && vrcnn_context_memory(context) > 0);
        vrcnn_close(context);
    }
    CHECK_ERROR(vrcnn_context_threads(NULL), VRCNN_ERROR_ARGUMENT);
    CHECK(vrcnn_context_memory(NULL) == 0);
    CHECK_ERROR(vrcnn_open(NULL, model, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_open(&context, NULL, NULL), VRCNN_ERROR_ARGUMENT);
    allowed = 0;
    CHECK_ERROR(vrcnn_open(&context, model, NULL), VRCNN_ERROR_MEMORY);
    allowed = ALL_ALLOWED;
    CHECK(context == NULL);
    CHECK_ERROR(vrcnn_open(&context, model, NULL), VRCNN_OK);

    uint8_t memory[4096], values[16 * 8 * 6];
    memset(memory, 7, sizeof memory);
    const VrcnnConstPlane good_src = {memory, 8, 8, 6, 8, 1};
    const VrcnnPlane good_dst = {memory + 1024, 8, 8, 6, 8, 1};
    VrcnnConstPlane src;
    VrcnnPlane dst;
#define BOTH(change_src, change_dst, wanted)                                                                                               \
    do {                                                                                                                                   \
        src = good_src, dst = good_dst;                                                                                                    \
        change_src;                                                                                                                        \
        change_dst;                                                                                                                        \
        CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst, &src), (wanted));                                                            \
        CHECK_ERROR(vrcnn_filter_region(context, 0, 8, &dst, &src, 0, 0, 1, 1), (wanted));                                                 \
    } while (0)
#define SRC(change, wanted)                                                                                                                \
    do {                                                                                                                                   \
        BOTH(src.change, (void)0, (wanted));                                                                                               \
        CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, 128, &src, 0, 0, 1, 1), (wanted));                                           \
    } while (0)
#define DST(change, wanted) BOTH((void)0, dst.change, (wanted))
    SRC(data = NULL, VRCNN_ERROR_ARGUMENT);
    DST(data = NULL, VRCNN_ERROR_ARGUMENT);
    for (int b = -1; b < 18; b++)
        if (b < 8 || b > 10) {
            SRC(bit_depth = b, VRCNN_ERROR_BIT_DEPTH);
            DST(bit_depth = b, VRCNN_ERROR_BIT_DEPTH);
        }
    static const int sizes[4] = {0, -1, VRCNN_MAX_SIZE + 1, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        SRC(width = sizes[i], VRCNN_ERROR_PLANE);
        SRC(height = sizes[i], VRCNN_ERROR_PLANE);
        DST(width = sizes[i], VRCNN_ERROR_PLANE);
        DST(height = sizes[i], VRCNN_ERROR_PLANE);
    }
    static const ptrdiff_t strides[6] = {0, 7, -7, PTRDIFF_MAX, PTRDIFF_MIN, PTRDIFF_MAX / 5};
    for (int i = 0; i < 6; i++) {
        SRC(stride = strides[i], VRCNN_ERROR_PLANE);
        DST(stride = strides[i], VRCNN_ERROR_PLANE);
    }
    static const int bytes[4] = {0, -1, 3, 4};
    for (int i = 0; i < 4; i++) {
        SRC(bytes_per_sample = bytes[i], VRCNN_ERROR_PLANE);
        DST(bytes_per_sample = bytes[i], VRCNN_ERROR_PLANE);
    }
    SRC(bytes_per_sample = 2, VRCNN_ERROR_PLANE); /* the stride is too small for them */
    SRC(bit_depth = 10, VRCNN_ERROR_PLANE);       /* needs two bytes */
    DST(width = 7, VRCNN_ERROR_PLANE);
    DST(height = 5, VRCNN_ERROR_PLANE);
    BOTH((void)0, (dst.bit_depth = 10, dst.bytes_per_sample = 2, dst.stride = 16), VRCNN_ERROR_PLANE);
    BOTH((src.data = (const void *)(uintptr_t)16, src.stride = -8), (void)0, VRCNN_ERROR_PLANE); /* would begin before address 0 */

    src = good_src, dst = good_dst;
    static const int indexes[4] = {-1, 1, 32, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        CHECK_ERROR(vrcnn_filter_picture(context, indexes[i], 8, &dst, &src), VRCNN_ERROR_INDEX);
        CHECK_ERROR(vrcnn_filter_region(context, indexes[i], 8, &dst, &src, 0, 0, 1, 1), VRCNN_ERROR_INDEX);
        CHECK_ERROR(vrcnn_filter_layer(context, indexes[i], 0, values, 128, &src, 0, 0, 1, 1), VRCNN_ERROR_INDEX);
        CHECK_ERROR(vrcnn_filter_layer(context, 0, indexes[i], values, 128, &src, 0, 0, 1, 1), VRCNN_ERROR_LAYER);
    }
    static const int scales[4] = {0, -1, 11, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        CHECK_ERROR(vrcnn_filter_picture(context, 0, scales[i], &dst, &src), VRCNN_ERROR_SCALE);
        CHECK_ERROR(vrcnn_filter_region(context, 0, scales[i], &dst, &src, 0, 0, 1, 1), VRCNN_ERROR_SCALE);
    }
    static const int regions[][4] = {{0, 0, 0, 1},  {0, 0, 1, 0},         {-1, 0, 2, 1},        {0, -1, 1, 2},        {0, 0, 9, 1},
                                     {0, 0, 1, 7},  {8, 0, 1, 1},         {0, 6, 1, 1},         {7, 0, 2, 1},         {0, 5, 1, 2},
                                     {0, 0, -1, 1}, {1, 0, INT32_MAX, 1}, {0, 1, 1, INT32_MAX}, {INT32_MAX, 0, 1, 1}, {0, INT32_MIN, 1, 1}};
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        const int *r = regions[i];
        CHECK_ERROR(vrcnn_filter_region(context, 0, 8, &dst, &src, r[0], r[1], r[2], r[3]), VRCNN_ERROR_REGION);
        CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, 128, &src, r[0], r[1], r[2], r[3]), VRCNN_ERROR_REGION);
    }
    /* A shift of less than the picture's 48 bytes overlaps, 48 does not. */
    for (int shift = -48; shift <= 48; shift++) {
        dst.data = memory + 1024 + shift;
        src.data = memory + 1024;
        CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst, &src), abs(shift) < 48 ? VRCNN_ERROR_OVERLAP : VRCNN_OK);
        src.data = memory + 1024 + 40, src.stride = -8;
        CHECK_ERROR(vrcnn_filter_region(context, 0, 8, &dst, &src, 2, 2, 1, 1), abs(shift) < 48 ? VRCNN_ERROR_OVERLAP : VRCNN_OK);
        CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, memory + 1024 + shift, 48, &src, 0, 0, 3, 1),
                    abs(shift) < 48 ? VRCNN_ERROR_OVERLAP : VRCNN_OK);
        src.stride = 8;
    }
    src = good_src;
    CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, 8 * 16 - 1, &src, 0, 0, 8, 6), VRCNN_ERROR_PLANE);
    CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, PTRDIFF_MIN, &src, 0, 0, 8, 6), VRCNN_ERROR_PLANE);
    CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, 128, &src, 0, 0, 8, 6), VRCNN_OK);
    CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, NULL, 128, &src, 0, 0, 8, 6), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_layer(context, 0, 0, values, 128, NULL, 0, 0, 8, 6), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_layer(NULL, 0, 0, values, 128, &src, 0, 0, 8, 6), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_picture(NULL, 0, 8, &dst, &src), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, NULL, &src), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_picture(context, 0, 8, &dst, NULL), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_region(NULL, 0, 8, &dst, &src, 0, 0, 1, 1), VRCNN_ERROR_ARGUMENT);

    uint8_t map[1] = {1};
    const VrcnnUnits good_units = {64, 1, {0, 0, 0}, 8, map};
    VrcnnUnits units;
    dst = good_dst;
#define UNITS(change, wanted)                                                                                                              \
    do {                                                                                                                                   \
        units = good_units;                                                                                                                \
        units.change;                                                                                                                      \
        CHECK_ERROR(vrcnn_filter_units(context, &units, &dst, &src), (wanted));                                                            \
    } while (0)
    UNITS(scale = 8, VRCNN_OK);
    static const int unit_sizes[] = {0, -64, 1, 32, 63, 65, 96, 1024, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unit_sizes / sizeof *unit_sizes; i++)
        UNITS(unit_size = unit_sizes[i], VRCNN_ERROR_UNITS);
    for (int i = 0; i < 4; i++) {
        UNITS(index[0] = indexes[i], VRCNN_ERROR_INDEX);
        UNITS(scale = scales[i], VRCNN_ERROR_SCALE);
    }
    UNITS(networks = 0, VRCNN_ERROR_UNITS);
    UNITS(networks = -1, VRCNN_ERROR_UNITS);
    UNITS(networks = VRCNN_MAX_CHOICES + 1, VRCNN_ERROR_UNITS);
    UNITS(unit = NULL, VRCNN_ERROR_ARGUMENT);
    map[0] = 2;
    UNITS(scale = 8, VRCNN_ERROR_UNITS);
    map[0] = 1;
    dst.data = memory + 1;
    UNITS(scale = 8, VRCNN_ERROR_OVERLAP);
    dst = good_dst;
    memory[1024 + 47] = 1;
    UNITS(unit = memory + 1024 + 47, VRCNN_ERROR_OVERLAP);
    memory[1024 + 48] = 1;
    UNITS(unit = memory + 1024 + 48, VRCNN_OK);
    CHECK_ERROR(vrcnn_filter_units(context, NULL, &dst, &src), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_units(NULL, &units, &dst, &src), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_units(context, &units, NULL, &src), VRCNN_ERROR_ARGUMENT);
    CHECK_ERROR(vrcnn_filter_units(context, &units, &dst, NULL), VRCNN_ERROR_ARGUMENT);

    /* A refused call leaves dst alone. */
    memset(memory, 0x5a, sizeof memory);
    dst = good_dst;
    CHECK(vrcnn_filter_picture(context, 0, 11, &dst, &src) < 0 && vrcnn_filter_region(context, 0, 8, &dst, &src, 0, 0, 9, 1) < 0);
    int untouched = 1;
    for (size_t i = 0; i < sizeof memory; i++)
        untouched &= memory[i] == 0x5a;
    CHECK(untouched);
    vrcnn_close(context);
    vrcnn_model_free(model);
    free_network(&n);
}

/* Linux does not grant AMX to a process with an alternate signal stack that is too small for the tiles. Runs before anything has asked. */
static void test_refused_kernel(void)
{
#if defined(__x86_64__) && defined(__linux__)
    fflush(stdout);
    if (!(vrcnn_cpu_flags() & VRCNN_CPU_AMX))
        return;
    const pid_t child = fork();
    if (child == 0) {
        static uint8_t stack[2048];
        const stack_t small = {.ss_sp = stack, .ss_size = sizeof stack};
        VrcnnModel *model = NULL;
        VrcnnContext *context = NULL;
        VrcnnSettings settings;
        if (sigaltstack(&small, NULL))
            _exit(0); /* granted already, to whoever runs the tests */
        vrcnn_default_settings(&settings, sizeof settings);
        settings.kernel = VRCNN_KERNEL_AMX;
        int wrong = vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING) != VRCNN_OK || vrcnn_kernel_supported(VRCNN_KERNEL_AMX) ||
                    vrcnn_open(&context, model, &settings) != VRCNN_ERROR_KERNEL_REFUSED;
        settings.kernel = VRCNN_KERNEL_AUTO;
        wrong |= vrcnn_open(&context, model, &settings) != VRCNN_OK || vrcnn_context_kernel(context) == VRCNN_KERNEL_AMX;
        _exit(wrong);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
#endif
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    seed_random(seed);
#if !defined(_WIN32)
    alarm(1800); /* a deadlock fails */
#endif
    test_refused_kernel();
    test_small_things();
    test_sha256();
    test_model_interface();
    test_builtin();
    test_model_refusals();
    test_proof_limits();
    for (int kernel = 0; vrcnn_kernel_name(kernel); kernel++)
        if (vrcnn_kernel_supported(kernel) && kernel != VRCNN_KERNEL_AUTO)
            test_against_reference(kernel);
    test_largest();
    test_sample_rules();
    test_call_refusals();
    return report();
}
