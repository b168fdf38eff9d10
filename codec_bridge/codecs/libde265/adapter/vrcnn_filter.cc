/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn_filter.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "decctx.h"

/* libde265's errors end below 600 and its warnings begin at 1000. The library's error -n is FIRST + n. */
enum { LOWEST_QP = -12 };
enum { FIRST = 600, NO_FILE = 680, NO_DUMP = 681, BAD_POST = 682 };

static const uint8_t MAGIC[] = {0x56, 0x4e}; /* of side information, which is the receiver's to read */

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
    if (error == NO_FILE)
        return "cannot read the file of the model set";
    if (error == NO_DUMP)
        return "cannot write the dump of pictures";
    if (error == BAD_POST)
        return "the SEI message of the post-filter is damaged";
    return error > FIRST && error < NO_FILE ? vrcnn_strerror(FIRST - error) : NULL;
}

vrcnn_decoder::vrcnn_decoder()
    : m_receiver(NULL), m_kernel(VRCNN_KERNEL_AUTO), m_threads(0), m_uses_post(true), m_post_model(NULL), m_post_context(NULL),
      m_decoder_threads(1), m_dump(NULL), m_dump_position(0), m_dumps_motion(false), m_pictures(0), m_seconds(0)
{
    reset();
}

vrcnn_decoder::~vrcnn_decoder()
{
    if (m_dump)
        fclose(m_dump);
    vrcnn_receiver_close(m_receiver);
    vrcnn_close(m_post_context);
    vrcnn_model_free(m_post_model);
}

void vrcnn_decoder::reset()
{
    vrcnn_receiver_reset(m_receiver);
    m_post.reset();
    m_error = VRCNN_OK;
    m_broken = m_post_is_bad = false;
    m_post_filter = NULL;
    memset(&m_info, 0, sizeof m_info);
    memset(m_source, 0, sizeof m_source);
}

de265_error vrcnn_decoder::fail(VrcnnError error, int poc)
{
    char line[256];
    if (error == VRCNN_ERROR_SIDEINFO_MODEL && m_post_filter)
        return fail_set(m_post_filter->identity, sizeof m_post_filter->identity);
    if (error == VRCNN_ERROR_SIDEINFO_MODEL)
        return fail_set(m_info.identity, m_info.version == 1 ? VRCNN_SIDEINFO_ID_SIZE : VRCNN_SIDEINFO_SHORT_ID_SIZE);
    if (poc >= 0)
        snprintf(line, sizeof line, "POC %d: %s", poc, vrcnn_strerror(error));
    else
        snprintf(line, sizeof line, "%s", vrcnn_strerror(error));
    m_message = line;
    return (de265_error)(FIRST - error);
}

de265_error vrcnn_decoder::fail_set(const uint8_t *identity, int size)
{
    char digits[2 * sizeof(vrcnn_post_filter::identity) + 1] = "";
    for (int i = 0; i < size; i++)
        snprintf(digits + 2 * i, 3, "%02x", identity[i]);
    m_message = std::string("the stream needs the model set ") + digits + "..., which is not built in; name its file with --vrcnn-model";
    return (de265_error)(FIRST - VRCNN_ERROR_SIDEINFO_MODEL);
}

/* ---- opening ---- */

VrcnnSettings vrcnn_decoder::settings(int threads) const
{
    VrcnnSettings settings;
    vrcnn_default_settings(&settings, sizeof settings);
    settings.kernel = m_kernel;
    settings.threads = m_threads ? m_threads : threads > VRCNN_MAX_THREADS ? VRCNN_MAX_THREADS : threads;
    return settings;
}

VrcnnError vrcnn_decoder::open(int threads)
{
    if (m_receiver)
        return VRCNN_OK;
    const VrcnnSettings wanted = settings(threads);
    return vrcnn_receiver_open(&m_receiver, &wanted, m_file.empty() ? NULL : &m_file[0], m_file.size());
}

