/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn_filter.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "decctx.h"

/* libde265's errors end below 600 and its warnings begin at 1000. The library's error -n is FIRST + n, then come the adapter's own. */
enum { FIRST = 600, NO_MODEL = 680, NO_FILE, NO_KERNEL, NO_NETWORK, LOST, LUMA_SAO, END };

static bool is_irap(int nal_unit_type)
{
    return nal_unit_type >= 16 && nal_unit_type <= 23;
}

static double now()
{
    typedef std::chrono::steady_clock clock;
    return std::chrono::duration<double>(clock::now().time_since_epoch()).count();
}

const char *vrcnn_decoder::text(int error)
{
    static const char *const own[] = {
        "the stream's model set is neither built in nor the one given",
        "cannot read the file of the model set",
        "there are no such kernels",
        "the side information names a network that the model set does not have",
        "a first slice segment, which would have the side information, is lost",
        "the picture has both luma SAO and a network before deblocking",
    };
    if (error >= NO_MODEL && error < END)
        return own[error - NO_MODEL];
    return error > FIRST && error < NO_MODEL ? vrcnn_strerror(FIRST - error) : NULL;
}

vrcnn_decoder::vrcnn_decoder() : m_model(NULL), m_context(NULL), m_file("builtin"), m_kernel("auto"), m_threads(0), m_pictures(0), m_seconds(0)
{
    memset(m_identity, 0, sizeof m_identity);
    reset();
}

vrcnn_decoder::~vrcnn_decoder()
{
    close();
}

void vrcnn_decoder::close()
{
    vrcnn_close(m_context);
    vrcnn_model_free(m_model);
    m_context = NULL;
    m_model = NULL;
}

void vrcnn_decoder::reset()
{
    m_active = m_broken = m_signalled = m_slice_known = false;
    m_slice_type = m_slice_poc = m_slice_address = 0;
    m_error = DE265_OK;
    memset(&m_info, 0, sizeof m_info);
}

de265_error vrcnn_decoder::fail(int code, int poc)
{
    char line[256];
    if (poc >= 0)
        snprintf(line, sizeof line, "POC %d: %s", poc, text(code));
    else
        snprintf(line, sizeof line, "%s", text(code));
    m_message = line;
    return (de265_error)code;
}

/* ---- model ---- */

de265_error vrcnn_decoder::load(const char *file)
{
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> data((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad() || data.empty())
        return fail(NO_FILE, -1);
    const VrcnnError error = vrcnn_model_load(&m_model, &data[0], data.size(), NULL);
    return error ? fail(FIRST - error, -1) : DE265_OK;
}

de265_error vrcnn_decoder::open_context(int threads)
{
    VrcnnSettings settings;
    int kernel = 0;
    vrcnn_default_settings(&settings, sizeof settings);
    while (vrcnn_kernel_name(kernel) && m_kernel != vrcnn_kernel_name(kernel))
        kernel++;
    if (!vrcnn_kernel_name(kernel))
        return fail(NO_KERNEL, -1);
    settings.kernel = (VrcnnKernel)kernel;
    settings.threads = m_threads ? m_threads : threads > VRCNN_MAX_THREADS ? VRCNN_MAX_THREADS : threads;
    const VrcnnError error = vrcnn_open(&m_context, m_model, &settings);
    return error ? fail(FIRST - error, -1) : DE265_OK;
}

de265_error vrcnn_decoder::set(const char *model, const char *kernel, int threads)
{
    m_file = model ? model : "builtin";
    m_kernel = kernel ? kernel : "auto";
    m_threads = threads;
    /* What cannot work is said at once and not at the first picture. */
    close();
    de265_error error = DE265_OK;
    if (m_file == "builtin") {
        const VrcnnError code = vrcnn_model_builtin(&m_model, VRCNN_BEFORE_DEBLOCKING);
        error = code ? fail(FIRST - code, -1) : DE265_OK;
    } else {
        error = load(m_file.c_str());
    }
    if (error == DE265_OK)
        error = open_context(1);
    close();
    return error;
}

de265_error vrcnn_decoder::open_identity(const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE], int threads)
{
    static const VrcnnPosition positions[] = {VRCNN_BEFORE_DEBLOCKING, VRCNN_AFTER_SAO};
    if (m_context && !memcmp(m_identity, identity, VRCNN_SIDEINFO_ID_SIZE))
        return DE265_OK;
    for (int i = m_file == "builtin" ? 0 : -1; i < 2; i++) {
        close();
        if (i < 0) {
            const de265_error error = load(m_file.c_str());
            if (error)
                return error;
        } else if (vrcnn_model_builtin(&m_model, positions[i])) {
            continue;
        }
        vrcnn_model_id(m_model, m_identity);
        if (!memcmp(m_identity, identity, VRCNN_SIDEINFO_ID_SIZE))
            return open_context(threads);
    }
    close();
    fail(NO_MODEL, -1);
    char line[160];
    snprintf(line, sizeof line, "the stream needs the model set %02x%02x%02x%02x..., which is not built in; name its file with --vrcnn-model",
             identity[0], identity[1], identity[2], identity[3]);
    m_message = line;
    return (de265_error)NO_MODEL;
}

