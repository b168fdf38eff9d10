/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "vrcnn_post.h"

#include <algorithm>
#include <cstring>

#include "vrcnn/vrcnn.h"

enum { NNPFC = 210, NNPFA = 211 }; /* payloadType */
enum { MOST_MESSAGES = 64, MOST_BYTES = 512 /* of a payload: ours are shorter, and others' ends do not matter */ };

static const char TAG[] = "tag:vrcnn-int.invalid,2026:post/1";
static const char SET[] = "tag:vrcnn-int.invalid,2026:set/";

static bool is_irap(int nal_unit_type)
{
    return nal_unit_type >= 16 && nal_unit_type <= 23;
}

/* In output order such a picture is before its IRAP picture. */
static bool is_leading(int nal_unit_type)
{
    return nal_unit_type >= 6 && nal_unit_type <= 9;
}

bool operator==(const vrcnn_post_filter &one, const vrcnn_post_filter &other)
{
    return !memcmp(one.identity, other.identity, sizeof one.identity) && one.index == other.index && one.kind == other.kind &&
           one.size == other.size;
}

/* ---- bits ---- */

namespace
{
/* Once it has come to the end it gives zeros. */
class bits
{
  public:
    explicit bits(const std::vector<uint8_t> &data) : m_data(data), m_at(0), m_is_cut(false)
    {
    }
    bool is_cut() const
    {
        return m_is_cut;
    }
    uint32_t u(int count)
    {
        uint32_t value = 0;
        for (int i = 0; i < count; i++)
            value = value << 1 | bit();
        return m_is_cut ? 0 : value;
    }
    uint32_t ue()
    {
        int zeros = 0;
        while (!bit())
            if (m_is_cut || ++zeros > 31) {
                m_is_cut = true;
                return 0;
            }
        const uint32_t value = (uint32_t)((1ull << zeros) - 1) + u(zeros);
        return m_is_cut ? 0 : value;
    }
    /* Whether the bits up to the next byte are 0; *byte: the number of that one. */
    bool align(size_t *byte)
    {
        const bool zeros = u((8 - m_at % 8) % 8) == 0;
        *byte = m_at / 8;
        return zeros;
    }

  private:
    const std::vector<uint8_t> &m_data;
    size_t m_at;
    bool m_is_cut;

    uint32_t bit()
    {
        m_is_cut = m_is_cut || m_at / 8 >= m_data.size();
        if (m_is_cut)
            return 0;
        const uint32_t value = m_data[m_at / 8] >> (7 - m_at % 8) & 1;
        m_at++;
        return value;
    }
};
} // namespace