de265_error vrcnn_decoder::set(const char *model, const char *kernel, int threads)
{
    const int number = kernel ? vrcnn_kernel_by_name(kernel) : VRCNN_KERNEL_AUTO;
    vrcnn_receiver_close(m_receiver);
    m_receiver = NULL;
    m_file.clear();
    m_threads = threads;
    /* Sets that are built in are found without a name. */
    size_t size;
    if (model && strcmp(model, "builtin") && !vrcnn_builtin_file(model, &size)) {
        std::ifstream stream(model, std::ios::binary);
        m_file.assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
        if (!stream.is_open() || stream.bad() || m_file.empty()) {
            m_message = text(NO_FILE);
            return (de265_error)NO_FILE;
        }
    }
    if (number < 0)
        return fail((VrcnnError)number, -1);
    m_kernel = (VrcnnKernel)number;
    /* What cannot work is said at once and not at the first picture. */
    const VrcnnError error = open(1);
    vrcnn_receiver_close(m_receiver);
    m_receiver = NULL;
    return error ? fail(error, -1) : DE265_OK;
}

/* ---- dump ---- */

de265_error vrcnn_decoder::dump_to(const char *file, int position)
{
    if (m_dump)
        fclose(m_dump);
    m_dump_position = position;
    m_dump = position == VRCNN_BEFORE_DEBLOCKING || position == VRCNN_AFTER_SAO ? fopen(file, "wb") : NULL;
    if (m_dump)
        return DE265_OK;
    m_message = text(NO_DUMP);
    return (de265_error)NO_DUMP;
}

/* An error stays in the file's state, where after_sao finds it. */
void vrcnn_decoder::dump(const image_unit &unit)
{
    const de265_image &image = *unit.img;
    const slice_segment_header &first = *unit.slice_units[0]->shdr;
    if (!image.PicOutputFlag)
        return;
    int type = first.slice_type; /* B is 0, P 1, I 2 */
    for (size_t i = 1; i < unit.slice_units.size(); i++)
        if (unit.slice_units[i]->shdr->slice_type < type)
            type = unit.slice_units[i]->shdr->slice_type;
    const int format = image.get_chroma_format(), planes = format == de265_chroma_mono ? 1 : 3;
    fprintf(m_dump, "picture %d %d %d %c %d %d %d %d %d %d\n", image.PicOrderCntVal, image.nal_hdr.nal_unit_type,
            image.nal_hdr.nuh_temporal_id, "BPI"[type], first.SliceQPY, image.get_width(0), image.get_height(0), format,
            image.get_sps().BitDepth_Y, image.get_sps().BitDepth_C);
    for (int i = 0; i < planes; i++) {
        const int bytes = image.get_bytes_per_pixel(i);
        const uint8_t *row = image.get_image_plane(i);
        for (int y = 0; y < image.get_height(i); y++, row += (ptrdiff_t)image.get_image_stride(i) * bytes)
            fwrite(row, bytes, image.get_width(i), m_dump);
    }
    if (m_dumps_motion)
        write_motion(*unit.img);
    fflush(m_dump);
}

static void put(std::vector<uint8_t> &bytes, uint32_t value)
{
    for (int i = 0; i < 32; i += 8)
        bytes.push_back((uint8_t)(value >> i));
}

/* What is left of an earlier picture in blocks that were lost or are intra must not be taken for motion. */
void vrcnn_decoder::write_motion(de265_image &image)
{
    std::vector<uint8_t> bytes;
    for (int y = 0; y < image.get_height(0); y += 4) {
        bytes.clear();
        for (int x = 0; x < image.get_width(0); x += 4) {
            const slice_segment_header *const slice = image.get_SliceHeader(x, y);
            const bool is_inter = slice && image.get_pred_mode(x, y) != MODE_INTRA;
            const PBMotion &motion = image.get_mv_info(x, y);
            for (int list = 0; list < 2; list++) {
                const int index = motion.refIdx[list];
                const bool is_used = is_inter && motion.predFlag[list] && index >= 0 && index < MAX_NUM_REF_PICS;
                put(bytes, is_used ? (uint32_t)slice->RefPicList_POC[list][index] - (uint32_t)image.PicOrderCntVal : 0);
                put(bytes, is_used ? (uint32_t)motion.mv[list].x : 0);
                put(bytes, is_used ? (uint32_t)motion.mv[list].y : 0);
            }
        }
        fwrite(&bytes[0], 1, bytes.size(), m_dump);
    }
}

/* ---- order of slice segments ---- */

de265_error vrcnn_decoder::lost(int nal_unit_type, de265_error error, int threads)
{
    VrcnnError own = open(threads);
    m_post.skip();
    if (!own)
        own = vrcnn_receiver_lost(m_receiver, is_irap(nal_unit_type));
    m_broken = m_broken || own;
    return own ? fail(own, -1) : error;
}

