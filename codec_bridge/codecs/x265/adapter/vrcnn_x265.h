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
class FrameFilter;
class PicYuv;

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
        return m_context != NULL;
    }

    /* A picture begins; the state of the arithmetic coder at its start serves to count bits. */
    void start(const Entropy &state);
    /* The samples of a CTU, before deblocking can touch them and before SAO does. Each is called once for every CTU, by any thread. */
    void keepSource(const PicYuv &picture, int row, int column);
    void keepDeblocked(const PicYuv &picture, int row, int column);
    /* True if the row shall not be finished yet. With the last row the whole picture is decided on, filtered, and all rows finished:
     * before that nothing can refer to them. */
    bool defers(FrameFilter &filter, int row);

    /* The slice segment header extension, after the entry points as the standard has it. */
    void writeExtension(Bitstream &bitstream) const;

  private:
    VrcnnModel *m_model;
    VrcnnContext *m_context;
    VrcnnDecider *m_decider;
    const x265_param *m_param;
    VrcnnPosition m_position;
    int m_width, m_height;
    std::vector<pixel> m_source, m_base;
    std::vector<uint8_t> m_kept;
    Entropy m_state;
    bool m_finishing;
    VrcnnDecision m_decision;
    int m_pictures, m_filtered;
    double m_seconds;

    VrcnnX265(const VrcnnX265 &);
    VrcnnX265 &operator=(const VrcnnX265 &);
    bool load();
    void keep(std::vector<pixel> &plane, const PicYuv &picture, int row, int column) const;
    VrcnnConstPlane kept(const std::vector<pixel> &plane) const;
    VrcnnConstPlane luma(const PicYuv &picture) const;
    double saoBits(const Frame &frame, bool luma);
    const uint8_t *lossless(Frame &frame);
    void decide(FrameFilter &filter);
};
} // namespace X265_NS

#endif
