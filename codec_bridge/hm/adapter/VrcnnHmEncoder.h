/* vrcnn-int in HM: what the encoder decides about the filter, picture by picture.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_HM_ENCODER_H
#define VRCNN_HM_ENCODER_H

#include "TLibCommon/VrcnnHmFilter.h"

class TComOutputBitstream;
class TComPPS;
class TComSPS;
class TComSlice;
class TEncSbac;

/* What the side information of a picture may say, and its cost as estimated from the samples of the trained scale. */
struct VrcnnHmChoice {
    VrcnnSideinfo info;
    std::vector<uint8_t> unit;
    double cost; /* squared error + lambda * bits */
};

class VrcnnHmEncoder
{
  public:
    VrcnnHmEncoder();
    ~VrcnnHmEncoder();

    /* Ends the program if the filter is on and cannot work on such a sequence; reserves its place in the slice headers. */
    static void initPps(TComPPS &pps, const TComSPS &sps);
    /* Writes the extension of a slice segment header, after the entry points as the standard has it. */
    static void writeExtension(TComOutputBitstream &bitstream, const TComSlice &slice);

    void beforeDeblocking(TComPic *picture);
    void afterDeblocking(TComPic *picture);
    /* Decides between the ordinary filters and the network, and puts the network's samples into the reconstruction if they win; luma
     * SAO is then off. Slice headers and SAO parameters are coded after this. */
    void afterSao(TComPic *picture, TEncSbac *counter);

  private:
    enum { CELL = 64 }; /* the smallest unit: sums are kept for each of them */

    /* Of a cell or unit, against the original: the network's input, its residual, and the samples that take over without a network. */
    struct Sums {
        double source, product[VRCNN_MAX_CHOICES], energy[VRCNN_MAX_CHOICES], base;
    };

    VrcnnHmFilter m_filter;
    VrcnnPosition m_position;
    VrcnnHmLuma m_source, m_base, m_result[VRCNN_MAX_CHOICES], m_final;
    int m_bitDepth, m_networks, m_network[VRCNN_MAX_CHOICES];
    double m_lambda;
    std::vector<Sums> m_cell;
    int m_pictures, m_filtered;
    double m_seconds;

    void listNetworks(int qp);
    void sumCells(const TComPicYuv &original);
    std::vector<Sums> sumUnits(int unitSize) const;
    double squaredError(const VrcnnHmLuma &luma, const TComPicYuv &original, int x, int y, int width, int height) const;
    int write(VrcnnHmChoice &choice, uint8_t *data) const;
    void tryWhole(VrcnnHmChoice &best, const VrcnnHmChoice &start) const;
    void tryMap(VrcnnHmChoice &best, const VrcnnHmChoice &start, const std::vector<Sums> &units, int unitSize, unsigned subset) const;
    void filter(TComPic &picture, VrcnnHmChoice &choice);
    double refine(VrcnnHmChoice &choice, const TComPicYuv &original);
};

#endif