de265_error vrcnn_decoder::slice(slice_segment_header &header, const de265_image &image, bool without_rasl, int threads)
{
    const int nal_unit_type = image.nal_hdr.nal_unit_type;
    const std::vector<uint8_t> &bytes = header.vrcnn.bytes();
    const std::vector<int> &order = header.pps->CtbAddrRStoTS;
    const size_t address = header.slice_segment_address;
    const VrcnnSegment segment = {header.first_slice_segment_in_pic_flag, nal_unit_type,
                                  header.slice_pic_order_cnt_lsb,         address < order.size() ? order[address] : 0,
                                  bytes.empty() ? NULL : &bytes[0],       bytes.size()};
    VrcnnError error = open(threads);
    if (!error)
        error = vrcnn_receiver_segment(m_receiver, &segment);
    m_broken = m_broken || error;
    m_decoder_threads = threads;
    post_slice(header, image, without_rasl);
    return error ? fail(error, -1) : DE265_OK;
}

/* What filters the picture after decoding goes with its first slice. */
void vrcnn_decoder::post_slice(slice_segment_header &header, const de265_image &image, bool without_rasl)
{
    const int nal_unit_type = image.nal_hdr.nal_unit_type;
    const std::vector<uint8_t> &bytes = header.vrcnn.bytes();
    const bool in_loop = is_irap(nal_unit_type) && bytes.size() > 1 && bytes[0] == MAGIC[0] && bytes[1] == MAGIC[1];
    /* Leading pictures that refer to what is before the beginning are none. */
    if (!m_uses_post || !header.first_slice_segment_in_pic_flag || (isRASL(nal_unit_type) && without_rasl))
        m_post.skip();
    else
        header.vrcnn.read_post(m_post, nal_unit_type, is_irap(nal_unit_type) && without_rasl, in_loop);
}

/* ---- pictures ---- */

/* Luma, and chroma if it is wanted and 4:2:0 of 8 to 10 bits, or of 12 if luma has 12 and that is allowed. What is not there has no data.
 */
static int fill_planes(VrcnnPlane planes[3], de265_image &image, bool wants_chroma, bool allows_deep)
{
    const int depth = image.get_sps().BitDepth_Y, chroma_depth = image.get_sps().BitDepth_C;
    const bool fits = (chroma_depth >= 8 && chroma_depth <= 10) || (allows_deep && depth == 12 && chroma_depth == 12);
    const int count = wants_chroma && image.get_chroma_format() == de265_chroma_420 && fits ? 3 : 1;
    memset(planes, 0, 3 * sizeof *planes);
    for (int i = 0; i < count; i++) {
        const int bytes = image.get_bytes_per_pixel(i);
        const VrcnnPlane plane = {image.get_image_plane(i), (ptrdiff_t)image.get_image_stride(i) * bytes,
                                  image.get_width(i),       image.get_height(i),
                                  image.get_bit_depth(i),   bytes};
        planes[i] = plane;
    }
    return count;
}

/* What there is for networks in the loop: no chroma for those of version 1. */
int vrcnn_decoder::planes_of(VrcnnPlane planes[3], de265_image &image) const
{
    return fill_planes(planes, image, m_info.version > 1, false);
}

void vrcnn_decoder::keep(de265_image &image)
{
    VrcnnPlane planes[3];
    const int count = planes_of(planes, image);
    memset(m_source, 0, sizeof m_source);
    for (int i = 0; i < count; i++) {
        const VrcnnPlane &plane = planes[i];
        const size_t width = (size_t)plane.width * plane.bytes_per_sample;
        m_samples[i].resize(width * plane.height);
        for (int y = 0; y < plane.height; y++)
            memcpy(&m_samples[i][y * width], (const char *)plane.data + y * plane.stride, width);
        const VrcnnConstPlane kept = {&m_samples[i][0], (ptrdiff_t)width, plane.width,
                                      plane.height,     plane.bit_depth,  plane.bytes_per_sample};
        m_source[i] = kept;
    }
}

