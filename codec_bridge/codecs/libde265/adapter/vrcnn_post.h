/* vrcnn-int in libde265: the SEI messages by which a stream names a filter of its decoded pictures, SPECIFICATION.md section 10. Nothing
 * of libde265 is needed here.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_POST_H
#define VRCNN_POST_H

#include <cstddef>
#include <cstdint>
#include <vector>

/* What filters decoded pictures. */
struct vrcnn_post_filter {
    uint8_t identity[8]; /* the first bytes of the model set's */
    int index;           /* of the network; -1: the one after SAO, of the kind and the size, for the picture's QP */
    int kind, size;      /* VrcnnKind, VrcnnSize */
};

bool operator==(const vrcnn_post_filter &one, const vrcnn_post_filter &other);

/* Reads the messages of a stream's pictures in decoding order, and knows which of them are filtered. */
class vrcnn_post
{
  public:
    vrcnn_post()
    {
        reset();
    }
    /* Forgets the stream. */
    void reset();

    /* The messages of a prefix SEI NAL unit: data from its header on, without emulation prevention bytes. */
    void sei(const uint8_t *data, size_t size);
    /* A slice segment whose picture asks for nothing; the messages before it are none of a later picture's. */
    void skip()
    {
        m_messages.clear();
    }
    /* The picture behind these messages. starts: it begins a coded video sequence. in_loop: networks filter in the loop, too. *filter is
     * written where it is filtered. Returns NULL, or what is damaged: then nothing is filtered before the next IRAP picture that says so.
     */
    const char *picture(int nal_unit_type, bool starts, bool in_loop, bool *is_filtered, vrcnn_post_filter *filter);

  private:
    void forget()
    {
        m_has_filter = m_active = m_before = false;
    }
    struct message {
        int kind;
        std::vector<uint8_t> payload;
    };
    std::vector<message> m_messages;
    bool m_has_filter, m_active, m_before; /* m_before: the last IRAP picture */
    uint32_t m_id;
    vrcnn_post_filter m_filter;

    const char *read(int nal_unit_type, bool in_loop, bool *is_filtered);
    const char *characteristics(const std::vector<uint8_t> &payload, int nal_unit_type);
    const char *activation(const std::vector<uint8_t> &payload, bool *is_ours) const;
};

#endif
