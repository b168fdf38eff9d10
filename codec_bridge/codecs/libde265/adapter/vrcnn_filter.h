/* vrcnn-int in libde265: the side information of a slice, and the filter of a decoder.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_FILTER_H
#define VRCNN_FILTER_H

#include <cstdio>
#include <string>
#include <vector>

#include "vrcnn/vrcnn.h"
#include "vrcnn_de265.h"
#include "vrcnn_post.h"

class image_unit;
class slice_segment_header;
struct de265_image;

/* The bytes of a slice segment header's extension, and in a picture's first one what filters the decoded picture. They travel with the
 * slice: headers are read ahead of decoding. */
class vrcnn_extension
{
  public:
    vrcnn_extension() : m_is_post_filtered(false), m_post_problem(NULL)
    {
    }
    void clear()
    {
        m_bytes.clear();
    }
    void append(int byte)
    {
        if (m_bytes.size() <= VRCNN_SIDEINFO_SIZE) /* one byte more tells that there were too many */
            m_bytes.push_back((uint8_t)byte);
    }
    const std::vector<uint8_t> &bytes() const
    {
        return m_bytes;
    }
    void read_post(vrcnn_post &post, int nal_unit_type, bool starts, bool in_loop)
    {
        m_post_problem = post.picture(nal_unit_type, starts, in_loop, &m_is_post_filtered, &m_post_filter);
    }
    /* NULL: nothing does. */
    const vrcnn_post_filter *post_filter() const
    {
        return m_is_post_filtered ? &m_post_filter : NULL;
    }
    /* What is damaged of that; NULL: nothing is. */
    const char *post_problem() const
    {
        return m_post_problem;
    }

  private:
    std::vector<uint8_t> m_bytes;
    bool m_is_post_filtered;
    const char *m_post_problem;
    vrcnn_post_filter m_post_filter;
};

class vrcnn_decoder
{
  public:
    vrcnn_decoder();
    ~vrcnn_decoder();

    /* An extra error code of libde265 as text, NULL if it is none of the filter's. */
    static const char *text(int error);

    de265_error set(const char *model, const char *kernel, int threads);
    de265_error dump_to(const char *file, int position);
    /* Whether motion stands in the dump. */
    void dump_motion(bool is_wanted)
    {
        m_dumps_motion = is_wanted;
    }
    /* Whether pictures are put out filtered where SEI messages say so. */
    void post_filters(bool are_used)
    {
        m_uses_post = are_used;
    }
    /* Forgets the stream. */
    void reset();

    /* In the order of the stream: a prefix SEI NAL unit, without emulation prevention bytes. */
    void sei(const uint8_t *data, size_t size)
    {
        if (m_uses_post)
            m_post.sei(data, size);
    }
    /* In the order of the stream. Tells whether a first slice segment is missing before this one; then the decoder has to give up.
     * without_rasl: NoRaslOutputFlag of the last IRAP picture. threads: of the decoder, here and below. */
    de265_error slice(slice_segment_header &header, const de265_image &image, bool without_rasl, int threads);
    /* The slice segment of this NAL unit is given up with this error. Returns it, or that of the filter where its picture may need it. */
    de265_error lost(int nal_unit_type, de265_error error, int threads);

    /* In decoding order: reads the side information of a picture and keeps the samples that the networks want. */
    void before_deblocking(image_unit &unit);
    /* Filters the picture, or what of it is put out. After any error of it the picture is not output. */
    de265_error after_sao(image_unit &unit);

    const char *message() const
    {
        return m_message.c_str();
    }
    const char *statistics(int *pictures, double *seconds) const;

  private:
    VrcnnReceiver *m_receiver; /* opened once the number of the decoder's threads is known */
    std::vector<char> m_file;  /* a model set, empty for those that are built in */
    VrcnnKernel m_kernel;
    int m_threads;

    bool m_uses_post;
    vrcnn_post m_post;
    VrcnnModel *m_post_model; /* that pictures are filtered with after decoding, and its context */
    VrcnnContext *m_post_context;
    const vrcnn_post_filter *m_post_filter; /* of the current picture; NULL: there is none */
    bool m_post_is_bad;                     /* nothing is output before the next IRAP picture */
    int m_decoder_threads;

    VrcnnError m_error; /* of the current picture */
    bool m_broken;      /* the error before the current picture is told, and nothing is output before the next IRAP picture */
    VrcnnPlaneSideinfo m_info;
    std::vector<uint8_t> m_samples[3], m_kept;
    VrcnnConstPlane m_source[3]; /* these samples */
    std::string m_message;
    FILE *m_dump; /* NULL: there is none */
    int m_dump_position;
    bool m_dumps_motion;
    int m_pictures;
    double m_seconds;

    vrcnn_decoder(const vrcnn_decoder &);
    vrcnn_decoder &operator=(const vrcnn_decoder &);
    de265_error fail(VrcnnError error, int poc);
    de265_error fail_set(const uint8_t *identity, int size);
    VrcnnSettings settings(int threads) const;
    VrcnnError open(int threads);
    void post_slice(slice_segment_header &header, const de265_image &image, bool without_rasl);
    VrcnnError open_post(const vrcnn_post_filter &filter);
    VrcnnError run_post(const vrcnn_post_filter &filter, int qp, de265_image &image);
    bool filters() const
    {
        return m_info.luma_mode != VRCNN_MODE_OFF || m_info.chroma_mode != VRCNN_MODE_OFF;
    }
    VrcnnError run(image_unit &unit);
    int planes_of(VrcnnPlane planes[3], de265_image &image) const;
    void keep(de265_image &image);
    void dump(const image_unit &unit);
    void write_motion(de265_image &image);
    const uint8_t *lossless(const de265_image &image);
};

#endif