/* Which blocks of 8x8 are lossless, or PCM without loop filter; NULL if there cannot be any. */
const uint8_t *vrcnn_decoder::lossless(const de265_image &image)
{
    const bool pcm = image.get_sps().pcm_loop_filter_disable_flag != 0;
    const int width = image.get_width(0), height = image.get_height(0);
    if (!pcm && !image.get_pps().transquant_bypass_enable_flag)
        return NULL;
    m_kept.clear();
    for (int y = 0; y < height; y += 8)
        for (int x = 0; x < width; x += 8)
            m_kept.push_back(image.get_cu_transquant_bypass(x, y) || (pcm && image.get_pcm_flag(x, y)));
    return &m_kept[0];
}

void vrcnn_decoder::before_deblocking(image_unit &unit)
{
    de265_image &image = *unit.img;
    const bool irap = is_irap(image.nal_hdr.nal_unit_type);
    const std::vector<uint8_t> &bytes = unit.slice_units[0]->shdr->vrcnn.bytes();
    if (irap)
        m_broken = m_post_is_bad = false;
    image.vrcnn_shown.reset();
    m_post_filter = image.PicOutputFlag ? unit.slice_units[0]->shdr->vrcnn.post_filter() : NULL;
    memset(&m_info, 0, sizeof m_info);
    m_error = vrcnn_receiver_picture_planes(m_receiver, bytes.empty() ? NULL : &bytes[0], bytes.size(), irap, image.get_width(0),
                                            image.get_height(0), &m_info);
    if (m_error == VRCNN_OK && filters() && m_info.position == VRCNN_BEFORE_DEBLOCKING)
        keep(image);
    if (m_dump && m_dump_position == VRCNN_BEFORE_DEBLOCKING)
        dump(unit);
}

/* The set that begins with this identity: the one that was given, or one that is built in. */
VrcnnError vrcnn_decoder::open_post(const vrcnn_post_filter &filter)
{
    uint8_t id[VRCNN_ID_SIZE];
    if (m_post_context && !vrcnn_model_id(m_post_model, id) && !memcmp(id, filter.identity, sizeof filter.identity))
        return VRCNN_OK;
    vrcnn_close(m_post_context);
    vrcnn_model_free(m_post_model);
    m_post_context = NULL;
    m_post_model = NULL;
    for (int i = m_file.empty() ? 0 : -1; i < 0 || vrcnn_builtin_name(i); i++) {
        size_t size = m_file.size();
        const void *const file = i < 0 ? &m_file[0] : vrcnn_builtin_file(vrcnn_builtin_name(i), &size);
        VrcnnModel *model;
        VrcnnError error = vrcnn_model_load(&model, file, size, NULL);
        if (error)
            return error;
        if (!vrcnn_model_id(model, id) && !memcmp(id, filter.identity, sizeof filter.identity)) {
            const VrcnnSettings wanted = settings(m_decoder_threads);
            m_post_model = model;
            return vrcnn_open(&m_post_context, model, &wanted);
        }
        vrcnn_model_free(model);
    }
    return VRCNN_ERROR_SIDEINFO_MODEL;
}

/* The picture stays what others refer to and what its hash is of; a filtered copy is put out in its place. */
VrcnnError vrcnn_decoder::run_post(const vrcnn_post_filter &filter, int qp, de265_image &image)
{
    const VrcnnWeights trained = {{VRCNN_SCALE_TRAINED, VRCNN_SCALE_TRAINED}, {VRCNN_SCALE_TRAINED, VRCNN_SCALE_TRAINED}};
    VrcnnError error = open_post(filter);
    if (error)
        return error;
    const int index = filter.index >= 0 ? filter.index
                                        : vrcnn_model_find(m_post_model, VRCNN_AFTER_SAO, (VrcnnKind)filter.kind, (VrcnnSize)filter.size,
                                                           qp < LOWEST_QP ? LOWEST_QP : qp);
    if (index < 0)
        return (VrcnnError)index;
    const int kind = vrcnn_model_network_kind(m_post_model, index);
    if (kind < 0)
        return (VrcnnError)kind;
    std::shared_ptr<de265_image> shown = std::make_shared<de265_image>();
    if (shown->alloc_image(image.get_width(), image.get_height(), image.get_chroma_format(), image.get_shared_sps(), false, image.decctx,
                           image.pts, image.user_data, true) != DE265_OK)
        return VRCNN_ERROR_MEMORY;
    shown->copy_lines_from(&image, 0, image.get_height());
    shown->nal_hdr = image.nal_hdr;
    shown->PicOrderCntVal = image.PicOrderCntVal;
    shown->integrity = image.integrity;
    VrcnnPlane source[3], target[3];
    VrcnnConstPlane read[3];
    fill_planes(source, image, true, true);
    fill_planes(target, *shown, true, true);
    for (int i = 0; i < 3; i++) {
        const VrcnnPlane &plane = source[i];
        const VrcnnConstPlane constant = {plane.data, plane.stride, plane.width, plane.height, plane.bit_depth, plane.bytes_per_sample};
        read[i] = constant;
        if (i && kind == VRCNN_LUMA)
            memset(&target[i], 0, sizeof target[i]);
    }
    error = vrcnn_filter_planes(m_post_context, index, &trained, target, read);
    if (!error)
        image.vrcnn_shown = shown;
    return error;
}

