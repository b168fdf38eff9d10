/* vrcnn-int in HM: what the encoder decides about the filter, picture by picture.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_HM_ENCODER_H
#define VRCNN_HM_ENCODER_H

#include "TLibCommon/VrcnnHmFilter.h"

class AccessUnit;
class TComOutputBitstream;
class TComPPS;
class TComSPS;
class TComSlice;
class TEncSbac;

class VrcnnHmEncoder
{
  public:
    VrcnnHmEncoder();
    ~VrcnnHmEncoder();

    /* Ends the program if the filter is on and cannot work on such a sequence; reserves its place in the slice headers. */
    static void initPps(TComPPS &pps, const TComSPS &sps);
    /* Writes the extension of a slice segment header, after the entry points as the standard has it. */
    static void writeExtension(TComOutputBitstream &bitstream, const TComSlice &slice);

    /* Adds the SEI message that the stream needs the filter to its first access unit, behind the parameter sets. */
    void writeSei(AccessUnit &accessUnit) const;

    void beforeDeblocking(TComPic *picture);
    void afterDeblocking(TComPic *picture);
    /* Decides between the ordinary filters and the networks, and puts the networks' samples into the planes of the reconstruction where
     * they win; SAO of these is then off. Slice headers and SAO parameters are coded after this. */
    void afterSao(TComPic *picture, TEncSbac *counter);

  private:
    VrcnnSender *m_sender;
    VrcnnHmCopy m_source, m_base; /* before deblocking and after it */
    std::vector<uint8_t> m_kept;
    int m_pictures, m_filtered;
    double m_seconds;

    VrcnnHmEncoder(const VrcnnHmEncoder &);
    VrcnnHmEncoder &operator=(const VrcnnHmEncoder &);
    void open(const TComSPS &sps);
    void start(TComPic &picture);
    VrcnnHmPlanes planes(TComPicYuv &picture, const TComSPS &sps) const;
};

#endif