/* ---- order of slice segments ---- */

de265_error vrcnn_decoder::lost(int nal_unit_type, de265_error error)
{
    if (!m_signalled && !is_irap(nal_unit_type))
        return error;
    m_broken = true;
    return fail(LOST, -1);
}

de265_error vrcnn_decoder::slice(const slice_segment_header &header, int nal_unit_type)
{
    const bool continues = m_slice_known && m_slice_type == nal_unit_type && m_slice_poc == header.slice_pic_order_cnt_lsb &&
                           m_slice_address < header.slice_segment_address;
    if (!header.first_slice_segment_in_pic_flag && !continues) {
        const de265_error error = lost(nal_unit_type, DE265_OK);
        if (error)
            return error;
    }
    if (header.first_slice_segment_in_pic_flag && is_irap(nal_unit_type)) {
        const std::vector<uint8_t> &bytes = header.vrcnn.bytes();
        m_signalled = bytes.size() >= 2 && bytes[0] == 0x56 && bytes[1] == 0x4E;
    }
    m_slice_known = true;
    m_slice_type = nal_unit_type;
    m_slice_poc = header.slice_pic_order_cnt_lsb;
    m_slice_address = header.slice_segment_address;
    return DE265_OK;
}

/* ---- pictures ---- */

de265_error vrcnn_decoder::parse(image_unit &unit, int threads)
{
    const de265_image &image = *unit.img;
    const bool irap = is_irap(image.nal_hdr.nal_unit_type);
    const int poc = image.PicOrderCntVal;
    const std::vector<uint8_t> &bytes = unit.slice_units[0]->shdr->vrcnn.bytes();
    memset(&m_info, 0, sizeof m_info);
    if (irap)
        m_broken = false;
    if (m_broken || (!m_active && !irap))
        return DE265_OK;
    m_unit.resize(VRCNN_MAX_UNITS);
    const VrcnnError error = vrcnn_sideinfo_parse(&m_info, &m_unit[0], m_unit.size(), bytes.empty() ? NULL : &bytes[0], bytes.size(),
                                                  irap, image.get_width(0), image.get_height(0));
    if (error == VRCNN_ERROR_SIDEINFO_FOREIGN) {
        m_active = false;
        return DE265_OK;
    }
    m_active = true;
    if (error)
        return fail(FIRST - error, poc);
    if (irap) {
        const de265_error opened = open_identity(m_info.identity, threads);
        if (opened)
            return opened;
    }
    for (int i = 0; i < m_info.networks; i++) {
        VrcnnNetworkInfo network;
        if (vrcnn_model_network_info(m_model, m_info.index[i], &network))
            return fail(NO_NETWORK, poc);
    }
    if (m_info.mode != VRCNN_MODE_OFF && m_info.position == VRCNN_BEFORE_DEBLOCKING && image.get_sps().sample_adaptive_offset_enabled_flag)
        for (size_t i = 0; i < unit.slice_units.size(); i++)
            if (unit.slice_units[i]->shdr->slice_sao_luma_flag)
                return fail(LUMA_SAO, poc);
    return DE265_OK;
}

void vrcnn_decoder::keep(const de265_image &image)
{
    const size_t width = (size_t)image.get_width(0) * image.get_bytes_per_pixel(0);
    const ptrdiff_t stride = (ptrdiff_t)image.get_image_stride(0) * image.get_bytes_per_pixel(0);
    m_source.resize(width * image.get_height(0));
    for (int y = 0; y < image.get_height(0); y++)
        memcpy(&m_source[y * width], image.get_image_plane(0) + y * stride, width);
}