VrcnnError vrcnn_decoder::run(image_unit &unit)
{
    de265_image &image = *unit.img;
    VrcnnPlane target[3];
    bool luma_sao = false, chroma_sao = false;
    for (size_t i = 0; i < unit.slice_units.size() && image.get_sps().sample_adaptive_offset_enabled_flag; i++) {
        luma_sao = luma_sao || unit.slice_units[i]->shdr->slice_sao_luma_flag;
        chroma_sao = chroma_sao || unit.slice_units[i]->shdr->slice_sao_chroma_flag;
    }
    if (m_info.position == VRCNN_AFTER_SAO)
        keep(image);
    planes_of(target, image);
    return vrcnn_receiver_filter_planes(m_receiver, luma_sao, chroma_sao, lossless(image), target, m_source);
}

de265_error vrcnn_decoder::after_sao(image_unit &unit)
{
    if (m_dump && m_dump_position == VRCNN_AFTER_SAO)
        dump(unit);
    if (m_dump && ferror(m_dump)) {
        m_message = text(NO_DUMP);
        return (de265_error)NO_DUMP;
    }
    if (m_error == VRCNN_OK && (filters() || m_post_filter)) {
        const double start = now();
        m_error = m_post_filter ? run_post(*m_post_filter, unit.slice_units[0]->shdr->SliceQPY, *unit.img) : run(unit);
        m_seconds += now() - start;
        m_pictures += m_error == VRCNN_OK;
    }
    const char *const problem = unit.slice_units[0]->shdr->vrcnn.post_problem();
    if (problem) {
        m_post_is_bad = true;
        unit.img->PicOutputFlag = false;
        char line[256];
        snprintf(line, sizeof line, "POC %d: %s: %s", unit.img->PicOrderCntVal, text(BAD_POST), problem);
        m_message = line;
        return (de265_error)BAD_POST;
    }
    if (m_post_is_bad)
        unit.img->PicOutputFlag = false;
    if (m_error == VRCNN_OK)
        return DE265_OK;
    const bool is_told = m_broken;
    m_broken = true;
    unit.img->PicOutputFlag = false;
    return is_told ? DE265_OK : fail(m_error, unit.img->PicOrderCntVal);
}

const char *vrcnn_decoder::statistics(int *pictures, double *seconds) const
{
    *pictures = m_pictures;
    *seconds = m_seconds;
    const VrcnnContext *const context = m_post_context ? m_post_context : vrcnn_receiver_context(m_receiver);
    return m_pictures ? vrcnn_kernel_name(vrcnn_context_kernel(context)) : NULL;
}

/* ---- for programs ---- */

de265_error vrcnn_de265_set(de265_decoder_context *decoder, const char *model, const char *kernel, int threads)
{
    return ((decoder_context *)decoder)->vrcnn.set(model, kernel, threads);
}

de265_error vrcnn_de265_dump(de265_decoder_context *decoder, const char *file, int position)
{
    return ((decoder_context *)decoder)->vrcnn.dump_to(file, position);
}

void vrcnn_de265_dump_motion(de265_decoder_context *decoder, int is_wanted)
{
    ((decoder_context *)decoder)->vrcnn.dump_motion(is_wanted != 0);
}

void vrcnn_de265_post_filters(de265_decoder_context *decoder, int are_used)
{
    ((decoder_context *)decoder)->vrcnn.post_filters(are_used != 0);
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