static int digit(char character)
{
    const char *const digits = "0123456789abcdef", *const found = character ? strchr(digits, character) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* nnpfc_uri; what begins there ends with a zero byte. */
static bool parse_uri(const char *uri, vrcnn_post_filter *filter)
{
    static const struct {
        const char *words;
        int kind, size;
    } by_qp[] = {{"luma/fast", VRCNN_LUMA, VRCNN_FAST},
                 {"luma/best", VRCNN_LUMA, VRCNN_BEST},
                 {"joint/fast", VRCNN_JOINT, VRCNN_FAST},
                 {"joint/best", VRCNN_JOINT, VRCNN_BEST}};
    memset(filter, 0, sizeof *filter);
    if (strncmp(uri, SET, sizeof SET - 1))
        return false;
    uri += sizeof SET - 1;
    for (int i = 0; i < 8; i++, uri += 2) {
        const int high = digit(uri[0]), low = high < 0 ? -1 : digit(uri[1]);
        if (low < 0)
            return false;
        filter->identity[i] = (uint8_t)(high << 4 | low);
    }
    if (*uri++ != '/')
        return false;
    filter->index = -1;
    for (size_t i = 0; i < sizeof by_qp / sizeof *by_qp; i++)
        if (!strcmp(uri, by_qp[i].words)) {
            filter->kind = by_qp[i].kind;
            filter->size = by_qp[i].size;
            return true;
        }
    /* 0..31, without leading zeros */
    const size_t digits = strspn(uri, "0123456789");
    if (uri[digits] || digits < 1 || digits > 2 || (digits == 2 && uri[0] == '0'))
        return false;
    filter->index = digits == 1 ? uri[0] - '0' : 10 * (uri[0] - '0') + uri[1] - '0';
    return filter->index < 32;
}

/* ---- messages ---- */

void vrcnn_post::reset()
{
    m_messages.clear();
    forget();
    m_id = 0;
    memset(&m_filter, 0, sizeof m_filter);
}

void vrcnn_post::sei(const uint8_t *data, size_t size)
{
    size_t at = 2; /* behind the NAL unit's header */
    while (at < size && !(data[at] == 0x80 && at + 1 == size)) {
        size_t values[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            for (; at < size && data[at] == 255; at++)
                values[i] += 255;
            values[i] += at < size ? data[at] : 0;
            at++;
        }
        const size_t there = at < size ? std::min(values[1], size - at) : 0;
        if ((values[0] == NNPFC || values[0] == NNPFA) && m_messages.size() < MOST_MESSAGES) {
            message found = {(int)values[0], std::vector<uint8_t>()};
            if (there)
                found.payload.assign(data + at, data + at + std::min<size_t>(there, MOST_BYTES));
            m_messages.push_back(found);
        }
        at += values[1];
    }
}

const char *vrcnn_post::characteristics(const std::vector<uint8_t> &payload, int nal_unit_type)
{
    bits bits(payload);
    bits.u(16); /* nnpfc_purpose */
    const uint32_t id = bits.ue(), base = bits.u(1), mode = bits.ue();
    if (bits.is_cut())
        return NULL;
    size_t at;
    const bool are_zeros = bits.align(&at);
    /* Both strings, ended in any case. */
    std::vector<char> text(payload.begin() + (ptrdiff_t)at, payload.end());
    const size_t length = text.size();
    text.resize(length + 2);
    const size_t tag = strlen(&text[0]), uri = tag < length ? strlen(&text[tag + 1]) : 0;
    if (mode != 1 || strcmp(&text[0], TAG) || (id >= 256 && id <= 511) || id >= 1u << 31)
        return NULL; /* somebody else's, or reserved */
    if (!base)
        return "nnpfc_base_flag is 0";
    if (!are_zeros)
        return "an alignment bit is 1";
    if (tag + 1 + uri >= length)
        return "it is cut off";
    vrcnn_post_filter filter;
    if (!parse_uri(&text[tag + 1], &filter))
        return "nnpfc_uri names no network";
    if (!is_irap(nal_unit_type))
        return "NNPFC in a picture that is no IRAP picture";
    if (m_has_filter && !(m_id == id && m_filter == filter))
        return "another NNPFC than before in the coded video sequence";
    m_has_filter = true;
    m_id = id;
    m_filter = filter;
    return NULL;
}

const char *vrcnn_post::activation(const std::vector<uint8_t> &payload, bool *is_ours) const
{
    bits bits(payload);
    const uint32_t id = bits.ue();
    if (!bits.is_cut() && id != m_id)
        return NULL;
    bool is_plain = !bits.u(1);
    if (is_plain) {
        const uint32_t persistence = bits.u(1), base = bits.u(1);
        bits.u(1); /* nnpfa_no_prev_clvs_flag */
        is_plain = persistence && base;
    }
    if (is_plain) {
        bits.u(1); /* nnpfa_no_foll_clvs_flag */
        const uint32_t entries = bits.ue();
        is_plain = entries == 0 || (entries == 1 && bits.u(1));
    }
    if (bits.is_cut())
        return "it is cut off";
    *is_ours = true;
    return is_plain ? NULL : "it activates the filter in another way than section 10 allows";
}

const char *vrcnn_post::read(int nal_unit_type, bool in_loop, bool *is_filtered)
{
    bool activated = false;
    for (size_t i = 0; i < m_messages.size(); i++) {
        const message &message = m_messages[i];
        const char *problem = NULL;
        if (message.kind == NNPFC)
            problem = characteristics(message.payload, nal_unit_type);
        else if (m_has_filter)
            problem = activation(message.payload, &activated);
        if (problem)
            return problem;
    }
    if (in_loop && m_has_filter)
        return "networks filter in the loop already";
    if (is_irap(nal_unit_type)) {
        m_before = m_active;
        m_active = m_active || activated;
    } else if (activated && !m_active && !is_leading(nal_unit_type))
        return "NNPFA within a coded video sequence that goes on without";
    *is_filtered = m_has_filter && (is_leading(nal_unit_type) ? m_before || activated : m_active);
    return NULL;
}

const char *vrcnn_post::picture(int nal_unit_type, bool starts, bool in_loop, bool *is_filtered, vrcnn_post_filter *filter)
{
    if (starts)
        forget();
    *is_filtered = false;
    const char *const problem = read(nal_unit_type, in_loop, is_filtered);
    m_messages.clear();
    if (problem)
        forget();
    *is_filtered = *is_filtered && !problem;
    if (*is_filtered)
        *filter = m_filter;
    return problem;
}
