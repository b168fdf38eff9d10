/* vrcnn-int in libde265: the side information of a slice, and the filter of a decoder.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_FILTER_H
#define VRCNN_FILTER_H

#include <string>
#include <vector>

#include "vrcnn/vrcnn.h"
#include "vrcnn_de265.h"

class image_unit;
class slice_segment_header;
struct de265_image;

/* The bytes of a slice segment header's extension. They travel with the slice: headers are read ahead of decoding. */
class vrcnn_extension {
public:
    void clear() { m_bytes.clear(); }
    void append(int byte)
    {
        if (m_bytes.size() <= VRCNN_SIDEINFO_SIZE) /* one byte more tells that there were too many */
            m_bytes.push_back((uint8_t)byte);
    }
    const std::vector<uint8_t> &bytes() const { return m_bytes; }

private:
    std::vector<uint8_t> m_bytes;
};

class vrcnn_decoder {
public:
    vrcnn_decoder();
    ~vrcnn_decoder();

    /* An extra error code of libde265 as text, NULL if it is none of the filter's. */
    static const char *text(int error);

    de265_error set(const char *model, const char *kernel, int threads);
    /* Forgets the stream. */
    void reset();

    /* In the order of the stream. Tells whether a first slice segment is missing before this one; then the decoder has to give up. */
    de265_error slice(const slice_segment_header &header, int nal_unit_type);
    /* The slice segment of this NAL unit is given up with this error. Returns it, or that of the filter where its picture may need it. */
    de265_error lost(int nal_unit_type, de265_error error);

    /* In decoding order: reads the side information of a picture and keeps the samples that the network wants. */
    void before_deblocking(image_unit &unit, int threads);
    /* Filters the picture. After any error of it the picture is not output. */
    de265_error after_sao(image_unit &unit);

    const char *message() const { return m_message.c_str(); }
    const char *statistics(int *pictures, double *seconds) const;

private:
    VrcnnModel *m_model;
    VrcnnContext *m_context;
    uint8_t m_identity[VRCNN_ID_SIZE];
    std::string m_file, m_kernel;
    int m_threads;

    bool m_active;      /* the last IRAP picture carried the magic */
    bool m_broken;      /* nothing is output before the next IRAP picture */
    bool m_signalled;   /* as m_active, but where headers are read, ahead of decoding */
    bool m_slice_known; /* there is a slice segment before, described by: */
    int m_slice_type, m_slice_poc, m_slice_address;

    VrcnnSideinfo m_info;
    std::vector<uint8_t> m_unit, m_source;
    de265_error m_error;
    std::string m_message;
    int m_pictures;
    double m_seconds;

    vrcnn_decoder(const vrcnn_decoder &);
    vrcnn_decoder &operator=(const vrcnn_decoder &);
    void close();
    de265_error fail(int code, int poc);
    de265_error load(const char *file);
    de265_error open_context(int threads);
    de265_error open_identity(const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE], int threads);
    de265_error parse(image_unit &unit, int threads);
    de265_error run(image_unit &unit);
    void keep(const de265_image &image);
    void restore(de265_image &image) const;
};

#endif