/* Lossless blocks and PCM blocks without loop filter keep their samples. */
void vrcnn_decoder::restore(de265_image &image) const
{
    const seq_parameter_set &sps = image.get_sps();
    const bool pcm = sps.pcm_loop_filter_disable_flag != 0;
    if (!pcm && !image.get_pps().transquant_bypass_enable_flag)
        return;
    const int size = 1 << sps.Log2MinCbSizeY, sample = image.get_bytes_per_pixel(0);
    const size_t width = (size_t)image.get_width(0) * sample;
    const ptrdiff_t stride = (ptrdiff_t)image.get_image_stride(0) * sample;
    for (int y = 0; y < image.get_height(0); y += size)
        for (int x = 0; x < image.get_width(0); x += size)
            if (image.get_cu_transquant_bypass(x, y) || (pcm && image.get_pcm_flag(x, y)))
                for (int row = y; row < y + size && row < image.get_height(0); row++)
                    memcpy(image.get_image_plane(0) + row * stride + (size_t)x * sample, &m_source[row * width + (size_t)x * sample],
                           (size_t)(x + size < image.get_width(0) ? size : image.get_width(0) - x) * sample);
}

void vrcnn_decoder::before_deblocking(image_unit &unit, int threads)
{
    m_error = parse(unit, threads < 1 ? 1 : threads);
    if (m_error == DE265_OK && m_info.mode != VRCNN_MODE_OFF && m_info.position == VRCNN_BEFORE_DEBLOCKING)
        keep(*unit.img);
}

de265_error vrcnn_decoder::run(image_unit &unit)
{
    de265_image &image = *unit.img;
    if (m_info.position == VRCNN_AFTER_SAO)
        keep(image);
    const int width = image.get_width(0), height = image.get_height(0), depth = image.get_bit_depth(0), bytes = image.get_bytes_per_pixel(0);
    const VrcnnConstPlane source = {&m_source[0], (ptrdiff_t)width * bytes, width, height, depth, bytes};
    const VrcnnPlane target = {image.get_image_plane(0), (ptrdiff_t)image.get_image_stride(0) * bytes, width, height, depth, bytes};
    VrcnnError error;
    if (m_info.mode == VRCNN_MODE_ALL) {
        error = vrcnn_filter_picture(m_context, m_info.index[0], m_info.scale, &target, &source);
    } else {
        VrcnnUnits units = {m_info.unit_size, m_info.networks, {0}, m_info.scale, &m_unit[0]};
        memcpy(units.index, m_info.index, sizeof units.index);
        error = vrcnn_filter_units(m_context, &units, &target, &source);
    }
    if (error)
        return fail(FIRST - error, image.PicOrderCntVal);
    restore(image);
    return DE265_OK;
}

de265_error vrcnn_decoder::after_sao(image_unit &unit)
{
    if (m_error == DE265_OK && !m_broken && m_info.mode != VRCNN_MODE_OFF) {
        const double start = now();
        m_error = run(unit);
        m_seconds += now() - start;
        m_pictures += m_error == DE265_OK;
    }
    if (m_error != DE265_OK)
        m_broken = true;
    if (m_broken)
        unit.img->PicOutputFlag = false;
    return m_error;
}

const char *vrcnn_decoder::statistics(int *pictures, double *seconds) const
{
    *pictures = m_pictures;
    *seconds = m_seconds;
    return m_context && m_pictures ? vrcnn_kernel_name(vrcnn_context_kernel(m_context)) : NULL;
}

/* ---- for programs ---- */

de265_error vrcnn_de265_set(de265_decoder_context *decoder, const char *model, const char *kernel, int threads)
{
    return ((decoder_context *)decoder)->vrcnn.set(model, kernel, threads);
}

int vrcnn_de265_is_error(de265_error error)
{
    return vrcnn_decoder::text(error) != NULL;
}

const char *vrcnn_de265_message(de265_decoder_context *decoder)
{
    return ((decoder_context *)decoder)->vrcnn.message();
}

const char *vrcnn_de265_statistics(de265_decoder_context *decoder, int *pictures, double *seconds)
{
    return ((decoder_context *)decoder)->vrcnn.statistics(pictures, seconds);
}
