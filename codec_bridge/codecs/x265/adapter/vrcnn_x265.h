/* vrcnn-int in x265: the filter of one frame encoder, and what the encoder decides about it picture by picture.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_X265_H
#define VRCNN_X265_H

#include <vector>

#include "common.h" /* first: the others do not include it */

#include "bitstream.h"
#include "entropy.h"
#include "vrcnn/vrcnn.h"

namespace X265_NS
{
class Frame;
class FrameData;
class FrameFilter;
class NALList;
class PicYuv;

/* The frame that a frame encoder codes: since 4.0 it has one for each layer. */
inline Frame &vrcnnFrame(Frame *frame)
{
    return *frame;
}
inline Frame &vrcnnFrame(Frame *const *layers)
{
    return **layers;
}

class VrcnnX265
{
  public:
    VrcnnX265();
    ~VrcnnX265();

    /* The text of an option into a field of the parameters; false if it does not fit. */
    static bool copy(char *field, size_t size, const char *value);
    /* Of parameters that do not go together says one line on the log; false if there is no such line. */
    static bool refuses(const x265_param *param);
    /* Says one line on the log: what the streams are not. */
    static void warn(const x265_param *param);

    /* Does nothing if the filter is off. False after a line on the log: the encoder cannot be opened. */
    bool open(const x265_param *param, int width, int height);
    bool on() const
    {
        return m_sender != NULL;
    }

    /* A picture begins; the state of the arithmetic coder at its start serves to count bits. */
    void start(const Entropy &state);
    /* The samples of a CTU, before deblocking can touch them and before SAO does. Each is called once for every CTU, by any thread. */
    void keepSource(const Frame &frame, int row, int column);
    void keepDeblocked(const FrameData &data, int row, int column);
    /* True if the row shall not be finished yet. With the last row the whole picture is decided on, filtered, and all rows finished:
     * before that nothing can refer to them. */
    bool defers(FrameFilter &filter, int row);

    /* The SEI message that the stream needs the filter, as a NAL unit of its own, with the first frame. */
    void writeSei(const Frame &frame, NALList &list) const;
    /* The slice segment header extension, after the entry points as the standard has it. */
    void writeExtension(Bitstream &bitstream) const;

  private:
    VrcnnSender *m_sender;
    const x265_param *m_param;
    int m_width, m_height, m_planes; /* planes: 3 if networks filter chroma, too, else 1 */
    std::vector<pixel> m_source[3], m_base[3];
    std::vector<uint8_t> m_kept;
    Entropy m_state;
    bool m_finishing;
    VrcnnPlaneDecision m_decision;
    int m_pictures, m_filtered;
    double m_seconds;

    VrcnnX265(const VrcnnX265 &);
    VrcnnX265 &operator=(const VrcnnX265 &);
    bool load(std::vector<char> &file) const;
    bool isBefore() const
    {
        return m_param->vrcnn.position == VRCNN_BEFORE_DEBLOCKING;
    }
    /* Of luma, or of a plane of chroma. */
    int width(int plane) const
    {
        return plane ? m_width / 2 : m_width;
    }
    int height(int plane) const
    {
        return plane ? m_height / 2 : m_height;
    }
    void keep(std::vector<pixel> *planes, const PicYuv &picture, int row, int column) const;
    VrcnnConstPlane kept(const std::vector<pixel> *planes, int plane) const;
    VrcnnPlane place(const PicYuv &picture, int plane) const;
    double squaredError(const PicYuv &a, const PicYuv &b, int plane) const;
    double saoBits(const Frame &frame, bool luma, bool chroma);
    void weigh(const Frame &frame, VrcnnPlaneDecisionInput &input);
    const uint8_t *lossless(Frame &frame);
    void decide(FrameFilter &filter);
};
} // namespace X265_NS

#endif
